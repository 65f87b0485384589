#!/usr/bin/env bash
# lld and mold write a .plt that no entry of .eh_frame describes; GNU ld and gold write one.
#
# What one would guess: unwind tables come from compilers, so which linker put a program together changes nothing for an unwinder.
# Seen: the stubs of .plt are written by the linker, and with them their unwind entry. One small C program, linked four times on x86-64:
#   GNU ld 2.40 and gold 1.16 (binutils 2.40) add an entry for the whole .plt, lld 14.0.6 and mold 1.10.1 (Debian 12) add none.
# Why it matters: calls of other libraries pass through .plt, so some samples fall there. At such an address the search ends with "no unwind
#   entry" (or, in a sloppy search by start address, with that of some other function) although all the program's functions have tables:
#   those samples lose their callers, in one build of a program and not in another. A profiler has to know .plt by its section, where the
#   return address lies on top of the stack (or one word further, after the push of a lazily bound stub).
#
# Needs x86-64, python3 with venv, gcc with GNU ld, and Debian's or Ubuntu's apt-get (downloads some 25 MB). The versions are those of the
# release at hand.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

[ "$(uname -m)" = x86_64 ] || cannot "only known of x86-64"
command -v gcc ld >/dev/null || cannot "no gcc or no ld"
{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check pyelftools==0.33; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "pyelftools 0.33 could not be installed"; }
# lld's newest package, and all that it and mold want and that is no part of every system.
lld=$(apt-cache depends lld 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^lld-[0-9]+$/ && !found++ { print $2 }')
[ -n "$lld" ] || cannot "apt knows no package lld"
llvm=$(apt-cache depends "$lld" | awk '$1 == "Depends:" && $2 ~ /^libllvm/ && !found++ { print $2 }')
libraries=$(apt-cache depends mold "$llvm" |
    awk '$1 == "Depends:" && $2 ~ /^lib(mimalloc|tbb|tbbmalloc|zstd|ssl|edit|bsd|md|xml2|z3|icu)/ { print $2 }' | sort -u)
# shellcheck disable=SC2086 # a list of names
timeout 100 apt-get download "$lld" $llvm mold $libraries >apt.log 2>&1 || { tail -n 3 apt.log >&2; cannot "lld and mold could not be downloaded"; }
for package in *.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu:$(echo "$folder"/root/usr/lib/llvm-*/lib)"
export LD_LIBRARY_PATH

cat >program.c <<'END'
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    return count > 1 ? puts(arguments[atoi(arguments[1])]) : 0;
}
END
cat >plt.py <<'END'
import sys

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

elf = ELFFile(open(sys.argv[1], "rb"))
plt = elf.get_section_by_name(".plt")
start, end = plt["sh_addr"], plt["sh_addr"] + plt["sh_size"]
found = [
    (entry["initial_location"], entry["initial_location"] + entry["address_range"])
    for entry in elf.get_dwarf_info().EH_CFI_entries()
    if isinstance(entry, FDE) and entry["initial_location"] < end and entry["initial_location"] + entry["address_range"] > start
]
print(f".plt {start:#x}-{end:#x}, in .eh_frame:", ", ".join(f"{a:#x}-{b:#x}" for a, b in found) or "nothing")
END
link() { # NAME LINKER: links with that program as ld
    mkdir "with-$1" && ln -s "$2" "with-$1/ld"
    gcc -O1 -Wl,-z,lazy -B"$folder/with-$1" -o "program-$1" program.c || cannot "$1 does not link"
    "./program-$1" || cannot "what $1 linked does not run"
    printf '%s\n  ' "$("with-$1/ld" --version | sed -n 1p)"
    venv/bin/python plt.py "program-$1" | tee "result-$1"
}
link gnu "$(command -v ld.bfd || command -v ld)"
if command -v ld.gold >/dev/null; then link gold "$(command -v ld.gold)"; fi
mkdir lld && cp "$(echo root/usr/lib/llvm-*/bin/lld)" lld/ld.lld
link lld "$folder/lld/ld.lld"
link mold "$folder/root/usr/bin/mold"

! grep -q nothing result-gnu || changed "GNU ld writes no entry"
grep -q nothing result-lld || changed "lld writes an entry"
grep -q nothing result-mold || changed "mold writes an entry"
echo "As described: an entry or none, by linker."
