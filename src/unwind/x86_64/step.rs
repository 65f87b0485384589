//! One step out of a frame by a compact rule, with only rip, rsp and rbp in hand.
//!
//! Does: the arithmetic and the two reads of the copied stack. Does not: choose the rule.

use super::rule::{SavedBp, UnwindRule};
use crate::target::memory::Region;

/// The copied stack. A word is there or it is not; an address is checked once.
#[derive(Debug, Clone, Copy)]
pub struct StackBytes<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> StackBytes<'a> {
    /// The bytes of a copied range.
    #[inline]
    pub fn new(region: &'a Region) -> Self {
        StackBytes { start: region.start.0, bytes: &region.bytes }
    }

    /// The word at `addr`.
    #[inline]
    pub fn word(self, addr: u64) -> Option<u64> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        Some(u64::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?))
    }

    /// The two words at `addr`: a frame record when it is one.
    #[inline]
    pub fn pair(self, addr: u64) -> Option<(u64, u64)> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        let bytes: &[u8; 16] = self.bytes.get(offset..)?.first_chunk()?;
        Some((u64::from_le_bytes(*bytes.first_chunk()?), u64::from_le_bytes(*bytes.last_chunk()?)))
    }

    /// `len` bytes at `addr` as a little-endian number.
    pub fn number(self, addr: u64, len: u8) -> Option<u64> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        let mut word = [0; 8];
        let bytes = self.bytes.get(offset..)?.get(..usize::from(len))?;
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
}

/// The three registers that the fast walk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// rip, or the return address that stands for it.
    pub pc: u64,
    /// rsp.
    pub sp: u64,
    /// rbp, unless it is not known.
    pub bp: Option<u64>,
}

/// Why a step could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepError {
    /// It needs a register that is not known.
    UnknownRegister,
    /// What it needs is not in the copied stack. The CFA, where that much is known.
    Unreadable(Option<u64>),
    /// It would not go up.
    NotAscending,
    /// There is no way to make it.
    Unsupported,
}

/// Steps out of the frame at `sp` by a frame record, or by a rule from rsp that knows the caller's rbp: as [`step`], for
/// the two shapes that nearly all callers have. Gives the CFA and the caller's rip and rbp. `None` for other shapes, and
/// where [`step`] would fail.
#[inline(always)]
pub fn quick_step(rule: UnwindRule, sp: u64, bp: u64, stack: StackBytes<'_>) -> Option<(u64, u64, u64)> {
    match rule {
        UnwindRule::FrameRecord => {
            let cfa = bp.wrapping_add(16);
            let (caller_bp, pc) = stack.pair(bp)?;
            (cfa > sp).then_some((cfa, pc, caller_bp))
        }
        UnwindRule::FromSp { offset, bp: saved } if saved != SavedBp::UNDEFINED => {
            let cfa = sp.wrapping_add_signed(i64::from(offset));
            let pc = stack.word(cfa.wrapping_sub(8))?;
            let caller_bp = match saved.offset() {
                Some(offset) => stack.word(cfa.wrapping_add_signed(i64::from(offset)))?,
                None => bp,
            };
            (cfa > sp).then_some((cfa, pc, caller_bp))
        }
        _ => None,
    }
}

/// Steps out of `cursor`'s frame. Gives its CFA and the caller's registers.
#[inline]
pub fn step(rule: &UnwindRule, cursor: Cursor, stack: StackBytes<'_>) -> Result<(u64, Cursor), StepError> {
    let (cfa, saved_bp) = match *rule {
        UnwindRule::FrameRecord => {
            let base = cursor.bp.ok_or(StepError::UnknownRegister)?;
            let cfa = base.wrapping_add(16);
            if cfa <= cursor.sp {
                return Err(StepError::NotAscending);
            }
            let (bp, pc) = stack.pair(base).ok_or(StepError::Unreadable(Some(cfa)))?;
            return Ok((cfa, Cursor { pc, sp: cfa, bp: Some(bp) }));
        }
        UnwindRule::FromSp { offset, bp } => (cursor.sp.wrapping_add_signed(i64::from(offset)), bp),
        UnwindRule::FromBp { offset, bp } => {
            let base = cursor.bp.ok_or(StepError::UnknownRegister)?;
            (base.wrapping_add_signed(i64::from(offset)), bp)
        }
        UnwindRule::Plt { threshold } => {
            let pushed = cursor.pc & 15 >= u64::from(threshold);
            (cursor.sp.wrapping_add(if pushed { 16 } else { 8 }), SavedBp::SAME)
        }
        UnwindRule::ThreadEntry | UnwindRule::Complex => return Err(StepError::Unsupported),
    };
    if cfa <= cursor.sp {
        return Err(StepError::NotAscending);
    }
    let unreadable = StepError::Unreadable(Some(cfa));
    let pc = stack.word(cfa.wrapping_sub(8)).ok_or(unreadable)?;
    let bp = match saved_bp.offset() {
        Some(offset) => Some(stack.word(cfa.wrapping_add_signed(i64::from(offset))).ok_or(unreadable)?),
        None if saved_bp == SavedBp::UNDEFINED => None,
        None => cursor.bp,
    };
    Ok((cfa, Cursor { pc, sp: cfa, bp }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Addr;
    use proptest::prelude::*;

    const START: u64 = 0x7fff_0000;

    fn rule() -> impl Strategy<Value = UnwindRule> {
        let saved = prop_oneof![
            Just(SavedBp::SAME),
            Just(SavedBp::UNDEFINED),
            (-80i64..0).prop_map(|offset| SavedBp::at(offset).unwrap_or(SavedBp::SAME)),
        ];
        let from_sp = (-16i32..96, saved).prop_map(|(offset, bp)| UnwindRule::FromSp { offset, bp });
        prop_oneof![Just(UnwindRule::FrameRecord), from_sp, Just(UnwindRule::ThreadEntry), Just(UnwindRule::Complex)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// What the quick step says, the full one says too; and it says something wherever it can.
        #[test]
        fn the_quick_step_is_the_step(
            rule in rule(),
            sp in prop_oneof![START - 16..START + 160, any::<u64>()],
            bp in prop_oneof![START - 16..START + 160, any::<u64>()],
            bytes in prop::collection::vec(any::<u8>(), 128),
        ) {
            let region = Region { start: Addr(START), bytes };
            let stack = StackBytes::new(&region);
            let full = step(&rule, Cursor { pc: 0x1000, sp, bp: Some(bp) }, stack).ok();
            let full = full.and_then(|(cfa, caller)| Some((cfa, caller.pc, caller.bp?)));
            prop_assert_eq!(quick_step(rule, sp, bp, stack), full);
        }
    }
}
