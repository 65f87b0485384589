//! The registers of a thread that stands still.
//!
//! Does: read the sets that make them up, with the architecture's help. Does not: stop a thread, or read its memory.

use super::native;
use super::ptrace::{Stop, StopError};
use crate::target::registers::Registers;
use crate::types::Addr;

/// The kernel's mask; 0 where the processor signs nothing (EINVAL).
pub(super) fn signature_mask(stop: &Stop) -> u64 {
    let mut buffer = [0; 16];
    let set = native::SIGNATURE_SET.and_then(|number| stop.register_set(number, &mut buffer).ok());
    set.map_or(0, native::decode_signature_mask)
}

/// The thread pointer where it is a register set of its own.
fn thread_pointer(stop: &Stop) -> Option<Addr> {
    let mut buffer = [0; 8];
    stop.register_set(native::THREAD_POINTER_SET?, &mut buffer).ok().filter(|set| set.len() == 8)?;
    Some(Addr(u64::from_le_bytes(buffer)))
}

/// All registers of a stopped thread, of which `set` are the general ones; the signatures' mask is asked for once a process.
///
/// # Errors
/// When the kernel lays the registers out as no kernel does.
pub fn registers(stop: &Stop, set: &[u8], known_mask: &mut Option<u64>) -> Result<Registers, StopError> {
    let mut registers = native::decode(set).ok_or(StopError::Gone)?;
    registers.thread_pointer = registers.thread_pointer.or_else(|| thread_pointer(stop));
    registers.signature_mask = *known_mask.get_or_insert_with(|| signature_mask(stop));
    Ok(registers)
}
