//! How soon the kernel lets the sampling thread run when it wakes on a full machine.
//!
//! Does: ask for the turn before all threads without a priority, or else for short time slices, for as long as it samples. All of this
//! folder's `unsafe`.
//! Does not: ask for a CPU, or keep what it has got for work that can wait.

use nix::errno::Errno;

/// The shortest slice that the kernel grants.
const SLICE: u64 = 100_000;

/// The lowest of the priorities that go before all threads without one (sched(7)).
const PRIORITY: u32 = 1;

/// What the sampling thread had before it began, and has again when this is dropped.
#[derive(Debug)]
pub struct Precedence {
    before: libc::sched_attr,
    goes_first: bool,
}

impl Precedence {
    /// Asks for the turn before all threads without a priority; where that is not allowed (it takes CAP_SYS_NICE, or a limit,
    /// RLIMIT_RTPRIO), for short time slices, which the kernel grants since Linux 6.12.
    ///
    /// A thread of the target that has come to its stop stands still until the sampling thread has a CPU: on a full machine, without
    /// this, one time in fifty for some milliseconds, until the slice of another has ended; and a moment at which one has ended is no
    /// fair draw of where the target computes (`capture/placement.rs`). What it takes of the CPUs is bounded by the limits of a
    /// recording, and by the kernel (sched_rt_runtime_us, sched(7)).
    ///
    /// # Errors
    /// When a sandbox forbids the calls.
    pub fn ask() -> Result<Precedence, Errno> {
        let before = own_attributes()?;
        let has_one_of = |policies: &[libc::c_int]| policies.contains(&before.sched_policy.cast_signed());
        let mut goes_first = has_one_of(&[libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE]);
        // Who gave another policy or a priority to fpprof wants it.
        if has_one_of(&[libc::SCHED_OTHER, libc::SCHED_BATCH]) {
            // Neither is for a program that fpprof starts.
            let flags = before.sched_flags | libc::SCHED_FLAG_RESET_ON_FORK as u64;
            let first = libc::sched_attr {
                sched_policy: libc::SCHED_FIFO.cast_unsigned(),
                sched_priority: PRIORITY,
                sched_nice: 0,
                sched_runtime: 0,
                sched_flags: flags,
                ..before
            };
            goes_first = set_attributes(first).is_ok();
            if !goes_first {
                set_attributes(libc::sched_attr { sched_runtime: SLICE, sched_flags: flags, ..before })?;
            }
        }
        Ok(Precedence { before, goes_first })
    }

    /// Whether the sampling thread goes before all threads without a priority.
    pub fn goes_first(&self) -> bool {
        self.goes_first
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        // What a thread may have it may also have again, but for the flag that only privilege can take away (sched(7)).
        let kept = self.before.sched_flags | libc::SCHED_FLAG_RESET_ON_FORK as u64;
        let _ = set_attributes(self.before)
            .or_else(|_| set_attributes(libc::sched_attr { sched_flags: kept, ..self.before }));
    }
}

fn set_attributes(attributes: libc::sched_attr) -> Result<(), Errno> {
    // SAFETY: `attributes` is a whole `sched_attr`, whose first field tells its size; the kernel only reads it.
    call(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
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
    fn only_this_thread_goes_first_and_only_for_so_long() {
        let before = own_attributes().unwrap();
        let (meanwhile, after) = std::thread::spawn(|| {
            let precedence = Precedence::ask().unwrap();
            let meanwhile = own_attributes().unwrap();
            let has_priority = meanwhile.sched_policy == libc::SCHED_FIFO.cast_unsigned();
            assert_eq!(precedence.goes_first(), has_priority);
            drop(precedence);
            (meanwhile, own_attributes().unwrap())
        })
        .join()
        .unwrap();
        match meanwhile.sched_policy.cast_signed() {
            libc::SCHED_FIFO => assert_eq!(meanwhile.sched_priority, PRIORITY),
            // A kernel that has slices tells those of every thread.
            _ => assert_eq!(meanwhile.sched_runtime, if before.sched_runtime == 0 { 0 } else { SLICE }),
        }
        let what = |attributes: libc::sched_attr| {
            let libc::sched_attr { sched_policy, sched_nice, sched_priority, sched_runtime, .. } = attributes;
            (sched_policy, sched_nice, sched_priority, sched_runtime)
        };
        assert_eq!(what(after), what(before), "it has again what it had");
        assert_eq!(what(own_attributes().unwrap()), what(before), "other threads keep theirs");
    }
}
