//! What tests unwind through: a module and a stack, written in the test.
//!
//! Does: hold code, and give tables and words the form that the unwinder takes. Does not: know what is in them.

use std::ops::Range;
use std::sync::Arc;

use super::address_space::{Code, CodeRange};
use super::code_bytes::CodeBytes;
use super::eh_frame_writer::Tables;
use super::module::ModuleUnwinder;
use super::sections::UnwindSections;
use crate::target::elf::SectionData;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};

/// Code, from a stated address on.
#[derive(Debug, Clone)]
pub struct Text {
    start: u64,
    bytes: Vec<u8>,
}

impl Text {
    /// So much code, all of it the byte `filler`.
    pub fn new(Range { start, end }: Range<u64>, filler: u8) -> Text {
        Text { start, bytes: vec![filler; (end - start) as usize] }
    }

    /// Puts instructions at an address.
    pub fn put(&mut self, at: u64, instructions: &[u8]) {
        let at = (at - self.start) as usize;
        self.bytes[at..at + instructions.len()].copy_from_slice(instructions);
    }
}

impl CodeBytes for Text {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        let at = usize::try_from(svma.0.checked_sub(self.start)?).ok()?;
        Some(self.bytes.get(at..)?.get(..usize::try_from(len).ok()?)?.to_vec())
    }
}

/// A file with these tables.
pub fn module(tables: Tables) -> ModuleUnwinder {
    let header = SectionData { svma: Svma(tables.eh_frame_hdr_svma), bytes: tables.eh_frame_hdr };
    let eh_frame = SectionData { svma: Svma(tables.eh_frame_svma), bytes: tables.eh_frame };
    ModuleUnwinder::new(UnwindSections { eh_frame_hdr: Some(header), eh_frame: Some(eh_frame) })
}

/// The same file without the table of its header, so that its entries are found by a scan.
pub fn module_without_header(tables: Tables) -> ModuleUnwinder {
    let eh_frame = SectionData { svma: Svma(tables.eh_frame_svma), bytes: tables.eh_frame };
    ModuleUnwinder::new(UnwindSections { eh_frame_hdr: None, eh_frame: Some(eh_frame) })
}

/// A part of a file, mapped so far from its stated addresses.
pub fn mapped(unwinder: ModuleUnwinder, bias: u64, part: Range<u64>) -> CodeRange {
    let code = Code::Module { index: 0, bias, unwinder: Arc::new(unwinder) };
    CodeRange { start: Addr(bias + part.start), end: Addr(bias + part.end), code }
}

/// A stack of these words.
pub fn stack(start: u64, words: &[u64]) -> Region {
    Region { start: Addr(start), bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
}
