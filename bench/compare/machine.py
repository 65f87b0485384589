"""What the figures were taken on: machine, versions, command.

Does: name the kind of the machine. Does not: name the machine.
"""

import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import peers


def about(executable, bench):
    """Facts about this run, by name."""
    interpreters = {}
    for interpreter in bench.interpreters:
        version = subprocess.run([*interpreter.command, "-VV"], capture_output=True, text=True).stdout
        interpreters[interpreter.name] = " ".join(version.split()[:2])
    fpprof = subprocess.run([executable, "--version"], capture_output=True, text=True).stdout.strip()
    return {
        "machine": f"{len(os.sched_getaffinity(0))} CPUs ({_cpu()}), Linux {platform.release().split('-')[0]}, "
                   f"{'a virtual machine' if _virtual() else 'no virtual machine'}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "length": "quick" if bench.quick else "every profiler, with an hour of memory" if bench.long else "full",
        "profilers": [fpprof, *(pin.replace("==", " ") for pin in peers.PINNED), "Tachyon of the interpreter 3.15"],
        "interpreters": interpreters,
        "command": shlex.join(["bench/compare/run", *_without_paths(sys.argv[1:])]),
    }


def markdown(facts):
    """The same as a list."""
    def words(value):
        if isinstance(value, dict):
            return ", ".join(f"{name}: {version}" for name, version in value.items())
        return ", ".join(value) if isinstance(value, list) else value
    return "\n".join(f"- {name}: {words(value)}" for name, value in facts.items()) + "\n"


def _without_paths(words):
    """The arguments that say what was measured; where files were put says nothing to others."""
    kept, skip = [], False
    for word in words:
        option = word.split("=")[0]
        if not skip and option not in ("--output", "--publish", "--fpprof"):
            kept.append(word)
        skip = not skip and word in ("--output", "--publish", "--fpprof")
    return kept


def _cpu():
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return model[1].strip() if model else platform.machine()


def _virtual():
    return re.search(r"^flags\s*:.* hypervisor", Path("/proc/cpuinfo").read_text(), re.M) is not None
