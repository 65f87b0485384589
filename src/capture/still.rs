//! Capturing a thread that does not run any more: one of a core file.
//!
//! Does: copy its memory; all of its registers are known, and nothing changes meanwhile.
//! Does not: ask the system anything.

use std::io;

use super::blocked::BlockedError;
use super::captured::Captured;
use super::read::{Plan, fill};
use crate::target::memory::BulkMemory;
use crate::target::threads::Thread;

/// Copies what `plan` asks for into `captured`.
///
/// # Errors
/// When the thread is a live one.
pub fn capture(
    thread: &Thread,
    memory: &dyn BulkMemory,
    plan: &mut dyn Plan,
    captured: &mut Captured,
) -> Result<(), BlockedError> {
    let Some(still) = thread.still() else { return Err(io::Error::from(io::ErrorKind::InvalidInput).into()) };
    captured.reset();
    captured.registers = still.registers.clone();
    captured.system_call = still.call;
    fill(captured, memory, plan);
    Ok(())
}
