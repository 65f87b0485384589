#!/usr/bin/env bash
# The OpenSSL in psycopg's binary wheel is compiled C without unwind tables.
#
# What one would guess: only hand-written assembly has no unwind tables on x86-64. The ABI asks for them, gcc writes them by default, and
#   OpenSSL's own assembly has them.
# Seen: psycopg-binary 3.3.9's wheel for CPython 3.13, x86-64. Its libcrypto says how it was compiled: gcc -O3
#   -fno-asynchronous-unwind-tables -fno-unwind-tables. libssl's .eh_frame is four bytes, the mark of its end; libcrypto's is 11 KB, the
#   assembly's, of some 3.6 MB of code. Neither keeps frame pointers: -O3 drops them. So the tables are where nobody wants to go on from, and are
#   missing where the callers are.
# Why it matters: all that a program does over TLS with PostgreSQL goes through it. gdb, perf --call-graph dwarf and py-spy --native have
#   nothing to unwind it with; a profiler needs its instructions, or has to say that the stack is cut.
#
# Needs x86-64, python3 (>= 3.11) with pip, binutils.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

[ "$(uname -m)" = x86_64 ] || cannot "only known of x86-64"
command -v readelf >/dev/null || cannot "binutils is not installed"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --target site \
    --implementation cp --python-version 3.13 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 psycopg-binary==3.3.9 \
    >pip.log 2>&1 || { tail -n 3 pip.log >&2; cannot "psycopg-binary 3.3.9 could not be installed"; }

# The size of a section in bytes.
size() { readelf --section-headers --wide "$1" | awk -v name="$2" '{ sub(/^ *\[ *[0-9]+\]/, "") } $1 == name { print $5 }'; }

for name in libcrypto libssl; do
    library=$(echo "site/psycopg_binary.libs/$name"-*.so.*)
    [ -e "$library" ] || changed "the wheel has no $name"
    tables=$((16#$(size "$library" .eh_frame))) code=$((16#$(size "$library" .text)))
    echo "${library##*/} of psycopg-binary 3.3.9: $code bytes of code, $tables bytes of .eh_frame"
    [ "$((tables * 100))" -lt "$code" ] || changed "$name has unwind tables"
done
compiler=$(strings -a site/psycopg_binary.libs/libcrypto-*.so.* | sed -n 's/^compiler: //p')
echo "libcrypto was compiled by: $compiler"
grep -q -- -fno-asynchronous-unwind-tables <<<"$compiler" || changed "the compiler's flags do not leave the tables out"
echo "As described: next to no tables."
