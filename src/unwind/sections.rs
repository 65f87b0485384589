//! The unwind tables of one ELF file, as bytes.
//!
//! Does: show `.eh_frame`, as `target` has read it, to the decoder.
//! Does not: read files or find sections.

use gimli::{BaseAddresses, EhFrame, EndianSlice, LittleEndian};

pub use crate::target::elf::UnwindSections;

/// A slice of a section, as the decoder wants it. All supported architectures are little-endian.
pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

impl UnwindSections {
    /// `.eh_frame` as the decoder sees it, empty when there is none.
    pub(super) fn eh_frame(&self) -> EhFrame<Bytes<'_>> {
        EhFrame::new(self.eh_frame.as_ref().map_or(&[], |s| &s.bytes), LittleEndian)
    }

    /// The addresses that encoded pointers in the tables are relative to.
    pub(super) fn bases(&self) -> BaseAddresses {
        let mut bases = BaseAddresses::default();
        if let Some(section) = &self.eh_frame {
            bases = bases.set_eh_frame(section.svma.0);
        }
        bases
    }
}
