#!/usr/bin/env bash
# process_vm_readv returns part of one element, which its manual says it does not.
#
# What one would guess: what the manual says (man-pages 6.03 and others): "Partial transfers apply at the granularity of iovec elements.
#   These system calls won't perform a partial transfer that splits a single iovec element."
# Seen: Linux 6.18, x86-64. One remote element of three pages, of which the last may not be read: the call returns two pages, not -1 with
#   EFAULT, and the two pages are filled in. With two elements of which the second is cut off, it returns the first and the part.
# Why it matters: profilers read other processes with this call. Who believes the manual takes any count above 0 for whole elements, and so
#   takes the rest of the buffer (zeros, or what the last call left there) for memory of the process; reading an object near the end of a
#   mapping is where it happens. Also the good news: one may ask for more than is needed, up to a string's end, and gets what there is.
#
# Needs python3 and apt-get (for the manual, the package manpages-dev; without it the call alone is tried). No root: it reads itself.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

if timeout 60 apt-get download manpages-dev >apt.log 2>&1; then
    dpkg-deb -x manpages-dev_*.deb manual
    echo "The manual, $(basename manpages-dev_*.deb .deb):"
    zcat manual/usr/share/man/man2/process_vm_readv.2.gz | sed -E "s/^\.[A-Z]+ //; s/\\\\(aq|\(aq)/'/g; s/\\\\-/-/g" | tr '\n' ' ' |
        grep -oE "Partial transfers apply[^.]*\. *These system calls won.t perform[^.]*\." || changed "the manual no longer says so"
else
    echo "(The package manpages-dev cannot be had here; its sentence is in the head of this script.)"
fi

cat >read_itself.py <<'END'
import ctypes
import errno
import os
import sys


class Element(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


PAGE = os.sysconf("SC_PAGESIZE")
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.process_vm_readv.restype = ctypes.c_ssize_t
libc.process_vm_readv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]

start = libc.mmap(None, 3 * PAGE, 3, 0x22, -1, 0)  # private, anonymous, to be read and written
ctypes.memset(start, ord("x"), 3 * PAGE)
assert libc.mprotect(start + 2 * PAGE, PAGE, 0) == 0


def read(*elements):
    buffer = ctypes.create_string_buffer(sum(length for _, length in elements))
    local = Element(ctypes.addressof(buffer), len(buffer))
    remote = (Element * len(elements))(*(Element(*element) for element in elements))
    count = libc.process_vm_readv(os.getpid(), ctypes.byref(local), 1, remote, len(elements), 0)
    if count < 0:
        error = ctypes.get_errno()
        print(f"  -1, {errno.errorcode[error]}")
        if error in (errno.ENOSYS, errno.EPERM):
            sys.exit(2)
    return count, bytes(buffer).count(b"x")


print(f"Linux {os.uname().release}, {os.uname().machine}, pages of {PAGE} bytes; the third page may not be read")
one = read((start, 3 * PAGE))
print(f"one element of {3 * PAGE} bytes: returned {one[0]}; {one[1]} bytes arrived")
two = read((start, 100), (start + PAGE, 2 * PAGE))
print(f"elements of 100 and {2 * PAGE} bytes: returned {two[0]}; {two[1]} bytes arrived")
sys.exit(0 if one == (2 * PAGE, 2 * PAGE) and two == (100 + PAGE, 100 + PAGE) else 1)
END
result=0
python3 read_itself.py || result=$?
[ "$result" != 2 ] || cannot "process_vm_readv is not allowed here"
[ "$result" = 0 ] || changed "an element is not split"
echo "As described: the call splits an element."
