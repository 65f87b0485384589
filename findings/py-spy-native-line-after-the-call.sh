#!/usr/bin/env bash
# py-spy --native shows, for every native caller, the line after its call.
#
# What one would guess: in a stack, the line of a caller is the line of the call.
# Seen: py-spy 0.4.3 (x86-64) looks up the return address as it is. That address is the first instruction after the call, so as
#   soon as nothing of the calling line remains to be done, the line shown is that of the next statement. For the C function
#   below, in which the call is on line 13 and the next statement on line 14, it prints `outer (two_lines.c:14)`; pystack 1.7.2
#   prints line 13 for the same process. Where the call is the last thing on a path, the address can even belong to other code.
# Why it matters: flame graphs by line put a caller's time on a statement that takes none, and two profilers of the same program
#   disagree by one line; whoever writes a profiler has to look up the address less one for all frames but the innermost (and but
#   those of signal handlers).
#
# Needs python3 (>= 3.11) with venv, and gcc. No root: py-spy starts the program itself, and the program lets pystack attach to it.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

command -v gcc >/dev/null || cannot "no gcc"
{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check py-spy==0.4.3 pystack==1.7.2; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "py-spy 0.4.3 and pystack 1.7.2 could not be installed"; }

cat >two_lines.c <<'END'
static volatile long turns;

int inner(int n)
{
    for (int i = 0; i < n; i++)
        turns++;
    return turns & 1;
}

int outer(int n)
{
    int result;
    result = inner(n);  /* line 13: the call */
    result ^= 7;        /* line 14: takes no time */
    return result;
}
END
gcc -g -O1 -fno-inline -shared -fPIC -o libtwo_lines.so two_lines.c || cannot "gcc failed"

cat >program.py <<'END'
import ctypes
import os
import time

PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)
outer = ctypes.CDLL("./libtwo_lines.so").outer
print(os.getpid(), file=open("pid", "w"), flush=True)
end = time.monotonic() + float(os.environ["SECONDS_TO_RUN"])
while time.monotonic() < end:
    outer(50_000_000)
END

SECONDS_TO_RUN=3 timeout 60 venv/bin/py-spy record --native --format raw --output stacks -- venv/bin/python program.py \
    >py-spy.log 2>&1 || { cat py-spy.log >&2; cannot "py-spy could not look at its own child"; }
echo "py-spy 0.4.3 --native (different stacks with this caller of inner):"
grep -o 'outer (two_lines.c:[0-9]*);inner' stacks | sort | uniq -c || changed "py-spy shows no caller of inner"

SECONDS_TO_RUN=20 venv/bin/python program.py &
program=$!
for _ in {1..20}; do
    sleep 0.5
    timeout 30 venv/bin/pystack remote --native "$program" >pystack.log 2>&1 || true
    grep -q 'in outer' pystack.log && break
done
kill "$program"
wait "$program" 2>/dev/null || true
echo "pystack 1.7.2 --native:"
grep -o '[a-z_]*\.c", line [0-9]*, in outer' pystack.log || { cat pystack.log >&2; cannot "pystack gave no native stack"; }

grep -q 'line 13, in outer' pystack.log || changed "pystack does not show the call's line, 13"
! grep -q 'outer (two_lines.c:13);inner' stacks || changed "py-spy shows the call's line, 13"
grep -q 'outer (two_lines.c:14);inner' stacks || changed "py-spy does not show the line after the call, 14"
echo "As described: the call is on line 13, and py-spy shows line 14."
