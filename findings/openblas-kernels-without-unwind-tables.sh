#!/usr/bin/env bash
# The hottest code of numpy, OpenBLAS's kernels, has no unwind tables, so a native profile of `a @ b` has a kernel and nobody that called it.
#
# What one would guess: on x86-64 each function has an entry in .eh_frame (the ABI asks for it, compilers write it), in the wheels of the
#   most used library at the latest.
# Seen: numpy 2.4.6's wheel for x86-64. Some 860 functions of its libscipy_openblas64_, 2.7 MB of code, are in .symtab and in no entry of
#   .eh_frame: the kernels that OpenBLAS keeps in assembly. dgemm_kernel_HASWELL, which multiplies matrices on most machines with AVX2, is
#   28,076 bytes of it. It uses rbp for data, too, so frame pointers do not help. py-spy 0.4.3 --native shows
#   `<module> (program.py:6);dgemm_kernel_HASWELL (libscipy_openblas64_….so)` and no cblas_dgemm or numpy function in between; pystack 1.7.2
#   says "Unable to merge native stack due to insufficient native information".
# Why it matters: in scientific programs most samples can be of such code. A profiler needs something other than unwind tables there (the
#   prologue's instructions, say), or has to say that the stack is cut.
#
# Needs x86-64 with AVX2, python3 (>= 3.11) with venv. No root: py-spy starts the program itself.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

[ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo || cannot "only known of x86-64 with AVX2"
{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check --only-binary :all: numpy==2.4.6 pyelftools==0.33 py-spy==0.4.3; } \
    >pip.log 2>&1 || { tail -n 3 pip.log >&2; cannot "numpy 2.4.6, pyelftools 0.33 and py-spy 0.4.3 could not be installed"; }

cat >tables.py <<'END'
import bisect
import sys

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

elf = ELFFile(open(sys.argv[1], "rb"))
ranges = sorted(
    (entry["initial_location"], entry["initial_location"] + entry["address_range"])
    for entry in elf.get_dwarf_info().EH_CFI_entries()
    if isinstance(entry, FDE)
)
starts = [start for start, _ in ranges]


def covered(address):
    at = bisect.bisect_right(starts, address) - 1
    return at >= 0 and address < ranges[at][1]


functions = {
    symbol["st_value"]: (symbol["st_size"], symbol.name)
    for symbol in elf.get_section_by_name(".symtab").iter_symbols()
    if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"] and symbol["st_shndx"] != "SHN_UNDEF"
}
without = [of for address, of in functions.items() if not covered(address)]
print(f"{len(ranges)} entries in .eh_frame; functions: {len(functions)}, in no entry: {len(without)},", end=" ")
print(f"{sum(size for size, _ in without) / 1e6:.1f} MB of code, among them:")
kernel = [of for of in without if of[1] == "dgemm_kernel_HASWELL"]
for size, name in [of for of in sorted(without)[-3:] if of not in kernel] + kernel:
    print(f"  {name}, {size} bytes")
sys.exit(0 if len(without) > 100 and kernel else 1)
END
library=$(echo venv/lib/python3*/site-packages/numpy.libs/libscipy_openblas64_*.so)
[ -e "$library" ] || changed "the wheel has no libscipy_openblas64_"
echo "${library##*/} of numpy 2.4.6:"
venv/bin/python tables.py "$library" || changed "the kernels are in .eh_frame"

cat >program.py <<'END'
import time
import numpy

a, end = numpy.ones((1500, 1500)), time.monotonic() + 4
while time.monotonic() < end:
    a @ a
END
OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Haswell timeout 60 venv/bin/py-spy record --native --format raw --output stacks \
    -- venv/bin/python program.py >py-spy.log 2>&1 || { cat py-spy.log >&2; cannot "py-spy could not look at its own child"; }
inside=$(awk '/dgemm_kernel_HASWELL/ { n += $NF } END { print n + 0 }' stacks)
whole=$(awk '/dgemm_kernel_HASWELL/ && /cblas|matmul/ { n += $NF } END { print n + 0 }' stacks)
echo "py-spy 0.4.3 --native: $inside samples in dgemm_kernel_HASWELL, $whole of them with a function of numpy or cblas. Most frequent:"
awk '/dgemm_kernel_HASWELL/ { print $NF, $0 }' stacks | sort -rn | cut -d ' ' -f 2- | sed -n 1p
[ "$inside" -ge 20 ] || cannot "OpenBLAS did not take the kernel for Haswell"
[ "$((whole * 10))" -lt "$inside" ] || changed "py-spy unwinds out of the kernel"
echo "As described: no table, no callers."
