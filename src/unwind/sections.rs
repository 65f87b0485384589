//! The unwind tables of one ELF file, as bytes.
//!
//! Does: hold `.eh_frame` and `.eh_frame_hdr` with the addresses that the file states for them.
//! Does not: read files or find sections; whoever builds it does.

use gimli::{BaseAddresses, EhFrame, EndianSlice, LittleEndian};

use crate::types::Svma;

/// A slice of a section, as the decoder wants it. All supported architectures are little-endian.
pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A section's bytes and where the file says they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The stated address of the first byte.
    pub svma: Svma,
    /// The section's content.
    pub bytes: Vec<u8>,
}

/// The sections that unwinding needs. Either may be missing or garbage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnwindSections {
    /// `.eh_frame_hdr`: a table of functions sorted by address (LSB Core, "The .eh_frame_hdr section").
    pub eh_frame_hdr: Option<Section>,
    /// `.eh_frame`: the call frame information itself.
    pub eh_frame: Option<Section>,
}

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
