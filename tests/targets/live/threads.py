"""Four threads, each in a shape of its own."""

import truth


def plain():
    truth.park()


def under_sort():
    sorted([1], key=lambda value: truth.park(from_c={"under_sort.<locals>.<lambda>"}))


def generator():
    yield truth.park(from_c={"generator"})


def under_list():
    list(generator())


def main():
    for function in (plain, under_sort, under_list):
        truth.start(function)
    truth.hold()


main()
