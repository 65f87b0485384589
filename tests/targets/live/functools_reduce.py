"""functools.reduce, whose function is called with a lambda in between."""

import functools

import truth


def add(total, value):
    if value == 2:
        truth.hold(from_c={"main.<locals>.<lambda>"})
    return total + value


def main():
    functools.reduce(lambda total, value: add(total, value), [1, 2, 3])


main()
