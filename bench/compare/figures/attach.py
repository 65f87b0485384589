"""How long it takes from a profiler's start to its first sample, and one dump.

Does: repeat short recordings, and take the first stop from the scheduler's trace. Does not: know the first sample of a
profiler that never stops the target; for those there is only what a whole run takes beyond the seconds asked for.
"""

import os
import subprocess
import time

from places import Unavailable
from running import Unusable, record
from scheduler_trace import SchedulerTrace
from spread import median, middle_half
from tables import Measured, Missing, Table

COLUMNS = ["to the first stop, ms", "run beyond the second asked for, ms"]


def tables(bench):
    """Recordings, and pystack's dumps."""
    table = Table("attach", "From the start of the profiler to the first sample: 100 Hz",
                  "the first stop is the scheduler's own trace, after the monotonic time at which the process was made; median "
                  f"and middle half of {bench.seconds(2, 5)} runs", COLUMNS)
    for interpreter, profiler in bench.pairs():
        table.add(profiler.name, interpreter.name, bench.cells(table, lambda: _cells(bench, interpreter, profiler)))
    dump = Table("dump", "One dump of a process with one thread", "wall time of `pystack remote --native`; median and middle half",
                 ["one dump, ms"])
    interpreter = bench.interpreters[0]
    dump.add("pystack", interpreter.name, bench.cells(dump, lambda: [_pystack(bench, interpreter)]))
    return [table, dump]


def _cells(bench, interpreter, profiler):
    firsts, beyond = [], []
    with bench.target(interpreter, "busy.py", 0) as target:
        for _ in range(bench.seconds(2, 5)):
            trace = None
            try:
                with SchedulerTrace(target.pid) as trace:
                    run = record(profiler, target, 100, 1, patience=bench.patience)
            except Unavailable:
                run = record(profiler, target, 100, 1, patience=bench.patience)
            bench.require(run)
            beyond.append((run.elapsed - 1) * 1000)
            if trace and trace.stops:
                firsts.append((trace.stops[0][0] / 1e6 - run.started) * 1000)
    first = Missing("it does not stop the target") if not profiler.stops else \
        _spread(firsts) if firsts else Missing("no stop was seen")
    return [first, _spread(beyond)]


def _pystack(bench, interpreter):
    times = []
    environment = {**os.environ, "PYTHONPATH": str(bench.peers_folder), "PYTHONDONTWRITEBYTECODE": "1"}
    with bench.target(interpreter, "busy.py", 0) as target:
        for _ in range(bench.seconds(3, 5)):
            began = time.monotonic()
            done = subprocess.run([*interpreter.command, "-m", "pystack", "remote", "--native", str(target.pid)],
                                  env=environment, capture_output=True)
            if done.returncode:
                raise Unusable(f"it ended with status {done.returncode}")
            times.append((time.monotonic() - began) * 1000)
    return _spread(times)


def _spread(values):
    return Measured(median(values), *middle_half(values))
