"""The profilers: how each is run, on what it works, and how it tells how many samples it took.

Does: make command lines and read closing words. Does not: run them (`running.py`).

All are attached to a running process and write folded stacks, or what they have of the kind, to a file. fpprof is kept from
leaving samples out to stay in its budget (`--max-overhead none`): no other profiler has one, and costs are compared at equal
rates. The interpreters that a profiler cannot read are named with the reason, so that the tables say it.
"""

import re
import subprocess
from dataclasses import dataclass

import places

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Job:
    """What a profiler is to do: samples a second, seconds (None: until SIGINT), the file that it writes."""

    pid: int
    rate: int
    seconds: int | None
    output: str
    # All threads, also those that wait.
    wall: bool = False


@dataclass(frozen=True, eq=False)
class Profiler:
    """One profiler in one mode."""

    name: str
    # Job -> list of words.
    command: object
    # What it says at its end -> (samples taken, samples that failed) or None.
    counts: object
    environment: dict
    # The names of the interpreters that it is not run on, with the reason.
    not_on: dict
    # Whether running threads are stopped for a sample.
    stops: bool
    # The highest rate that its command line takes.
    highest_rate: int
    # Whether its count is of stacks, one for each thread in each round, and not of rounds.
    counts_stacks: bool = False


def all_of(fpprof, peers):
    """Every profiler, in the order of the tables. `fpprof` is its executable, `peers` the folder of the others."""
    return [
        _fpprof("fpprof", fpprof, "calls"),
        _fpprof("fpprof --native all", fpprof, "all"),
        _py_spy("py-spy", peers, []),
        _py_spy("py-spy --native", peers, ["--native"]),
        _austin("austin", peers, False),
        _austin("austinp", peers, True),
        _tachyon("Tachyon", []),
        _tachyon("Tachyon --blocking", ["--blocking"]),
    ]


def _fpprof(name, executable, native):
    def command(job):
        return [str(executable), "record", "--pid", str(job.pid), "--rate", str(job.rate), "--output", job.output,
                "--format", "collapsed", "--hideprogress", "--native", native, "--max-overhead", "none",
                *(["--duration", str(job.seconds)] if job.seconds else []), *(["--mode", "wall"] if job.wall else [])]

    def counts(words):
        found = re.search(r"samples: ([\d,]+) of [\d,]+ samples taken", words)
        complete = re.search(r"stacks: ([\d,]+) complete of ([\d,]+)", words)
        if not found:
            return None
        taken = _integer(found[1])
        share = _integer(complete[1]) / max(1, _integer(complete[2])) if complete else 1
        return taken, round(taken * (1 - share))

    return Profiler(name, command, counts, {}, {}, True, 20_000)


def _py_spy(name, peers, extra):
    def command(job):
        return [str(peers / "bin/py-spy"), "record", "--pid", str(job.pid), "--rate", str(job.rate), "--output", job.output,
                "--format", "raw", "--duration", str(job.seconds) if job.seconds else "unlimited",
                *(["--idle"] if job.wall else []), *extra]

    def counts(words):
        found = re.search(r"Samples: (\d+) Errors: (\d+)", words)
        return (int(found[1]), int(found[2])) if found else None

    not_on = {"3.15 (Debian)": "on a stripped 3.15 its native stacks end in one wrong libc address, without an error"} \
        if extra else {}
    return Profiler(name, command, counts, {}, not_on, True, 20_000, counts_stacks=True)


def _austin(name, peers, native):
    program = [str(peers / "bin" / name)]
    # Its executable wants a newer libc than some systems have.
    if subprocess.run([*program, "--version"], capture_output=True).returncode:
        program = places.through_sid_libraries(*program)

    def command(job):
        return [*program, "--interval", str(1_000_000 // job.rate), "--output", job.output, "--pid", str(job.pid),
                *(["--exposure", str(job.seconds)] if job.seconds else []), *([] if job.wall else ["--cpu"])]

    def counts(words):
        found = re.search(r"Error rate[ .]*(\d+)/(\d+)", ANSI.sub("", words))
        return (int(found[2]), int(found[1])) if found else None

    not_on = {"3.15 (Debian)": "austin 4.0.0 does not know CPython 3.15"}
    return Profiler(name, command, counts, {}, not_on, native, 40_000, counts_stacks=True)


def _tachyon(name, extra):
    python = places.through_sid_libraries(places.sid() / "usr/bin/python3.15")
    environment = {"PYTHONHOME": str(places.sid() / "usr"), "PYTHONDONTWRITEBYTECODE": "1"}

    def command(job):
        return [*python, "-m", "profiling.sampling", "attach", "--collapsed", "--sampling-rate", str(job.rate),
                "--output", job.output, *(["--duration", str(job.seconds)] if job.seconds else []), *extra,
                *(["--all-threads"] if job.wall else []), str(job.pid)]

    def counts(words):
        found = re.search(r"Captured ([\d,]+) samples", words)
        error_rate = re.search(r"Error rate: ([\d.]+)", words)
        if not found:
            return None
        taken = _integer(found[1])
        return taken, round(taken * float(error_rate[1]) / 100) if error_rate else 0

    not_on = {"3.13": "Tachyon reads its own version of CPython only, 3.15"}
    return Profiler(name, command, counts, environment, not_on, bool(extra), 100_000)


def _integer(words):
    return int(words.replace(",", ""))
