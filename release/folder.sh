# The folder of a release, for the scripts that add packages to it.
#
# Sourced, after tests/support/parts.sh. The caller sets ROOT, the checkout. Does not: make anything.

# shellcheck shell=bash disable=SC2034

# What Debian and container images call the architectures.
declare -A DEBIAN_NAME=([x86_64]=amd64 [aarch64]=arm64)

# release_folder FOLDER: sets folder, its absolute path; version; and SOURCE_DATE_EPOCH, the time that all files of packages
# have, to the commit's unless it is set.
release_folder() {
    [ -d "$1" ] || die "$1 is not there: release/build makes it"
    folder=$(cd "$1" && pwd)
    version=$(crate_version)
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH
}

# built ARCH [ENDING]: what release/build wrote for an architecture: the binary, or the file of that ending.
built() {
    local file=$folder/fpprof-$version-linux-$1${2:-}
    [ -f "$file" ] || die "$file is not there: release/build makes it"
    printf '%s\n' "$file"
}

# from_archive ARCH FILE: prints a file of a release's archive.
from_archive() {
    local archive
    archive=$(built "$1" .tar.gz)
    tar -xOzf "$archive" "fpprof-$version-linux-$1/$2"
}
