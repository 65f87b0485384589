"""One of three functions is made to work twice as much: its time doubles, and no other function's moves.

Does: compare the time in each function for one round of the work, before and after. Does not: compare shares, which all move.
"""

import math

import verdict
from recording import record

RATE = 4000
FUNCTIONS = ("first", "second", "third")


def rows(bench):
    for interpreter in bench.interpreters:
        yield from verdict.twice(lambda: list(_rows(bench, interpreter)))


def _rows(bench, interpreter):
    before, after = (record(bench, interpreter, "shares.py", units, RATE, bench.seconds(3, 15))
                     for units in ((30, 30, 30), (30, 60, 30)))
    for function in FUNCTIONS:
        (told_before, error_before), (told_after, error_after) = _told(before, function), _told(after, function)
        told = told_after / told_before
        truth = _logged(after, function) / _logged(before, function)
        error = told * math.hypot(error_before, error_after)
        samples = before.samples_in(function) + after.samples_in(function)
        yield verdict.Row("causality", interpreter.name, f"time a round in `{function}`, after : before", samples, f"{truth:.3f}",
                          f"{told:.3f}", f"{(told - truth) / error:+.1f} σ", abs(told - truth) <= verdict.LIMIT * error)


def _told(recorded, function):
    """The time a round that fpprof reports, and its relative standard error: a share of the CPU time that was used."""
    whole = sum(recorded.samples_in(name) for name in FUNCTIONS)
    share = recorded.samples_in(function) / whole
    return share * sum(recorded.log["spent"].values()) / recorded.log["rounds"], math.sqrt((1 - share) / (share * whole))


def _logged(recorded, function):
    return recorded.log["spent"][function] / recorded.log["rounds"]
