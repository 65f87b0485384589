//! Work that the user can give up: what is left to do when a recording has ended.
//!
//! Does: run work aside, and end the wait for it when Ctrl-C or SIGTERM says for the second time that it shall end.
//! Does not: stop the work, which ends with the process; or say what has been given up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often to look for a signal: nobody notices less.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A signal so soon after the one before is the same wish: a terminal sends one to all its programs, and those that
/// have started others (sudo, uv) pass theirs on.
const SAME_WISH: Duration = Duration::from_millis(300);

/// How often it has been said that it shall end, and when last.
#[derive(Debug)]
pub struct Patience<'a> {
    signalled: &'a AtomicBool,
    asked_at: Option<Instant>,
}

impl<'a> Patience<'a> {
    /// `signalled` becomes true with each signal; `asked`: there has been one.
    pub fn new(signalled: &'a AtomicBool, asked: bool) -> Patience<'a> {
        signalled.store(false, Ordering::Relaxed);
        Patience { signalled, asked_at: asked.then(Instant::now) }
    }

    /// Waits for `work`; `None` when the user does not want to any more.
    pub fn wait_for<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        // When nobody waits any more, nobody wants the result.
        let worker = thread::spawn(move || drop(sender.send(work())));
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Timeout) if self.is_over() => return None,
                Err(RecvTimeoutError::Timeout) => {}
                // It has panicked, and so do we.
                Err(RecvTimeoutError::Disconnected) => match worker.join() {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(()) => return None,
                },
            }
        }
    }

    /// Whether there has been a second signal.
    fn is_over(&mut self) -> bool {
        if !self.signalled.swap(false, Ordering::Relaxed) {
            return false;
        }
        match self.asked_at.replace(Instant::now()) {
            Some(before) => before.elapsed() >= SAME_WISH,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_second_signal_ends_the_wait() {
        let signalled = AtomicBool::new(false);
        let mut patience = Patience::new(&signalled, false);
        let (end, told_to_end) = mpsc::channel::<()>();
        assert!(!patience.is_over());
        signalled.store(true, Ordering::Relaxed);
        assert!(!patience.is_over(), "the first one is not the second");
        patience.asked_at = patience.asked_at.map(|at| at - SAME_WISH);
        signalled.store(true, Ordering::Relaxed);
        assert_eq!(patience.wait_for(move || told_to_end.recv().is_ok()), None);
        drop(end);
    }

    #[test]
    fn a_signal_that_comes_twice_is_one() {
        let signalled = Arc::new(AtomicBool::new(false));
        let raise = Arc::clone(&signalled);
        let result = Patience::new(&signalled, true).wait_for(move || {
            raise.store(true, Ordering::Relaxed);
            while raise.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            7
        });
        assert_eq!(result, Some(7));
    }
}
