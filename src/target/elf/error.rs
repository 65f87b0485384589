//! Why something of an ELF file could not be had.
//!
//! Does: define it, and the bound that all readers share. Does not: read a file.

use crate::target::memory_budget::{self, Share};

/// The largest section that is read or decompressed, in bytes.
pub const MAX_SECTION_BYTES: u64 = 2 << 30;

/// Nobody measures before he takes less than so many bytes.
const SMALL: u64 = 256 << 10;

/// Refuses what there is no room for in memory.
pub(super) fn check_room(what: &'static str, size: u64) -> Result<(), ElfError> {
    if size <= SMALL || memory_budget::fits(size, Share::All) { Ok(()) } else { Err(ElfError::NoRoom(what)) }
}

/// Why an ELF file, or a part of it, could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ElfError {
    /// The file does not begin as an ELF file does.
    #[error("not an ELF file")]
    NotElf,
    /// A 32-bit file.
    #[error("a 32-bit ELF file")]
    Class32,
    /// An ELF file for a machine that is not supported; its `e_machine`.
    #[error("an ELF file for another machine (e_machine {0})")]
    ForeignMachine(u16),
    /// The file ends before the part that its headers promise, or a header contradicts itself.
    #[error("malformed ELF file: {0}")]
    Malformed(&'static str),
    /// More bytes than the bound allows.
    #[error("{what} is too large: {size} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size as the file states it.
        size: u64,
    },
    /// More than there is room for in memory.
    #[error("{0} takes more memory than --max-memory allows")]
    NoRoom(&'static str),
    /// There is no such part in the file.
    #[error("no {0} in the file")]
    Missing(&'static str),
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(std::io::ErrorKind),
}
