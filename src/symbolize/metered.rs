//! Bytes of DWARF that can be read for as long as there is room for what is made of them.
//!
//! Does: hand everything to a slice, count the reads, and fail them all once memory is short. Whoever decodes (gimli, addr2line) builds
//! its tables read by read, out of few bytes: rows of lines, ranges, functions. It stops at the first read that fails, so no table grows
//! further. Does not: decode, or tell what was being built.

use std::borrow::Cow;
use std::cell::Cell;

use gimli::{EndianSlice, LittleEndian, Reader, ReaderOffsetId, Result};

use crate::target::memory_budget::{self, Share};

/// Memory is measured after so many reads: what one read makes (a row, a range, an abbreviation, a function) is some hundred bytes at most.
const MEASURE_AFTER: u32 = 2_000;
/// What is made of a text of so many bytes counts as a read.
const TEXT: u32 = 128;

/// Counts the reads of one set of look-ups, and knows whether there is room for more.
#[derive(Debug)]
pub(super) struct ReadMeter {
    until_measured: Cell<u32>,
    is_over: Cell<bool>,
    /// What was left when it began, in bytes.
    at_first: u64,
}

impl ReadMeter {
    pub(super) fn new() -> ReadMeter {
        let at_first = memory_budget::left(Share::All);
        ReadMeter { until_measured: Cell::new(MEASURE_AFTER), is_over: Cell::new(false), at_first }
    }

    /// Whether reads have failed for want of room: what was decoded since means nothing.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    fn count(&self, reads: u32) -> Result<()> {
        match self.until_measured.get().checked_sub(reads) {
            Some(left) if !self.is_over.get() => self.until_measured.set(left),
            Some(_) => return Err(gimli::Error::Io),
            None => self.measure(),
        }
        if self.is_over.get() { Err(gimli::Error::Io) } else { Ok(()) }
    }

    #[cold]
    fn measure(&self) {
        self.until_measured.set(MEASURE_AFTER);
        let left = memory_budget::left(Share::All);
        let taken = self.at_first.saturating_sub(left);
        // A table is sorted when it is complete, which takes half of it again.
        if left < taken / 2 {
            self.is_over.set(true);
        }
    }
}

/// Bytes that are read by a meter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metered<'a> {
    bytes: EndianSlice<'a, LittleEndian>,
    meter: &'a ReadMeter,
}

impl<'a> Metered<'a> {
    pub(super) fn new(bytes: &'a [u8], meter: &'a ReadMeter) -> Metered<'a> {
        Metered { bytes: EndianSlice::new(bytes, LittleEndian), meter }
    }

    fn text(&self) -> Result<()> {
        self.meter.count(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX) / TEXT)
    }
}

impl Reader for Metered<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn empty(&mut self) {
        self.bytes.empty();
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        self.bytes.truncate(len)
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.bytes.offset_from(base.bytes)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        self.bytes.offset_id()
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        self.bytes.lookup_offset_id(id)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        Reader::find(&self.bytes, byte)
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        self.meter.count(1)?;
        self.bytes.skip(len)
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        self.meter.count(1)?;
        Ok(Metered { bytes: self.bytes.split(len)?, meter: self.meter })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.bytes.to_slice()
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        self.text()?;
        Reader::to_string(&self.bytes)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        self.text()?;
        Reader::to_string_lossy(&self.bytes)
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.meter.count(1)?;
        Reader::read_slice(&mut self.bytes, buffer)
    }

    fn read_u8(&mut self) -> Result<u8> {
        self.meter.count(1)?;
        self.bytes.read_u8()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fail_once_there_is_no_room_and_never_again_succeed() {
        let meter = ReadMeter::new();
        let mut bytes = Metered::new(&[7; 8], &meter);
        assert_eq!(bytes.read_u8(), Ok(7));
        meter.is_over.set(true);
        assert_eq!(bytes.read_u8(), Err(gimli::Error::Io));
        assert_eq!(bytes.read_u32(), Err(gimli::Error::Io));
        assert!(bytes.skip(1).is_err() && bytes.split(1).is_err());
        assert!(Metered::new(&[b'x'; 1000], &meter).to_string_lossy().is_err());
    }

    #[test]
    fn without_a_bound_all_can_be_read() {
        let meter = ReadMeter::new();
        let many = vec![1; 3 * MEASURE_AFTER as usize];
        let mut bytes = Metered::new(&many, &meter);
        while !bytes.is_empty() {
            assert_eq!(bytes.read_u8(), Ok(1));
        }
        assert!(!meter.is_over());
    }
}
