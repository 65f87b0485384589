"""One millisecond of one function in every period, by the wall clock: `periodic.py PERIOD_MS`."""

import sys

from logged import cpu, serve, wall

OPERATION = 1_000_000
PERIOD = int(sys.argv[1]) * 1_000_000


def operation(until):
    while wall() < until:
        pass


def rest(until):
    while wall() < until:
        pass


def work(until):
    spent = [0, 0]
    begin = wall()
    while begin < until:
        start = cpu()
        operation(begin + OPERATION)
        middle = cpu()
        rest(begin + PERIOD)
        end = cpu()
        spent[0] += middle - start
        spent[1] += end - middle
        begin += PERIOD
    return {"operation": spent[0], "rest": spent[1]}


serve(work)
