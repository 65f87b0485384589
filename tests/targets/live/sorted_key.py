"""A key function: list.sort stands between two evaluations."""

import truth


def key(value):
    if value == 1:
        truth.hold(from_c={"key"})
    return value


def main():
    sorted([3, 1, 2], key=key)


main()
