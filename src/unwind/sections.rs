//! The unwind tables of one ELF file, as bytes.
//!
//! Does: show `.eh_frame`, as `target` has read it, to the decoder.
//! Does not: read files or find sections.

use gimli::{BaseAddresses, EhFrame, EndianSlice, LittleEndian, Vendor};

pub use crate::target::elf::UnwindSections;

/// A slice of a section, as the decoder wants it. All supported architectures are little-endian.
pub type Bytes<'a> = EndianSlice<'a, LittleEndian>;

impl UnwindSections {
    /// `.eh_frame` as the decoder sees it, empty when there is none.
    pub(super) fn eh_frame(&self) -> EhFrame<Bytes<'_>> {
        let mut eh_frame = EhFrame::new(self.eh_frame.as_ref().map_or(&[], |s| &s.bytes), LittleEndian);
        // One instruction is a vendor's: AArch64's DW_CFA_AARCH64_negate_ra_state. x86-64 has none, and gives its number
        // no meaning.
        eh_frame.set_vendor(Vendor::AArch64);
        eh_frame
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
