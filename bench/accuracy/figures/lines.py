"""The lines of one function, each with its own share of the time; and how far a system call draws samples to itself.

Does: compare each line, together with the read of the clock that ends it; show what is told of the reads alone. Does not: judge
the latter.

A thread that is asked to stop on another CPU runs on until the interrupt reaches it, or until the end of its next system call,
whichever is first (docs/performance.md, "What the limits are made of"). The reads of the thread's clock are such calls.
"""

import verdict
from recording import record

RATE = 4000


def rows(bench):
    for interpreter in bench.interpreters:
        yield from verdict.twice(lambda: list(_rows(bench, interpreter)))


def _rows(bench, interpreter):
    recorded = record(bench, interpreter, "lines.py", (), RATE, bench.seconds(3, 15))
    logged = {int(line): time for line, time in recorded.log["lines"].items()}
    alone = {line: _samples(recorded, line) for line in logged}
    reads = {line: _samples(recorded, line + 1) for line in logged}
    whole, time = sum(alone.values()) + sum(reads.values()), sum(logged.values())
    for line, part in alone.items():
        yield verdict.share("lines", interpreter.name, f"line {line}, and the read of the clock that ends it",
                            part + reads[line], whole, logged[line] / time)
    yield verdict.share("lines", interpreter.name, "the reads alone: each is a system call", sum(reads.values()), whole,
                        recorded.log["reads"] / time, shown_only=True)


def _samples(recorded, line):
    return recorded.samples(lambda frames: frames[-1].startswith("lines (") and frames[-1].endswith(f":{line})"))
