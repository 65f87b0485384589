//! What may be asked of a recording while it is made.
//!
//! Does: look whether it was asked, and stop this process. Does not: handle signals (the command does), or let go of the target.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, raise};

use crate::capture::watchdog;

/// What is asked of a recording while it is made.
#[derive(Debug, Clone, Copy)]
pub struct Requests<'a> {
    /// To end, when it becomes true.
    pub stop: &'a AtomicBool,
    /// To let go of the target and then to stop this process as SIGSTOP does, when a signal that asks for it has made this true: it is false
    /// again when the recording goes on. The same happens when SIGSTOP has stopped this process while it held a thread. Absent where neither is
    /// wanted.
    pub suspend: Option<&'a AtomicBool>,
}

impl Requests<'_> {
    /// Whether the target is to be let go, and this process then stopped.
    pub(super) fn wants_suspension(&self) -> bool {
        self.suspend.is_some_and(|suspend| suspend.load(Ordering::Relaxed))
    }

    /// Stops this process; nothing is held by now. Returns when somebody has continued it.
    pub(super) fn suspend(&self) {
        self.suspend.inspect(|suspend| suspend.store(false, Ordering::Relaxed));
        // Who has continued the process since it was to stop wants it to go on.
        if !watchdog::is_continued() {
            // It returns when somebody has continued the process.
            let _ = raise(Signal::SIGSTOP);
        }
    }
}
