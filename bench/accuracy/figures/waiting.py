"""What threads wait for, in wall mode: the GIL, and time to pass.

Does: hold the shares of `--states` against the kernel's account of the same threads, as they logged it. Does not: take the share
of the time that they asked to sleep.

A tick at which a thread must first get a CPU to be stopped takes long, and the ticks it outlives are late (docs/architecture.md).
So the share may lie between that of all time and that of the time without waiting for a CPU, which are one on an idle machine.
"""

import math

import verdict
from recording import record

RATE = 1000
STATES = {"gil": "waiting for the GIL", "idle": "sleeping"}
FUNCTIONS = {"gil": "in_python", "idle": "in_turn"}
# What a tick takes itself: the threads of one tick are not read at one moment.
MAY_LEAN_BY = 0.01


def rows(bench):
    # The Debian interpreter's root has no /proc of its own.
    interpreter = bench.interpreters[0]
    for way in STATES:
        yield from verdict.twice(lambda: [_row(bench, interpreter, way)])


def _row(bench, interpreter, way):
    recorded = record(bench, interpreter, "waiting.py", (way,), RATE, bench.seconds(4, 20), ("--mode", "wall", "--states"))

    def at_work(frames):
        return any(frame.split(" (")[0] == FUNCTIONS[way] for frame in frames)
    whole = recorded.samples(at_work)
    part = recorded.samples(lambda frames: at_work(frames) and STATES[way] in frames[-1])
    blocked, ran, waited = (sum(thread[what] for thread in recorded.log) for what in ("blocked", "ran", "waited_for_cpu"))
    least, most = blocked / (blocked + ran + waited), blocked / (blocked + ran)
    told = part / whole
    nearest = min(max(told, least), most)
    error = math.sqrt(nearest * (1 - nearest) / whole)
    holds = abs(told - nearest) <= verdict.LIMIT * error + MAY_LEAN_BY
    return verdict.Row("waiting", interpreter.name, STATES[way], whole, f"{verdict.percent(least)} to {verdict.percent(most)}",
                       verdict.percent(told), f"{(told - nearest) / error:+.1f} σ", holds)
