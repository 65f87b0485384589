//! Numbers in words.
//!
//! Does: read `int`, `bool` and `float` objects. Does not: show integers of more than four digits of 2^30; their size is told.

use super::Text;
use crate::python::integers::{DIGIT_BITS, Sign, magnitude, sign_and_digits};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// Numbers of more digits are not shown.
const MAX_DIGITS: u64 = 4;

impl<M: Memory> Text<'_, M> {
    pub(super) fn boolean(&mut self, object: Addr) -> Result<(), ReadError> {
        let (_, digits) = sign_and_digits(self.mem, self.layout, object)?;
        self.out.push_str(if digits == 0 { "False" } else { "True" });
        Ok(())
    }

    pub(super) fn integer(&mut self, object: Addr) -> Result<(), ReadError> {
        let (sign, digits) = sign_and_digits(self.mem, self.layout, object)?;
        if sign == Sign::Negative {
            self.out.push('-');
        }
        if digits > MAX_DIGITS {
            self.out.push_str(&format!("<integer of {} bits or fewer>", digits.saturating_mul(DIGIT_BITS)));
            return Ok(());
        }
        self.out.push_str(&magnitude(self.mem, self.layout, object, digits)?.to_string());
        Ok(())
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
