"""Two or three functions that share the time: `shares.py UNITS UNITS ...`, in units of some twenty microseconds."""

import sys

from logged import cpu, serve, wall


def first():
    for _ in range(1000):
        pass


def second():
    for _ in range(1000):
        pass


def third():
    for _ in range(1000):
        pass


UNITS = list(zip((first, second, third), map(int, sys.argv[1:])))


def work(until):
    spent = {function.__name__: 0 for function, _ in UNITS}
    rounds = 0
    while wall() < until:
        for function, units in UNITS:
            total = 0
            for _ in range(units):
                begun = cpu()
                function()
                total += cpu() - begun
            spent[function.__name__] += total
        rounds += 1
    return {"rounds": rounds, "spent": spent}


serve(work)
