//! The bytes of a core file, wherever they are.
//!
//! Does: positioned reads that stop where the bytes stop; little-endian words of a slice.
//! Does not: keep what was read, map the file (one that is cut meanwhile kills its reader), or move a file position.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// Where a core file's bytes are.
#[derive(Debug)]
pub enum CoreBytes {
    /// In a file, of this length when it was opened.
    File {
        /// The file.
        file: File,
        /// Its length in bytes.
        len: u64,
    },
    /// In memory: a test's.
    Bytes(Vec<u8>),
}

impl CoreBytes {
    /// Those of an opened file.
    ///
    /// # Errors
    /// When its length is not told.
    pub fn of_file(file: File) -> io::Result<CoreBytes> {
        let len = file.metadata()?.len();
        Ok(CoreBytes::File { file, len })
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        match self {
            CoreBytes::File { len, .. } => *len,
            CoreBytes::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `into` from `offset` on with as many bytes as there are, and returns how many that is.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> usize {
        match self {
            CoreBytes::File { file, .. } => read_at(file, offset, into),
            CoreBytes::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
                let len = rest.len().min(into.len());
                if let (Some(into), Some(rest)) = (into.get_mut(..len), rest.get(..len)) {
                    into.copy_from_slice(rest);
                }
                len
            }
        }
    }

    /// The bytes `[offset, offset + len)`, all of them, or `None`. The caller bounds `len`.
    pub fn read_vec(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let end = offset.checked_add(len as u64)?;
        // Before memory is taken for them.
        if end > self.len() {
            return None;
        }
        let mut bytes = vec![0; len];
        (self.read_at(offset, &mut bytes) == len).then_some(bytes)
    }
}

/// Fills `into` from `offset` of a file on with as many bytes as there are, and returns how many that is.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    u32_at(bytes, at).map(u32::cast_signed)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The text of a field of fixed length, which ends at its first NUL. Bytes that are not UTF-8 are replaced.
pub(super) fn text_at(bytes: &[u8], at: usize, len: usize) -> Option<String> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
    Some(String::from_utf8_lossy(field.get(..end)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_where_the_bytes_do() {
        let bytes = CoreBytes::Bytes(vec![1, 2, 3]);
        let mut into = [0; 4];
        assert_eq!((bytes.read_at(1, &mut into), into), (2, [2, 3, 0, 0]));
        assert_eq!((bytes.read_at(3, &mut into), bytes.read_at(u64::MAX, &mut into)), (0, 0));
        assert_eq!(bytes.read_vec(0, 3), Some(vec![1, 2, 3]));
        assert_eq!((bytes.read_vec(1, 3), bytes.read_vec(u64::MAX, 1)), (None, None));
    }

    #[test]
    fn a_field_of_text_ends_at_its_nul() {
        assert_eq!(text_at(b"xpython\0\0y", 1, 8).as_deref(), Some("python"));
        assert_eq!(text_at(b"python", 0, 6).as_deref(), Some("python"));
        assert_eq!(text_at(b"python", 1, 6), None);
    }
}
