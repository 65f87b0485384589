#!/usr/bin/env bash
# OpenSSL's AES-XTS for AVX-512 has unwind tables that say that it has no frame, and it has one.
#
# What one would guess: assembly either has no unwind tables, which an unwinder notices, or has those that its author wrote down with each push.
# Seen: cryptography 46.0.3's wheel for x86-64, with OpenSSL 3.5.4. Each of aesni_xts_{128,256}_{encrypt,decrypt}_avx512 has an entry without
#   a single instruction of call frame information: by it, the CFA is rsp + 8 from the first byte to the last. The code pushes rbp,
#   takes rsp down and aligns it to 64 bytes at its beginning, and stays there for thousands of bytes.
# Why it matters: whoever believes the tables takes a word of the function's scratch room for its return address: wrong, and not missing.
#   A walk has to check that what it arrives at is code behind a call.
#
# Needs x86-64, python3 with pip, binutils.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

[ "$(uname -m)" = x86_64 ] || cannot "only known of x86-64"
for tool in nm readelf objdump; do command -v "$tool" >/dev/null || cannot "binutils is not installed"; done
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --target site \
    --implementation cp --python-version 3.13 --abi abi3 --platform manylinux_2_34_x86_64 cryptography==46.0.3 \
    >pip.log 2>&1 || { tail -n 3 pip.log >&2; cannot "cryptography 46.0.3 could not be installed"; }
library=$(echo site/cryptography/hazmat/bindings/_rust*.so)
readelf --debug-dump=frames "$library" >frames 2>readelf.log || cannot "readelf does not read its tables: $(head -n 1 readelf.log)"
nm "$library" >symbols

found=0
while read -r start _ name; do
    # What an entry says stands between its own line and the empty one behind it; `nop` fills it up.
    says=$(awk -v pc="pc=$start.." 'index($0, pc) { inside = 1; next } inside && !NF { exit } inside && $1 != "DW_CFA_nop"' frames)
    grep -q "pc=$start\.\." frames || changed "$name has no entry"
    objdump -d --no-show-raw-insn "--start-address=0x$start" "--stop-address=$((0x$start + 32))" "$library" >code
    takes=$(sed -nE 's/^ *[0-9a-f]+:\t(push +%rbp|sub +\$0x[0-9a-f]+,%rsp|and +\$0x[0-9a-f]+,%rsp) *$/\1/p' code | tr -s ' ' | paste -sd ';')
    echo "$name: its entry says: ${says:-nothing}; the code: $takes"
    [ -z "$says" ] || changed "the entry of $name says something"
    [ "$(grep -o ';' <<<"$takes" | wc -l)" = 2 ] || changed "$name makes no such frame"
    found=$((found + 1))
done < <(grep -E ' aesni_xts_(128|256)_(en|de)crypt_avx512$' symbols)
[ "$found" = 4 ] || changed "there are $found of these functions, not 4"
echo "As described: frames that the tables do not know of."
