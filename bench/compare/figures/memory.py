"""A profiler's memory over time.

Does: watch the resident memory of all profilers at once, each with a target of its own. Does not: look at rates, which that
disturbs. A minute; an hour with --long; nothing in a quick comparison.
"""

import contextlib
import time

from running import Job, Running
from tables import Missing, Table

RATE = 100
# Shares of the whole time at which memory is read.
MOMENTS = (0.05, 0.25, 0.5, 0.75, 0.97)


def tables(bench):
    """One table, or none."""
    if bench.quick:
        return []
    seconds = 3600 if bench.long else 60
    table = Table("memory", f"Resident memory over time: {RATE} Hz, one busy thread, MB",
                  "VmRSS of the running profiler at that time, and VmHWM over all of its run, with naming and writing at its end",
                  [*(f"at {share * seconds:.0f} s" for share in MOMENTS), "highest"])
    pairs = list(bench.pairs())
    with contextlib.ExitStack() as stack:
        runs = []
        for interpreter, profiler in pairs:
            target = stack.enter_context(bench.target(interpreter, "busy.py", 0))
            runs.append(stack.enter_context(Running(profiler, Job(target.pid, RATE, seconds, target.output))))
        began, seen = time.monotonic(), [[] for _ in runs]
        for share in MOMENTS:
            time.sleep(max(0, began + share * seconds - time.monotonic()))
            for run, values in zip(runs, seen):
                values.append(run.resident() or Missing("it had ended"))
        ends = [run.end(seconds, bench.patience) for run in runs]
    for (interpreter, profiler), values, end in zip(pairs, seen, ends):
        table.add(profiler.name, interpreter.name,
                  [Missing(end.failure)] * len(table.columns) if end.failure else [*values, end.memory])
    return [table]
