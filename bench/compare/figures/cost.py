"""What a profiler itself uses with one busy thread.

Does: take CPU time and memory of whole runs, from start to exit. Does not: look at the target.
"""

from running import record
from tables import Missing, Table


def tables(bench):
    """One table."""
    seconds, rates = bench.seconds((1, (1000,)), (10, (100, 1000)))
    columns = [column for rate in rates for column in
               (f"CPU at {rate} Hz, s per {seconds} s", f"memory at {rate} Hz, MB", f"rate held at {rate} Hz, Hz")]
    table = Table("cost", f"The profiler's own CPU time and memory: {seconds} s, one busy thread",
                  "CPU time is wait4's rusage of the whole run, with attaching, naming and writing; memory is VmHWM, read every "
                  "50 ms; the rate is the profiler's own count of samples", columns)
    for interpreter, profiler in bench.pairs():
        with bench.target(interpreter, "busy.py", 0) as target:
            cells = []
            for rate in rates:
                run = record(profiler, target, rate, seconds, patience=bench.patience)
                cells += [Missing(run.failure)] * 3 if run.failure else \
                    [run.cpu, run.memory or Missing("it ended too soon"), run.rate]
        table.add(profiler.name, interpreter.name, cells)
    return [table]
