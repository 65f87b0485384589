"""The tests' extension is innermost. Arguments: the module, and the depth of its recursion when it parks."""

import importlib
import os

import truth

extension = importlib.import_module(truth.ARGUMENTS[0])
released = bytearray(1)


def release_when_told():
    truth.tell()
    os.read(0, 1)
    released[0] = 1


def main():
    if truth.MODE == "spin":
        truth.start(release_when_told)
        truth.tell()
        extension.spin_until(released)
    else:
        depth = int(truth.ARGUMENTS[1])
        truth.tell()
        extension.deep(depth, 0)


main()
