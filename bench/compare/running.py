"""Runs targets and profilers.

Does: start them, shake hands, end them, and take what they used from the kernel. Does not: know what is measured.
Only processes that this file has started are ever sent a signal.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

import places
from profilers import Job

# How long a recording may take beyond what was asked for until it gets Ctrl-C, and how long it may take then, seconds.
GRACE, PATIENCE = 3, 60


class Unusable(Exception):
    """A run whose figures are not to be used; the message is the reason."""


class Target:
    """A Python program of `targets/` that runs while the `with` block does.

    It prints a line when it is ready, and answers a line on its standard input with a line: those are the handshakes.
    """

    def __init__(self, interpreter, program, *arguments, cpu=None):
        self.interpreter, self.program, self.arguments, self.cpu = interpreter, program, arguments, cpu

    def __enter__(self):
        self.scratch = places.Scratch(self.interpreter)
        folder = self.scratch.__enter__()
        shutil.copy(places.TARGETS / self.program, folder.outside)
        words = [*self.interpreter.command, str(folder.inside / self.program), *map(str, self.arguments)]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHON_JIT": "0"}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        env=environment)
        self.pid = self.process.pid
        self.folder = folder
        # Where a profiler of this target writes.
        self.output = str(folder.outside / "profile")
        if self.cpu is not None:
            os.sched_setaffinity(self.pid, {self.cpu})
        if self.process.stdout.readline().strip() != "ready":
            self.__exit__()
            raise places.Unavailable(f"the target {self.program} has not started on CPython {self.interpreter.name}")
        return self

    def ask(self, word):
        """Sends a line, waits for the line that answers it."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.scratch.__exit__()


@dataclass
class Run:
    """What one run of a profiler came to."""

    # Samples taken and failed, by the profiler's own word; None when it did not say.
    taken: int | None
    failed: int | None
    # How long it recorded, seconds: what it was asked for, or until Ctrl-C.
    recorded: float
    # User and system time, seconds, of all of its run.
    cpu: float
    # The high-water mark of its resident memory, MB.
    memory: float | None
    # From its start to its end, seconds.
    elapsed: float
    # CLOCK_MONOTONIC at its start, seconds.
    started: float
    # Why its figures are not to be used; None when they are.
    failure: str | None

    @property
    def rate(self):
        """Samples a second."""
        return self.taken / self.recorded


class Running:
    """A profiler that runs; `end` waits for it. At the end of its `with` block it is gone, whatever happened."""

    def __init__(self, profiler, job, cpu=None):
        self.profiler, self.peak = profiler, 0
        # A file, not a pipe: nobody has to read while it runs.
        self.words = tempfile.TemporaryFile("w+", errors="replace")
        self.started = time.monotonic()
        self.process = subprocess.Popen(profiler.command(job), stdin=subprocess.DEVNULL, stdout=self.words,
                                        stderr=subprocess.STDOUT, env={**os.environ, **profiler.environment})
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self._watch_memory, daemon=True)
        self.watcher.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
            self.ended.set()
            self.watcher.join()

    def resident(self):
        """Its resident memory now, MB; None when it has ended."""
        return _status(self.process.pid, "VmRSS")

    def cpu_time(self):
        """Seconds of CPU time that it has used so far: its process's clock, as clock_getcpuclockid(3) names it."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def alive(self):
        """Whether it still runs. (Not `poll`, which would take its exit status and its usage away.)"""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def interrupt(self):
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds, patience=PATIENCE):
        """Waits for the end of a recording of `seconds`: one that is late gets Ctrl-C, and then `patience` seconds more."""
        interrupted, failure = None, None
        while self.alive():
            late = time.monotonic() - self.started - seconds - GRACE
            if late > 0 and interrupted is None:
                interrupted = time.monotonic() - self.started
                self.interrupt()
            elif late > patience:
                failure = f"had not ended {patience} s after Ctrl-C"
                self.process.kill()
                break
            time.sleep(0.005)
        _, status, usage = os.wait4(self.process.pid, 0)
        elapsed = time.monotonic() - self.started
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.ended.set()
        self.watcher.join()
        self.words.seek(0)
        words = self.words.read()
        self.words.close()
        counts = self.profiler.counts(words)
        if failure is None and counts is None:
            lines = words.strip().splitlines()
            failure = f"it died of signal {-self.process.returncode}" if self.process.returncode < 0 else \
                f"it ended with status {self.process.returncode}: {lines[-1] if lines else 'no word'}"
        taken, failed = counts or (None, None)
        return Run(taken, failed, interrupted or seconds, usage.ru_utime + usage.ru_stime, self.peak or None, elapsed,
                   self.started, failure)

    def _watch_memory(self):
        # Not `ru_maxrss`: a child begins with its parent's (getrusage(2), mm_struct's high-water mark over exec).
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, _status(self.process.pid, "VmHWM") or 0)


def record(profiler, target, rate, seconds, wall=False, patience=PATIENCE):
    """Attaches `profiler` to `target` for `seconds`, and waits for its end."""
    with Running(profiler, Job(target.pid, rate, seconds, target.output, wall)) as running:
        return running.end(seconds, patience)


def _status(pid, field):
    """A field of /proc/PID/status that is in kB, as MB."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None
