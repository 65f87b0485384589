"""The tests' extension calls back into Python. Arguments: the module, and the depth of its recursion."""

import importlib

import truth

extension = importlib.import_module(truth.ARGUMENTS[0])


def callback():
    truth.hold(from_c={"callback"})


def main():
    extension.call_at_depth(callback, int(truth.ARGUMENTS[1]))


main()
