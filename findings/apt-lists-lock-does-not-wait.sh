#!/usr/bin/env bash
# DPkg::Lock::Timeout makes apt-get install wait for another apt, but apt-get update fails at once all the same.
#
# What one would guess: `-o DPkg::Lock::Timeout=60` makes apt-get wait up to 60 s whenever another apt or dpkg is at work; -1 without end.
# Seen: apt 2.6.1 (Debian 12). While another process holds the lock of the lists' folder, `apt-get update` with a time-out of 6 s ends after
#   0.03 s with status 100, "Could not get lock …/lock. It is held by process N". The time-out is for dpkg's own locks.
# Why it matters: tests and installers of a profiler run on fresh machines and runners, where a timer fetches the lists just then. The pair
#   `apt-get update && apt-get install` with the time-out for both still fails now and then, in the step that seemed safe; update needs a
#   loop of its own.
#
# Needs apt-get (the one of the system, its lists' folder being a new one) and python3. No root, no network.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

command -v apt-get >/dev/null || cannot "no apt-get"
apt-get --version | sed -n 1p
mkdir -p lists/partial cache/archives/partial
update() {
    timeout 60 apt-get update -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o Dir::Etc::sourcelist=/dev/null \
        -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User= -o DPkg::Lock::Timeout=6 >update.log 2>&1
}
update || { cat update.log >&2; cannot "apt-get update fails without the lock, too"; }

cat >hold.py <<'END'
import fcntl
import time

with open("lists/lock", "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    open("held", "w").close()
    time.sleep(40)
END
python3 hold.py &
holder=$!
for _ in {1..50}; do
    [ -e held ] && break
    sleep 0.1
done
[ -e held ] || cannot "the lock could not be taken"
start=$(date +%s%3N)
status=0
update || status=$?
took=$(($(date +%s%3N) - start))
kill "$holder"
wait "$holder" 2>/dev/null || true
echo "apt-get update with DPkg::Lock::Timeout=6, the lists' lock being held: status $status after $took ms:"
sed "s|$folder|…|" update.log | grep '^E:' || true

[ "$status" != 0 ] || changed "apt-get update succeeds"
grep -q 'Could not get lock' update.log || changed "it fails for another reason"
[ "$took" -lt 5000 ] || changed "it waits"
echo "As described: no waiting for the lists' lock."
