"""More frames than can be told one by one. Arguments: how many, whether they are `calls` or `generators`, and
whether the innermost is to `stay` or to `work`."""

import sys

import truth

DEPTH, KIND, WHAT = int(truth.ARGUMENTS.pop(0)), truth.ARGUMENTS.pop(0), truth.ARGUMENTS.pop(0)


def bottom():
    if WHAT == "stay":
        truth.stay()
    else:
        truth.work(lambda: None)


def descend(depth):
    if depth > 1:
        descend(depth - 1)
    else:
        bottom()


def delegate(depth):
    if depth > 1:
        yield from delegate(depth - 1)
    else:
        bottom()
        yield


sys.setrecursionlimit(DEPTH + 1000)
if KIND == "calls":
    descend(DEPTH)
else:
    for _ in delegate(DEPTH):
        pass
