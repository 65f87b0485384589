//! Decodes CPython's string objects.
//!
//! Does: read compact and other strings of every width, at most [`MAX_CHARS`] characters of them, and check their type.
//! Does not: keep or compare strings.

use crate::python::layout::{Layout, ObjectLayout};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most characters of a string that are read; a longer one ends in an ellipsis.
pub const MAX_CHARS: u64 = 4096;

/// `Py_TPFLAGS_BYTES_SUBCLASS` in object.h.
pub(super) const BYTES_SUBCLASS: u64 = 1 << 27;
/// `Py_TPFLAGS_UNICODE_SUBCLASS` in object.h.
const UNICODE_SUBCLASS: u64 = 1 << 28;

/// Why a string could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StringError {
    /// Memory that must be there could not be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The object at this address is not a string.
    #[error("the object at {0} is not a string")]
    NotAString(Addr),
    /// The string at this address has an impossible length or form.
    #[error("the string at {0} is damaged")]
    Damaged(Addr),
}

/// Reads the string at `object`.
///
/// # Errors
/// [`StringError`], of any kind.
pub fn read(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<String, StringError> {
    if type_flags(mem, &layout.object, object)? & UNICODE_SUBCLASS == 0 {
        return Err(StringError::NotAString(object));
    }
    let fields = &layout.string;
    let length = mem.read_u64(object.wrapping_add(fields.length))?;
    let state = mem.read_u32(object.wrapping_add(fields.state))?;
    let form = fields.kind_shifts.iter().map(|shift| state >> shift).find(|form| form & 7 != 0);
    let form = form.ok_or(StringError::Damaged(object))?;
    let (kind, compact, ascii) = (form & 7, form & 8 != 0, form & 16 != 0);
    if !matches!(kind, 1 | 2 | 4) || (ascii && kind != 1) || i64::try_from(length).is_err() {
        return Err(StringError::Damaged(object));
    }
    let data = match (compact, ascii) {
        (true, true) => object.wrapping_add(fields.ascii_data),
        (true, false) => object.wrapping_add(fields.compact_data),
        (false, _) => mem.read_addr(object.wrapping_add(fields.compact_data))?,
    };
    let chars = length.min(MAX_CHARS);
    let bytes = mem.read_vec(data, usize::try_from(chars * u64::from(kind)).unwrap_or(0))?;
    let mut text = decode(&bytes, kind);
    if length > MAX_CHARS {
        text.push('…');
    }
    Ok(text)
}

/// The flags of an object's type.
pub(super) fn type_flags(mem: &impl Memory, layout: &ObjectLayout, object: Addr) -> Result<u64, ReadError> {
    let object_type = mem.read_addr(object.wrapping_add(layout.ob_type))?;
    mem.read_u64(object_type.wrapping_add(layout.tp_flags))
}

/// Decodes characters of `kind` bytes each: Latin-1, UCS-2 or UCS-4. Surrogates (how CPython holds bytes of a file name
/// that are no text, PEP 383) become U+FFFD.
fn decode(bytes: &[u8], kind: u32) -> String {
    let replace = |value: u32| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
    match kind {
        1 => bytes.iter().map(|&b| char::from(b)).collect(),
        2 => bytes.as_chunks::<2>().0.iter().map(|&c| replace(u32::from(u16::from_le_bytes(c)))).collect(),
        _ => bytes.as_chunks::<4>().0.iter().map(|&c| replace(u32::from_le_bytes(c))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_is_decoded() {
        assert_eq!(decode(b"na\xefve", 1), "naïve");
        assert_eq!(decode(&[0x6c, 0x30, 0x00, 0xd8], 2), "ぬ\u{fffd}");
        assert_eq!(decode(&0x1f40d_u32.to_le_bytes(), 4), "🐍");
        assert_eq!(decode(&u32::MAX.to_le_bytes(), 4), "\u{fffd}");
    }
}
