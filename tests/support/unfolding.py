"""Makes small files that unfold to much, and measures what a program takes for them.

    unfolding.py make KIND FOLDER NUMBERS...    writes KIND into FOLDER
    unfolding.py peak PROGRAM ARGUMENTS...      prints the program's exit status and its peak memory in kB, the executable included
"""

import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
import zlib

sys.dont_write_bytecode = True
from unfolding_target import SPIN

ADDRESS = 0x1000
BUILD_ID = bytes(range(20))


# Recordings (docs/recording-format.md)

FACTS = {
    "command": "x", "pid": 1, "python_version": "3.13.1", "threads": "All", "rate_hz": 100.0, "fixed_intervals": False,
    "started": None, "duration": {"secs": 1, "nanos": 0}, "samples_wanted": 0, "samples_taken": 0, "samples_late": 0,
    "samples_failed": 0, "samples_left_out": 0, "limit": None, "failures": {}, "stacks": 0, "stacks_complete": 0,
    "activity": {"states": {}, "gil": None}, "stops": None, "own_cpu": None, "fpprof_version": "0.1.0",
}


def recording(path, lists, samples):
    """`samples` are lists of (thread, stack)."""
    program = {"number": 0, "pid": 1, "command": None, "interpreter": 0, "project": None, "home": None}
    records = [{"fpprof_recording": {"version": 2}}, {"facts": FACTS}, {"program": program}]
    lists = {"threads": [{"tid": 1, "name": "t"}], "states": [{"id": "python", "on_cpu": True}], **lists}
    stacks = lists.pop("stacks")
    records += [{name: {"program": 0, "list": elements}} for name, elements in lists.items()]
    records.append({"stacks": {"program": 0, **stacks}})
    for some in samples:
        columns = {"after": [1_000_000] * len(some), "thread": [thread for thread, _ in some], "state": [0] * len(some)}
        columns |= {"stack": [stack for _, stack in some], "weight": [1] * len(some)}
        records.append({"samples": {"program": 0, **columns}})
    records.append({"end": {}})
    blocks = [b""]
    for record in records:
        blocks[-1] += json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if len(blocks[-1]) >= 1 << 20:
            blocks.append(b"")
    with open(path, "wb") as file:
        for block in filter(None, blocks):
            file.write(gzip.compress(block, 9, mtime=0))


def functions(*names):
    return [{"qualname": name, "filename": "/x.py", "first_line": 1} for name in names]


def chain(depth):
    return {"caller": list(range(depth)), "frame": [0] * depth}


def leaves(folder, depth, number):
    """One stack of `depth` frames, with so many leaves: their tree is small, their paths are long."""
    names = functions("f", *(f"leaf{number}" for number in range(number)))
    frames = [{"python": [function, 1]} for function in range(number + 1)]
    stacks = chain(depth)
    stacks["caller"] += [depth] * number
    stacks["frame"] += list(range(1, number + 1))
    recording(f"{folder}/x.fpprof", {"functions": names, "frames": frames, "stacks": stacks},
              [[(0, depth + 1 + leaf) for leaf in range(number)]])


def threads(folder, depth, number):
    """One stack in so many threads."""
    lists = {"functions": functions("f"), "frames": [{"python": [0, 1]}], "stacks": chain(depth),
             "threads": [{"tid": tid + 1, "name": None} for tid in range(number)]}
    recording(f"{folder}/x.fpprof", lists, [[(thread, depth) for thread in range(number)]])


def alternating(folder, depth, number):
    """Two stacks without a common part, in turn."""
    stacks = chain(depth)
    stacks["caller"] += [0, *range(depth + 1, 2 * depth)]
    stacks["frame"] += [1] * depth
    lists = {"functions": functions("f", "g"), "frames": [{"python": [0, 1]}, {"python": [1, 1]}], "stacks": stacks}
    recording(f"{folder}/x.fpprof", lists, [[(0, depth * (1 + sample % 2)) for sample in range(number)]])


def long_names(folder, length, number):
    """A name of so many bytes on a stack of `number` frames, each of another line."""
    frames = [{"python": [0, line + 1]} for line in range(number)]
    stacks = {"caller": list(range(number)), "frame": list(range(number))}
    recording(f"{folder}/x.fpprof", {"functions": functions("n" * length), "frames": frames, "stacks": stacks}, [[(0, number)]])


def inlined(folder, depth, number):
    """A stack of one native frame, again and again, into which so many functions were inlined."""
    frame = {"kind": "user_code", "name": "f", "source": None, "module": None, "is_inlined": True}
    lists = {"functions": [], "frames": [{"unnamed": 1}], "stacks": chain(depth)}
    frame["kind"] = "Jit"
    recording(f"{folder}/y.fpprof", lists, [[(0, depth)]])
    with gzip.open(f"{folder}/y.fpprof") as file:
        lines = file.read().splitlines()
    names = {"names": {"program": 0, "first": 0, "names": [{"frames": [frame] * number, "role": "Native"}]}}
    lines.insert(-1, json.dumps(names, separators=(",", ":")).encode())
    with open(f"{folder}/x.fpprof", "wb") as file:
        file.write(gzip.compress(b"\n".join(lines) + b"\n", 9, mtime=0))


def samples(folder, number):
    """So many samples of one stack."""
    lists = {"functions": functions("f"), "frames": [{"python": [0, 1]}], "stacks": chain(1)}
    parts = [20_000] * (number // 20_000)
    recording(f"{folder}/x.fpprof", lists, [[(0, 1)] * part for part in parts])


# Libraries (gABI; DWARF 4)

def compressed(data):
    header = struct.pack("<IIQQ", 1, 0, len(data), 1)  # ELFCOMPRESS_ZLIB
    return header + zlib.compress(data, 9)


def library(path, sections):
    """An ELF file with these sections: name, type, flags, address, bytes, link, size of an entry."""
    note = struct.pack("<III", 4, len(BUILD_ID), 3) + b"GNU\0" + BUILD_ID
    text = (".text", 1, 6, ADDRESS, SPIN.ljust(64, b"\xc3"), 0, 0)
    sections = [("", 0, 0, 0, b"", 0, 0), text, (".note.gnu.build-id", 7, 2, 0x400, note, 0, 4), *sections]
    names, offsets = b"", []
    for section in [*sections, (".shstrtab",)]:
        offsets.append(len(names))
        names += section[0].encode() + b"\0"
    sections.append((".shstrtab", 3, 0, 0, names, 0, 0))
    at, headers, body = 64 + 2 * 56, b"", b""
    place = {}
    for offset, (name, kind, flags, address, data, link, entry) in zip(offsets, sections):
        headers += struct.pack("<IIQQQQIIQQ", offset, kind, flags, address, at + len(body), len(data), link, 0, 1, entry)
        place[name] = at + len(body)
        body += data
    program = struct.pack("<IIQQQQQQ", 1, 5, place[".text"], ADDRESS, ADDRESS, 64, 64, 1)
    program += struct.pack("<IIQQQQQQ", 4, 4, place[".note.gnu.build-id"], 0x400, 0x400, len(note), len(note), 4)
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62 if os.uname().machine == "x86_64" else 183, 1, 0, 64, at + len(body), 0, 64, 56, 2, 64,
        len(sections), len(sections) - 1)
    with open(path, "wb") as file:
        file.write(header + program + body + headers)


def debug(name, data):
    return (name, 1, 0x800, 0, compressed(data), 0, 0)  # SHF_COMPRESSED


def unit(children):
    """A unit that covers the code, with a line program and what is in `children`."""
    root = b"\1" + struct.pack("<IQQ", 0, ADDRESS, 64)
    body = struct.pack("<HIB", 4, 0, 8) + root + children + b"\0"
    return struct.pack("<I", len(body)) + body


FUNCTION = b"\2named\0" + struct.pack("<QQ", ADDRESS, 64)
ABBREVIATIONS = (
    b"\1\x11\1\x10\x17\x11\1\x12\7\0\0"  # 1: a unit with children: stmt_list, low_pc, high_pc
    b"\2\x2e\0\3\x08\x11\1\x12\7\0\0"    # 2: a function: name, low_pc, high_pc
    b"\3\x2e\0\x55\x17\0\0"              # 3: a function: ranges
    b"\0")


def line_program(rows, files=()):
    header = b"\1\1\1\xfb\x0e\x0d\0\1\1\1\1\0\0\0\1\0\0\1" + b"\0" + b"".join(f + b"\0\0\0\0" for f in files or [b"a.c"]) + b"\0"
    # DW_LNE_set_address, rows that each advance by an address (opcode_base 13, line_base -5), DW_LNE_end_sequence.
    program = b"\0\x09\2" + struct.pack("<Q", ADDRESS) + b"\x20" * rows + b"\2\x40" + b"\0\1\1"
    body = struct.pack("<HI", 4, len(header)) + header + program
    return struct.pack("<I", len(body)) + body


def symbols(entries, names):
    table = bytes(24) + entries
    return [(".symtab", 2, 0, 0, table, 4, 24), (".strtab", 3, 0, 0, names, 0, 0)]


NAMED = symbols(struct.pack("<IBBHQQ", 1, 0x12, 0, 1, ADDRESS, 64), b"\0from_table\0")


def native(folder, sections):
    """A library, and a recording of one frame in it."""
    path = f"{os.path.realpath(folder)}/libx.so"
    library(path, sections)
    lists = {"functions": [], "modules": [{"path": path, "build_id": BUILD_ID.hex(), "bias": 0}],
             "frames": [{"native": [0, ADDRESS + 8, None]}], "stacks": chain(1)}
    recording(f"{folder}/x.fpprof", lists, [[(0, 1)]])


def dwarf(folder, children=FUNCTION, lines=None, **more):
    parts = {".debug_abbrev": ABBREVIATIONS, ".debug_info": unit(children), ".debug_line": lines or line_program(1), **more}
    native(folder, NAMED + [debug(name, data) for name, data in parts.items()])


def plain(folder):
    dwarf(folder)


def rows(folder, number):
    """A line program of so many rows, a byte each."""
    dwarf(folder, lines=line_program(number))


def many_functions(folder, number):
    dwarf(folder, children=FUNCTION * number)


def ranges(folder, number, each):
    """So many functions that share one list of so many ranges."""
    listed = b"".join(struct.pack("<QQ", 2 * n, 2 * n + 1) for n in range(1, each + 1)) + bytes(16)
    dwarf(folder, children=(b"\3" + bytes(4)) * number + FUNCTION, **{".debug_ranges": listed})


def long_section(folder, size):
    """A section that says, and is, so many bytes long."""
    dwarf(folder, **{".debug_str": bytes(size)})


def abbreviations(folder, number):
    more = b"".join(b"\x84\x80\x80" + bytes([n >> 14 & 0x7f | 0x80, n >> 7 & 0x7f | 0x80, n & 0x7f]) + b"\x2e\0\0\0" for n in range(number))
    native(folder, NAMED + [debug(".debug_abbrev", ABBREVIATIONS[:-1] + more + b"\0"), debug(".debug_info", unit(FUNCTION)),
                            debug(".debug_line", line_program(1))])


def many_symbols(folder, number, length):
    """So many symbols at one address, whose names are the ends of one name of so many bytes."""
    entries = b"".join(struct.pack("<IBBHQQ", 1 + n % (length // 2), 0x12, 0, 1, ADDRESS, 64) for n in range(number))
    native(folder, symbols(entries, b"\0" + b"s" * length + b"\0"))


def packed_symbols(folder, size):
    """A .gnu_debugdata that unpacks to so many bytes."""
    data = lzma.compress(bytes(size), preset=6)
    native(folder, [(".gnu_debugdata", 1, 0, 0, data, 0, 0)])


def peak(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)


if __name__ == "__main__":
    if sys.argv[1] == "peak":
        peak(sys.argv[2:])
    else:
        globals()[sys.argv[2]](sys.argv[3], *map(int, sys.argv[4:]))
