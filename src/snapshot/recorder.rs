//! Memory that remembers what was read of it.
//!
//! Does: pass reads on, and keep the bytes of those that succeed. Does not: decide what is read.

use std::cell::RefCell;

use crate::target::memory::{Memory, ReadError, Region};
use crate::types::Addr;

/// Passes reads on to `M` and keeps what they gave.
#[derive(Debug)]
pub(super) struct Recorder<M> {
    memory: M,
    read: RefCell<Vec<Region>>,
}

impl<M: Memory> Recorder<M> {
    pub(super) fn new(memory: M) -> Self {
        Recorder { memory, read: RefCell::default() }
    }

    /// What was read, in the order of the reads.
    pub(super) fn into_regions(self) -> Vec<Region> {
        self.read.into_inner()
    }
}

impl<M: Memory> Memory for Recorder<M> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        self.memory.read(addr, buf)?;
        self.read.borrow_mut().push(Region { start: addr, bytes: buf.to_vec() });
        Ok(())
    }
}

/// Sorts regions, and joins those that overlap or touch: where they overlap, the one at the lower address answers.
pub(super) fn join(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_by_key(|region| region.start);
    let mut joined: Vec<Region> = Vec::new();
    for region in regions {
        let Some(last) = joined.last_mut() else {
            joined.push(region);
            continue;
        };
        let offset = usize::try_from(region.start.0.saturating_sub(last.start.0)).unwrap_or(usize::MAX);
        match last.bytes.len().checked_sub(offset) {
            Some(overlap) => last.bytes.extend_from_slice(region.bytes.get(overlap..).unwrap_or_default()),
            None => joined.push(region),
        }
    }
    joined.retain(|region| !region.bytes.is_empty());
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_overlap_or_touch_become_one() {
        let region = |start, bytes: &[u8]| Region { start: Addr(start), bytes: bytes.to_vec() };
        let joined = join(vec![
            region(20, b"xyz"),
            region(12, b"cdef"),
            region(10, b"abc"),
            region(13, b"d"),
            region(16, b"gh"),
        ]);
        assert_eq!(joined, [region(10, b"abcdefgh"), region(20, b"xyz")]);
    }

    #[test]
    fn only_what_could_be_read_is_kept() {
        let recorder = Recorder::new(Region { start: Addr(0x1000), bytes: vec![7; 16] });
        assert_eq!(recorder.read_u8(Addr(0x1008)), Ok(7));
        assert!(recorder.read_u64(Addr(0x100c)).is_err());
        assert_eq!(recorder.into_regions(), [Region { start: Addr(0x1008), bytes: vec![7] }]);
    }
}
