//! What a step out of a frame works with, on any architecture: the copied stack, three or four registers, its errors.
//!
//! Does: read words of the copy, with the signature taken off where they are return addresses.
//! Does not: step; that is the architecture's.

use crate::target::memory::Region;

/// The copied stack. A word is there or it is not; an address is checked once.
#[derive(Debug, Clone, Copy)]
pub struct StackBytes<'a> {
    start: u64,
    bytes: &'a [u8],
    /// Bits of a return address that are its signature.
    signature_mask: u64,
}

impl<'a> StackBytes<'a> {
    /// The bytes of a copied range, of a process that signs no return addresses.
    #[inline]
    pub fn new(region: &'a Region) -> Self {
        StackBytes { start: region.start.0, bytes: &region.bytes, signature_mask: 0 }
    }

    /// The same bytes; these bits of a return address are its signature.
    #[inline]
    #[must_use]
    pub fn signed(self, signature_mask: u64) -> Self {
        StackBytes { signature_mask, ..self }
    }

    /// A return address without its signature.
    ///
    /// A user's addresses have zeroes in the place of it (bit 55 is clear), so that one which is not signed stays what it
    /// is, and nobody needs to know which are.
    #[inline]
    pub fn without_signature(self, return_address: u64) -> u64 {
        return_address & !self.signature_mask
    }

    /// The word at `addr`.
    #[inline]
    pub fn word(self, addr: u64) -> Option<u64> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        Some(u64::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?))
    }

    /// The two words at `addr`: a frame record when it is one.
    #[inline]
    pub fn pair(self, addr: u64) -> Option<(u64, u64)> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        let bytes: &[u8; 16] = self.bytes.get(offset..)?.first_chunk()?;
        Some((u64::from_le_bytes(*bytes.first_chunk()?), u64::from_le_bytes(*bytes.last_chunk()?)))
    }

    /// `len` bytes at `addr` as a little-endian number.
    pub fn number(self, addr: u64, len: u8) -> Option<u64> {
        let offset = usize::try_from(addr.wrapping_sub(self.start)).ok()?;
        let mut word = [0; 8];
        let bytes = self.bytes.get(offset..)?.get(..usize::from(len))?;
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
}

/// The registers that the fast walk keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The program counter, or the return address that stands for it.
    pub pc: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer, unless it is not known.
    pub fp: Option<u64>,
    /// The link register (AArch64's x30), unless it is not known: only in a frame that was interrupted can it hold the
    /// return address still.
    pub lr: Option<u64>,
}

/// Why a step could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepError {
    /// It needs a register that is not known.
    UnknownRegister,
    /// What it needs is not in the copied stack. The CFA, where that much is known.
    Unreadable(Option<u64>),
    /// It would not go up.
    NotAscending,
    /// There is no way to make it.
    Unsupported,
}
