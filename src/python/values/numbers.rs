//! Numbers in words.
//!
//! Does: read `int`, `bool` and `float` objects. Does not: show integers of more than four digits of 2^30; their size is told.

use super::Text;
use crate::python::layout::IntegerForm;
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// `PyLong_SHIFT` of 64-bit builds: the bits of a digit.
const DIGIT_BITS: u64 = 30;
/// Numbers of more digits are not shown.
const MAX_DIGITS: u64 = 4;

impl<M: Memory> Text<'_, M> {
    pub(super) fn boolean(&mut self, object: Addr) -> Result<(), ReadError> {
        let (_, digits) = self.sign_and_digits(object)?;
        self.out.push_str(if digits == 0 { "False" } else { "True" });
        Ok(())
    }

    pub(super) fn integer(&mut self, object: Addr) -> Result<(), ReadError> {
        let (is_negative, digits) = self.sign_and_digits(object)?;
        if is_negative {
            self.out.push('-');
        }
        if digits > MAX_DIGITS {
            self.out.push_str(&format!("<integer of {} bits or fewer>", digits.saturating_mul(DIGIT_BITS)));
            return Ok(());
        }
        let mut value = 0_u128;
        for index in (0..digits).rev() {
            let digit = self.mem.read_u32(object.wrapping_add(self.values().integer_digits + 4 * index))?;
            value = value << DIGIT_BITS | u128::from(digit) & ((1 << DIGIT_BITS) - 1);
        }
        self.out.push_str(&value.to_string());
        Ok(())
    }

    /// Whether a number is negative, and how many digits it has: 0 has none.
    fn sign_and_digits(&self, object: Addr) -> Result<(bool, u64), ReadError> {
        Ok(match self.values().integer {
            IntegerForm::SignedSize(offset) => {
                let size = self.mem.read_u64(object.wrapping_add(offset))?.cast_signed();
                (size < 0, size.unsigned_abs())
            }
            IntegerForm::Tag(offset) => {
                let tag = self.mem.read_u64(object.wrapping_add(offset))?;
                // SIGN_ZERO is 1 and SIGN_NEGATIVE is 2, behind them NON_SIZE_BITS are 3 (pycore_long.h); a zero has one digit.
                (tag & 3 == 2, if tag & 3 == 1 { 0 } else { tag >> 3 })
            }
        })
    }

    pub(super) fn float(&mut self, object: Addr) -> Result<(), ReadError> {
        let value = f64::from_bits(self.mem.read_u64(object.wrapping_add(self.values().float_value))?);
        self.out.push_str(&float(value));
        Ok(())
    }
}

/// A number as Python writes it: both write the shortest digits that give it back, and differ in the exponent.
fn float(value: f64) -> String {
    let text = if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") };
    match text.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) => format!("{digits}e{exponent:+03}"),
        None => text,
    }
}
