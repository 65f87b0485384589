//! This process itself, as the operating system shows it to itself.
//!
//! Does: tell what was handed down to it (the mask for new files, the signals that it shall not heed), and by what path an open file of its own
//! can be named. Source: proc_pid_status(5), proc_pid_fd(5). Does not: change any of it.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::types::Nanos;

/// So many files, or a quarter of all where that is less, are left for what there is besides: threads that come, libraries that are named, the
/// output.
const LEFT_FOR_OTHERS: u64 = 64;

/// The permissions that a new file does not get, as umask(2) has them; absent where it cannot be told.
pub fn umask() -> Option<u32> {
    u32::from_str_radix(&status_field("Umask")?, 8).ok()
}

/// Whether the signal is ignored: before a handler is set, that was decided by who has started us (`nohup`).
pub fn ignores(signal: Signal) -> bool {
    let ignored = status_field("SigIgn").and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or(0);
    // Signal n is bit n - 1; signals count from 1.
    ignored >> (signal as i32 - 1) & 1 == 1
}

/// The CPU time that all threads of this process have used so far; `None` where a sandbox forbids to ask.
pub fn cpu_time() -> Option<Nanos> {
    used(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time that the calling thread has used so far; `None` where a sandbox forbids to ask.
pub fn thread_cpu_time() -> Option<Nanos> {
    used(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn used(clock: ClockId) -> Option<Nanos> {
    Some(Nanos::from(Duration::from(clock_gettime(clock).ok()?)))
}

/// Whether this process may open so many more files that another process can be sampled beside those that are: each has some eight open, and one
/// or two for each of its threads.
pub fn has_room_for_files() -> bool {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return true };
    let open = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64);
    open.saturating_add(LEFT_FOR_OTHERS.min(soft / 4)) <= soft
}

/// The path of a file that this process has open, whatever its name is, also when it has none.
pub fn path_of(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

fn status_field(name: &str) -> Option<String> {
    // The bytes of the name of the program may be anything.
    let bytes = fs::read("/proc/self/status").ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_down_is_told() {
        assert!(umask().is_some_and(|mask| mask <= 0o777));
        assert!(ignores(Signal::SIGPIPE), "Rust's start-up code ignores it");
        assert!(!ignores(Signal::SIGTERM) && !ignores(Signal::SIGHUP));
    }
}
