"""How long a thread stood still, from the scheduler's own trace.

Does: record `sched_switch` events of one thread in a tracefs instance of its own. Does not: touch the tracing that others
do, or the thread. Source: Documentation/trace/events.rst and ftrace.rst of the kernel.

A thread that a tracer stops leaves its CPU in the state TASK_TRACED (`t`), or TASK_STOPPED (`T`) when all of its process is
stopped; it stands still until it is next switched to. That includes the wait for a CPU after the tracer has let it go.
"""

import os
import re
import subprocess
from pathlib import Path

from places import Unavailable

ROOT = Path("/sys/kernel/tracing")
# Per CPU. A switch takes some 64 bytes: room for 100,000 of them.
BUFFER_KB = 8192
EVENT = re.compile(r"\s(?P<seconds>\d+)\.(?P<micros>\d{6}): sched_switch: .* prev_pid=(?P<out>\d+) .*"
                   r"prev_state=(?P<state>\S+) ==> .* next_pid=(?P<into>\d+) ")


def root():
    """Where tracefs is, mounting it when it is not."""
    if not (ROOT / "instances").is_dir():
        if os.geteuid() != 0 or not ROOT.is_dir():
            raise Unavailable("the scheduler's trace needs root and a kernel with tracefs")
        if subprocess.run(["mount", "-t", "tracefs", "nodev", str(ROOT)], stderr=subprocess.DEVNULL).returncode:
            raise Unavailable("tracefs cannot be mounted here")
    return ROOT


class SchedulerTrace:
    """Records the switches of the thread `tid` while its `with` block runs."""

    def __init__(self, tid):
        self.tid = tid

    def __enter__(self):
        self.instance = root() / "instances" / f"fpprof-compare-{os.getpid()}-{self.tid}"
        self.instance.mkdir()
        try:
            self._write("tracing_on", "0")
            self._write("buffer_size_kb", str(BUFFER_KB))
            self._write("trace_clock", "mono")
            self._write("events/sched/sched_switch/filter", f"prev_pid=={self.tid} || next_pid=={self.tid}")
            self._write("events/sched/sched_switch/enable", "1")
            self._write("tracing_on", "1")
        except OSError:
            self.instance.rmdir()
            raise
        return self

    def __exit__(self, *_):
        self._write("tracing_on", "0")
        text = (self.instance / "trace").read_text(errors="replace")
        # An instance goes with its buffers and its events.
        self.instance.rmdir()
        self.stops = list(stops(text, self.tid))

    def _write(self, name, value):
        (self.instance / name).write_text(value)


def stops(text, tid):
    """The stops in a trace: (monotonic time of the beginning, duration), in microseconds.

    The duration is None where the trace does not have the end: a kernel can stop telling of switches from the idle task of a CPU.
    """
    began = None
    for line in text.splitlines():
        event = EVENT.search(line)
        if not event:
            continue
        at = int(event["seconds"]) * 1_000_000 + int(event["micros"])
        if int(event["out"]) == tid:
            if began is not None:
                yield began, None
            began = at if event["state"][0] in "tT" else None
        elif int(event["into"]) == tid and began is not None:
            yield began, at - began
            began = None
