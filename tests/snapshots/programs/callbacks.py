"""Python code that C code calls, three deep, again and again."""

import functools
import re

LETTERS = re.compile("[a-c]")


def shout(match):
    return match[0].upper()


def reducer(left, right):
    return left + len(LETTERS.sub(shout, right))


def key(word):
    return functools.reduce(reducer, ["abc", word, "cba"], 0)


while True:
    sorted(["apple", "banana", "cherry"], key=key)
