//! An unwind rule in 8 bytes: what nearly all rows of x86-64 unwind tables say.
//!
//! Does: decode a row of the table, and say whether a call can be in progress under it.
//! Does not: apply the rule (`step`), or evaluate what has no compact form (`evaluate`).

use gimli::{CfaRule, EhFrame, Register, RegisterRule};

use super::registers::{FP, PC, SP};
use crate::unwind::module::{Fde, Row};
use crate::unwind::sections::Bytes;

/// How to find the caller of a frame. In all but the last two the return address is at CFA-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwindRule {
    /// The frame record of the psABI: CFA = rbp + 16, and the caller's rbp is at CFA - 16, right below the return
    /// address. A shape of its own, as code that keeps frame pointers has no other for its calls.
    FrameRecord,
    /// CFA = rsp + offset.
    FromSp {
        /// Bytes from rsp to the CFA.
        offset: i32,
        /// Where the caller's rbp is.
        fp: Place,
    },
    /// CFA = rbp + offset.
    FromFp {
        /// Bytes from rbp to the CFA.
        offset: i32,
        /// Where the caller's rbp is.
        fp: Place,
    },
    /// CFA = rsp + 8, or rsp + 16 once `(rip & 15) >= threshold`: the linkers' rule for all PLT entries at once.
    Plt {
        /// The offset in a 16-byte entry at which its `push` is done.
        threshold: u8,
    },
    /// The return address is undefined: there is no caller.
    ThreadEntry,
    /// Anything else, and all signal frames: needs the row itself.
    Complex,
}

/// Where the caller's rbp is: still in rbp, saved near the CFA, or nowhere.
///
/// In two bytes, so that a rule and its address are one entry of 16 in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(i16);

impl Place {
    /// Still in rbp.
    pub const SAME: Place = Place(0);
    /// Nowhere.
    pub const UNDEFINED: Place = Place(i16::MAX);

    /// At CFA + `offset` bytes. `None` for places where no function can have saved it: what is at the CFA and above
    /// is the caller's; and for those further below than 32 KiB.
    pub fn at(offset: i64) -> Option<Place> {
        i16::try_from(offset).ok().filter(|offset| *offset < 0).map(Place)
    }

    /// Its distance from the CFA in bytes, where it is saved.
    pub fn offset(self) -> Option<i32> {
        (self.0 < 0).then_some(i32::from(self.0))
    }
}

impl UnwindRule {
    /// Where the caller's rbp is saved, in bytes from the CFA, if it is.
    pub fn saved_frame_pointer(&self) -> Option<i32> {
        match self {
            UnwindRule::FrameRecord => Some(-16),
            UnwindRule::FromSp { fp, .. } | UnwindRule::FromFp { fp, .. } => fp.offset(),
            UnwindRule::Plt { .. } | UnwindRule::ThreadEntry | UnwindRule::Complex => None,
        }
    }

    /// Decodes a row of `fde`.
    pub(in crate::unwind) fn from_row(row: &Row, eh_frame: &EhFrame<Bytes<'_>>, fde: &Fde<'_>) -> UnwindRule {
        // A signal frame's "caller" was interrupted, not left by a call: its pc is no return address, its rsp
        // is not the CFA. The same holds where a row restores rsp to something else, or returns from elsewhere.
        if fde.is_signal_trampoline() || row.register(Register(SP)).is_some() {
            return UnwindRule::Complex;
        }
        match row.register(Register(PC)) {
            Some(RegisterRule::Undefined) => return UnwindRule::ThreadEntry,
            Some(RegisterRule::Offset(-8)) => {}
            _ => return UnwindRule::Complex,
        }
        decode_cfa(row, eh_frame).unwrap_or(UnwindRule::Complex)
    }
}

fn decode_cfa(row: &Row, eh_frame: &EhFrame<Bytes<'_>>) -> Option<UnwindRule> {
    let fp = match row.register(Register(FP)) {
        None | Some(RegisterRule::SameValue) => Place::SAME,
        Some(RegisterRule::Offset(offset)) => Place::at(offset)?,
        Some(RegisterRule::Undefined) => Place::UNDEFINED,
        Some(_) => return None,
    };
    match row.cfa() {
        CfaRule::RegisterAndOffset { register: Register(SP), offset } => {
            Some(UnwindRule::FromSp { offset: i32::try_from(*offset).ok()?, fp })
        }
        CfaRule::RegisterAndOffset { register: Register(FP), offset: 16 } if fp == Place(-16) => {
            Some(UnwindRule::FrameRecord)
        }
        CfaRule::RegisterAndOffset { register: Register(FP), offset } => {
            Some(UnwindRule::FromFp { offset: i32::try_from(*offset).ok()?, fp })
        }
        CfaRule::RegisterAndOffset { .. } => None,
        CfaRule::Expression(expression) => {
            let expression = expression.get(eh_frame).ok()?;
            let threshold = plt_threshold(expression.0.slice())?;
            (fp == Place::SAME).then_some(UnwindRule::Plt { threshold })
        }
    }
}

/// The one expression that binutils and lld write for `.plt`; only the number differs from kind to kind of PLT.
fn plt_threshold(expression: &[u8]) -> Option<u8> {
    use gimli::constants as dw;
    let &[breg7, 8, breg16, 0, lit15, and, literal, ge, lit3, shl, plus] = expression else { return None };
    let operations = [breg7, breg16, lit15, and, ge, lit3, shl, plus];
    let expected = [
        dw::DW_OP_breg7,
        dw::DW_OP_breg16,
        dw::DW_OP_lit15,
        dw::DW_OP_and,
        dw::DW_OP_ge,
        dw::DW_OP_lit3,
        dw::DW_OP_shl,
        dw::DW_OP_plus,
    ];
    let threshold = literal.checked_sub(dw::DW_OP_lit0.0).filter(|n| *n <= 15)?;
    (operations == expected.map(|op| op.0)).then_some(threshold)
}
