"""A running target: two libraries that take turns at the same place in memory."""

import _ctypes
import ctypes
import os
import subprocess
import time

import truth

FOLDER = os.path.dirname(os.path.abspath(__file__))


def offset_of_spin(path):
    """Where the function is, which is not exported, in the file: the library's first byte is mapped first."""
    symbols = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[0], 16) for line in symbols.splitlines() if line.endswith(" fpext_spin_inner"))


PATHS = [os.path.join(FOLDER, name) for name in ("fpext_fp.abi3.so", "fpext_nofp.abi3.so")]
OFFSETS = {path: offset_of_spin(path) for path in PATHS}


def spin_in(path):
    library = ctypes.PyDLL(path)
    with open("/proc/self/maps") as maps:
        base = next(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(path))
    spin = ctypes.PYFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong)(base + OFFSETS[path])
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        spin(100000)
    _ctypes.dlclose(library._handle)
    return base


def in_first():
    return spin_in(PATHS[0])


def in_second():
    return spin_in(PATHS[1])


def step():
    in_first()
    in_second()


places = {in_first(), in_second(), in_first(), in_second()}
assert len(places) == 1, places
truth.work(step, calls=[])
