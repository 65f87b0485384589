#!/usr/bin/env bash
# podman-compose hands `pid: service:NAME` to podman as it is, though it resolves `network_mode: service:NAME`.
#
# What one would guess: in a Compose file `pid: "service:app"` puts a container into the process namespace of another service, as
#   Docker Compose does since 2017 (docker/compose, pull request 4930); and where `network_mode: "service:app"` is understood, so is `pid`.
# Seen: podman-compose 1.6.0. network_mode becomes `--network=container:…_app_1`; pid stays `--pid service:app`, which is a mode that only
#   Compose knows; podman itself knows `container:NAME`. Neither `config` nor the start says anything about it.
# Why it matters: a sidecar with the target's process namespace is the usual way to profile a container from without, and the documented
#   file for Docker Compose does not carry over. With podman-compose one names the container: `pid: "container:PROJECT_app_1"`.
#
# Needs python3 (>= 3.11) with venv. No podman: in place of it is a script that writes down its arguments.
# Ends with 0: as described; 1: the behaviour has changed; 2: could not be set up here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cannot() { echo "CANNOT RUN: $*" >&2; exit 2; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
cd "$folder"

{ python3 -m venv venv && venv/bin/pip install --disable-pip-version-check podman-compose==1.6.0; } >pip.log 2>&1 ||
    { tail -n 3 pip.log >&2; cannot "podman-compose 1.6.0 could not be installed"; }

mkdir shop
cat >shop/compose.yaml <<'END'
services:
  app:
    image: docker.io/library/debian:12
    command: sleep 60
  profiler:
    image: docker.io/library/debian:12
    command: ps
    depends_on: [app]
    network_mode: service:app
    pid: service:app
END
cat >podman <<'END'
#!/bin/sh
case "$*" in
*--version*) echo "podman version 5.4.2" ;;
"ps "*) echo "[]" ;;
*create*) echo "$*" >>"$WRITTEN_DOWN" ;;
esac
END
chmod +x podman
export WRITTEN_DOWN="$folder/arguments"
(cd shop && timeout 60 ../venv/bin/podman-compose --in-pod false --podman-path "$folder/podman" up -d) >up.log 2>&1 ||
    { tail -n 3 up.log >&2; cannot "podman-compose did not get along with the script in place of podman"; }
grep -e '--name=shop_profiler_1' arguments >profiler || changed "podman is not asked for a container named shop_profiler_1"
echo "podman-compose 1.6.0 has podman create the service profiler with:"
grep -oE -e '--(network|net|pid)[ =][^ ]*' profiler
echo "what podman-compose said of it:"
grep -iE 'pid|warn|unsupported' up.log || echo "  (nothing)"

grep -qE -e '--(network|net)[ =]container:' profiler || changed "network_mode is not resolved"
grep -qE -e '--pid[ =]service:app' profiler || changed "pid is not passed on as it is"
echo "As described: the network's is resolved, the processes' is not."
