"""The tests' extension is innermost. Arguments: the module, and the depth of its recursion when it parks."""

import importlib

import truth

extension = importlib.import_module(truth.ARGUMENTS[0])
# Its first byte ends the spinning, its second says that it has begun.
flag = bytearray(2)


def is_spinning():
    return flag[1] != 0


def release():
    flag[0] = 1


def main():
    if truth.MODE == "spin":
        truth.release_when(is_spinning, release)
        truth.tell()
        extension.spin_until(flag)
    else:
        depth = int(truth.ARGUMENTS[1])
        truth.tell()
        extension.deep(depth, 0)


main()
