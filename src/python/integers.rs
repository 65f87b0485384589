//! Decodes CPython's `int` objects.
//!
//! Does: tell their sign and size, and put their digits together. Does not: check their type, or show them.

use crate::python::layout::{IntegerForm, Layout};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The bits of a digit: `PyLong_SHIFT` of 64-bit builds.
pub(super) const DIGIT_BITS: u64 = 30;

/// A number's sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Below 0.
    Negative,
    /// 0, which has no digits.
    Zero,
    /// Above 0.
    Positive,
    /// What no `int` has.
    Invalid,
}

/// A number's sign, and how many digits it has.
pub(super) fn sign_and_digits(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<(Sign, u64), ReadError> {
    Ok(match layout.value.integer {
        IntegerForm::SignedSize(offset) => {
            let size = mem.read_u64(object.wrapping_add(offset))?.cast_signed();
            let sign = match size.signum() {
                -1 => Sign::Negative,
                0 => Sign::Zero,
                _ => Sign::Positive,
            };
            (sign, size.unsigned_abs())
        }
        // SIGN_ZERO is 1 and SIGN_NEGATIVE is 2, behind them NON_SIZE_BITS are 3 (pycore_long.h); a zero has one digit there.
        IntegerForm::Tag(offset) => match mem.read_u64(object.wrapping_add(offset))? {
            tag if tag & 3 == 0 => (Sign::Positive, tag >> 3),
            tag if tag & 3 == 1 => (Sign::Zero, 0),
            tag if tag & 3 == 2 => (Sign::Negative, tag >> 3),
            tag => (Sign::Invalid, tag >> 3),
        },
    })
}

/// The value of so many digits, without the sign. The caller bounds them: four fit.
pub(super) fn magnitude(mem: &impl Memory, layout: &Layout, object: Addr, digits: u64) -> Result<u128, ReadError> {
    let mut value = 0_u128;
    for index in (0..digits).rev() {
        let digit = mem.read_u32(object.wrapping_add(layout.value.integer_digits + 4 * index))?;
        value = value << DIGIT_BITS | u128::from(digit) & ((1 << DIGIT_BITS) - 1);
    }
    Ok(value)
}
