//! A range of the target's memory: what can be asked for, and what was copied.

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
    /// Behind its last address.
    pub(super) fn end(&self) -> u64 {
        self.start.0.saturating_add(self.len as u64)
    }

    /// Whether `addr` is in it.
    pub fn holds(&self, addr: Addr) -> bool {
        addr.0.checked_sub(self.start.0).is_some_and(|offset| offset < self.len as u64)
    }
}
