//! What one capture gives: registers and copied memory of one thread at one moment.
//!
//! Does: hold the copies in buffers that are reused from sample to sample, and say what they cost the target.
//! Does not: interpret them.

use crate::target::memory::{Memory, ReadError, Region};
use crate::target::registers::Registers;
use crate::target::threads::SystemCall;
use crate::types::{Addr, Nanos};

/// A range of the target's memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Its first address.
    pub start: Addr,
    /// Its length in bytes.
    pub len: usize,
}

impl Range {
    /// Behind its last address.
    pub(super) fn end(&self) -> u64 {
        self.start.0.saturating_add(self.len as u64)
    }

    /// Whether `addr` is in it.
    pub fn holds(&self, addr: Addr) -> bool {
        addr.0.checked_sub(self.start.0).is_some_and(|offset| offset < self.len as u64)
    }
}

/// One thread at one moment.
#[derive(Debug, Default, Clone)]
pub struct Captured {
    /// Its registers: all of them, or the program counter and stack pointer of a thread that was not stopped.
    pub registers: Registers,
    /// Its stack, from below the stack pointer upwards, or from the first page that is there.
    pub stack: Region,
    /// What was asked for of the stack.
    pub(super) asked: Range,
    /// Other memory: thread state, interpreter frames.
    regions: Vec<Region>,
    /// How many of `regions` belong to this capture; those behind it are buffers that wait.
    used: usize,
    /// How long the thread stood still at most: from asking it to stop until it was let go. `None`: it was not stopped.
    pub stood_still: Option<Nanos>,
    /// Whether the stop has ended a system call early: it returns EINTR, or fewer bytes than it was asked for.
    pub disturbed: bool,
    /// The system call in which the thread was blocked.
    pub system_call: Option<SystemCall>,
}

impl Captured {
    /// Forgets the capture before and keeps its buffers.
    pub(super) fn reset(&mut self) {
        self.registers = Registers::new();
        self.forget_copies();
        self.stood_still = None;
        self.disturbed = false;
        self.system_call = None;
    }

    /// Forgets the copies and keeps what else is known.
    pub(super) fn forget_copies(&mut self) {
        // The bytes stay: clearing a buffer only makes the next capture fill it with zeroes before the copy.
        self.stack.start = Addr::NULL;
        self.asked = Range::default();
        self.used = 0;
    }

    /// Adds buffers for these ranges, and returns them to be filled.
    pub(super) fn prepare(&mut self, ranges: &[Range]) -> &mut [Region] {
        let first = self.used;
        self.used += ranges.len();
        if self.regions.len() < self.used {
            self.regions.resize_with(self.used, Region::default);
        }
        for (region, range) in self.regions.iter_mut().skip(first).zip(ranges) {
            region.start = range.start;
            region.bytes.resize(range.len, 0);
        }
        self.regions.get_mut(first..self.used).unwrap_or_default()
    }

    /// The copies beside the stack.
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.used).unwrap_or_default()
    }
}

impl Memory for Captured {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        let stack = (!self.stack.start.is_null()).then_some(&self.stack);
        let found = self.regions().iter().chain(stack).find_map(|r| r.slice(addr, len));
        buf.copy_from_slice(found.ok_or(ReadError { addr, len })?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_an_earlier_capture_are_not_read() {
        let mut captured = Captured::default();
        let old = Range { start: Addr(0x1000), len: 64 };
        captured.stack = Region { start: Addr(0x3000), bytes: vec![7; 64] };
        assert_eq!(captured.read_u8(Addr(0x3000)), Ok(7));
        captured.prepare(&[old])[0].bytes.fill(7);
        assert_eq!(captured.read_u8(Addr(0x1000)), Ok(7));
        captured.reset();
        for gone in [0, 8, 0x1000, 0x3000] {
            assert!(captured.read_u8(Addr(gone)).is_err());
        }
        let new = Range { start: Addr(0x2000), len: 8 };
        assert_eq!(captured.prepare(&[new])[0].bytes.len(), 8);
        assert!(captured.read_u64(Addr(0x2000)).is_ok() && captured.read_u64(Addr(0x1000)).is_err());
    }
}
