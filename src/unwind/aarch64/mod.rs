//! What is AArch64 only: register numbers, the compact unwind rule, the steps out of a frame, the signal's frame, and what
//! instructions tell.
//!
//! Does: everything that knows x29, x30 or the AAPCS64. Does not: look rules up. Compiled on every architecture.

pub mod blocked;
pub mod effect;
pub mod instruction;
pub mod linkage;
pub mod registers;
pub mod return_path;
pub mod rule;
pub mod signal;
pub mod step;

use gimli::EhFrame;

use self::blocked::LeafCallers;
use self::registers::{FP, LR, PC, SP};
use self::rule::UnwindRule;
use super::architecture::{Architecture, CallTarget, RuleKind, Trampoline};
use super::evaluate::Evaluated;
use super::module::{Fde, Row};
use super::registers::RegisterSet;
use super::sections::Bytes;
use super::step::{Cursor, StackBytes, StepError};
use super::symbolic::State;
use crate::types::Addr;

/// AArch64 with the AAPCS64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aarch64;

impl Architecture for Aarch64 {
    type Rule = UnwindRule;
    type Calls = LeafCallers;

    const COMPLEX: UnwindRule = UnwindRule::Complex;
    const ENTRY: UnwindRule = UnwindRule::ThreadEntry;
    const PC: u16 = PC;
    const SP: u16 = SP;
    const FP: u16 = FP;
    const LR: Option<u16> = Some(LR);
    const RETURN_ADDRESS: u16 = LR;
    /// AAPCS64, 6.1.1: x19–x28 and x29; and x30, which holds the return address until the function saves it.
    const CALLEE_SAVED: &'static [u16] = &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, FP, LR];
    const TRAMPOLINE: Option<Trampoline> = Some(signal::TRAMPOLINE);

    fn rule(row: &Row, _: &EhFrame<Bytes<'_>>, fde: &Fde<'_>) -> UnwindRule {
        UnwindRule::from_row(row, fde)
    }

    #[inline]
    fn kind(rule: UnwindRule) -> RuleKind {
        match rule {
            UnwindRule::FromSp(_) | UnwindRule::FromFp(_) => RuleKind::Compact,
            UnwindRule::ThreadEntry => RuleKind::ThreadEntry,
            UnwindRule::Complex => RuleKind::Complex,
        }
    }

    fn saved_frame_pointer(rule: UnwindRule) -> Option<i32> {
        rule.saved_frame_pointer()
    }

    #[inline(always)]
    fn quick_step(rule: UnwindRule, sp: u64, fp: u64, stack: StackBytes<'_>) -> Option<(u64, u64, u64)> {
        step::quick_step(rule, sp, fp, stack)
    }

    #[inline]
    fn step(rule: &UnwindRule, cursor: Cursor, stack: StackBytes<'_>) -> Result<(u64, Cursor), StepError> {
        step::step(rule, cursor, stack)
    }

    /// A record has no fixed place in its frame; and code that compilers made without tables (CPython's JIT) leaves x29 its
    /// caller's, so that the record there is that of another frame.
    fn end_above_record(_: u64) -> Option<u64> {
        None
    }

    type Code<'a> = return_path::Code<'a>;

    fn code(bytes: &[u8], base: u64) -> return_path::Code<'_> {
        return_path::Code::new(bytes, base)
    }

    fn beginning() -> State {
        return_path::beginning()
    }

    fn call_before(code: &[u8], end: u64) -> Option<CallTarget> {
        return_path::call_before(code, end)
    }

    fn named(code: &[u8], base: u64) -> Vec<u64> {
        return_path::named(code, base)
    }

    fn begins_thread(code: &[u8], base: u64, pc: u64) -> bool {
        return_path::begins_thread(code, base, pc)
    }

    fn linkage_slot(code: &[u8], address: u64) -> Option<u64> {
        linkage::slot(code, address)
    }

    fn branch_targets(code: &[u8], base: u64) -> Vec<u64> {
        instruction::branch_targets(code, base)
    }

    fn untouched(_: &[u8], _: u64) -> u64 {
        0
    }

    fn is_restored(_: u16, _: Option<u64>, _: u64, _: u64) -> bool {
        false
    }

    /// The word above the saved x29 in the frame record, wherever in the frame that is.
    fn return_address_slot(_: Addr, saved_frame_pointer: Option<Addr>) -> Option<Addr> {
        saved_frame_pointer?.checked_add(8)
    }

    fn leave_signal(registers: &RegisterSet, stack: StackBytes<'_>) -> Result<Evaluated, StepError> {
        signal::leave_signal(registers, stack)
    }
}

#[cfg(test)]
mod tests;
