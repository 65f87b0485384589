# The cross-compiler and the emulated machine, for the scripts beside this file.
#
# Sourced, after tests/support/parts.sh. The caller sets ROOT, the checkout, and HERE, this folder. Does not: decide what is
# built or run.

CACHE=${FPPROF_TEST_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/fpprof}
TARGET=aarch64-unknown-linux-gnu
# The names that cargo takes it under.
CARGO_KEY=CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU
# Of its own: what two compilers make must not mix.
export CARGO_TARGET_DIR=$CACHE/arm64-target CARGO_TERM_COLOR=never
BUILT=$CARGO_TARGET_DIR/$TARGET/debug
# Where the checkout is copied to be built: always the same folder, so that what has not changed since the last time, wherever
# that was checked out, is not compiled again.
SOURCES=$CACHE/arm64-sources
# Emulation is slow: the little optimisation that costs no time to speak of pays.
export CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_TEST_DEBUG=line-tables-only \
    CARGO_PROFILE_DEV_DEBUG=line-tables-only

# `impdef`: a quick algorithm for the signatures, without which a boot takes four times as long.
declare -A CPUS=([signing]="max,lpa2=off,pauth-impdef=on,sve=off,sme=off" [plain]="cortex-a72")
# What protects a kernel from its programs is of no use here. Page tables of its own (kpti) make a system call take twelve times as
# long, for the emulator forgets all translations at each change of tables. It knows translated code by its address: with random
# addresses, each program would be translated anew each time that it starts. Branch targets that are checked (BTI) cost a tenth.
KERNEL_ARGUMENTS="mitigations=off kpti=off init_on_alloc=0 norandmaps arm64.nobti"

# A machine says which test has ended, and which has been running for a minute.
SILENCE_SECONDS=600

# sources: brings the copy up to date. Files that have not changed keep their times, by which cargo goes.
sources() {
    mkdir -p "$SOURCES"
    # One run at a time.
    exec 8>"$CACHE/.arm64-sources.lock"
    flock 8
    rsync --recursive --links --perms --checksum --delete --exclude=/.git --exclude=/target --exclude=/fuzz/target \
        --exclude=/fuzz/corpus "$ROOT/" "$SOURCES/"
}

# cross ARGUMENTS...: cargo on the copy, for arm64.
cross() {
    env --chdir="$SOURCES" RUSTC=/usr/bin/rustc "${CARGO_KEY}_LINKER=aarch64-linux-gnu-gcc" \
        "${CARGO_KEY}_RUSTFLAGS=-L $CACHE/arm64-std/usr/lib/rustlib/$TARGET/lib" \
        "${CARGO_KEY}_RUNNER=qemu-aarch64-static -L /usr/aarch64-linux-gnu" cargo "$@"
}

# payload FOLDER SCRIPT: what the machine gets in any case: its first process, SCRIPT as what it runs, the binary, the
# checkout's files, and what the tests import, where tests/support looks for them.
payload() {
    local folder=$1
    mkdir -p "$folder$SOURCES" "$folder$BUILT" "$folder$CARGO_TARGET_DIR/$TARGET/tmp" "$folder/fpprof" \
        "$folder/usr/lib/debug"
    install -m 755 "$HERE/init" "$folder/init"
    install -m 755 "$2" "$folder/run-tests"
    install -m 755 "$BUILT/fpprof" "$folder$BUILT/fpprof"
    # The machine's root is the sid root.
    ln -s / "$folder/fpprof/sid"
    cp -a "$CACHE/arm64-symbols/." "$folder/usr/lib/debug/"
    ln -s /opt/fpprof/numpy /opt/fpprof/built "$folder/fpprof/"
    ln -s /usr/lib/debug "$folder/fpprof/symbols"
    cp -a "$CACHE/arm64-extension" "$folder/fpprof/extension"
    (cd "$SOURCES" && tar -cf - Cargo.toml src tests bench examples docs) | tar -xf - -C "$folder$SOURCES"
}

# initrd FOLDER FILE: the machine's root file system with FOLDER laid over it.
initrd() {
    (cd "$1" && find . -print0 | cpio --quiet --null -o -H newc -R 0:0) >"$2.payload"
    cat "$CACHE/arm64-machine/root.cpio" "$2.payload" >"$2"
    rm "$2.payload"
}

# boot CPU INITRD FOLDER SECONDS: runs the machine, at most so long; what it said is in FOLDER/log, its exit status in
# FOLDER/status (empty when it has died), its results in FOLDER/results.tar. Ends a machine that says nothing for SILENCE_SECONDS.
boot() {
    local out=$3 machine said=0 since=$SECONDS now
    mkdir -p "$out"
    timeout --kill-after=10 "$4" qemu-system-aarch64 -M virt,gic-version=3 -cpu "${CPUS[$1]}" -smp 2 -m 4096 \
        -accel tcg,thread=multi -kernel "$CACHE/arm64-machine/kernel" -initrd "$2" \
        -append "console=ttyAMA0 panic=-1 quiet rdinit=/init fpprof.cpu=$1 $KERNEL_ARGUMENTS" \
        -nographic -no-reboot -nic none -device virtio-serial-pci \
        -chardev "file,id=log,path=$out/log" -device virtserialport,chardev=log,name=log \
        -chardev "file,id=results,path=$out/results.tar" -device virtserialport,chardev=results,name=results \
        -chardev "file,id=status,path=$out/status" -device virtserialport,chardev=status,name=status \
        </dev/null >"$out/console" 2>&1 &
    machine=$!
    while kill -0 "$machine" 2>/dev/null; do
        sleep 1
        now=$(stat -c %s "$out/log" 2>/dev/null || echo 0)
        [ "$now" = "$said" ] || { said=$now since=$SECONDS; }
        if [ $((SECONDS - since)) -gt "$SILENCE_SECONDS" ]; then
            echo "the machine has said nothing for $SILENCE_SECONDS s" >>"$out/console"
            kill "$machine" 2>/dev/null || true
            break
        fi
    done
    wait "$machine" || true
}
