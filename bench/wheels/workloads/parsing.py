"""Work of the wheels that parse and write text: JSON, YAML, XML, HTML, HTTP, MessagePack.

Does: for each a function that prepares, and returns one round of work. Does not: say how often it is done (`targets/work.py`).
Each function's name is the project's, as in `pins.txt`.
"""

import json

RECORDS = [{"id": number, "name": f"name {number} ä", "tags": ["a", "b", str(number)], "price": number / 7, "open": number % 2 == 0}
           for number in range(2_000)]


def orjson(world):
    import orjson
    text = orjson.dumps(RECORDS)

    def round_():
        assert orjson.dumps(orjson.loads(text)) == text
    return round_


def ujson(world):
    import ujson
    text = ujson.dumps(RECORDS)

    def round_():
        assert ujson.loads(ujson.dumps(ujson.loads(text)))[7]["id"] == 7
    return round_


def jiter(world):
    import jiter
    text = json.dumps(RECORDS).encode()

    def round_():
        assert jiter.from_json(text)[9]["id"] == 9
    return round_


def msgpack(world):
    import msgpack

    def round_():
        assert msgpack.unpackb(msgpack.packb(RECORDS))[3]["id"] == 3
    return round_


def pyyaml(world):
    import yaml
    text = yaml.dump(RECORDS[:200])

    def round_():
        assert len(yaml.load(text, Loader=yaml.CSafeLoader)) == 200
        yaml.dump(RECORDS[:50], Dumper=yaml.CSafeDumper)
    return round_


def lxml(world):
    from lxml import etree
    text = "<all>" + "".join(f"<item id='{record['id']}'><name>{record['name']}</name></item>" for record in RECORDS) + "</all>"
    style = etree.XSLT(etree.fromstring(
        "<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'><xsl:template match='/all'><ul>"
        "<xsl:for-each select='item[@id mod 3 = 0]'><xsl:sort select='name' order='descending'/><li><xsl:value-of select='name'/></li>"
        "</xsl:for-each></ul></xsl:template></xsl:stylesheet>"))

    def round_():
        tree = etree.fromstring(text)
        assert len(tree.xpath("//item[contains(name, '7')]")) > 100
        assert len(style(tree).getroot()) == 667
        etree.tostring(tree)
    return round_


def markupsafe(world):
    import markupsafe
    lines = [f"<a href='{record['id']}'>{record['name']} & more</a>" * 3 for record in RECORDS]

    def round_():
        for line in lines:
            markupsafe.escape(line)
    return round_


def httptools(world):
    import httptools
    request = b"POST /search?q=a HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nCookie: a=b; c=d\r\nContent-Length: 4\r\n\r\nbody"

    class Request:
        def on_header(self, name, value):
            pass

        def on_body(self, body):
            pass

    def round_():
        for _ in range(2_000):
            parser = httptools.HttpRequestParser(Request())
            parser.feed_data(request)
            httptools.parse_url(b"http://localhost:8080/search?q=a#top")
    return round_


def protobuf(world):
    from google.protobuf import struct_pb2
    message = struct_pb2.Struct()
    message.update({str(record["id"]): record for record in RECORDS[:300]})
    text = message.SerializeToString()

    def round_():
        for _ in range(20):
            again = struct_pb2.Struct()
            again.ParseFromString(text)
            assert len(again.SerializeToString()) == len(text)
    return round_


def pydantic_core(world):
    from pydantic_core import SchemaValidator, core_schema
    text = json.dumps(RECORDS)
    record = core_schema.typed_dict_schema({
        "id": core_schema.typed_dict_field(core_schema.int_schema(ge=0)),
        "name": core_schema.typed_dict_field(core_schema.str_schema(pattern="^name")),
        "tags": core_schema.typed_dict_field(core_schema.list_schema(core_schema.str_schema())),
        "price": core_schema.typed_dict_field(core_schema.float_schema()),
        "open": core_schema.typed_dict_field(core_schema.bool_schema())})
    validator = SchemaValidator(core_schema.list_schema(record))

    def round_():
        assert len(validator.validate_json(text)) == len(RECORDS)
        validator.validate_python(RECORDS)
    return round_


def rpds_py(world):
    import rpds

    def round_():
        numbers = rpds.HashTrieMap()
        for number in range(3_000):
            numbers = numbers.insert(number, str(number))
        for number in range(0, 3_000, 2):
            numbers = numbers.remove(number)
        assert len(numbers) == 1_500
    return round_
