"""A running target: two libraries that take turns at the same place in memory."""

import _ctypes
import ctypes
import os
import struct
import time

import truth

FOLDER = os.path.dirname(os.path.abspath(__file__))


def offset_of_spin(path):
    """Where the function is, which is not exported, in the file: the library's first byte is mapped first.

    By the ELF file's section headers (64 bytes each, at e_shoff) and its symbol table (type 2), whose names are in the section
    that sh_link says: not every machine that runs the tests has nm.
    """
    with open(path, "rb") as file:
        elf = file.read()
    first, count = struct.unpack_from("<Q", elf, 40)[0], struct.unpack_from("<H", elf, 60)[0]
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, first + 64 * index) for index in range(count)]
    _, _, _, _, start, size, link, *_ = next(section for section in sections if section[1] == 2)
    names = sections[link][4]
    for name, _, _, _, value, _ in struct.iter_unpack("<IBBHQQ", elf[start : start + size]):
        if elf.startswith(b"fpext_spin_inner\0", names + name):
            return value
    raise LookupError(path)


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
