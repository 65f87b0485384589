"""A subinterpreter, entered from Python code of the main one: the frames of both are on one C stack."""

import os
import sys

import truth

if sys.version_info < (3, 13):
    import _xxsubinterpreters as interpreters
else:
    import _interpreters as interpreters

SOURCE = """
import json, os, sys

def inner():
    frames, frame = [], sys._getframe()
    while frame is not None:
        code = frame.f_code
        frames.append({"qualname": code.co_qualname, "filename": code.co_filename, "line": frame.f_lineno,
                       "first_line": code.co_firstlineno, "from_c": code.co_qualname == "<module>"})
        frame = frame.f_back
    frames[0]["line"] = frames[0]["first_line"] + 9
    TRUTH["threads"][0]["frames"] = frames + TRUTH["threads"][0]["frames"]
    os.write(1, json.dumps(TRUTH).encode() + b"\\n"); os.read(0, 1)

inner()
"""


def main():
    interpreter = interpreters.create()
    mine = truth.describe(sys._getframe(), (), sys._getframe().f_lineno + 2)
    word = {"pid": os.getpid(), "version": list(sys.version_info[:2]), "threads": [mine]}
    interpreters.run_string(interpreter, f"TRUTH = {word!r}" + SOURCE)
    interpreters.destroy(interpreter)


main()
