"""The order of things: build, install and measure wheel after wheel, write the table.

Does: keep a file of each measurement, so that a run that was interrupted goes on. Does not: measure (`measure.py`).
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import install
import measure
import places
import postgresql
import publish
import table

# Stacks of each wheel, at least.
FULL, QUICK = 3_000, 300


class Bench:
    """What all measurements have in common."""

    def __init__(self, arguments):
        self.fpprof = (Path(arguments.fpprof) if arguments.fpprof else _build()).resolve()
        version = subprocess.run([self.fpprof, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = version.splitlines()[0]
        # A build of another moment has the same version.
        self.digest = hashlib.sha256(self.fpprof.read_bytes()).hexdigest()
        self.results = results(arguments)
        self.results.mkdir(parents=True, exist_ok=True)
        self.wanted = QUICK if arguments.quick else FULL
        self.again = arguments.again
        # Oldest first; 3.14 is for wheels that have none for 3.15.
        self.interpreters = {minor: places.pyenv(minor) if minor == 13 else places.debian(minor) for minor in (13, 15, 14)}
        self.server = None

    def file(self, wheel, minor):
        """Where a measurement is kept."""
        return self.results / f"{wheel.project}-3.{minor}.json"

    def is_done(self, wheel, minor):
        """Whether a measurement of the same versions is there, with as many stacks."""
        try:
            kept = json.loads(self.file(wheel, minor).read_text())
        except (OSError, ValueError):
            return False
        return not self.again and kept.get("pins") == wheel.pins and kept.get("digest") == self.digest and \
            kept.get("figures", {}).get("stacks", 0) >= self.wanted


def results(arguments):
    """The folder of what is measured."""
    return Path(arguments.results) if arguments.results else places.cache() / "wheels"


def main(arguments):
    """Measures what was asked for; the exit status."""
    # Ended as by Ctrl-C: all that was started is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [wheel for wheel in install.wheels() if not arguments.only or wheel.project in arguments.only]
    try:
        if arguments.publish:
            publish.check(arguments.publish, ["figures"])
        if not arguments.table:
            _measure_all(Bench(arguments), chosen)
        words = table.markdown(results(arguments), list(install.wheels()))
        Path(arguments.output).write_text(words)
        if arguments.publish:
            publish.into(arguments.publish, figures=words)
    except KeyboardInterrupt:
        print("bench/wheels: interrupted; run it again, and it goes on", file=sys.stderr)
        return 130
    except (places.Unavailable, OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench/wheels: error: {error}", file=sys.stderr)
        return 1
    return 0


def _measure_all(bench, chosen):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fpprof-wheels-") as cache, postgresql.Server() as server:
        bench.server = server
        for number, wheel in enumerate(chosen, 1):
            for minor in (13, 15, 14):
                if minor == 14 and not _has_no_wheel(bench, wheel, 15):
                    continue
                if not bench.is_done(wheel, minor):
                    words = _measure_one(bench, wheel, minor, cache)
                    print(f"bench/wheels: [{time.monotonic() - began:4.0f} s] {number}/{len(chosen)} {wheel.project} 3.{minor}: {words}",
                          file=sys.stderr)


def _has_no_wheel(bench, wheel, minor):
    try:
        return "not_installed" in json.loads(bench.file(wheel, minor).read_text())
    except (OSError, ValueError):
        return False


def _measure_one(bench, wheel, minor, cache):
    """Measures a wheel on an interpreter and keeps what comes of it; what to say of it."""
    kept = {"project": wheel.project, "version": wheel.version, "pins": wheel.pins, "minor": minor, "fpprof": bench.version,
            "digest": bench.digest}
    interpreter = bench.interpreters[minor]
    with places.Scratch(interpreter) as scratch:
        try:
            where = measure.Place(interpreter, scratch)
            install.install(wheel, minor, bench.interpreters[13].command[0], where.installed, cache)
            words = bench.server.words(scratch)
            kept["figures"] = measure.measure(bench.fpprof, where, wheel.project, words, bench.wanted)
            said = f"{kept['figures']['complete']} complete of {kept['figures']['stacks']}"
        except install.NotInstalled as error:
            said = kept["not_installed"] = str(error)
        except measure.NotMeasured as error:
            said = kept["not_measured"] = str(error)
    file = bench.file(wheel, minor)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    partial.replace(file)
    return said


def _build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=places.REPOSITORY, check=True)
    folder = os.environ.get("CARGO_TARGET_DIR") or "target"
    return places.REPOSITORY / folder / "release/fpprof"
