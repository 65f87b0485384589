#!/usr/bin/env bash
# gdb's gcore leaves a whole mapping out of a core file, and writes zeros instead, when one page of it cannot be read.
#
# What one would guess: a page that cannot be read is missing in the core file, the others are there, as in the kernel's own cores; or gcore fails.
# Seen: a process has 256 pages, each of them full of one byte. Its core has 255 of them or more (one holds a marker as well). With a guard region
#   on the first page (madvise(2), MADV_GUARD_INSTALL: Linux 6.13) it has none: all of the mapping's 1 MiB is zero, the marker too. gdb says "warning: Memory
#   read failed for corefile section", saves the file, and ends with 0. gdb reads a section with one call and drops it when that fails. gdb 13.1, CPython 3.11.7, Linux 6.18.
# Why it matters: glibc 2.42 and later make the guard pages of thread stacks so, inside of the stack's mapping: of a multi-threaded program, gcore's file has no stack but
#   the first thread's. A debugger or profiler that reads it finds return addresses of 0 there, which look like the end of a stack.
#   The size of the file tells nothing; the warning is the only sign.
#
# Needs python3, gdb and coreutils, a kernel with MADV_GUARD_INSTALL, and permission to trace a process of one's own.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
target=
trap '[ -z "$target" ] || kill "$target" 2>/dev/null; rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
cd "$folder"
command -v gdb >/dev/null || cannot "there is no gdb"

cat >target.py <<'END'
import ctypes
import sys
import time

PAGE, SIZE, MADV_GUARD_INSTALL = 4096, 1 << 20, 102
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
start = libc.mmap(None, ctypes.c_size_t(SIZE), 3, 0x22, -1, ctypes.c_long(0))
ctypes.memset(start, 0x5A, SIZE)
ctypes.memmove(start + SIZE // 2, b"ABC", 3)
if sys.argv[1] == "guarded" and libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(PAGE), MADV_GUARD_INSTALL):
    print("refused", flush=True)
    sys.exit()
print("ready", flush=True)
time.sleep(600)
END

cat >count.py <<'END'
import sys

core = open(sys.argv[1], "rb").read()
print(core.count(b"\x5a" * 4096), int(b"\x5a" * 100 + b"ABC" + b"\x5a" * 100 in core))
END

# pages KIND: how many of the pages are in the core file of such a process, and whether the marker is.
pages() {
    python3 target.py "$1" >"$1.said" &
    target=$!
    until [ -s "$1.said" ]; do sleep 0.05; done
    [ "$(cat "$1.said")" = ready ] || cannot "the kernel has no MADV_GUARD_INSTALL"
    gdb -nx -q -batch -p "$target" -ex "gcore $1.core" >gdb.log 2>&1 || cannot "gdb failed: $(tail -1 gdb.log)"
    [ -s "$1.core" ] || cannot "gdb wrote no core file: $(tail -1 gdb.log)"
    kill "$target"
    wait "$target" 2>/dev/null || true
    target=
    python3 count.py "$1.core"
}

plain=$(pages plain)
guarded=$(pages guarded)
echo "$(gdb --version | sed -n 1p), $(python3 --version), Linux $(uname -r | cut -d. -f1,2)"
echo "without a guard page: ${plain% *} of 256 pages in the core file, marker: ${plain#* }"
echo "with one:             ${guarded% *} of 256 pages in the core file, marker: ${guarded#* }"
[ "${plain% *}" -ge 255 ] && [ "${plain#* }" = 1 ] && [ "$guarded" = "0 0" ]
