#!/usr/bin/env bash
# OpenSSL's AES tells where its frames are by registers that a call may change, across calls.
#
# What one would guess: behind a call, unwind tables name the frame by rsp or by a register that callees keep (rbx, rbp, r12 to r15): of
#   rax, rcx, rdx, rsi, rdi and r8 to r11 an unwinder does not know what they were, for the ABI lets every callee change them.
# Seen: cryptography 46.0.3's wheel for x86-64 (OpenSSL 3.5.4 is linked in; other builds have the same assembly). The CFA of aesni_gcm_encrypt
#   and _decrypt is rax + 8, that of aesni_ctr32_encrypt_blocks, aesni_xts_encrypt and _decrypt, and aesni_cbc_encrypt r11 + 8, nearly from their
#   beginnings to their ends, with 21 calls in between. The assembly's own helpers keep those registers, which no table says.
# Why it matters: that is where programs are that talk TLS. An unwinder that forgets such registers at a call, as the ABI has it, has no way
#   out of _aesni_ctr32_ghash_6x; one that knows rsp and rbp only, as those that run in the kernel, is lost in all of the function.
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
for tool in readelf objdump; do command -v "$tool" >/dev/null || cannot "binutils is not installed"; done
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --target site \
    --implementation cp --python-version 3.13 --abi abi3 --platform manylinux_2_34_x86_64 cryptography==46.0.3 \
    >pip.log 2>&1 || { tail -n 3 pip.log >&2; cannot "cryptography 46.0.3 could not be installed"; }
library=$(echo site/cryptography/hazmat/bindings/_rust*.so)
readelf --debug-dump=frames-interp "$library" >frames 2>readelf.log || cannot "readelf does not read its tables: $(head -n 1 readelf.log)"

# START END REGISTER of each piece of code whose CFA is by such a register, in bytes that awk and the shell both read as decimal.
python3 - >pieces <<'PYTHON'
import re
rows, end = [], 0
for line in open("frames"):
    if found := re.search(r"FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line):
        end = int(found[2], 16)
    elif found := re.match(r"([0-9a-f]{8,16})\s+(\w+)", line):
        rows.append((int(found[1], 16), end, found[2]))
for (start, end, register), after in zip(rows, rows[1:] + [(0, 0, "")]):
    if register in ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"):
        print(start, after[0] if after[1] == end else end, register)
PYTHON
calls=0
while read -r start end register; do
    objdump -d --no-show-raw-insn "--start-address=$start" "--stop-address=$end" "$library" >code
    here=$(grep -cE '	call ' code || true)
    [ "$here" = 0 ] || echo "$(sed -n 's/^[0-9a-f]* <\(.*\)>:$/\1/p' code): CFA by $register across $here calls"
    calls=$((calls + here))
done <pieces
echo "$calls calls in all"
[ "$calls" = 21 ] || changed "there are $calls such calls, not 21"
echo "As described: the tables name frames by registers that the calls in them may change."
