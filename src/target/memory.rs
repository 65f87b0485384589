//! Memory of a target, wherever its bytes come from: a live process, a saved snapshot or a test.
//!
//! Does: define what "reading the target" means to all pure code, and hold copies of it.
//! Does not: make a system call; the live form is `process_memory`.

use std::fmt;

use crate::types::Addr;

/// Memory can be read or not by whole pages. This is the smallest, in bytes; those of 16 and 64 KiB (AArch64) consist of it.
pub const PAGE: u64 = 4096;

/// Bytes that could not be read: the range is not mapped, not permitted, or not part of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at {addr} cannot be read")]
pub struct ReadError {
    /// Where the read began.
    pub addr: Addr,
    /// How many bytes were asked for.
    pub len: usize,
}

/// A readable address space. What is read may be garbage or change between two reads.
pub trait Memory {
    /// Fills `buf` with the bytes at `addr`; all of them, or an error.
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError>;

    /// The copy that has the byte at `addr`, and where it begins, if there is one: who reads many neighbours need not search for
    /// each.
    fn copy_around(&self, _addr: Addr) -> Option<(Addr, &[u8])> {
        None
    }

    /// Reads one byte.
    fn read_u8(&self, addr: Addr) -> Result<u8, ReadError> {
        let mut buf = [0; 1];
        self.read(addr, &mut buf)?;
        Ok(buf[0])
    }

    /// Reads a little-endian 32-bit word.
    fn read_u32(&self, addr: Addr) -> Result<u32, ReadError> {
        let mut buf = [0; 4];
        self.read(addr, &mut buf)?;
        Ok(u32::from_le_bytes(buf))
    }

    /// Reads a little-endian 64-bit word.
    fn read_u64(&self, addr: Addr) -> Result<u64, ReadError> {
        let mut buf = [0; 8];
        self.read(addr, &mut buf)?;
        Ok(u64::from_le_bytes(buf))
    }

    /// Reads a pointer: the address that it leads to.
    fn read_addr(&self, addr: Addr) -> Result<Addr, ReadError> {
        self.read_u64(addr).map(Addr::of_pointer)
    }

    /// Reads `len` bytes into a new vector. The caller bounds `len`.
    fn read_vec(&self, addr: Addr, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut buf = vec![0; len];
        self.read(addr, &mut buf)?;
        Ok(buf)
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        (**self).read(addr, buf)
    }

    fn copy_around(&self, addr: Addr) -> Option<(Addr, &[u8])> {
        (**self).copy_around(addr)
    }
}

/// The kernel takes at most this many ranges in one call (`UIO_MAXIOV`, uio.h).
pub const MAX_RANGES: usize = 1024;

/// A range to copy in [`BulkMemory::read_ranges`].
#[derive(Debug)]
pub struct RangeRead<'a> {
    /// Where it begins in the target.
    pub addr: Addr,
    /// Where the bytes go; its length is the range's.
    pub into: &'a mut [u8],
}

/// The memory of a whole target, of which many ranges are copied at once.
pub trait BulkMemory: Memory + fmt::Debug + Send + Sync {
    /// Copies ranges, at most [`MAX_RANGES`], in order, up to the first byte that cannot be read. Returns how many bytes were
    /// copied, all ranges together.
    fn read_ranges(&self, ranges: &mut [RangeRead<'_>]) -> usize;

    /// How many system calls have read it; 0 of memory that is read without any.
    fn calls(&self) -> u64;

    /// Fills as much of each range as can be read from its beginning on, and says in `filled` how much of each that is. One that
    /// cannot be read whole does not affect the others.
    fn read_each(&self, reads: &mut [RangeRead<'_>], filled: &mut Vec<usize>) {
        filled.clear();
        while let Some(rest) = reads.get_mut(filled.len()..).filter(|rest| !rest.is_empty()) {
            let taken = rest.len().min(MAX_RANGES);
            let mut copied = self.read_ranges(&mut rest[..taken]);
            for read in &rest[..taken] {
                let of_this = copied.min(read.into.len());
                filled.push(of_this);
                copied -= of_this;
                if of_this < read.into.len() {
                    break;
                }
            }
        }
    }

    /// Fills regions, each in the length that it has. One that cannot be read whole is cut to what can be; the others are not
    /// affected.
    fn read_regions(&self, regions: &mut [&mut Region]) {
        let mut filled = Vec::new();
        let reads = regions.iter_mut().map(|region| RangeRead { addr: region.start, into: &mut region.bytes });
        self.read_each(&mut reads.collect::<Vec<_>>(), &mut filled);
        for (region, len) in regions.iter_mut().zip(filled) {
            region.bytes.truncate(len);
        }
    }
}

/// The bytes `[addr, addr + len)` of a copy that begins at `start`, or `None` when they are not all inside it.
#[inline]
pub fn slice_of(start: Addr, copy: &[u8], addr: Addr, len: usize) -> Option<&[u8]> {
    let offset = usize::try_from(addr.0.checked_sub(start.0)?).ok()?;
    copy.get(offset..offset.checked_add(len)?)
}

/// A copy of one contiguous range of the target's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Region {
    /// Where the copied range begins in the target.
    pub start: Addr,
    /// The copied bytes.
    pub bytes: Vec<u8>,
}

impl Region {
    /// The bytes `[addr, addr + len)`, or `None` when they are not all inside the copy.
    #[inline]
    pub fn slice(&self, addr: Addr, len: usize) -> Option<&[u8]> {
        slice_of(self.start, &self.bytes, addr, len)
    }

    /// The little-endian 64-bit word at `addr`, or `None` when it is not inside the copy.
    #[inline]
    pub fn u64_at(&self, addr: Addr) -> Option<u64> {
        let bytes = self.slice(addr, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl Memory for Region {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        let bytes = self.slice(addr, len).ok_or(ReadError { addr, len })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn copy_around(&self, addr: Addr) -> Option<(Addr, &[u8])> {
        self.slice(addr, 1).map(|_| (self.start, &self.bytes[..]))
    }
}

/// Copies of several ranges, read as one address space. A read must lie within one of them.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    regions: Vec<Region>,
}

impl Regions {
    /// Adds a copy. Where copies overlap, the one added first answers.
    pub fn push(&mut self, region: Region) {
        self.regions.push(region);
    }

    /// The copies, in the order in which they were added.
    pub fn as_slice(&self) -> &[Region] {
        &self.regions
    }
}

impl FromIterator<Region> for Regions {
    fn from_iter<I: IntoIterator<Item = Region>>(regions: I) -> Self {
        Regions { regions: regions.into_iter().collect() }
    }
}

impl Memory for Regions {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        let bytes = self.regions.iter().find_map(|r| r.slice(addr, len)).ok_or(ReadError { addr, len })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}
