//! One step out of a frame by a compact rule, with only pc, sp, x29 and x30 in hand.
//!
//! Does: the arithmetic and the reads of the copied stack. Does not: choose the rule.
//!
//! ```text
//!            higher addresses
//!     CFA ─▶ ├──────────────────────┤ = the caller's sp
//!            │ saved registers,     │
//!            │ locals               │
//!            │ return address (x30) │  x29 + 8, may be signed
//!     x29 ─▶ │ the caller's x29     │  the frame record (AAPCS64, 6.4.6): at no fixed distance from the CFA
//!            │ outgoing arguments   │
//!      sp ─▶ ├──────────────────────┤
//! ```
//!
//! A function that calls none, and any function before it has made its record, has its return address in x30.

use super::rule::{Place, UnwindRule};
use crate::unwind::step::{Cursor, StackBytes, StepError};

/// Steps out of the frame at `sp` as [`step`], where the frame makes a call. Returns the CFA and the caller's pc and x29.
/// `None` for other shapes, and where [`step`] would fail.
#[inline(always)]
pub fn quick_step(rule: UnwindRule, sp: u64, fp: u64, stack: StackBytes<'_>) -> Option<(u64, u64, u64)> {
    let (base, saved) = match rule {
        UnwindRule::FromSp(saved) => (sp, saved),
        UnwindRule::FromFp(saved) => (fp, saved),
        UnwindRule::ThreadEntry | UnwindRule::Complex => return None,
    };
    let cfa = base.wrapping_add(saved.distance());
    let pc = stack.word(cfa.wrapping_add_signed(saved.lr.offset()?))?;
    let caller_fp = match saved.fp.offset() {
        Some(offset) => stack.word(cfa.wrapping_add_signed(offset))?,
        None if saved.fp == Place::SAME => fp,
        None => return None,
    };
    (cfa > sp).then_some((cfa, stack.without_signature(pc), caller_fp))
}

/// Steps out of `cursor`'s frame. Returns its CFA and the caller's registers.
///
/// # Errors
/// See [`StepError`].
#[inline]
pub fn step(rule: &UnwindRule, cursor: Cursor, stack: StackBytes<'_>) -> Result<(u64, Cursor), StepError> {
    let (base, saved) = match *rule {
        UnwindRule::FromSp(saved) => (cursor.sp, saved),
        UnwindRule::FromFp(saved) => (cursor.fp.ok_or(StepError::UnknownRegister)?, saved),
        UnwindRule::ThreadEntry | UnwindRule::Complex => return Err(StepError::Unsupported),
    };
    let cfa = base.wrapping_add(saved.distance());
    // A function that calls none may use no stack: only a frame whose return address is in x30 can be empty.
    if cfa < cursor.sp || cfa == cursor.sp && saved.lr != Place::SAME {
        return Err(StepError::NotAscending);
    }
    let word = |offset: i64| stack.word(cfa.wrapping_add_signed(offset)).ok_or(StepError::Unreadable(Some(cfa)));
    let pc = match saved.lr.offset() {
        Some(offset) => word(offset)?,
        None if saved.lr == Place::SAME => cursor.lr.ok_or(StepError::UnknownRegister)?,
        None => return Err(StepError::Unsupported),
    };
    let fp = match saved.fp.offset() {
        Some(offset) => Some(word(offset)?),
        None if saved.fp == Place::SAME => cursor.fp,
        None => None,
    };
    Ok((cfa, Cursor { pc: stack.without_signature(pc), sp: cfa, fp, lr: None }))
}

#[cfg(test)]
mod tests;
