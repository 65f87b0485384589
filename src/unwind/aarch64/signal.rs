//! Leaving a signal's frame by what the kernel has saved in it.
//!
//! Does: read all registers from the `rt_sigframe` at sp. Does not: recognise the trampoline.

use super::registers::{PC, SP};
use crate::unwind::architecture::Trampoline;
use crate::unwind::evaluate::Evaluated;
use crate::unwind::registers::RegisterSet;
use crate::unwind::step::{StackBytes, StepError};

/// `mov x8, #139; svc #0`: rt_sigreturn, in the vDSO (arch/arm64/kernel/vdso/sigreturn.S), which the kernel gives no tables on
/// purpose, and in musl.
pub const TRAMPOLINE: Trampoline =
    Trampoline { code: &[0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4], instruction: 4 };

/// From sp to x0: `siginfo` (128 bytes), then the `ucontext` (asm/ucontext.h: flags, link, stack and 128 bytes of signal mask,
/// 176 with the alignment of what follows), then `fault_address` of the `sigcontext` (asm/sigcontext.h).
const REGISTERS: u64 = 128 + 176 + 8;

/// The frame's end and the registers that were interrupted.
///
/// # Errors
/// When sp is not known, or the frame is not in the copy.
pub fn leave_signal(registers: &RegisterSet, stack: StackBytes<'_>) -> Result<Evaluated, StepError> {
    let sp = registers.get(SP).ok_or(StepError::UnknownRegister)?;
    let mut interrupted = RegisterSet::default();
    // `regs`, `sp` and `pc` of the sigcontext stand in the order of the DWARF numbers.
    for number in 0..=PC {
        let slot = sp.wrapping_add(REGISTERS).wrapping_add(u64::from(number) * 8);
        interrupted.set(number, Some(stack.word(slot).ok_or(StepError::Unreadable(None))?));
    }
    let end = interrupted.get(SP).ok_or(StepError::Unsupported)?;
    Ok(Evaluated { end, caller: Some(interrupted), is_signal_frame: true })
}
