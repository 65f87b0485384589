#!/usr/bin/env bash
# CPython's subprocess says of a living child that it was killed by SIGTRAP when the calling process traces it.
#
# What one would guess: waitpid(2) tells of children that have stopped only where WUNTRACED asks for it, subprocess does not ask, and so
#   Popen.poll() gives None for as long as the child lives.
# Seen: a child is started, seized with ptrace(2) and interrupted; it stands in state t. poll() returns -5, which stands for "ended by SIGTRAP", and
#   so does wait(), for ever: the child is never waited for again and stays a zombie when it ends. The kernel tells a tracer of its
#   tracee's stops whatever the flags are, to all its threads, once; subprocess has a branch for stopped children and makes an exit code of it. CPython 3.11.7
#   and 3.13.0, Linux 6.18. psutil 7.2.2, which looks at the status first, waits on until its time is over.
# Why it matters: a profiler or debugger that starts its own target reads "it has ended" from a stop that it has asked for itself, loses both the stop and
#   the exit status, and leaves the target standing. Rust 1.95's std::process::Child::try_wait makes the same mistake. Whether a
#   child has ended is to be looked up elsewhere first (its state in /proc, or waitid(2) with WNOWAIT).
#
# Needs python3 with venv and coreutils, and a system that lets a process trace its own child.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check psutil==7.2.2; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "psutil 7.2.2 could not be installed"; }

cat >stopped.py <<'END'
import ctypes
import os
import platform
import signal
import subprocess
import sys
import time

import psutil

SEIZE, INTERRUPT = 0x4206, 0x4207
libc = ctypes.CDLL(None, use_errno=True)


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def traced_child():
    child = subprocess.Popen(["sleep", "600"])
    if any(libc.ptrace(request, child.pid, None, None) for request in (SEIZE, INTERRUPT)):
        child.kill()
        print(f"CANNOT RUN: ptrace: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        sys.exit(2)
    while state(child.pid) != "t":
        time.sleep(0.01)
    return child


print(f"CPython {platform.python_version()}, psutil {psutil.__version__}, Linux {platform.release().split('-')[0]}")
first, second = traced_child(), traced_child()
told = first.poll()
print(f"subprocess: poll() is {told}, wait() is {first.wait()}, and the child is in state {state(first.pid)}")
try:
    by_psutil = psutil.Process(second.pid).wait(timeout=1)
except psutil.TimeoutExpired:
    by_psutil = "still there"
print(f"psutil: the other one is {by_psutil!r}")
for child in (first, second):
    os.kill(child.pid, signal.SIGKILL)
sys.exit(0 if told == first.wait() == -signal.SIGTRAP and by_psutil == "still there" else 1)
END

venv/bin/python stopped.py && exit 0
status=$?
[ "$status" = 2 ] || echo "CHANGED: poll() does not take the stop for an end any more, or psutil does" >&2
exit "$status"
