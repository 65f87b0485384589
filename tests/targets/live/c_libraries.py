"""A running target: most of the time in libraries that keep no frame pointers."""

import bz2
import hashlib
import json
import re
import zlib

import truth

TEXT = ("The quick brown fox jumps over the lazy dog. " * 400).encode()
DOCUMENT = [{"name": f"item {index}", "values": list(range(20)), "nested": {"a": None}} for index in range(100)]
PATTERN = re.compile(r"(\w+)\s+(\w+)\s+(?=f)")


def compress():
    zlib.decompress(zlib.compress(TEXT, 9))
    bz2.decompress(bz2.compress(TEXT))


def serialize():
    json.loads(json.dumps(DOCUMENT))


def match():
    PATTERN.sub(swap, TEXT.decode())


def swap(found):
    return found.group(2)


def digest():
    for name in ("md5", "sha256", "sha512", "blake2b"):
        hashlib.new(name, TEXT).hexdigest()


def step():
    compress()
    serialize()
    match()
    digest()


truth.work(
    step,
    calls=[("<module>", "work"), ("work", "step"), ("match", "swap")]
    + [("step", name) for name in ("compress", "serialize", "match", "digest")],
)
