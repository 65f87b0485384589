"""A generator that list() runs; inside it another, by `yield from`."""

import sys

import truth

FROM_C = {"outer"}
if sys.version_info < (3, 12):
    FROM_C.add("inner")


def inner():
    yield 1
    truth.hold(from_c=FROM_C)
    yield 2


def outer():
    yield 0
    yield from inner()


def main():
    list(outer())


main()
