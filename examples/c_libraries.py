"""Makes log lines, searches, hashes and compresses them: most of the time is in C, below Python functions.

Usage: c_libraries.py [SECONDS]      default: until Ctrl-C
"""

import hashlib
import json
import re
import sys
import time
import zlib

ADDRESS = re.compile(r"\b(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\b")


def make_lines(count):
    for number in range(count):
        record = {"id": number, "client": f"10.0.{number % 256}.{number % 199}", "path": f"/item/{number % 57}", "ok": True}
        yield json.dumps(record)


def hide(match):
    return f"{match.group(1)}.x.x.x"


def anonymize(text):
    return ADDRESS.sub(hide, text)


def pack(text):
    packed = zlib.compress(text.encode(), level=9)
    return hashlib.sha256(packed).hexdigest()


def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = "\n".join(make_lines(2000))
        pack(anonymize(text))
        parse(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
