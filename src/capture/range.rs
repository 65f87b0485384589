//! A range of the target's memory: what can be asked for, and what was copied.

use crate::target::memory::Region;
use crate::types::Addr;

/// A range of the target's memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// Its first address.
    pub start: Addr,
    /// Its length in bytes.
    pub len: usize,
}

impl Range {
    /// From `start` to `end`, which is not below it.
    pub fn between(start: u64, end: u64) -> Range {
        Range { start: Addr(start), len: end.saturating_sub(start) as usize }
    }

    /// That of a copy.
    pub fn of(copy: &Region) -> Range {
        Range { start: copy.start, len: copy.bytes.len() }
    }

    /// Behind its last address.
    pub fn end(&self) -> u64 {
        self.start.0.saturating_add(self.len as u64)
    }

    /// Whether `addr` is in it.
    pub fn holds(&self, addr: Addr) -> bool {
        addr.0.checked_sub(self.start.0).is_some_and(|offset| offset < self.len as u64)
    }
}
