"""How many system calls of the target a profiler disturbs: EINTR, and short transfers.

Does: take the target's own counts before and after. Does not: count what Python's own functions hide (PEP 475).
"""

import json
import time

from running import record
from tables import Missing, Table

RATE = 100
CALLS = ("epoll_wait", "epoll_pwait", "recv, SO_RCVTIMEO", "sigtimedwait", "semtimedop", "write", "send", "recv, MSG_WAITALL")


def tables(bench):
    """One table."""
    seconds = bench.seconds(1, 10)
    table = Table("interrupted", f"Disturbed system calls of the target: {RATE} Hz for {seconds} s",
                  "the target's own counts, of calls that failed with EINTR (the first five) or moved less than was asked (the last "
                  "three), and of calls made. Eight threads, one call each, that wait 5 ms or move 1 MB through a slow reader or "
                  "writer; all threads are sampled, and once more only running ones where a profiler tells them apart",
                  [*CALLS, "calls made"])
    first = bench.interpreters[0]
    table.add("none", first.name, _none(bench, first, seconds))
    for interpreter, profiler in bench.pairs():
        table.add(profiler.name + ", all threads", interpreter.name, _cells(bench, interpreter, profiler, seconds, True))
        if profiler.name == "fpprof":
            table.add("fpprof, running threads", interpreter.name, _cells(bench, interpreter, profiler, seconds, False))
    return [table]


def _none(bench, interpreter, seconds):
    with bench.target(interpreter, "interrupted.py") as target:
        before = json.loads(target.ask("counts"))
        time.sleep(seconds)
        return _difference(before, json.loads(target.ask("end")))


def _cells(bench, interpreter, profiler, seconds, wall):
    with bench.target(interpreter, "interrupted.py") as target:
        before = json.loads(target.ask("counts"))
        run = record(profiler, target, RATE, seconds, wall=wall, patience=bench.patience)
        after = json.loads(target.ask("end"))
    if run.failure:
        return [Missing(run.failure)] * (len(CALLS) + 1)
    return _difference(before, after)


def _difference(before, after):
    def made(index, name):
        return after.get(name, (0, 0))[index] - before.get(name, (0, 0))[index]
    return [*(made(1, name) for name in CALLS), sum(made(0, name) for name in CALLS)]
