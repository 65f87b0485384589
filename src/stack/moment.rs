//! One thread at one moment: what the pure stages are given.
//!
//! Does: hold it together. Does not: copy or compute anything.

use super::code_cache::CodeCache;
use crate::target::memory::Region;
use crate::target::registers::Registers;
use crate::unwind::address_space::AddressSpace;

/// One thread at one moment, copied, and what is known of its process.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// Its registers.
    pub registers: &'a Registers,
    /// Its stack.
    pub stack: &'a Region,
    /// The code of its process.
    pub addresses: &'a AddressSpace,
    /// The code objects of its process, those on this stack among them.
    pub codes: &'a CodeCache,
}
