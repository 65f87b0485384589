//! An unwind rule in 8 bytes: what nearly all rows of AArch64 unwind tables say.
//!
//! Does: decode a row of the table. Does not: apply the rule (`step`), or evaluate what has no compact form.
//!
//! Whether the return address is signed (the RA_SIGN_STATE pseudo-register) is not kept: the signature's bits are taken off
//! every return address, which changes none that is not signed.

use gimli::{CfaRule, Register, RegisterRule};

use super::registers::{FP, LR, SP};
use crate::unwind::module::{Fde, Row};

/// How to find the caller of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwindRule {
    /// CFA = sp + distance.
    FromSp(Saved),
    /// CFA = x29 + distance.
    FromFp(Saved),
    /// The return address is undefined: there is no caller.
    ThreadEntry,
    /// Anything else, and all signal frames: needs the row itself.
    Complex,
}

/// How far the CFA is, and where the caller's x29 and the return address are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// In words from sp or x29 to the CFA.
    distance: u16,
    /// The caller's x29.
    pub fp: Place,
    /// The return address.
    pub lr: Place,
}

impl Saved {
    /// `distance` in bytes; `None` when it is negative, is no number of words, or is more than half a megabyte.
    pub fn new(distance: i64, fp: Place, lr: Place) -> Option<Saved> {
        let words = u16::try_from(distance.checked_div(8)?).ok()?;
        (distance % 8 == 0).then_some(Saved { distance: words, fp, lr })
    }

    /// The distance of the CFA, in bytes.
    #[inline]
    pub fn distance(self) -> u64 {
        u64::from(self.distance) * 8
    }
}

/// Where a register of the caller is: still in itself, saved near the CFA, or nowhere. In two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(i16);

impl Place {
    /// Still in the register.
    pub const SAME: Place = Place(0);
    /// Nowhere.
    pub const UNDEFINED: Place = Place(i16::MAX);

    /// At CFA + `offset` bytes. `None` at the CFA and above, which is the caller's, further below than 256 KiB, and where no
    /// word is.
    pub fn at(offset: i64) -> Option<Place> {
        let words = i16::try_from(offset.checked_div(8)?).ok()?;
        (words < 0 && offset % 8 == 0).then_some(Place(words))
    }

    /// Its distance from the CFA in bytes, where it is saved.
    #[inline]
    pub fn offset(self) -> Option<i64> {
        (self.0 < 0).then_some(i64::from(self.0) * 8)
    }
}

impl UnwindRule {
    /// Where the caller's x29 is saved, in bytes from the CFA, if it is.
    pub fn saved_frame_pointer(self) -> Option<i32> {
        match self {
            UnwindRule::FromSp(saved) | UnwindRule::FromFp(saved) => {
                saved.fp.offset().and_then(|n| i32::try_from(n).ok())
            }
            UnwindRule::ThreadEntry | UnwindRule::Complex => None,
        }
    }

    /// Decodes a row of `fde`.
    pub(in crate::unwind) fn from_row(row: &Row, fde: &Fde<'_>) -> UnwindRule {
        let is_usual = !fde.is_signal_trampoline()
            && row.register(Register(SP)).is_none()
            && fde.cie().return_address_register() == Register(LR);
        if !is_usual {
            return UnwindRule::Complex;
        }
        if row.register(Register(LR)) == Some(RegisterRule::Undefined) {
            return UnwindRule::ThreadEntry;
        }
        compact(row).unwrap_or(UnwindRule::Complex)
    }
}

fn compact(row: &Row) -> Option<UnwindRule> {
    let place = |register| match row.register(Register(register)) {
        None | Some(RegisterRule::SameValue) => Some(Place::SAME),
        Some(RegisterRule::Offset(offset)) => Place::at(offset),
        Some(RegisterRule::Undefined) => Some(Place::UNDEFINED),
        Some(_) => None,
    };
    let (fp, lr) = (place(FP)?, place(LR)?);
    match row.cfa() {
        CfaRule::RegisterAndOffset { register: Register(SP), offset } => {
            Saved::new(*offset, fp, lr).map(UnwindRule::FromSp)
        }
        CfaRule::RegisterAndOffset { register: Register(FP), offset } => {
            Saved::new(*offset, fp, lr).map(UnwindRule::FromFp)
        }
        _ => None,
    }
}
