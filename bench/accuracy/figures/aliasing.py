"""An operation with a period of its own, sampled at rates that divide it, and that nearly do.

Does: hold the Poisson clock against the log, and show what a fixed one says. Does not: ask a fixed clock to be right.
"""

import verdict
from recording import record

PERIODS_MS = (10, 7, 13)
RATES = (97, 100, 1000)


def rows(bench):
    interpreter = bench.interpreters[0]
    for period in PERIODS_MS[:1] if bench.quick else PERIODS_MS:
        for rate in RATES:
            for clock in ("poisson", "fixed"):
                yield from verdict.twice(lambda: [_row(bench, interpreter, period, rate, clock)])


def _row(bench, interpreter, period, rate, clock):
    recorded = record(bench, interpreter, "periodic.py", (period,), rate, bench.seconds(3, 10), ("--clock", clock))
    part, other = recorded.samples_in("operation"), recorded.samples_in("rest")
    truth = recorded.log["operation"] / (recorded.log["operation"] + recorded.log["rest"])
    return verdict.share("aliasing", interpreter.name, f"1 ms of {period} ms at {rate} Hz, {clock}", part, part + other, truth,
                         shown_only=clock == "fixed")
