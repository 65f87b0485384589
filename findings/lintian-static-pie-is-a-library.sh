#!/usr/bin/env bash
# lintian takes a static-pie program for a shared library that lacks its prerequisites, and does not see that it is linked statically.
#
# What one would guess: the check for statically linked programs finds all of them, and a program in /usr/bin is judged as a program.
# Seen: lintian 2.116.3 (Debian 12). The same C program, in a package as /usr/bin/hello:
#     gcc -static        E: statically-linked-binary
#     gcc -static-pie    W: shared-library-lacks-prerequisites, and no statically-linked-binary
# Why it matters: static-pie is what Rust makes of a program for musl by default, so a profiler that is packed as one such file gets a warning
#   of which the text (a library that should name what it needs) explains nothing, and an override has to be for that other tag. Whoever
#   relies on the check to find programs that carry their own copies of libraries does not find these. Whoever tells programs from libraries
#   by the ELF type (DYN for both) falls into the same trap; DF_1_PIE in the dynamic section tells them apart.
#
# Needs gcc with a static C library (libc6-dev), perl, and Debian's or Ubuntu's apt-get (downloads some 80 small packages; the versions are
# those of the release at hand).
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

command -v gcc readelf >/dev/null || cannot "no gcc or no readelf"
touch nothing-installed
packages=$(apt-get install -s --no-install-recommends -o Dir::State::status="$folder/nothing-installed" lintian 2>/dev/null |
    awk '$1 == "Inst" && $2 ~ /^(lintian|lib.*-perl|diffstat|patchutils|t1utils|libyaml-0-2|libmarkdown2|libxml2)$/ { print $2 }')
[ -n "$packages" ] || cannot "apt knows no package lintian"
# shellcheck disable=SC2086 # a list of names
timeout 100 apt-get download $packages >apt.log 2>&1 || { tail -n 3 apt.log >&2; cannot "lintian and its modules could not be downloaded"; }
for package in *.deb; do dpkg-deb -x "$package" root; done
modules=$(find "$folder"/root/usr/share/perl5 "$folder"/root/usr/lib/*/perl5/* -maxdepth 0 | paste -s -d :)
export PERL5LIB="$modules" LINTIAN_BASE="$folder/root/usr/share/lintian" PATH="$PATH:$folder/root/usr/bin"
LD_LIBRARY_PATH="$folder/root/usr/lib/$(gcc -print-multiarch)"
export LD_LIBRARY_PATH
lintian() { perl "$folder/root/usr/bin/lintian" --allow-root "$@"; }
lintian --version || cannot "lintian does not start"

echo 'int main(void) { return 0; }' >hello.c
for kind in static static-pie; do
    mkdir -p "$kind/DEBIAN" "$kind/usr/bin"
    gcc -O1 "-$kind" -s -o "$kind/usr/bin/hello" hello.c || cannot "gcc -$kind failed"
    printf '%s\n' "Package: hello" "Version: 1.0" "Architecture: $(dpkg --print-architecture)" \
        "Maintainer: Nobody <nobody@example.org>" "Description: says nothing" " It ends at once." >"$kind/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$kind" "$kind.deb" >/dev/null
    lintian "$kind.deb" >"$kind.log" 2>&1 || true
    echo "gcc -$kind ($(readelf -h "$kind/usr/bin/hello" | awk '$1 == "Type:" { print $2 }')):"
    grep -E 'statically-linked|prerequisites' "$kind.log" || echo "  (nothing on how it is linked)"
done

grep -q 'statically-linked-binary' static.log || changed "a static program is not found"
grep -q 'shared-library-lacks-prerequisites' static-pie.log || changed "a static-pie program is not taken for a library"
! grep -q 'statically-linked-binary' static-pie.log || changed "a static-pie program is found"
echo "As described: the one is a program, the other a library."
