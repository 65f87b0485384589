"""One function whose lines take different times, and what the reading of the clock between them takes.

Each time that is logged is of a line and of the read of the clock that ends it, on the next line.
"""

from logged import cpu, serve, wall

SHORT, LONG, LONGER = range(2000), range(6000), range(12000)
READS = 10_000


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


def read_time():
    """What a read takes, in nanoseconds."""
    begun = cpu()
    for _ in range(READS):
        cpu()
    return (cpu() - begun) / READS


READ = read_time()


def work(until):
    spent, rounds = {}, 0
    while wall() < until:
        lines(spent)
        rounds += 1
    return {"lines": spent, "reads": 3 * rounds * READ}


serve(work)
