"""How much slower the target is under a profiler.

Does: interleave pairs, the same work in the same process without and with the profiler, first one then the other in turn; hold
them against pairs without any profiler (the noise floor) and with a control that burns fpprof's CPU time and touches nothing.
Does not: count attaching, which is over when the work begins.
"""

import json
import os
import sys
import time

import places
from profilers import Profiler
from running import Job, Running, Unusable
from spread import median, middle_half
from tables import Measured, Missing, Table

USUAL = ("fpprof", "py-spy --native", "Tachyon --blocking")
SETTLED = 1.0
FLOOR, CONTROL = "none (the noise floor)", "control: fpprof's CPU time, nothing touched"
CONTROL_PROGRAM = places.TARGETS / "control.py"


def tables(bench):
    """A table for each rate; for the higher one with pinning, too."""
    settings = bench.seconds(((1000, False),), ((100, False), (1000, False), (1000, True)))
    return [_table(bench, rate, pinned) for rate, pinned in settings]


def _table(bench, rate, pinned):
    where = "target and profiler pinned to a CPU each" if pinned else "not pinned"
    repeats = bench.seconds(3, 5)
    table = Table(
        f"slowdown_{rate}{'_pinned' if pinned else ''}", f"The target's slowdown at {rate} Hz, {where}",
        "the target's own clocks around a fixed piece of work under 25 frames, with the profiler against without it, in percent; "
        f"median and middle half of {repeats} interleaved pairs. The profiler's CPU is its CPU clock over the same time",
        ["on the thread's CPU clock, %", "in wall time, %", "the profiler's CPU, % of one"])
    cpus = sorted(os.sched_getaffinity(0))
    if pinned and len(cpus) < 2:
        return table
    cpus = cpus[:2] if pinned else (None, None)
    rows = list(_rows(bench))
    pairs = {row: [] for row in rows}
    reasons = {}
    for turn in range(repeats):
        for row in rows:
            try:
                pairs[row].append(_pair(bench, row, (rate, cpus, turn), pairs))
            except (places.Unavailable, Unusable) as reason:
                reasons[row] = str(reason)
    for row in rows:
        interpreter, _, name = row
        # A median of what was left would not be of the same pairs.
        cells = [Missing(reasons[row])] * 3 if row in reasons else \
            [Measured(median(column), *middle_half(column)) for column in zip(*pairs[row])]
        table.add(name, interpreter.name, cells)
    return table


def _rows(bench):
    """(interpreter, profiler or None, name), each fpprof before the control that burns its time."""
    for interpreter in bench.interpreters:
        yield interpreter, None, FLOOR
        for other, profiler in bench.pairs():
            if other == interpreter and (bench.long or bench.wanted or profiler.name in USUAL):
                if bench.quick and interpreter != bench.interpreters[0] and profiler.name == "fpprof":
                    continue
                yield interpreter, profiler, profiler.name
                if profiler.name == "fpprof":
                    yield interpreter, None, CONTROL


def _pair(bench, row, setting, pairs):
    """(percent on the CPU clock, percent in wall time, percent of a CPU that the profiler used)."""
    interpreter, profiler, name = row
    rate, cpus, turn = setting
    if name == CONTROL:
        shares = [pair[2] / 100 for other, done in pairs.items() if other[0] == interpreter and other[2] == "fpprof"
                  for pair in done]
        if not shares:
            raise Unusable("fpprof's CPU time is not known")
        profiler = _control(rate, median(shares))
    with bench.target(interpreter, "work.py", cpu=cpus[0]) as target:
        rounds = _rounds(target, bench.seconds(0.3, 0.7))
        results = {}
        for profiled in (False, True) if turn % 2 else (True, False):
            results[profiled] = _with(bench, profiler, target, (rate, cpus[1], rounds)) if profiled and profiler else \
                (_work(target, rounds), 0.0)
    without, (profiled, share) = results[False][0], results[True]
    percent = {clock: (profiled[clock] / without[clock] - 1) * 100 for clock in ("cpu", "wall")}
    return percent["cpu"], percent["wall"], share


def _with(bench, profiler, target, setting):
    rate, cpu, rounds = setting
    with Running(profiler, Job(target.pid, rate, None, target.output), cpu=cpu) as running:
        time.sleep(SETTLED)
        if not running.alive():
            raise Unusable(running.end(0).failure or "it ended before the work began")
        began, used = time.monotonic(), running.cpu_time()
        done = _work(target, rounds)
        if not running.alive():
            raise Unusable(running.end(0).failure or "it ended before the work was done")
        share = (running.cpu_time() - used) / (time.monotonic() - began) * 100
        running.interrupt()
        run = running.end(time.monotonic() - running.started, bench.patience)
    if run.failure:
        raise Unusable(run.failure)
    return done, share


def _work(target, rounds):
    return json.loads(target.ask(str(rounds)))


def _rounds(target, seconds):
    """How much work takes so long here."""
    trial = 200_000
    return max(trial, int(trial * seconds * 1e9 / _work(target, trial)["cpu"]))


def _control(rate, share):
    return Profiler("control", lambda job: [sys.executable, str(CONTROL_PROGRAM), str(rate), str(share)],
                    lambda words: (0, 0), {}, {}, False, rate)
