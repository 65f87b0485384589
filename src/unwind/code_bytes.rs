//! Where instructions are read.
//!
//! Does: say how to ask for them. Does not: read any; whoever has them does.

use std::fmt::Debug;

use crate::types::Svma;

/// Where instructions are read: a module's file, a process, a saved snapshot or an array.
pub trait CodeBytes: Debug + Send + Sync {
    /// `len` bytes of code at `svma` (for code without a file, its address in the process), or `None` when they are not all there.
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>>;
}
