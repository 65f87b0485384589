"""Records one piece of a target's work, from its first moment to its last, and parses what fpprof has written.

Does: start both, shake hands, end both. Does not: judge.

The target waits in read(2) until fpprof samples it, works, says what it has logged, and waits again: the log and the profile
are of the same time, with no clock between them. Only processes that this file has started are ever sent a signal.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import places

TARGETS = Path(__file__).resolve().parent / "targets"
# How long fpprof may take to begin, and to end, seconds.
PATIENCE = 60


class Failed(Exception):
    """A recording that gave nothing to judge; the message is the reason."""


@dataclass
class Recorded:
    """What came of it."""

    # What the target has logged of its work.
    log: object
    # Stacks, outermost frame first, with their samples.
    stacks: list
    # What fpprof has said of the recording.
    summary: str

    def samples_in(self, function):
        """Samples whose innermost frame is of this function."""
        return self.samples(lambda frames: frames[-1].split(" (")[0] == function)

    def samples(self, chosen):
        """Samples of the chosen stacks."""
        return sum(count for frames, count in self.stacks if chosen(frames))


def record(bench, interpreter, program, arguments, rate, seconds, switches=()):
    """Runs `program` of `targets/` for `seconds` and records it, Python frames only unless `switches` say more."""
    with places.Scratch(interpreter) as scratch:
        for file in TARGETS.glob("*.py"):
            shutil.copy(file, scratch.outside)
        words = [*interpreter.command, str(scratch.inside / program), *map(str, arguments)]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHON_JIT": "0"}
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as target:
            try:
                if target.stdout.readline().strip() != "ready":
                    raise Failed(f"the target {program} has not started on CPython {interpreter.name}")
                return _record(bench, target, scratch.outside / "profile.jsonl", rate, seconds, switches)
            finally:
                target.kill()


def _record(bench, target, output, rate, seconds, switches):
    command = [bench.executable, "record", "-p", target.pid, "-r", rate, "-f", "jsonl", "-o", output, "--native", "none",
               "--max-overhead", "none", *switches]
    with tempfile.TemporaryFile("w+") as words:
        with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stderr=words) as fpprof:
            try:
                _wait_until_sampling(fpprof, target.pid)
                target.stdin.write(f"{seconds}\n")
                target.stdin.flush()
                log = target.stdout.readline()
                fpprof.send_signal(signal.SIGINT)
                status = fpprof.wait(PATIENCE)
            finally:
                fpprof.kill()
        words.seek(0)
        summary = words.read()
    if status != 0 or not log:
        raise Failed(f"fpprof ended with status {status}, the target said {log!r}: {summary}")
    return Recorded(json.loads(log), list(_stacks(output.read_text())), summary)


def _wait_until_sampling(fpprof, pid):
    """Waits until fpprof has the accounts of the target's threads open: it opens them with its first tick."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and fpprof.poll() is None:
        for fd in Path(f"/proc/{fpprof.pid}/fd").iterdir():
            try:
                file = os.readlink(fd)
                if file.startswith(f"/proc/{pid}/task/") and file.endswith("/schedstat"):
                    return
            except OSError:
                continue
        time.sleep(0.001)
    raise Failed(f"fpprof does not sample process {pid}")


def _stacks(text):
    """Each sample as a stack that was seen once: samples have errors, and the times that they stand for are the kernel's."""
    for line in text.splitlines()[1:]:
        sample = json.loads(line)
        if sample["weight"]:
            yield [_label(frame) for frame in sample["stack"]], 1


def _label(frame):
    if "file" not in frame:
        return frame["name"]
    place = f"{frame['file']}:{frame['line']}" if "line" in frame else frame["file"]
    return f"{frame['name']} ({place})"
