"""Runs a command to its end, and tells what it has used.

Does: measure one child by the kernel's account of it. Does not: know what it does.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple


class Used(NamedTuple):
    """What a command has used, by wait4(2), and what it has said."""

    seconds: float  # by the clock
    cpu: float  # seconds of CPU time
    peak: float  # of its memory, in MB
    resident: float | None  # its memory after a while, in MB
    said: str


def resident(pid):
    """The memory of a process now, in MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def run(command, look_after=None, keeps_output=False):
    """Runs a command whose words on standard error are read, and on standard output if it `keeps_output`. One that fails ends the program.
    `look_after`: when its memory is looked at, in seconds."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=said if keeps_output else subprocess.DEVNULL, stderr=said)
        after_a_while = None
        if look_after:
            time.sleep(look_after)
            after_a_while = resident(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode()
    if child.returncode != 0:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {' '.join(map(str, command))} failed:\n{text}")
    return Used(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, after_a_while, text)
