"""Installs a wheel with what it needs, for one interpreter, into a folder.

Does: ask pip for the pinned versions as built wheels, and say why one could not be had. Does not: build anything from source, touch
an environment, or keep what it has downloaded beyond the run.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).resolve().parent / "pins.txt"
# How long pip may take for one wheel, seconds.
PATIENCE = 300
# What the wheels of a glibc system are called; pip takes one of the newest of these that there is.
GLIBCS = [(2, minor) for minor in range(41, 4, -1)]


class NotInstalled(Exception):
    """A wheel that could not be had; the message is the reason."""


@dataclass(frozen=True)
class Wheel:
    """A measured project, and all that it needs, as pip names them: `name==version`."""

    project: str
    version: str
    needs: tuple

    @property
    def pins(self):
        """All that is installed."""
        return [f"{self.project}=={self.version}", *self.needs]


def wheels(text=None):
    """The pinned wheels, in their order."""
    for line in (PINS.read_text() if text is None else text).splitlines():
        if line.strip() and not line.startswith("#"):
            first, *needs = line.split()
            project, version = first.split("==")
            yield Wheel(project, version, tuple(needs))


def install(wheel, minor, installer, folder, cache):
    """Installs for CPython 3.`minor` into `folder`; `installer` is a Python that has pip. Raises `NotInstalled`."""
    machine = os.uname().machine
    platforms = [f"manylinux_{major}_{glibc}_{machine}" for major, glibc in GLIBCS] + [f"manylinux2014_{machine}"]
    words = [installer, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-compile",
             "--only-binary=:all:", "--root-user-action=ignore", "--cache-dir", cache, "--target", folder, "--implementation", "cp",
             "--python-version", f"3.{minor}"]
    for platform in platforms:
        words += ["--platform", platform]
    try:
        pip = subprocess.run([str(word) for word in [*words, *wheel.pins]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip has not ended after {PATIENCE} s") from None
    if pip.returncode != 0:
        raise NotInstalled(reason(pip.stderr))
    if not has_native_code(wheel.project, folder):
        raise NotInstalled("its wheel for this version has no native code")


def has_native_code(project, folder):
    """Whether a library is among the files of a project: pip takes a wheel of Python alone where there is no other. Its native code can
    be in a wheel of its own, whose name begins with the project's."""
    records = [record for record in Path(folder).glob("*.dist-info/RECORD")
               if re.sub(r"[-_.]+", "_", record.parent.name.lower()).startswith(project.lower())]
    return any(".so" in Path(line.split(",")[0]).suffixes for record in records for line in record.read_text().splitlines())


def reason(words):
    """Why pip has failed, in few words that say nothing of the machine."""
    missing = re.search(r"No matching distribution found for (\S+)", words)
    if missing:
        return f"no wheel of {missing[1]} for this version"
    errors = [line for line in words.splitlines() if line.startswith("ERROR:")]
    return re.sub(r"\S*(/|://)\S*", "…", errors[-1][7:].strip()) if errors else "pip has failed without a word"
