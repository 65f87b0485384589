"""What calls draw to themselves on a free machine and on a full one: reads of the thread's CPU clock above all.

Does: record work with three calls a round, alone and beside twice as many spinning programs as there are CPUs. Does not: judge; what
the calls cost is measured before, one after the other, and a call at which the thread loses its CPU costs more.

Where a ready thread stands is where it lost its CPU. A read of its CPU clock brings the scheduler's account up to date, and a used-up
slice ends there: shares of all moments show such calls a hundred times too large (docs/performance.md, "What the limits are made of").
"""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import verdict
from recording import record

RATE = 300
KINDS = ("thread_time", "getppid", "write", "perf_counter")


def rows(bench):
    for interpreter in bench.interpreters:
        for kind in KINDS:
            for is_full in (False, True):
                with _spinning(2 * os.cpu_count() if is_full else 0):
                    yield _row(bench, interpreter, kind, "full" if is_full else "free")


def _row(bench, interpreter, kind, machine):
    recorded = record(bench, interpreter, "calls.py", (kind,), RATE, bench.seconds(5, 30))
    parts = {name: recorded.samples(lambda frames: any(frame.startswith(f"{name} (") for frame in frames))
             for name in ("labour", "calls")}
    truth = recorded.log["calls"] / (recorded.log["calls"] + recorded.log["labour"])
    return verdict.share("calls", interpreter.name, f"three calls of {kind}, {machine} machine", parts["calls"],
                         sum(parts.values()), truth, shown_only=True)


@contextmanager
def _spinning(programs):
    with ExitStack() as stack:
        spinning = [stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"])) for _ in range(programs)]
        try:
            yield
        finally:
            for program in spinning:
                program.kill()
