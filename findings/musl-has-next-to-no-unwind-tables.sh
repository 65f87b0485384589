#!/usr/bin/env bash
# Debian's musl has an .eh_frame_hdr with four entries, for some 1,670 functions.
#
# What one would guess: a library either has unwind tables or has no .eh_frame; musl has the section and its index, so it can be unwound.
# Seen: musl 1.2.3-1 of Debian 12, x86-64. ld-musl-x86_64.so.1, which is musl's C library and loader at once, has a valid .eh_frame_hdr and
#   four entries: for .plt and for three functions at the end of its code, which it does not export. read, poll, nanosleep, qsort and all else of
#   the 1,671 functions that it exports have none (musl is built with -fno-asynchronous-unwind-tables). read, for one, keeps no frame pointer either.
# Why it matters: a thread that waits is nearly always within such a function, so an unwinder that only knows tables loses the whole stack of
#   all waiting threads; asking "has the file an index?" says yes. glibc gives no hint of that in tests. The debug information is apart
#   (package musl-dbgsym), so that .debug_frame is not there either.
#
# Needs python3 with venv, and Debian's or Ubuntu's apt-get (musl's version is that of the release at hand).
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check pyelftools==0.33; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "pyelftools 0.33 could not be installed"; }
timeout 60 apt-get download musl >apt.log 2>&1 || { tail -n 3 apt.log >&2; cannot "the package musl could not be downloaded"; }
dpkg-deb -x musl_*.deb root
library=$(echo root/usr/lib/*-linux-musl/libc.so)
[ -f "$library" ] || library=$(echo root/lib/ld-musl-*.so.1)
[ -f "$library" ] || cannot "the package has no C library"

cat >tables.py <<'END'
import sys

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

elf = ELFFile(open(sys.argv[1], "rb"))
ranges = [
    (entry["initial_location"], entry["initial_location"] + entry["address_range"])
    for entry in elf.get_dwarf_info().EH_CFI_entries()
    if isinstance(entry, FDE)
]
functions = {
    symbol.name: symbol["st_value"]
    for symbol in elf.get_section_by_name(".dynsym").iter_symbols()
    if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF"
}
without = {name for name, address in functions.items() if not any(start <= address < end for start, end in ranges)}
print("sections:", *(section.name for section in elf.iter_sections() if "frame" in section.name))
print("entries of .eh_frame:", *(f"{start:#x}-{end:#x}" for start, end in ranges))
print(f"exported functions: {len(functions)}, in no entry: {len(without)}")
waiting = ["read", "poll", "nanosleep", "pthread_cond_wait", "qsort"]
print("in no entry, among others:", *(name for name in waiting if name in without))
sys.exit(0 if len(ranges) < 10 and len(functions) > 1000 and without.issuperset(waiting) else 1)
END
echo "$(basename musl_*.deb .deb), ${library##*/}:"
venv/bin/python tables.py "$library" || changed "musl has unwind tables"
echo "As described: an index, and next to nothing in it."
