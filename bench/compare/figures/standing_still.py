"""How long a running thread stands still for a sample.

Does: one run for each profiler and depth, which the scheduler's trace and the target's own log of gaps both see.
Does not: count what attaching costs (`attach.py`): the first second of a run is left out.
"""

import contextlib
import os
import struct
import time

from burners import Burners
from places import Unavailable
from running import Job, Running
from scheduler_trace import SchedulerTrace
from spread import median, percentile
from tables import Missing, Table

# (depth, whether other programs keep all CPUs busy)
SETTINGS = ((25, False), (25, True), (500, False))
# What a quick comparison leaves out of all but the first.
QUICK = ("fpprof", "py-spy --native", "Tachyon --blocking")
RATE = 1000
# The loop takes some 100 ns: what is longer than this was not Python.
FLOOR_NS = 2_000
SETTLED = 1.0
# The share of stops without an end that is let pass: more would leave those out that ended in one way.
ENDLESS = 0.01
NO_STOP = "it does not stop the target: it reads a stack that changes meanwhile"
COLUMNS = ["stop p50, µs", "stop p99, µs", "stop mean, µs", "stops a sample", "lost a sample by the log, µs", "rate held, Hz"]


def tables(bench):
    """A table for each setting."""
    return [_table(bench, depth, busy) for depth, busy in SETTINGS]


def _table(bench, depth, busy):
    machine = "all CPUs busy with other programs" if busy else "a CPU free"
    table = Table(
        f"standing_still_{depth}{'_busy' if busy else ''}",
        f"How long a running thread stands still for a sample: depth {depth}, {RATE} Hz, {machine}",
        "stops are the scheduler's own trace (`sched_switch`: out in state t, in again; a microsecond is its resolution). The log "
        f"is the target's: gaps beyond {FLOOR_NS / 1000:.0f} µs in a loop that reads the clock, with the profiler less without it. "
        "The target is pinned to a CPU, the profiler is not",
        COLUMNS)
    for interpreter, profiler in bench.pairs():
        if bench.quick and (depth, busy) != SETTINGS[0] and profiler.name not in QUICK:
            continue
        with Burners(busy):
            cells = bench.cells(table, lambda: _cells(bench, interpreter, profiler, depth))
        table.add(profiler.name, interpreter.name, cells)
    return table


def _cells(bench, interpreter, profiler, depth):
    seconds = bench.seconds(1, 3)
    with bench.target(interpreter, "gaps.py", depth, FLOOR_NS) as target:
        # Being moved to another CPU is no stop, but the log would tell it as one.
        os.sched_setaffinity(target.pid, {min(os.sched_getaffinity(target.pid))})
        quiet = _lost(target, seconds / 2)
        with contextlib.ExitStack() as stack:
            trace = None
            with contextlib.suppress(Unavailable):
                trace = stack.enter_context(SchedulerTrace(target.pid))
            job = Job(target.pid, RATE, int(seconds + SETTLED), target.output)
            running = stack.enter_context(Running(profiler, job))
            time.sleep(SETTLED)
            began = time.monotonic()
            lost = _lost(target, seconds - 0.3)
            ended = time.monotonic()
            run = running.end(job.seconds, bench.patience)
    bench.require(run)
    by_log = (lost - quiet) / run.rate / 1000 if run.taken else Missing("it took no sample")
    return [*_stops(profiler, trace, run, (began, ended)), by_log, run.rate]


def _stops(profiler, trace, run, window):
    if not profiler.stops:
        return [Missing(NO_STOP)] * 4
    if trace is None:
        return [Missing("the scheduler's trace needs root and tracefs")] * 4
    within = [duration for began, duration in trace.stops if window[0] <= began / 1e6 <= window[1]]
    if not within or not run.taken:
        return [Missing("no stop was seen")] * 4
    endless = within.count(None)
    if endless > len(within) * ENDLESS:
        reason = f"the kernel's trace lacks the end of {endless} of {len(within)} stops"
        return [*[Missing(reason)] * 3, len(trace.stops) / run.taken]
    within = [duration for duration in within if duration is not None]
    return [median(within), percentile(within, 0.99), sum(within) / len(within), len(trace.stops) / run.taken]


def _lost(target, seconds):
    """Nanoseconds that the target lost in gaps, a second."""
    began, before = time.monotonic(), _log(target)
    time.sleep(seconds)
    return (_log(target) - before) / (time.monotonic() - began)


def _log(target):
    return struct.unpack("=QQ", (target.folder.outside / "log").read_bytes())[1]
