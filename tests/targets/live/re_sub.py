"""re.sub with a callback: the standard library's Python, its C, and Python again."""

import re

import truth


def replace(match):
    if match.group() == "b":
        truth.hold(from_c={"replace"})
    return "-"


def main():
    re.sub("[a-c]", replace, "a b c")


main()
