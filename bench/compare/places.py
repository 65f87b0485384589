"""Where things are: interpreters, caches, scratch folders.

Does: find what `tests/setup` has made. Does not: install anything.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TARGETS = Path(__file__).resolve().parent / "targets"


class Unavailable(Exception):
    """Something that a figure needs is not on this machine; the message says what, and how to get it."""


def cache():
    """The folder of `tests/setup`."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("FPPROF_TEST_ROOTS") or base / "fpprof")


def sid():
    """The Debian sid root of `tests/setup`."""
    return cache() / "sid"


def through_sid_libraries(*command):
    """A command that runs an executable which needs sid's libc on a system whose libc is older, without a chroot.

    The dynamic loader can be run as a program that is told where the libraries are: ld.so(8).
    """
    root = sid()
    loader = root / "lib64/ld-linux-x86-64.so.2"
    if not loader.exists():
        raise Unavailable(f"no Debian sid root in {root}: run tests/setup")
    return [str(loader), "--library-path", str(root / "usr/lib/x86_64-linux-gnu"), *map(str, command)]


@dataclass(frozen=True)
class Interpreter:
    """One CPython that targets run on."""

    name: str
    command: tuple
    # The same folder, as seen from here and as seen by the interpreter.
    scratch_outside: Path
    scratch_inside: Path


def pyenv(minor):
    """CPython 3.minor built from source: shared libpython, no frame pointers. The newest patch release there is."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    homes = [home for home in root.glob(f"versions/3.{minor}.*") if re.fullmatch(r"[\d.]+", home.name)]
    if not homes:
        raise Unavailable(f"no CPython 3.{minor} under {root}: do `pyenv install 3.{minor}`")
    home = max(homes, key=lambda home: tuple(map(int, home.name.split("."))))
    scratch = Path(tempfile.gettempdir())
    return Interpreter(f"3.{minor}", (str(home / f"bin/python3.{minor}"),), scratch, scratch)


def debian(minor):
    """CPython 3.minor as Debian sid builds it: static, stripped, 3.15 with frame pointers."""
    root = sid()
    program = f"/usr/bin/python3.{minor}"
    if not (root / program[1:]).exists():
        raise Unavailable(f"no {program} in {root}: run tests/setup")
    if os.geteuid() != 0:
        raise Unavailable(f"{program} of the sid root runs by chroot, which needs root")
    return Interpreter(f"3.{minor} (Debian)", ("chroot", str(root), program), root / "tmp", Path("/tmp"))


class Scratch:
    """A folder that an interpreter can read, which goes when the `with` block ends."""

    def __init__(self, interpreter):
        self.interpreter = interpreter

    def __enter__(self):
        self.outside = Path(tempfile.mkdtemp(prefix="fpprof-compare-", dir=self.interpreter.scratch_outside))
        self.inside = self.interpreter.scratch_inside / self.outside.name
        self.outside.chmod(0o755)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.outside, ignore_errors=True)
