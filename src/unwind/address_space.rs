//! Where code is in the target: what unwinding needs to know of its mappings.
//!
//! Does: find the executable range of an address, and the module that is mapped there.
//! Does not: read maps; whoever builds it does, anew when the target's mappings change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::code_bytes::CodeBytes;
use super::module::ModuleUnwinder;
use crate::types::Addr;

/// What is mapped in an executable range.
#[derive(Debug, Clone)]
pub enum Code {
    /// A file's code.
    Module {
        /// The caller's own number for the module.
        index: usize,
        /// What the loader added to the file's addresses, modulo 2^64.
        bias: u64,
        /// The file's unwind tables.
        unwinder: Arc<ModuleUnwinder>,
    },
    /// Code without a file: a JIT's, or a stub made at run time.
    Anonymous {
        /// Its maker is known to keep frame pointers (the JIT of CPython 3.15). Elsewhere rbp may still be that of
        /// the function that called the code, and a step by it would leave that function out.
        keeps_frame_pointers: bool,
    },
}

/// An executable range of the target.
#[derive(Debug, Clone)]
pub struct CodeRange {
    /// The first address.
    pub start: Addr,
    /// The first address after it.
    pub end: Addr,
    /// What is mapped there.
    pub code: Code,
}

/// The executable ranges of one process at one time. Never changes: a new mapping makes a new one.
#[derive(Debug)]
pub struct AddressSpace {
    ranges: Vec<CodeRange>,
    generation: u64,
    anonymous_code: Option<Arc<dyn CodeBytes>>,
}

impl AddressSpace {
    /// Takes the executable ranges, in any order. Of two that overlap, the later one by address wins its start.
    pub fn new(mut ranges: Vec<CodeRange>) -> Self {
        static GENERATION: AtomicU64 = AtomicU64::new(1);
        ranges.retain(|r| r.start < r.end);
        ranges.sort_by_key(|r| (r.start, r.end));
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        AddressSpace { ranges, generation, anonymous_code: None }
    }

    /// Adds a way to read what is in no file: instructions that were made at run time, and the addresses that the loader writes.
    #[must_use]
    pub fn with_anonymous_code(self, code: Arc<dyn CodeBytes>) -> Self {
        AddressSpace { anonymous_code: Some(code), ..self }
    }

    /// What is in no file, by its address in the process.
    pub fn anonymous_code(&self) -> Option<&Arc<dyn CodeBytes>> {
        self.anonymous_code.as_ref()
    }

    /// The range that holds `addr`.
    pub fn find(&self, addr: Addr) -> Option<&CodeRange> {
        let after = self.ranges.partition_point(|r| r.start <= addr);
        self.ranges.get(after.checked_sub(1)?).filter(|r| addr < r.end)
    }

    /// The module that is mapped at `addr`: its unwind tables, and what the loader added to its addresses.
    pub fn module(&self, addr: Addr) -> Option<(&ModuleUnwinder, u64)> {
        match &self.find(addr)?.code {
            Code::Module { unwinder, bias, .. } => Some((unwinder, *bias)),
            Code::Anonymous { .. } => None,
        }
    }

    /// All ranges, by address.
    pub fn ranges(&self) -> &[CodeRange] {
        &self.ranges
    }

    /// A number that no other address space of this process has.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(start: u64, end: u64) -> CodeRange {
        CodeRange { start: Addr(start), end: Addr(end), code: Code::Anonymous { keeps_frame_pointers: true } }
    }

    #[test]
    fn finds_the_range_of_an_address_and_nothing_in_the_gaps() {
        let space = AddressSpace::new(vec![anonymous(0x3000, 0x4000), anonymous(0x1000, 0x2000)]);
        let start = |addr| space.find(Addr(addr)).map(|r| r.start.0);
        assert_eq!(start(0xfff), None);
        assert_eq!(start(0x1000), Some(0x1000));
        assert_eq!(start(0x1fff), Some(0x1000));
        assert_eq!(start(0x2000), None);
        assert_eq!(start(0x3fff), Some(0x3000));
        assert_eq!(start(u64::MAX), None);
    }

    #[test]
    fn ignores_empty_and_reversed_ranges() {
        assert!(AddressSpace::new(vec![anonymous(5, 5), anonymous(9, 3)]).ranges().is_empty());
    }

    #[test]
    fn two_address_spaces_never_share_a_generation() {
        assert_ne!(AddressSpace::new(Vec::new()).generation(), AddressSpace::new(Vec::new()).generation());
    }
}
