//! One step out of a frame by a compact rule, with only rip, rsp and rbp in hand.
//!
//! Does: the arithmetic and the two reads of the copied stack. Does not: choose the rule.

use super::rule::{Place, UnwindRule};
use crate::unwind::step::{Cursor, StackBytes, StepError};

/// Steps out of the frame at `sp` by a frame record, or by a rule from rsp that knows the caller's rbp: as [`step`], for
/// the two shapes that nearly all callers have. Returns the CFA and the caller's rip and rbp. `None` for other shapes, and
/// where [`step`] would fail.
#[inline(always)]
pub fn quick_step(rule: UnwindRule, sp: u64, fp: u64, stack: StackBytes<'_>) -> Option<(u64, u64, u64)> {
    match rule {
        UnwindRule::FrameRecord => {
            let cfa = fp.wrapping_add(16);
            let (caller_fp, pc) = stack.pair(fp)?;
            (cfa > sp).then_some((cfa, pc, caller_fp))
        }
        UnwindRule::FromSp { offset, fp: saved } if saved != Place::UNDEFINED => {
            let cfa = sp.wrapping_add_signed(i64::from(offset));
            let pc = stack.word(cfa.wrapping_sub(8))?;
            let caller_fp = match saved.offset() {
                Some(offset) => stack.word(cfa.wrapping_add_signed(i64::from(offset)))?,
                None => fp,
            };
            (cfa > sp).then_some((cfa, pc, caller_fp))
        }
        _ => None,
    }
}

/// Steps out of `cursor`'s frame. Returns its CFA and the caller's registers.
#[inline]
pub fn step(rule: &UnwindRule, cursor: Cursor, stack: StackBytes<'_>) -> Result<(u64, Cursor), StepError> {
    let (cfa, saved_fp) = match *rule {
        UnwindRule::FrameRecord => {
            let base = cursor.fp.ok_or(StepError::UnknownRegister)?;
            let cfa = base.wrapping_add(16);
            if cfa <= cursor.sp {
                return Err(StepError::NotAscending);
            }
            let (fp, pc) = stack.pair(base).ok_or(StepError::Unreadable(Some(cfa)))?;
            return Ok((cfa, Cursor { pc, sp: cfa, fp: Some(fp), lr: None }));
        }
        UnwindRule::FromSp { offset, fp } => (cursor.sp.wrapping_add_signed(i64::from(offset)), fp),
        UnwindRule::FromFp { offset, fp } => {
            let base = cursor.fp.ok_or(StepError::UnknownRegister)?;
            (base.wrapping_add_signed(i64::from(offset)), fp)
        }
        UnwindRule::Plt { threshold } => {
            let pushed = cursor.pc & 15 >= u64::from(threshold);
            (cursor.sp.wrapping_add(if pushed { 16 } else { 8 }), Place::SAME)
        }
        UnwindRule::ThreadEntry | UnwindRule::Complex => return Err(StepError::Unsupported),
    };
    if cfa <= cursor.sp {
        return Err(StepError::NotAscending);
    }
    let unreadable = StepError::Unreadable(Some(cfa));
    let pc = stack.word(cfa.wrapping_sub(8)).ok_or(unreadable)?;
    let fp = match saved_fp.offset() {
        Some(offset) => Some(stack.word(cfa.wrapping_add_signed(i64::from(offset))).ok_or(unreadable)?),
        None if saved_fp == Place::UNDEFINED => None,
        None => cursor.fp,
    };
    Ok((cfa, Cursor { pc, sp: cfa, fp, lr: None }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::Region;
    use crate::types::Addr;
    use proptest::prelude::*;

    const START: u64 = 0x7fff_0000;

    fn rule() -> impl Strategy<Value = UnwindRule> {
        let saved = prop_oneof![
            Just(Place::SAME),
            Just(Place::UNDEFINED),
            (-80i64..0).prop_map(|offset| Place::at(offset).unwrap_or(Place::SAME)),
        ];
        let from_sp = (-16i32..96, saved).prop_map(|(offset, fp)| UnwindRule::FromSp { offset, fp });
        prop_oneof![Just(UnwindRule::FrameRecord), from_sp, Just(UnwindRule::ThreadEntry), Just(UnwindRule::Complex)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// What the quick step says, the full one says too; and it says something wherever it can.
        #[test]
        fn the_quick_step_is_the_step(
            rule in rule(),
            sp in prop_oneof![START - 16..START + 160, any::<u64>()],
            fp in prop_oneof![START - 16..START + 160, any::<u64>()],
            bytes in prop::collection::vec(any::<u8>(), 128),
        ) {
            let region = Region { start: Addr(START), bytes };
            let stack = StackBytes::new(&region);
            let full = step(&rule, Cursor { pc: 0x1000, sp, fp: Some(fp), lr: None }, stack).ok();
            let full = full.and_then(|(cfa, caller)| Some((cfa, caller.pc, caller.fp?)));
            prop_assert_eq!(quick_step(rule, sp, fp, stack), full);
        }
    }
}
