"""The order of things: build, take each figure, print its rows, say whether all holds.

Does: hold what all figures need. Does not: measure (`figures/`) or judge (`verdict.py`).
"""

import importlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import places
import verdict
from recording import Failed

FIGURES = ("shares", "aliasing", "impossible", "causality", "waiting", "lines", "calls")


class Bench:
    """What all figures are taken with."""

    def __init__(self, executable, quick):
        self.executable, self.quick = executable, quick
        # One without frame pointers in a shared library, one with them, static and stripped.
        self.interpreters = [places.pyenv(13), places.debian(15)]

    def seconds(self, quick, full):
        """How long to record: one of the two."""
        return quick if self.quick else full


def main(arguments):
    """Takes the figures that were asked for; the exit status."""
    try:
        bench = Bench(Path(arguments.fpprof or _build()).resolve(), arguments.quick)
        output = open(arguments.output, "w") if arguments.output else None
    except (places.Unavailable, OSError, subprocess.CalledProcessError) as error:
        return _error(error)
    began, rows = time.monotonic(), []
    lines = [_about(), verdict.HEAD]
    print("\n".join(lines), flush=True)
    for name in arguments.only or FIGURES:
        try:
            for row in importlib.import_module(f"figures.{name}").rows(bench):
                rows.append(row)
                lines.append(row.markdown())
                print(lines[-1], flush=True)
        except (places.Unavailable, Failed, OSError) as error:
            return _error(f"{name}: {error}")
    wrong = [row for row in rows if row.holds is False]
    lines.append(f"\n{len(rows)} rows in {time.monotonic() - began:.0f} s: " +
                 (f"{len(wrong)} do not hold" if wrong else "all that must hold do"))
    print(lines[-1])
    if output:
        with output:
            output.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


def _build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=places.REPOSITORY, check=True)
    return places.REPOSITORY / (os.environ.get("CARGO_TARGET_DIR") or "target") / "release/fpprof"


def _about():
    return (f"`bench/accuracy/run {' '.join(sys.argv[1:])}` on {len(os.sched_getaffinity(0))} CPUs, Linux "
            f"{platform.release().split('-')[0]}; load before {os.getloadavg()[0]:.1f}\n")


def _error(error):
    print(f"bench/accuracy: error: {error}", file=sys.stderr)
    return 2
