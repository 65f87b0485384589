//! The sections that unwinding needs, wherever the file states them.
//!
//! Does: give `.eh_frame_hdr` and `.eh_frame` with their addresses, also without section headers.
//! Does not: interpret call frame information.

use gimli::{BaseAddresses, EhFrameHdr, LittleEndian, Pointer};
use object::elf;

use super::source::{u32_at, u64_at};
use super::{ElfError, ElfFile};
use crate::types::Svma;

/// A section's bytes and where they are in memory before the load bias.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionData {
    /// The address of the first byte.
    pub svma: Svma,
    /// The bytes, decompressed.
    pub bytes: Vec<u8>,
}

/// The unwind tables of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnwindSections {
    /// The binary search table, if there is one.
    pub eh_frame_hdr: Option<SectionData>,
    /// The call frame information.
    pub eh_frame: Option<SectionData>,
}

impl ElfFile {
    /// Reads `.eh_frame_hdr` and `.eh_frame`. What is missing or unreadable is absent.
    pub fn unwind_sections(&self) -> UnwindSections {
        let eh_frame_hdr = self.section_data(".eh_frame_hdr").or_else(|_| self.eh_frame_hdr_segment()).ok();
        let by_header = || self.eh_frame_by_header(eh_frame_hdr.as_ref()?);
        let eh_frame = self.section_data(".eh_frame").ok().or_else(by_header);
        UnwindSections { eh_frame_hdr, eh_frame }
    }

    fn eh_frame_hdr_segment(&self) -> Result<SectionData, ElfError> {
        const WHAT: &str = ".eh_frame_hdr";
        let segment = self.segments_of(elf::PT_GNU_EH_FRAME).next().ok_or(ElfError::Missing(WHAT))?;
        Ok(SectionData { svma: segment.svma, bytes: self.source.read(segment.offset.0, segment.file_size, WHAT)? })
    }

    /// `.eh_frame` from the address in its header up to its zero terminator, or to the end of its segment.
    fn eh_frame_by_header(&self, header: &SectionData) -> Option<SectionData> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(header.svma.0);
        let parsed = EhFrameHdr::new(&header.bytes, LittleEndian).parse(&bases, 8).ok()?;
        let Pointer::Direct(start) = parsed.eh_frame_ptr() else { return None };
        let svma = Svma(start);
        let (offset, available) = self.loaded_range(svma)?;
        let mut bytes = self.source.read(offset, available, ".eh_frame").ok()?;
        bytes.truncate(eh_frame_len(&bytes));
        Some(SectionData { svma, bytes })
    }
}

/// The length of call frame information up to and with its zero terminator; all of it when there is none.
/// Each entry begins with its length, 4 bytes or, behind 0xffffffff, 8 (LSB Core, "The .eh_frame section").
fn eh_frame_len(bytes: &[u8]) -> usize {
    let mut at = 0_usize;
    loop {
        let next = match u32_at(bytes, at) {
            None => return bytes.len(),
            Some(0) => return at.saturating_add(4).min(bytes.len()),
            Some(0xffff_ffff) => u64_at(bytes, at.saturating_add(4))
                .and_then(|len| usize::try_from(len).ok())
                .and_then(|len| at.checked_add(12)?.checked_add(len)),
            Some(len) => usize::try_from(len).ok().and_then(|len| at.checked_add(4)?.checked_add(len)),
        };
        match next {
            Some(next) if next <= bytes.len() => at = next,
            _ => return bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::eh_frame_len;

    #[test]
    fn call_frame_information_ends_with_its_terminator_or_with_its_bytes() {
        let entry = [4, 0, 0, 0, 1, 2, 3, 4];
        let ended: Vec<u8> = [&entry[..], &[0; 4], &[9; 20]].concat();
        assert_eq!(eh_frame_len(&ended), 12);
        assert_eq!(eh_frame_len(&[&entry[..], &entry[..]].concat()), 16);
        assert_eq!(eh_frame_len(&[0xff; 16]), 16, "a length beyond the end stops the walk");
    }
}
