#!/usr/bin/env bash
# Since glibc 2.42 the guard page of a thread's stack does not show in /proc/PID/maps, and the stack's mapping cannot be read whole.
#
# What one would guess: below a thread's stack there is a mapping of its own that nobody may touch (`---p`), as it has been for decades; and
#   what maps calls `rw-p` can be read from its first to its last byte, so that a profiler or a dumper copies it with one call.
# Seen: Debian sid's glibc 2.43-7 beside Debian 12's 2.36, Linux 6.18, x86-64, the same program. With 2.36 the stack has 8192 KiB, a `---p`
#   mapping of a page below it, and process_vm_readv reads all of it. With 2.43 the mapping is `rw-p` and has 8196 KiB: its first page is the
#   guard, made by madvise(MADV_GUARD_INSTALL) (Linux 6.13), which leaves no trace in maps. process_vm_readv of the mapping reads nothing
#   (EFAULT), of all but its first page everything. smaps tells no more than maps.
# Why it matters: who copies "all readable mappings" loses every thread's stack and keeps the rest; who takes the `---p` mapping for the sign
#   of a thread's stack finds none; and a stack's size by maps is a page too large.
#
# Needs python3, gcc, dpkg-deb, xz, and Debian's apt-get (whose mirror it uses; glibc's version is that of sid), Linux 6.13 or later.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

architecture=$(dpkg --print-architecture) || cannot "this is not Debian"
kernel=$(uname -r)
[ "$(printf '%s\n' 6.13 "$kernel" | sort -V | sed -n 1p)" = 6.13 ] || cannot "Linux $kernel has no MADV_GUARD_INSTALL"

cat >get.py <<'END'
import lzma
import sys
import urllib.request

mirror, architecture = sys.argv[1:]
index = urllib.request.urlopen(f"{mirror}/dists/sid/main/binary-{architecture}/Packages.xz", timeout=120).read()
for package in lzma.decompress(index).decode().split("\n\n"):
    fields = dict(line.split(": ", 1) for line in package.splitlines() if ": " in line and line[0] != " ")
    if fields.get("Package") == "libc6":
        open("libc6.deb", "wb").write(urllib.request.urlopen(f"{mirror}/{fields['Filename']}", timeout=120).read())
        print(fields["Version"])
END
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | sed -n 1p)
mirror=${mirror%/}
version=$(python3 get.py "$mirror" "$architecture" 2>get.log) || { tail -n 1 get.log >&2; cannot "sid's libc6 could not be downloaded"; }
dpkg-deb -x libc6.deb root
loader=$(find root -name 'ld-linux-*.so.*' ! -type l -print | sed -n 1p)
[ -n "$loader" ] || cannot "the package has no loader"

cat >guard.c <<'END'
#define _GNU_SOURCE
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* How many bytes of a range of this process can be read with one call. */
static long readable(unsigned long start, size_t length, char *into) {
    struct iovec local = {into, length}, remote = {(void *)start, length};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static void *thread(void *unused) {
    unsigned long here = (unsigned long)&unused, start, end, start_below = 0, end_below = 0;
    char line[512], access[8], below[8] = "";
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) && sscanf(line, "%lx-%lx %7s", &start, &end, access) == 3 && !(start <= here && here < end))
        start_below = start, end_below = end, snprintf(below, sizeof below, "%s", access);
    fclose(maps);
    size_t length = end - start, page = sysconf(_SC_PAGESIZE);
    char *into = malloc(length);
    long whole = readable(start, length, into), rest = readable(start + page, length - page, into);
    int is_apart = end_below == start && below[0] == '-' && end_below - start_below == page;
    printf("glibc %s: the stack's mapping is %s and has %zu KiB; guard page below it: %s; read whole: %s; without its first page: %s\n",
           gnu_get_libc_version(), access, length >> 10, is_apart ? below : "none in maps",
           whole == (long)length ? "all" : whole < 0 ? "nothing" : "a part", rest == (long)(length - page) ? "all" : "not all");
    return NULL;
}

int main(void) {
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    return pthread_join(other, NULL);
}
END
gcc -Wall -o guard guard.c -pthread 2>gcc.log || { tail -n 3 gcc.log >&2; cannot "gcc could not compile the program"; }

echo "libc6 $version, Linux $kernel:"
./guard | tee here.txt
"$loader" --library-path "$(dirname "$loader"):$(dirname "$(find root -name libc.so.6 -print | sed -n 1p)")" ./guard | tee sid.txt
grep -q 'guard page below it: none in maps; read whole: nothing; without its first page: all' sid.txt ||
    changed "sid's glibc makes its guard pages in another way"
echo "As described: a mapping that says rw-p, and whose first page cannot be read."
