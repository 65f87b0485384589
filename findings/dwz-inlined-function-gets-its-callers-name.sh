#!/usr/bin/env bash
# After `dwz -m`, GNU addr2line gives an inlined function its caller's name, and llvm-symbolizer gives it none.
#
# What one would guess: dwz makes debug information smaller and changes nothing of what it says, and tools that do not know its format
#   complain.
# Seen: binutils 2.40, llvm-symbolizer 14.0.6, elfutils 0.188, dwz 0.15 (Debian 12). `dwz -m` moves what two files have in common into a third
#   one, here the function `inlined`, and leaves references to it (DW_FORM_GNU_ref_alt). For an address in `inlined`, inlined into `first`:
#     before   all three tools: inlined, then first
#     after    addr2line -fi: first (!), then first; llvm-symbolizer: ??, then first; eu-addr2line: inlined, then first
#   No tool prints a warning, and file and line stay right.
# Why it matters: distributions' debug packages can be made so (see /usr/lib/debug/.dwz), and profilers call these tools, or libraries of the
#   same kind, for names. A function that is called once then looks recursive, under a name that belongs to another line; a reader of DWARF
#   has to follow .gnu_debugaltlink, or has to leave such a name open rather than take the next one at hand.
#
# Needs gcc and Debian's or Ubuntu's apt-get (downloads some 60 MB; the versions are those of the release at hand).
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

command -v gcc >/dev/null || cannot "no gcc"
command -v addr2line >/dev/null || cannot "no addr2line (binutils)"
llvm=$(apt-cache depends llvm 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^llvm-[0-9]+$/ && !found++ { print $2 }')
[ -n "$llvm" ] || cannot "apt knows no package llvm"
library=$(apt-cache depends "$llvm" | awk '$1 == "Depends:" && $2 ~ /^libllvm/ && !found++ { print $2 }')
# shellcheck disable=SC2046,SC2086 # lists of names
timeout 100 apt-get download dwz "$llvm" $library elfutils $(apt-cache depends elfutils $library |
    awk '$1 == "Depends:" && $2 ~ /^lib(dw|elf|asm|debuginfod|edit|bsd|md|xml2|z3|icu)/ { print $2 }' | sort -u) >apt.log 2>&1 ||
    { tail -n 3 apt.log >&2; cannot "dwz, llvm and elfutils could not be downloaded"; }
for package in *.deb; do dpkg-deb -x "$package" root; done
llvm=$(echo "$folder"/root/usr/lib/llvm-*)
LD_LIBRARY_PATH="$folder/root/usr/lib/$(gcc -print-multiarch):$llvm/lib"
export LD_LIBRARY_PATH

cat >shared.c <<'END'
static inline __attribute__((always_inline)) int inlined(int number)
{
    volatile int kept = number;
    return kept * 3;
}

struct node { int number; struct node *next; char name[100]; };
END
for name in first second; do
    printf '#include "shared.c"\n\nint %s(struct node *node)\n{\n    return inlined(node->number) + 1;\n}\n' "$name" >"$name.c"
    gcc -g -O1 -shared -fPIC -o "before-$name.so" "$name.c" || cannot "gcc failed"
    cp "before-$name.so" "after-$name.so"
done
root/usr/bin/dwz -m common.dwz after-first.so after-second.so || cannot "dwz failed"

# The first address within `first` that belongs to `inlined`, by the debug information that dwz has not touched.
start=$((16#$(nm before-first.so | awk '$3 == "first" { print $1 }')))
address=
for ((offset = 0; offset < 32; offset++)); do
    candidate=$(printf '0x%x' $((start + offset)))
    [ "$(addr2line -f -e before-first.so "$candidate" | sed -n 1p)" = inlined ] && address=$candidate && break
done
[ -n "$address" ] || cannot "gcc left no instruction of the inlined function"

names() { # TOOL FILE: names of functions, from the innermost, in one line
    case $1 in
    addr2line) addr2line -f -i -e "$2" "$address" | awk 'NR % 2' ;;
    llvm-symbolizer) "$llvm/bin/llvm-symbolizer" -e "$2" "$address" | awk 'NF && (NR % 2)' ;;
    eu-addr2line) root/usr/bin/eu-addr2line -f -i -e "$2" "$address" | awk 'NR % 2 { print $1 }' ;;
    esac | paste -s -d ' '
}
addr2line --version | sed -n 1p
"$llvm/bin/llvm-symbolizer" --version | grep -i version
root/usr/bin/eu-addr2line --version | sed -n 1p
for tool in addr2line llvm-symbolizer eu-addr2line; do
    for file in before after; do
        names "$tool" "$file-first.so" >"$tool-$file"
        echo "$tool, $file dwz -m: $(cat "$tool-$file")"
    done
    [ "$(cat "$tool-before")" = "inlined first" ] || changed "$tool does not name the functions before dwz either"
done

[ "$(cat eu-addr2line-after)" = "inlined first" ] || changed "eu-addr2line does not follow the reference"
[ "$(cat addr2line-after)" = "first first" ] || changed "addr2line does not take the caller's name"
[ "$(cat llvm-symbolizer-after)" = "?? first" ] || changed "llvm-symbolizer does not leave the name open"
echo "As described: three tools, three answers."
