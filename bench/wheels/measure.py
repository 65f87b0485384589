"""Measures one wheel on one interpreter: runs its work, records it, examines its files.

Does: start target and fpprof, wait for both, end both. Does not: install, or word what comes of it.
Only processes that this file has started are ever sent a signal.
"""

import json
import shutil
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import counts
import places

HERE = Path(__file__).resolve().parent
# How long a target may take until its first round of work is done, and how long fpprof beyond its recording, seconds.
START, PATIENCE = 120, 60
# Samples a second; the longest recording, seconds.
RATE, LONGEST = 1_000, 60


class NotMeasured(Exception):
    """A wheel of which there are no figures; the message is the reason."""


@dataclass(frozen=True)
class Place:
    """An interpreter, a scratch folder of its, and the folder in that with what is installed."""

    interpreter: places.Interpreter
    scratch: places.Scratch

    @property
    def installed(self):
        return self.scratch.outside / "site"


def command(place, project, words):
    """The command that does a wheel's work. What runs by chroot gets /proc, /sys and /dev of its own mount namespace: they go with it."""
    inside = place.scratch.inside
    program, *rest = place.interpreter.command
    work = [*rest, inside / "work.py", project, inside / "data", *words]
    if program != "chroot":
        return [program, *work]
    root = rest[0]
    mounts = " && ".join(f'mount --rbind /{name} "$0/{name}"' for name in ("proc", "sys", "dev"))
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec chroot "$0" "$@"', root, *work[1:]]


def measure(fpprof, place, project, words, wanted):
    """The figures of at least `wanted` stacks: a dictionary. Raises `NotMeasured`."""
    _put_work(place)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(place.scratch.inside / "site"),
                   "PYTHONDONTWRITEBYTECODE": "1", "PYTHON_JIT": "0", "HOME": str(place.scratch.inside / "data"), "LC_ALL": "C.UTF-8"}
    words = [str(word) for word in command(place, project, words)]
    with tempfile.TemporaryFile("w+", errors="replace") as said, \
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as target:
        # One that hangs before it is ready is ended, and its output ends with it.
        late = threading.Timer(START, target.kill)
        late.start()
        try:
            ready = target.stdout.readline().strip() == "ready"
            late.cancel()
            if not ready:
                raise NotMeasured(_why_not_ready(target, said))
            return _record(fpprof, place, target, wanted)
        finally:
            late.cancel()
            target.kill()


def _why_not_ready(target, said):
    try:
        if target.wait(PATIENCE) == -signal.SIGKILL:
            return f"its work was not ready after {START} s"
    except subprocess.TimeoutExpired:
        target.kill()
    said.seek(0)
    lines = said.read().strip().splitlines()
    return f"its work does not run: {lines[-1][:200] if lines else 'no word'}"


def _put_work(place):
    shutil.copy(HERE / "targets/work.py", place.scratch.outside)
    shutil.copytree(HERE / "workloads", place.scratch.outside / "workloads", dirs_exist_ok=True)
    (place.scratch.outside / "data").mkdir(exist_ok=True)


def _record(fpprof, place, target, wanted):
    # A thread that works has a CPU for less than half of the time on a small machine.
    recording, seconds = place.scratch.outside / "run.fpprof", 1 + wanted * 5 // (2 * RATE)
    while True:
        _run(fpprof, "record", "--pid", target.pid, "--rate", RATE, "--duration", seconds, "--max-overhead", "none", "--no-sources",
             "--force", "--output", recording)
        figures = counts.of(recording, str(place.scratch.inside / "site"))
        if target.poll() is not None:
            raise NotMeasured("its work has ended while it was recorded")
        if figures["stacks"] >= wanted:
            break
        if seconds >= LONGEST or figures["stacks"] == 0:
            raise NotMeasured(f"{figures['stacks']} stacks in {seconds} s, {wanted} were wanted")
        seconds = min(LONGEST, 1 + int(seconds * wanted * 1.1 / figures["stacks"]))
    examined = json.loads(_run(fpprof, "doctor", "--json", "--pid", target.pid, accepted=(0, 1)))
    site = str(place.scratch.inside / "site") + "/"
    files = [{**module, "path": module["path"][len(site):]} for module in examined["modules"] if module["path"].startswith(site)]
    return {**figures, "seconds": seconds, "rate": RATE, "files": files}


def _run(fpprof, verb, *words, accepted=(0,)):
    try:
        run = subprocess.run([str(word) for word in (fpprof, verb, *words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=LONGEST + PATIENCE)
    except subprocess.TimeoutExpired:
        raise NotMeasured(f"fpprof {verb} has not ended") from None
    if run.returncode not in accepted:
        lines = run.stderr.strip().splitlines()
        raise NotMeasured(f"fpprof {verb} ended with status {run.returncode}: {lines[-1] if lines else 'no word'}")
    return run.stdout

