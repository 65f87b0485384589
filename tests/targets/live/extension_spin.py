"""The tests' extension calls back into Python, and that spins in the extension. Arguments: the module, the depth."""

import importlib

import truth

extension = importlib.import_module(truth.ARGUMENTS[0])
# Its first byte ends the spinning, its second says that it has begun.
flag = bytearray(2)


def is_spinning():
    return flag[1] != 0


def release():
    flag[0] = 1


def callback():
    truth.release_when(is_spinning, release)
    truth.tell(from_c={"callback"})
    extension.spin_until(flag)


def main():
    extension.call_at_depth(callback, int(truth.ARGUMENTS[1]))


main()
