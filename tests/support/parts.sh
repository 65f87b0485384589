# What the scripts share that set up what the tests need: messages, and parts that are made once and kept.
#
# Sourced. The caller sets CACHE, the folder that the parts are kept in, TESTS, the folder of the tests, and PYENV.
# Every part is built aside and moved into place when it is complete, and carries a stamp with the hash of what it
# was made from: an interrupted or outdated part is made again, a complete one is left alone.

say() { printf '%s: %s\n' "$0" "$*" >&2; }
die() { printf '%s: error: %s\n' "$0" "$*" >&2; exit 1; }

# crate_version: the version that Cargo.toml states.
crate_version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../../Cargo.toml" | sed -n 1p; }

# stamped FOLDER WORDS...: whether FOLDER is complete and was made from exactly WORDS.
stamped() { [ -e "$1/.fpprof-stamp" ] && [ "$(cat "$1/.fpprof-stamp")" = "$(stamp "${@:2}")" ]; }
stamp() { printf '%s\n' "$@" | sha256sum | cut -d' ' -f1; }

# into_place NEW FOLDER WORDS...: stamps NEW and makes it FOLDER; what was there before goes.
into_place() {
    local new=$1 folder=$2 old=
    stamp "${@:3}" >"$new/.fpprof-stamp"
    mkdir -p "$(dirname "$folder")"
    if [ -e "$folder" ]; then
        old=$(mktemp -d "$CACHE/.old.XXXXXX")
        mv -T "$folder" "$old/it"
    fi
    mv -T "$new" "$folder"
    [ -z "$old" ] || rm -rf --one-file-system "$old"
}

# How long another run of the package manager may take: a machine's own updates do, after its start.
PACKAGE_MANAGER_PATIENCE=600

# package_lists: brings apt's lists up to date. DPkg::Lock::Timeout does not wait for the lists' own lock (apt 2.6), so this does.
package_lists() {
    local since=$SECONDS said
    while ! said=$(LC_ALL=C apt-get update -qq 2>&1 </dev/null); do
        grep -q 'Could not get lock' <<<"$said" && [ $((SECONDS - since)) -lt "$PACKAGE_MANAGER_PATIENCE" ] ||
            die "apt-get update failed: $said"
        sleep 2
    done
}

# host_packages NAMES...: installs those that are missing. Waits for its turn where the package manager is at work.
host_packages() {
    local package missing=()
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} != 0 ] || return 0
    say "installing ${missing[*]}"
    package_lists
    DEBIAN_FRONTEND=noninteractive apt-get install -o DPkg::Lock::Timeout="$PACKAGE_MANAGER_PATIENCE" -y -qq \
        --no-install-recommends "${missing[@]}" >&2 </dev/null
}

# The mirror that this machine's own apt uses for Debian itself, whatever form its sources have.
debian_mirror() {
    # shellcheck disable=SC2016
    local all
    all=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null)
    # Before the first `apt-get update` apt knows no Origin: the first source that is not for security updates.
    # shellcheck disable=SC2016
    [ -n "$all" ] || all=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security)
    sed -n 1p <<<"$all"
}

# For each version of CPython the newest NumPy that has a wheel for it.
declare -A NUMPY=([3.11]=2.4.6 [3.12]=2.5.5 [3.13]=2.5.5 [3.14]=2.5.5 [3.15]=2.5.5)

# numpy_wheel PYTHON PLATFORM FOLDER: NumPy for that version of CPython, unpacked.
numpy_wheel() {
    local new version=${NUMPY[$1]}
    ! stamped "$3" "$version" || return 0
    say "unpacking NumPy $version for CPython $1, $2"
    new=$(mktemp -d "$CACHE/.numpy.XXXXXX")
    "$(pyenv_prefix 3.13)/bin/python3.13" -m pip install --quiet --disable-pip-version-check \
        --root-user-action=ignore --target "$new" --no-deps --only-binary=:all: --python-version "$1" \
        --platform "$2" "numpy==$version" >&2
    # A quarter of it.
    find "$new" -type d -name tests -prune -exec rm -rf --one-file-system '{}' +
    into_place "$new" "$3" "$version"
}

# The newest pyenv CPython of a minor version, as a folder.
pyenv_prefix() {
    find "$PYENV/versions" -maxdepth 1 -name "$1.*" -exec test -x '{}/bin/python'"$1" ';' -print 2>/dev/null |
        sort -V | tail -1
}

# extension COMPILER FOLDER: the tests' own extension module, built three ways (see tests/extension).
#
# It is written against the stable ABI of 3.11: one build serves all tested interpreters of an architecture, and one that is
# made on this machine runs in the sid root, whose libc is newer. The headers are the same for x86-64 and arm64.
extension() {
    local compiler=$1 folder=$2 source=$TESTS/extension/fpext.c include new
    include=$(pyenv_prefix 3.11)/include/python3.11
    local inputs=("$(sha256sum <"$source")" "$include" "$("$compiler" --version | sed -n 1p)" "$(declare -f extension)")
    ! stamped "$folder" "${inputs[@]}" || return 0
    say "building the tests' extension module in $folder"
    new=$(mktemp -d "$CACHE/.extension.XXXXXX")
    build() { # NAME FLAG
        "$compiler" -std=c11 -O2 -g -Wall -Wextra -Werror -fPIC -shared "$2" -I "$include" -D "FPEXT_NAME=$1" \
            -o "$new/$1.abi3.so" "$source"
    }
    build fpext_fp -fno-omit-frame-pointer
    build fpext_nofp -fomit-frame-pointer
    build fpext_stripped -fomit-frame-pointer
    "${compiler%gcc}strip" --strip-all "$new/fpext_stripped.abi3.so"
    chmod 755 "$new"
    into_place "$new" "$folder" "${inputs[@]}"
}
