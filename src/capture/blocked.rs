//! Capturing a thread that is blocked, without stopping it.
//!
//! Does: copy its memory between two looks at how much it has run; equal looks prove that it did not run, so that
//! the copy is of one moment.
//! Does not: disturb the thread: its system call never learns of it.

use std::io;

use super::captured::Captured;
use super::native;
use super::read::{Plan, fill};
use crate::target::memory::BulkMemory;
use crate::target::threads::{Activity, Thread};

/// A thread that wakes and blocks all the time is tried so often.
const ATTEMPTS: usize = 4;

/// Why a blocked thread was not captured.
#[derive(Debug, thiserror::Error)]
pub enum BlockedError {
    /// It runs.
    #[error("the thread runs")]
    Runs,
    /// It ran at each attempt, between the beginning and the end of the copying.
    #[error("the thread woke while it was read")]
    Woke,
    /// It is gone, or may not be looked at.
    #[error("the thread cannot be looked at: {0}")]
    Unreadable(#[from] io::Error),
}

/// Copies the memory of a blocked thread into `captured`. Of its registers only the program counter and the stack
/// pointer are known; `signature_mask` says which bits of its return addresses are no address.
///
/// # Errors
/// See [`BlockedError`].
pub fn capture(
    thread: &mut Thread,
    memory: &dyn BulkMemory,
    plan: &mut dyn Plan,
    captured: &mut Captured,
    signature_mask: u64,
) -> Result<(), BlockedError> {
    for _ in 0..ATTEMPTS {
        let before = thread.run_count();
        let activity = thread.activity()?;
        let Activity::Blocked { call, sp, pc } = activity else { return Err(BlockedError::Runs) };
        captured.reset();
        captured.registers.set(native::SP, sp.0);
        captured.registers.set(native::PC, pc.0);
        captured.registers.signature_mask = signature_mask;
        captured.system_call = call;
        fill(captured, memory, plan);
        // Where the kernel keeps no count, the same call at the same place is the best that can be had.
        let unchanged = match before {
            Some(_) => thread.run_count() == before,
            None => thread.activity()? == activity,
        };
        if unchanged {
            return Ok(());
        }
    }
    Err(BlockedError::Woke)
}
