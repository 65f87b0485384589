#!/usr/bin/env bash
# glibc's lazy binder on AArch64 tells unwinders a stack pointer that is 16 bytes too low.
#
# What one would guess: a CFA is the caller's stack pointer at the call, and what a frame has saved lies below it. glibc's hand-written tables
#   follow that as compilers' do, or every backtrace out of a first call of a function would be broken.
# Seen: .plt pushes x16 and x30 (16 bytes) and jumps to _dl_runtime_resolve, whose tables begin with a CFA of sp+0 as if nothing had been
#   pushed: in its body the CFA is sp+208 and the return address is saved at CFA+8, above it. glibc 2.36 (Debian 12, arm64); the same in 2.43 (sid).
# Why it matters: on AArch64 compilers base the CFA of most functions on sp even with frame pointers, so the function that has called through
#   .plt is looked for 16 bytes beside its frame, and all its callers are lost or invented. It is met where symbols are looked up for long:
#   a program's first seconds. A profiler has to end a frame behind the slot of its return address where the CFA is said in
#   terms of sp (libffi's ffi_call_SYSV, whose CFA is not, keeps its own in its caller's frame on purpose).
#
# Needs python3 with venv, and Debian's or Ubuntu's apt-get (downloads some 12 MB, nothing is installed).
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
mkdir -p state/lists/partial cache/archives/partial && touch state/status
foreign=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$folder/state" -o Dir::State::status="$folder/state/status"
    -o Dir::Cache="$folder/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
{ timeout 200 apt-get "${foreign[@]}" update && timeout 100 apt-get "${foreign[@]}" download libc6:arm64; } >apt.log 2>&1 ||
    { tail -n 3 apt.log >&2; cannot "libc6 for arm64 could not be downloaded"; }
for package in *.deb; do
    dpkg-deb -f "$package" Package Version
    dpkg-deb -x "$package" root
done

cat >binder.py <<'END'
import sys

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

SP, X30 = 31, 30
loader, library = (ELFFile(open(path, "rb")) for path in sys.argv[1:])
# stp x16, x30, [sp, #-16]!
pushes = b"\xf0\x7b\xbf\xa9" in library.get_section_by_name(".plt").data()[:16]
print(f".plt of libc.so.6 begins with a push of x16 and x30: {pushes}")
found = 0
for entry in loader.get_dwarf_info().EH_CFI_entries():
    if not isinstance(entry, FDE):
        continue
    rows = [row for row in entry.get_decoded().table if getattr(row.get(X30), "type", "") == "OFFSET"]
    above = [row for row in rows if row[X30].arg >= 0 and row["cfa"].reg == SP]
    if above:
        found += 1
        last = max(above, key=lambda row: row["cfa"].offset)
        print(
            f"function at {entry['initial_location']:#x}: at {last['pc']:#x} the CFA is sp+{last['cfa'].offset},"
            f" and the return address is at CFA+{last[X30].arg}"
        )
sys.exit(0 if pushes and found else 1)
END
loader=$(find root -name ld-linux-aarch64.so.1 -type f | sed -n 1p)
library=$(find root -name libc.so.6 -type f | sed -n 1p)
venv/bin/python binder.py "$loader" "$library" || changed "no frame of the loader has its return address above its CFA"
echo "As described: the CFA is below the slot of the return address."
