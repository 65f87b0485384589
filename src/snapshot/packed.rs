//! Byte ranges as text: where each begins and how long it is, and the bytes of all, deflated, in hexadecimal digits.
//!
//! Does: pack and unpack, within a budget. Does not: know what the bytes are.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// A start and the bytes from there on.
pub type Part = (u64, Vec<u8>);

/// Packed byte ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// `start+length` of each, in hexadecimal digits, with spaces in between.
    ranges: String,
    /// Their bytes, one after the other: a raw deflate stream (RFC 1951).
    deflated: String,
}

/// Why ranges cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// A range is not two hexadecimal numbers.
    #[error("a byte range is not of the form start+length")]
    BadRange,
    /// The bytes are not pairs of hexadecimal digits.
    #[error("bytes are not hexadecimal digits")]
    BadDigits,
    /// The stream is damaged, or shorter than the ranges.
    #[error("a deflated stream is damaged or too short")]
    BadStream,
    /// More bytes than are believed.
    #[error("the snapshot has more bytes than any that fpprof writes, or than --max-memory allows")]
    TooLarge,
}

/// How many bytes a file may still unfold to.
#[derive(Debug)]
pub struct Budget(pub usize);

impl Budget {
    /// Takes `len` bytes of it.
    ///
    /// # Errors
    /// [`PackedError::TooLarge`] when there are fewer left.
    pub fn spend(&mut self, len: u64) -> Result<usize, PackedError> {
        let len = usize::try_from(len).map_err(|_| PackedError::TooLarge)?;
        self.0 = self.0.checked_sub(len).ok_or(PackedError::TooLarge)?;
        Ok(len)
    }
}

impl Packed {
    /// Packs ranges.
    pub fn new<'a>(parts: impl IntoIterator<Item = (u64, &'a [u8])>) -> Packed {
        let mut ranges = Vec::new();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        for (start, bytes) in parts {
            ranges.push(format!("{start:x}+{:x}", bytes.len()));
            // Writing to a vector does not fail.
            let _ = encoder.write_all(bytes);
        }
        let deflated = encoder.finish().unwrap_or_default();
        Packed { ranges: ranges.join(" "), deflated: deflated.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// Unpacks ranges.
    ///
    /// # Errors
    /// [`PackedError`], of any kind.
    pub fn unpack(&self, budget: &mut Budget) -> Result<Vec<Part>, PackedError> {
        let deflated = bytes_of(&self.deflated)?;
        let mut stream = DeflateDecoder::new(&deflated[..]);
        let mut parts = Vec::new();
        for range in self.ranges.split_ascii_whitespace() {
            let (start, len) = range.split_once('+').ok_or(PackedError::BadRange)?;
            let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| PackedError::BadRange);
            let mut bytes = vec![0; budget.spend(number(len)?)?];
            stream.read_exact(&mut bytes).map_err(|_| PackedError::BadStream)?;
            parts.push((number(start)?, bytes));
        }
        Ok(parts)
    }
}

fn bytes_of(digits: &str) -> Result<Vec<u8>, PackedError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|_| rest.is_empty()).ok_or(PackedError::BadDigits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(ranges: &str, bytes: &[u8]) -> Packed {
        Packed { ranges: ranges.into(), ..Packed::new([(0, bytes)]) }
    }

    #[test]
    fn what_is_damaged_or_too_large_is_refused() {
        let unpack = |packed: &Packed| packed.unpack(&mut Budget(64)).unwrap_err();
        assert_eq!(unpack(&packed("10-4", &[1; 4])), PackedError::BadRange);
        assert_eq!(unpack(&packed("10+zz", &[1; 4])), PackedError::BadRange);
        assert_eq!(unpack(&packed("10+5", &[1; 4])), PackedError::BadStream);
        assert_eq!(unpack(&packed("10+ffffffffffffffff", &[1; 4])), PackedError::TooLarge);
        assert_eq!(unpack(&packed("10+40 10+1", &[1; 65])), PackedError::TooLarge);
        assert_eq!(unpack(&Packed { deflated: "0".into(), ..Packed::default() }), PackedError::BadDigits);
        assert_eq!(unpack(&Packed { deflated: "+f".into(), ..Packed::default() }), PackedError::BadDigits);
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(parts in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..100)), 0..8)) {
            let packed = Packed::new(parts.iter().map(|(start, bytes)| (*start, &bytes[..])));
            prop_assert_eq!(packed.unpack(&mut Budget(1000)), Ok(parts));
        }
    }
}
