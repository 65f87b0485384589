"""Deep recursion. Arguments: Python frames that call each other directly, and evaluations one inside the other."""

import sys

import truth

direct, nested = (int(argument) for argument in truth.ARGUMENTS)


def descend(depth):
    if depth > 1:
        descend(depth - 1)
    else:
        truth.hold(from_c={"nest"})


def nest(depth):
    if depth > 0:
        max((depth - 1,), key=nest)
    else:
        descend(direct)


sys.setrecursionlimit(direct + 3 * nested + 1000)
max((nested,), key=nest)
