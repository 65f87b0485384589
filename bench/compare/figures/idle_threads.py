"""What threads that do nothing cost, when all threads are sampled.

Does: hold the rate and the CPU time with one busy thread against those with many idle ones beside it.
"""

from running import record
from tables import Missing, Table

RATE = 100


def tables(bench):
    """One table."""
    seconds, all_idle = bench.seconds((1, (0, 1000)), (10, (0, 200, 1000)))
    columns = [column for idle in all_idle for column in
               (f"rate held with {idle:,} idle, Hz", f"CPU with {idle:,} idle, s per {seconds} s")]
    table = Table("idle_threads", f"One busy thread and many idle ones: all threads at {RATE} Hz for {seconds} s",
                  "the rate is of rounds over all threads, by the profiler's own count (py-spy's and austin's count stacks: divided by "
                  "the number of threads; fpprof looks at 64 idle threads a tick, in turn, and a look tells of all ticks since the "
                  "one before); CPU time is wait4's rusage of the whole run. A recording that is 3 s late gets Ctrl-C",
                  columns)
    for interpreter, profiler in bench.pairs():
        cells = []
        for idle in all_idle:
            cells += _measure(bench, interpreter, profiler, idle, seconds)
        table.add(profiler.name, interpreter.name, cells)
    return [table]


def _measure(bench, interpreter, profiler, idle, seconds):
    with bench.target(interpreter, "busy.py", idle) as target:
        run = record(profiler, target, RATE, seconds, wall=True, patience=bench.patience)
    if run.failure:
        return [Missing(run.failure)] * 2
    return [run.rate / (idle + 1 if profiler.counts_stacks else 1), run.cpu]
