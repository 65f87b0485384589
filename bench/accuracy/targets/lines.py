"""One function whose lines take different times."""

from logged import cpu, serve, wall

SHORT, LONG, LONGER = range(2000), range(6000), range(12000)


def lines(spent):
    a = cpu()
    sum(SHORT)
    b = cpu()
    sum(LONG)
    c = cpu()
    sum(LONGER)
    d = cpu()
    for offset, time in ((2, b - a), (4, c - b), (6, d - c)):
        line = lines.__code__.co_firstlineno + offset
        spent[line] = spent.get(line, 0) + time


def work(until):
    spent = {}
    while wall() < until:
        lines(spent)
    return spent


serve(work)
