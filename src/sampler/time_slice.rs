//! How soon the kernel lets the sampling thread run when it wakes on a CPU that the target keeps busy.
//!
//! Does: ask for short time slices, once. All of this folder's `unsafe`.
//! Does not: ask for a priority or for a CPU: a thread with short slices gets no more of a CPU than its share
//! (Linux, Documentation/scheduler/sched-eevdf.rst).

use nix::errno::Errno;

use crate::types::Nanos;

/// The shortest slice that the kernel grants.
const SLICE: u64 = 100_000;

/// Asks for short time slices for the calling thread, and gives those that the kernel has granted: 0 before Linux 6.12,
/// whose slices are of one length for all.
///
/// Without it a sample waits, with the usual slice, for up to 3 ms where the target runs on the CPU that the sampling
/// thread wakes on; and the target, let go after its stop there, runs on at once, for as long, before the sample is
/// finished. The ticks that pass meanwhile are ticks of running threads: their share of the samples would be too small.
///
/// # Errors
/// When a sandbox forbids the calls.
pub fn shorten() -> Result<Nanos, Errno> {
    let mut attributes = own_attributes()?;
    // Of the other policies the field is no slice; who gave such a one to fpprof wants it.
    if [libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(attributes.sched_policy as libc::c_int)) {
        attributes.sched_runtime = SLICE;
        // Not for a program that fpprof starts.
        attributes.sched_flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
        // SAFETY: `attributes` is a whole `sched_attr`, whose first field tells its size; the kernel only reads it.
        call(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })?;
    }
    own_attributes().map(|granted| Nanos(granted.sched_runtime))
}

fn own_attributes() -> Result<libc::sched_attr, Errno> {
    let size = size_of::<libc::sched_attr>();
    let mut attributes = libc::sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` bytes to `attributes`, which has as many.
    call(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) })?;
    Ok(attributes)
}

fn call(result: libc::c_long) -> Result<(), Errno> {
    Errno::result(result).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slice_of_this_thread_changes() {
        let others = || own_attributes().unwrap();
        let before = others();
        let (shortened, after) = std::thread::spawn(|| (shorten().unwrap(), own_attributes().unwrap())).join().unwrap();
        // A kernel that has slices tells those of every thread.
        let wanted = if before.sched_runtime == 0 { 0 } else { SLICE };
        assert_eq!((shortened, after.sched_runtime), (Nanos(wanted), wanted));
        assert_eq!((after.sched_policy, after.sched_nice), (before.sched_policy, before.sched_nice));
        assert_eq!(others().sched_runtime, before.sched_runtime, "other threads keep theirs");
    }
}
