#!/usr/bin/env bash
# austin's wheel for "manylinux2010" (glibc 2.12 and newer) needs glibc 2.38.
#
# What one would guess: the tag of a wheel tells the oldest glibc that it runs on, and pip installs nothing that does not run.
# Seen: austin-dist 4.0.0. pip installs austin_dist-4.0.0-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.whl on any such system, also on
#   Debian 12 (glibc 2.36) and Ubuntu 22.04 (2.35). There `austin` ends at once with status 1: "version `GLIBC_2.38' not found". The
#   program wants four symbols of 2.38: __isoc23_strtol and its like, which the headers of glibc 2.38 and newer put in place of strtol
#   when a program is compiled with GNU's extensions or as C23. No line of the source needs to ask for anything new.
# Why it matters: the tag is a claim of who built the wheel, which the index took and pip believes; auditwheel checks it when asked (as it is
#   below, where it says manylinux_2_38). Users take the failure for a fault of their system. Whoever packs a profiler's program
#   must look at the symbols' versions of the finished file; building "with nothing new" is no proof.
#
# Needs python3 with venv. The wheel is looked at on any system; austin is run only where glibc is older than 2.38.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check auditwheel==6.8.2 pyelftools==0.33 &&
    venv/bin/pip download --disable-pip-version-check --no-deps --only-binary :all: --platform manylinux2010_x86_64 austin-dist==4.0.0; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "austin-dist 4.0.0 for manylinux2010, auditwheel 6.8.2 and pyelftools 0.33 could not be installed"; }
wheel=$(echo austin_dist-4.0.0-*.whl)
echo "$wheel"
python3 -m zipfile -e "$wheel" wheel
program=$(find wheel -type f -name austin)
chmod +x "$program"

cat >versions.py <<'END'
import sys

from elftools.elf.elffile import ELFFile

elf = ELFFile(open(sys.argv[1], "rb"))
needed = {}
for library, versions in elf.get_section_by_name(".gnu.version_r").iter_versions():
    needed.update((version["vna_other"], version.name) for version in versions)
indices = elf.get_section_by_name(".gnu.version")
for number, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
    version = needed.get(indices.get_symbol(number)["ndx"], "")
    if version.startswith("GLIBC_") and tuple(map(int, version[6:].split("."))) > (2, 12):
        print(f"  {symbol.name}, {version}")
END
echo "symbols of a glibc newer than 2.12 that austin wants:"
venv/bin/python versions.py "$program" | tee symbols
echo "auditwheel 6.8.2:"
venv/bin/auditwheel show "$wheel" 2>&1 | tee auditwheel.log | grep -iE 'consistent|tag|GLIBC' || true

grep -q 'GLIBC_2.38' symbols || changed "austin wants no symbol of glibc 2.38"
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2 || true)
if [ "$(uname -m)" = x86_64 ] && [ -n "$glibc" ] && [ "$(printf '%s\n' 2.38 "$glibc" | sort -V | sed -n 1p)" != 2.38 ]; then
    venv/bin/pip install --disable-pip-version-check --no-deps austin-dist==4.0.0 >pip.log 2>&1 || changed "pip does not install it on glibc $glibc"
    status=0
    venv/bin/austin --version >austin.log 2>&1 || status=$?
    echo "installed by pip on glibc $glibc, austin --version ended with $status:"
    sed 's/^[^ ]*: //' austin.log
    [ "$status" != 0 ] && grep -q "GLIBC_2.38' not found" austin.log || changed "austin runs on glibc $glibc"
fi
echo "As described: the tag says 2.12, the program wants 2.38."
