//! What is x86-64 only: register numbers, the compact unwind rule, the steps out of a frame, and what instructions tell.
//!
//! Does: everything that knows rsp, rbp or the psABI. Does not: look rules up. Compiled on every architecture.

pub mod blocked;
pub mod call_site;
pub mod effect;
pub mod instruction;
pub mod leaf;
pub mod linkage;
pub mod registers;
pub mod return_path;
pub mod rule;
pub mod step;

use gimli::EhFrame;

use self::blocked::FramePointerFinder;
use self::registers::{FP, PC, SP};
use self::rule::UnwindRule;
use super::architecture::{Architecture, CallTarget, RuleKind, Trampoline};
use super::evaluate::Evaluated;
use super::module::{Fde, Row};
use super::registers::RegisterSet;
use super::sections::Bytes;
use super::step::{Cursor, StackBytes, StepError};
use super::symbolic::State;
use crate::types::Addr;

/// x86-64 with the System V psABI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct X86_64;

impl Architecture for X86_64 {
    type Rule = UnwindRule;
    type Calls = FramePointerFinder;

    const COMPLEX: UnwindRule = UnwindRule::Complex;
    const ENTRY: UnwindRule = UnwindRule::ThreadEntry;
    const PC: u16 = PC;
    const SP: u16 = SP;
    const FP: u16 = FP;
    const LR: Option<u16> = None;
    const RETURN_ADDRESS: u16 = PC;
    /// psABI, figure 3.4: rbx, rbp, r12–r15.
    const CALLEE_SAVED: &'static [u16] = &[3, FP, 12, 13, 14, 15];
    /// `__restore_rt` has tables, in glibc as in musl.
    const TRAMPOLINE: Option<Trampoline> = None;

    fn rule(row: &Row, eh_frame: &EhFrame<Bytes<'_>>, fde: &Fde<'_>) -> UnwindRule {
        UnwindRule::from_row(row, eh_frame, fde)
    }

    #[inline]
    fn kind(rule: UnwindRule) -> RuleKind {
        match rule {
            UnwindRule::ThreadEntry => RuleKind::ThreadEntry,
            UnwindRule::Complex => RuleKind::Complex,
            _ => RuleKind::Compact,
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

    /// The call has pushed its return address right above the record's first word.
    fn end_above_record(record: u64) -> Option<u64> {
        record.checked_add(16)
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

    fn untouched(code: &[u8], base: u64) -> u64 {
        leaf::untouched(code, base)
    }

    /// GCC leaves the restore out where a function that has realigned its frame returns in its middle: behind the
    /// `pop %rbp` rbp points above the frame, and the row says that it is saved at rbp.
    fn is_restored(register: u16, held: Option<u64>, saved_at: u64, cfa: u64) -> bool {
        register == FP && held == Some(saved_at) && saved_at >= cfa
    }

    /// psABI 3.2.2: the call has pushed it last.
    fn return_address_slot(cfa: Addr, _: Option<Addr>) -> Option<Addr> {
        cfa.0.checked_sub(8).map(Addr)
    }

    fn leave_signal(_: &RegisterSet, _: StackBytes<'_>) -> Result<Evaluated, StepError> {
        Err(StepError::Unsupported)
    }
}
