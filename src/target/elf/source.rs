//! Where an ELF file's bytes come from, and reading them within bounds.
//!
//! Does: positioned reads from an opened file or from memory; little-endian words and strings of a byte slice.
//! Does not: keep what was read, or move a file position that others share.

use std::ffi::CStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::error::{ElfError, MAX_SECTION_BYTES, check_room};

/// How much is read before the next allocation: a file that states more than it has costs no more than it has.
const CHUNK: usize = 8 << 20;
/// The largest file that is compared with another, in bytes: an interpreter has 30 MB. It is read in some 20 ms.
const MAX_COMPARED_BYTES: u64 = 64 << 20;
/// So many bytes of two files are compared at a time.
const COMPARED_CHUNK: usize = 256 << 10;
/// The largest file that a checksum is made of, in bytes.
const MAX_CRC_BYTES: u64 = 4 << 30;

#[derive(Debug)]
pub(super) enum Source {
    File { file: File, len: u64 },
    Bytes(Vec<u8>),
}

impl Source {
    pub(super) fn file(file: File) -> Result<Source, ElfError> {
        let len = file.metadata().map_err(|e| ElfError::Io(e.kind()))?.len();
        Ok(Source::File { file, len })
    }

    /// Whether two sources have the same bytes. Those of large files are not looked at: they are other files until they are the
    /// same one.
    pub(super) fn is_same_as(&self, other: &Source) -> bool {
        if self.len() != other.len() {
            return false;
        }
        if let (Source::File { file: a, .. }, Source::File { file: b, .. }) = (self, other)
            && let (Ok(a), Ok(b)) = (a.metadata(), b.metadata())
            && (a.dev(), a.ino()) == (b.dev(), b.ino())
        {
            return true;
        }
        self.len() <= MAX_COMPARED_BYTES && self.has_bytes_of(other).unwrap_or(false)
    }

    fn has_bytes_of(&self, other: &Source) -> Result<bool, ElfError> {
        let mut buffers = [vec![0; COMPARED_CHUNK], vec![0; COMPARED_CHUNK]];
        let mut offset = 0;
        while offset < self.len() {
            let len = (self.len() - offset).min(COMPARED_CHUNK as u64) as usize;
            let [ours, theirs] = &mut buffers;
            self.read_into(offset, &mut ours[..len], "file")?;
            other.read_into(offset, &mut theirs[..len], "file")?;
            if ours[..len] != theirs[..len] {
                return Ok(false);
            }
            offset += len as u64;
        }
        Ok(true)
    }

    pub(super) fn bytes(bytes: Vec<u8>) -> Source {
        Source::Bytes(bytes)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Source::File { len, .. } => *len,
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes `[offset, offset + len)`; all of them, or an error that names `what`.
    pub(super) fn read(&self, offset: u64, len: u64, what: &'static str) -> Result<Vec<u8>, ElfError> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(ElfError::Malformed(what));
        }
        if len > MAX_SECTION_BYTES {
            return Err(ElfError::TooLarge { what, size: len });
        }
        check_room(what, len)?;
        let size = usize::try_from(len).map_err(|_| ElfError::TooLarge { what, size: len })?;
        match self {
            Source::File { file, .. } => read_file(file, offset, size, what),
            Source::Bytes(bytes) => {
                let start = usize::try_from(offset).map_err(|_| ElfError::Malformed(what))?;
                let slice = start.checked_add(size).and_then(|end| bytes.get(start..end));
                slice.map(<[u8]>::to_vec).ok_or(ElfError::Malformed(what))
            }
        }
    }

    /// Fills `into` with the bytes at `offset`; all of them, or an error that names `what`.
    pub(super) fn read_into(&self, offset: u64, into: &mut [u8], what: &'static str) -> Result<(), ElfError> {
        match self {
            Source::File { file, .. } => file.read_exact_at(into, offset).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => ElfError::Malformed(what),
                kind => ElfError::Io(kind),
            }),
            Source::Bytes(bytes) => {
                let start = usize::try_from(offset).map_err(|_| ElfError::Malformed(what))?;
                let end = start.checked_add(into.len()).ok_or(ElfError::Malformed(what))?;
                into.copy_from_slice(bytes.get(start..end).ok_or(ElfError::Malformed(what))?);
                Ok(())
            }
        }
    }

    /// Reads `[offset, offset + len)` from its start, a little at a time.
    pub(super) fn reader(&self, offset: u64, len: u64) -> SourceReader<'_> {
        SourceReader { source: self, at: offset, end: offset.saturating_add(len).min(self.len()) }
    }

    /// The CRC-32 of the whole file, as `.gnu_debuglink` uses it (GDB manual, "Debugging Information in Separate
    /// Files"); the same polynomial as gzip's.
    pub(super) fn crc(&self) -> Result<u32, ElfError> {
        const WHAT: &str = "debug file";
        let len = self.len();
        if len > MAX_CRC_BYTES {
            return Err(ElfError::TooLarge { what: WHAT, size: len });
        }
        let mut crc = flate2::Crc::new();
        let mut offset = 0;
        while offset < len {
            let chunk = self.read(offset, (len - offset).min(CHUNK as u64), WHAT)?;
            crc.update(&chunk);
            offset += chunk.len() as u64;
        }
        Ok(crc.sum())
    }
}

/// A part of a source, to read through once.
pub(super) struct SourceReader<'a> {
    source: &'a Source,
    at: u64,
    end: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let len = into.len().min(left);
        let into = into.get_mut(..len).unwrap_or_default();
        self.source.read_into(self.at, into, "section").map_err(std::io::Error::other)?;
        self.at = self.at.saturating_add(len as u64);
        Ok(len)
    }
}

fn read_file(file: &File, offset: u64, size: usize, what: &'static str) -> Result<Vec<u8>, ElfError> {
    let mut bytes = Vec::new();
    while bytes.len() < size {
        let start = bytes.len();
        let end = size.min(start + CHUNK);
        // The whole size is reserved only after a first chunk was there to read.
        let reserve = if start == 0 { end } else { size - start };
        bytes.try_reserve_exact(reserve).map_err(|_| ElfError::TooLarge { what, size: size as u64 })?;
        bytes.resize(end, 0);
        let Some(rest) = bytes.get_mut(start..) else { break };
        file.read_exact_at(rest, offset + start as u64).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ElfError::Malformed(what),
            kind => ElfError::Io(kind),
        })?;
    }
    Ok(bytes)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The bytes from `at` up to the next NUL, or `None` when there is no NUL.
pub(super) fn string_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    CStr::from_bytes_until_nul(bytes.get(at..)?).ok().map(CStr::to_bytes)
}
