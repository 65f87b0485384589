"""The order of things: build, install, measure each figure, write the tables.

Does: hold what all figures need. Does not: measure (`figures/`).
"""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import aims
import machine
import peers
import places
import profilers
import publish
from running import Target, Unusable
from tables import Missing

# What a reader asks first comes first: what it costs, and what that takes from the program.
FIGURES = ("cost", "standing_still", "slowdown", "interrupted", "idle_threads", "attach", "highest_rate", "memory")
PROFILER_NAMES = ("fpprof", "fpprof --native all", "py-spy", "py-spy --native", "austin", "austinp", "Tachyon",
                  "Tachyon --blocking")


# What a comparison runs unless it is told, or is a long one: those that say most on each interpreter.
USUAL = {"3.13": ("fpprof", "py-spy", "py-spy --native", "austin"),
         "3.15 (Debian)": ("fpprof", "Tachyon", "Tachyon --blocking")}


class Bench:
    """What all figures are measured with."""

    def __init__(self, quick, long, wanted, executable, peers_folder):
        self.quick, self.long, self.wanted = quick, long, wanted
        # Seconds that a profiler may take to end after Ctrl-C.
        self.patience = 15 if quick else 60
        everyone = profilers.all_of(executable, peers_folder)
        assert tuple(profiler.name for profiler in everyone) == PROFILER_NAMES
        self.profilers = [profiler for profiler in everyone if not wanted or profiler.name in wanted]
        # The newest that all but Tachyon read, and the one that Tachyon reads.
        self.interpreters = [places.pyenv(13), places.debian(15)]
        self.peers_folder = peers_folder

    def seconds(self, quick, full):
        """How long to measure: one of the two."""
        return quick if self.quick else full

    def pairs(self):
        """Each interpreter with each profiler that reads it."""
        for interpreter in self.interpreters:
            for profiler in self.profilers:
                told = self.wanted or self.long or profiler.name in USUAL[interpreter.name]
                if told and interpreter.name not in profiler.not_on:
                    yield interpreter, profiler

    def target(self, interpreter, program, *arguments, cpu=None):
        """A program of `targets/`, for a `with` block."""
        return Target(interpreter, program, *arguments, cpu=cpu)

    def require(self, run):
        """Goes on only with a run whose figures can be used."""
        if run.failure:
            raise Unusable(run.failure)

    def cells(self, table, measure):
        """The cells of a row, or the reason why there are none: one failed run never fails the comparison."""
        try:
            return measure()
        except (Unusable, places.Unavailable) as reason:
            return [Missing(str(reason))] * len(table.columns)


def main(arguments):
    """Measures what was asked for; the exit status."""
    try:
        executable = Path(arguments.fpprof) if arguments.fpprof else _build()
        bench = Bench(arguments.quick, arguments.long, arguments.profiler, executable, peers.folder())
        # Found out before measuring, not after.
        Path(arguments.output + ".md").touch()
        if arguments.publish:
            publish.check(arguments.publish)
        about = machine.about(executable, bench)
    except (places.Unavailable, OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench/compare: error: {error}", file=sys.stderr)
        return 1
    began, tables, status = time.monotonic(), [], 0
    for name in FIGURES:
        if arguments.only and name not in arguments.only:
            continue
        print(f"bench/compare: [{time.monotonic() - began:4.0f} s] {name}", file=sys.stderr)
        try:
            for table in importlib.import_module(f"figures.{name}").tables(bench):
                tables.append(table)
                print(table.markdown(), flush=True)
        except (places.Unavailable, OSError) as error:
            print(f"bench/compare: error: {name}: {error}", file=sys.stderr)
            status = 1
        # After each figure: an interrupted comparison leaves what it has.
        _write(arguments, about, bench, tables)
    print(f"bench/compare: [{time.monotonic() - began:4.0f} s] wrote {arguments.output}.md and {arguments.output}.json",
          file=sys.stderr)
    return status


def _build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=places.REPOSITORY, check=True)
    folder = os.environ.get("CARGO_TARGET_DIR") or "target"
    return places.REPOSITORY / folder / "release/fpprof"


def _write(arguments, about, bench, tables):
    notes = [f"- {profiler.name} is not run on CPython {interpreter}: {reason}."
             for profiler in bench.profilers for interpreter, reason in profiler.not_on.items()]
    held = aims.table(tables, bench.interpreters)
    figures = "\n".join([machine.markdown(about), *(table.markdown() for table in tables), "\n".join(notes) + "\n"])
    held_words = held.markdown() if held.rows else ""
    # The project's aims are last: they say little to who chooses a profiler.
    Path(arguments.output + ".md").write_text(f"{figures}\n{held_words}".rstrip() + "\n")
    if arguments.publish:
        publish.into(arguments.publish, figures=figures, aims=held_words)
    facts = {**about, "aims": held.json(), "tables": [table.json() for table in tables]}
    Path(arguments.output + ".json").write_text(json.dumps(facts, indent=1) + "\n")
