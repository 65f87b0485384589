#!/usr/bin/env bash
# Under py-spy, and under the standard library's own cProfile, profile and trace, a program that ends with 3 ends with 0.
#
# What one would guess: `PROFILER program` ends as `program` does, as with time, nice, env or strace; or all profilers agree on it.
# Seen: for a program that ends by sys.exit(3):
#     0   py-spy 0.4.3 record; python -m cProfile, -m profile and -m trace (CPython 3.11.7)
#     3   memray 1.20.0, pyinstrument 5.1.3, viztracer 1.1.1, yappi 1.7.6
#   cProfile is not even of one mind with itself: a program that ends by an exception makes it end with 1.
# Why it matters: whoever puts a profiler in front of a test run, a job or a service's start (`set -e`, CI, restart on failure) turns each
#   failure into success by it, without a word. And whoever moves from one profiler to another changes that without knowing.
#
# Needs python3 (>= 3.11) with venv. No root: the profilers start the program themselves.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check py-spy==0.4.3 memray==1.20.0 pyinstrument==5.1.3 \
    viztracer==1.1.1 yappi==1.7.6; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "py-spy, memray, pyinstrument, viztracer and yappi could not be installed"; }
export PATH="$folder/venv/bin:$PATH"

cat >program.py <<'END'
import sys
import time

end = time.monotonic() + 1
while time.monotonic() < end:
    pass
open("has-run", "w").close()
sys.exit(3)
END
echo 'raise ValueError("on purpose")' >raises.py

status_of() { # COMMAND…: prints the status that it ended with
    local status=0
    rm -f has-run
    timeout 40 "$@" >command.log 2>&1 </dev/null || status=$?
    if [[ "$*" == *program.py ]] && [ ! -e has-run ]; then
        cat command.log >&2
        cannot "$1 did not run the program"
    fi
    echo "$status"
}
report() { # EXPECTED NAME COMMAND…
    local expected=$1 name=$2 status
    shift 2
    status=$(status_of "$@")
    printf '%s  %s\n' "$status" "$name"
    [ "$status" = "$expected" ] || different+=("$name ended with $status, not $expected")
}
different=()
echo "the program ends with sys.exit(3); $(python --version):"
report 3 "no profiler" python program.py
report 0 "py-spy 0.4.3" py-spy record --format raw --output stacks -- python program.py
report 0 "python -m cProfile" python -m cProfile -o cprofile program.py
report 0 "python -m profile" python -m profile -o profile program.py
report 0 "python -m trace" python -m trace --count -C trace program.py
report 3 "memray 1.20.0" memray run -q -f -o memray.bin program.py
report 3 "pyinstrument 5.1.3" pyinstrument -o pyinstrument.txt program.py
report 3 "viztracer 1.1.1" viztracer -o viztracer.json program.py
report 3 "yappi 1.7.6" yappi -o yappi.out program.py
echo "the program ends with an exception:"
report 1 "python -m cProfile" python -m cProfile -o cprofile raises.py

[ "${#different[@]}" = 0 ] || changed "$(printf '%s; ' "${different[@]}")"
echo "As described: four of eight hide the failure."
