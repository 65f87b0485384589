#!/usr/bin/env bash
# py-spy --native cannot unwind out of the vDSO, so what asks for the time is missing from its picture.
#
# What one would guess: the vDSO (the code that the kernel maps into each process to tell the time) has unwind tables of its own and
#   keeps a frame pointer on x86-64, so a profiler that unwinds anything unwinds it.
# Seen: py-spy 0.4.3 on x86-64 (Linux 6.18, glibc 2.36). Of a C function that asks for the time in a loop, called by ctypes, almost no
#   sample within clock_gettime has the function in its stack. What happens instead hangs on what the registers hold: for `spin_until`
#   below most samples are dropped and counted as errors ("Samples: 39 Errors: 545"). For a function that differed by little all were
#   kept, with "Errors: 0" and addresses in the stack that belong to no code, marked `(?)`:
#   `<module> (program.py:2);0x7ffc35bcbb70 (?);0x1 (?);clock_gettime (libc.so.6);0x7f759b0b8b46 ([vdso])`.
#   pystack 1.7.2 shows the whole stack of the same program.
# Why it matters: what asks for the time in a loop is just what one hunts with a native profile (logging, event loops, time-outs,
#   spinning). With the samples that are dropped the hottest place vanishes from the picture, not only its callers. Who finds unwind
#   tables by the names in /proc/PID/maps must read the vDSO out of the process instead: it has no file.
#
# Needs x86-64, python3 (>= 3.11) with venv, and gcc. No root: py-spy starts the program itself, and the program lets pystack attach to it.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

[ "$(uname -m)" = x86_64 ] || cannot "only known of x86-64"
command -v gcc >/dev/null || cannot "no gcc"
{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check py-spy==0.4.3 pystack==1.7.2; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "py-spy 0.4.3 and pystack 1.7.2 could not be installed"; }

cat >spin.c <<'END'
#include <time.h>

long spin_until(int seconds)
{
    struct timespec end, now;
    long turns = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    do {
        turns++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec + seconds);
    return turns;
}
END
gcc -g -O1 -shared -fPIC -o libspin.so spin.c || cannot "gcc failed"
cat >program.py <<'END'
import ctypes
import sys

ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, any
ctypes.CDLL("./libspin.so").spin_until(int(sys.argv[1]))
END

timeout 60 venv/bin/py-spy record --native --rate 200 --format raw --output stacks -- venv/bin/python program.py 3 \
    >py-spy.log 2>&1 || { cat py-spy.log >&2; cannot "py-spy could not look at its own child"; }
wrong=$(awk '/\(\[vdso\]\) [0-9]+$/ && !/spin_until/ { n += $NF } END { print n + 0 }' stacks)
whole=$(awk '/spin_until.*\(\[vdso\]\) [0-9]+$/ { n += $NF } END { print n + 0 }' stacks)
errors=$(grep -o 'Errors: [0-9]*' py-spy.log | tr -dc 0-9)
echo "py-spy 0.4.3 --native, samples in the vDSO: $whole with spin_until, $wrong without it; dropped as errors, in all: $errors. Most frequent:"
awk '/\[vdso\]/ { print $NF, $0 }' stacks | sort -rn | cut -d ' ' -f 2- | sed -n 1,2p

venv/bin/python program.py 20 &
program=$!
complete=no
for _ in {1..10}; do
    sleep 0.5
    timeout 30 venv/bin/pystack remote --native "$program" >pystack.log 2>&1 || true
    if grep -q vdso pystack.log && grep -q 'in spin_until' pystack.log; then complete=yes && break; fi
done
kill "$program"
wait "$program" 2>/dev/null || true
echo "pystack 1.7.2 --native:"
grep -A 3 'in spin_until' pystack.log | grep -o '[^/"]*", line [0-9]*, in [^ ]*' || true

[ "$complete" = yes ] || changed "pystack does not show the callers either"
[ "$((wrong + errors))" -ge 50 ] || changed "py-spy loses next to nothing in the vDSO"
[ "$((whole * 10))" -lt "$((wrong + errors))" ] || changed "py-spy shows the caller in more than a tenth of the samples"
echo "As described: py-spy loses what pystack shows."
