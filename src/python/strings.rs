//! Decodes CPython's string objects.
//!
//! Does: read compact and other strings of every width, at most [`MAX_CHARS`] characters of them, and check their type.
//! Does not: keep or compare strings.

use crate::python::layout::Layout;
use crate::python::type_flags::{UNICODE_SUBCLASS, type_flags};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most characters of a string that are read; a longer one ends in an ellipsis.
pub const MAX_CHARS: u64 = 4096;

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

/// Where a string's characters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Characters {
    /// The first one.
    pub(super) data: Addr,
    /// How many there are; a null one follows them, as `PyUnicode_New` in unicodeobject.c promises.
    pub(super) length: u64,
    /// How many bytes each has: 1, 2 or 4.
    pub(super) kind: u32,
}

/// Reads the string at `object`.
///
/// # Errors
/// [`StringError`], of any kind.
pub fn read(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<String, StringError> {
    let (Characters { length, kind, .. }, bytes) = bytes(mem, layout, object)?;
    let mut text = decode(&bytes, kind);
    if length > MAX_CHARS {
        text.push('…');
    }
    Ok(text)
}

/// Finds the characters of the string at `object`, and copies the first [`MAX_CHARS`] of them.
pub(super) fn bytes(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<(Characters, Vec<u8>), StringError> {
    let characters = characters(mem, layout, object)?;
    let chars = characters.length.min(MAX_CHARS);
    let bytes = mem.read_vec(characters.data, usize::try_from(chars * u64::from(characters.kind)).unwrap_or(0))?;
    Ok((characters, bytes))
}

/// Finds the characters of the string at `object`.
pub(super) fn characters(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<Characters, StringError> {
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
    Ok(Characters { data, length, kind })
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
    use crate::python::layout::{Version, by_table};
    use crate::python::type_flags::BYTES_SUBCLASS;
    use crate::target::memory::Region;

    const STRING: Addr = Addr(0x1000);
    const TYPE: u64 = 0x3000;

    /// Reads a string of 3.12 whose characters are right behind the header of its form, in memory full of `x`.
    fn string(flags: u64, length: u64, state: u32, data: &[u8]) -> Result<String, StringError> {
        let layout = by_table(Version::new(3, 12)).unwrap().unwrap();
        let mut bytes = vec![b'x'; 0x5000];
        let mut put = |offset: usize, data: &[u8]| bytes[offset..offset + data.len()].copy_from_slice(data);
        put(8, &TYPE.to_le_bytes());
        put(16, &length.to_le_bytes());
        put(32, &state.to_le_bytes());
        put(if state & 64 == 0 { 56 } else { 40 }, data);
        put(0x2000 + 168, &flags.to_le_bytes());
        read(&Region { start: STRING, bytes }, &layout, STRING)
    }

    const fn state(kind: u32, compact: bool, ascii: bool) -> u32 {
        (kind << 2) | ((compact as u32) << 5) | ((ascii as u32) << 6)
    }

    #[test]
    fn every_width_is_decoded() {
        let read = |length, state, data: &[u8]| string(UNICODE_SUBCLASS, length, state, data).unwrap();
        assert_eq!(read(3, state(1, true, true), b"abc"), "abc");
        assert_eq!(read(5, state(1, true, false), b"na\xefve"), "naïve");
        assert_eq!(read(2, state(2, true, false), &[0x6c, 0x30, 0x00, 0xd8]), "ぬ\u{fffd}", "half a surrogate pair");
        assert_eq!(read(1, state(4, true, false), &0x1f40d_u32.to_le_bytes()), "🐍");
        assert_eq!(read(1, state(4, true, false), &u32::MAX.to_le_bytes()), "\u{fffd}");
        assert_eq!(read(2, state(1, false, false), &(STRING.0 + 0x100).to_le_bytes()), "xx", "a subclass of str");
    }

    #[test]
    fn a_long_string_is_cut() {
        let text = string(UNICODE_SUBCLASS, MAX_CHARS + 1, state(1, true, true), b"").unwrap();
        assert_eq!(text.chars().count() as u64, MAX_CHARS + 1);
        assert!(text.ends_with("x…"));
    }

    #[test]
    fn what_is_no_string_is_refused() {
        let ascii = state(1, true, true);
        assert_eq!(string(BYTES_SUBCLASS, 1, ascii, b"a"), Err(StringError::NotAString(STRING)));
        assert_eq!(string(UNICODE_SUBCLASS, u64::MAX, ascii, b"a"), Err(StringError::Damaged(STRING)));
        for damaged in [state(3, true, false), state(0, true, false), state(2, true, true)] {
            assert_eq!(string(UNICODE_SUBCLASS, 1, damaged, b"a"), Err(StringError::Damaged(STRING)));
        }
    }
}
