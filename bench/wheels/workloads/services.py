"""Work of the wheels that talk to servers: to Debian's PostgreSQL over TLS, and to servers on loopback.

Does: for each a function that prepares, and returns one round of work. Does not: start PostgreSQL (`postgresql.py`), or say how often
the work is done (`targets/work.py`).
"""

import asyncio
import threading

QUERY = "SELECT n, 'word ' || n, n / 7.0, now() FROM generate_series(1, 2000) AS n"


def psycopg_binary(world):
    import psycopg
    assert psycopg.pq.__impl__ == "binary"
    connection = psycopg.connect(world.postgresql())

    def round_():
        assert len(connection.execute(QUERY).fetchall()) == 2_000
        with psycopg.connect(world.postgresql()) as another:
            another.execute("SELECT 1")
    return round_


def psycopg2_binary(world):
    import psycopg2
    connection = psycopg2.connect(world.postgresql())

    def round_():
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            assert len(cursor.fetchall()) == 2_000
        psycopg2.connect(world.postgresql()).close()
    return round_


def asyncpg(world):
    import ssl
    import asyncpg
    words = world.postgresql_words()
    secure = ssl.create_default_context(cafile=words["sslrootcert"])
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(
        host=words["host"], port=int(words["port"]), user=words["user"], database=words["dbname"], ssl=secure))

    def round_():
        assert len(loop.run_until_complete(connection.fetch(QUERY))) == 2_000
    return round_


def sqlalchemy(world):
    import sqlalchemy
    engine = sqlalchemy.create_engine("sqlite://")
    words = sqlalchemy.Table("words", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
                             sqlalchemy.Column("word", sqlalchemy.String))
    connection = engine.connect()
    words.create(connection)
    connection.execute(words.insert(), [{"word": f"word {number}"} for number in range(2_000)])

    def round_():
        rows = connection.execute(sqlalchemy.select(words).where(words.c.id > 5).order_by(words.c.word)).all()
        assert sum(row.id for row in rows) > 0
        [tuple(row) for row in rows]
    return round_


def duckdb(world):
    import duckdb
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS SELECT range AS n, range * 7919 % 500 AS k, 'word ' || range % 999 AS w FROM range(200000)")

    def round_():
        assert len(connection.execute("SELECT k, count(DISTINCT w), avg(n) FROM t GROUP BY k ORDER BY 3 DESC").fetchall()) == 500
        connection.execute("SELECT count(*) FROM t WHERE regexp_matches(w, '7[0-3]$')").fetchall()
    return round_


def aiohttp(world):
    import aiohttp
    from aiohttp import web
    loop = asyncio.new_event_loop()

    async def answer(request):
        return web.json_response({"query": request.query.get("q"), "data": "x" * 2_000})

    async def serve():
        application = web.Application()
        application.router.add_get("/", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][1], aiohttp.ClientSession()
    port, session = loop.run_until_complete(serve())

    async def ask():
        for number in range(50):
            async with session.get(f"http://127.0.0.1:{port}/?q={number}") as response:
                assert (await response.json())["query"] == str(number)

    def round_():
        loop.run_until_complete(ask())
    return round_


def uvloop(world):
    import uvloop
    loop = uvloop.new_event_loop()
    return _echo(loop)


def _echo(loop):
    """A round of requests to a server on the same event loop."""
    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async def connect():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        return server, await asyncio.open_connection(*server.sockets[0].getsockname())
    server, (reader, writer) = loop.run_until_complete(connect())

    async def ask():
        for _ in range(200):
            writer.write(b"a line\n")
            assert await reader.readline() == b"A LINE\n"

    def round_():
        assert server.is_serving()
        loop.run_until_complete(ask())
    return round_


def gevent(world):
    import gevent
    import gevent.pool
    import gevent.queue
    import gevent.server
    import gevent.socket
    server = gevent.server.StreamServer(("127.0.0.1", 0), lambda client, _: client.sendall(client.recv(100).upper()))
    server.start()

    def ask(_):
        with gevent.socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.sendall(b"a line")
            assert client.recv(100) == b"A LINE"

    def round_():
        gevent.pool.Pool(20).map(ask, range(100))
        queue = gevent.queue.Queue()
        reader = gevent.spawn(lambda: [queue.get() for _ in range(1_000)])
        for number in range(1_000):
            queue.put(number)
        reader.join()
    return round_


def greenlet(world):
    import greenlet

    def descend(depth):
        return greenlet.getcurrent().parent.switch(depth) if depth == 0 else descend(depth - 1)

    def round_():
        for _ in range(200):
            inner = [greenlet.greenlet(descend) for _ in range(10)]
            for depth, each in enumerate(inner):
                each.switch(depth)
            for each in inner:
                each.switch(None)
    return round_


def tornado(world):
    import tornado.httpclient
    import tornado.httpserver
    import tornado.netutil
    import tornado.web
    import tornado.websocket
    loop = asyncio.new_event_loop()

    class Echo(tornado.websocket.WebSocketHandler):
        def on_message(self, message):
            self.write_message(message, binary=True)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")

    async def serve():
        tornado.httpserver.HTTPServer(tornado.web.Application([("/", Echo)])).add_sockets(sockets)
        return await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/")
    client = loop.run_until_complete(serve())

    async def ask():
        for _ in range(20):
            await client.write_message(b"x" * 50_000, binary=True)
            assert len(await client.read_message()) == 50_000

    def round_():
        loop.run_until_complete(ask())
    return round_


def websockets(world):
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve
    loop = asyncio.new_event_loop()

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async def start():
        server = await serve(echo, "127.0.0.1", 0, compression=None)
        port = server.sockets[0].getsockname()[1]
        return server, await connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None)
    server, client = loop.run_until_complete(start())

    async def ask():
        for _ in range(20):
            await client.send(b"x" * 50_000)
            assert len(await client.recv()) == 50_000

    def round_():
        assert server.is_serving()
        loop.run_until_complete(ask())
    return round_


def grpcio(world):
    from concurrent import futures
    import grpc

    class Upper(grpc.GenericRpcHandler):
        def service(self, call):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Upper()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/words/Upper")

    def round_():
        for _ in range(100):
            assert call(b"word" * 1_000)[:4] == b"WORD"
        assert server is not None
    return round_


def pyzmq(world):
    import zmq
    context = zmq.Context()
    server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client.connect(f"tcp://127.0.0.1:{port}")

    def round_():
        for _ in range(200):
            client.send(b"x" * 1_000)
            server.send(server.recv())
            assert len(client.recv()) == 1_000
    return round_


def watchfiles(world):
    from watchfiles import watch
    folder = world.folder / "watched"
    folder.mkdir()
    stop = threading.Event()
    seen = []
    follow = watch(folder, stop_event=stop, debounce=50, step=5, rust_timeout=200)
    threading.Thread(target=lambda: seen.extend(follow), daemon=True).start()

    def round_():
        for number in range(500):
            (folder / str(number % 50)).write_text("text")
    return round_


def psutil(world):
    import psutil

    def round_():
        for process in psutil.process_iter(["name", "memory_info", "cpu_affinity", "ionice"]):
            assert process.info["name"] is not None
        for _ in range(50):
            assert "lo" in psutil.net_if_addrs()
            psutil.net_if_stats()
            psutil.disk_partitions(all=True)
            psutil.users()
    return round_
