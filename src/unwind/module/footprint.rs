//! What a lookup reads of a module's unwind tables: the part of them that answers for one address.
//!
//! Does: name the byte ranges, so that a saved snapshot can keep these and leave the rest out.
//! Does not: look rules up.

use std::ops::Range;

use gimli::{EhFrame, UnwindSection};

use super::ModuleUnwinder;
use crate::types::Svma;
use crate::unwind::sections::UnwindSections;

/// The initial length of an entry takes up to so many bytes: 4, or 12 in the 64-bit format (LSB Core, "The .eh_frame
/// section"). Twelve are taken of both.
const INITIAL_LENGTH: usize = 12;

/// Ranges of bytes in the two sections, not sorted; they may overlap, and may reach beyond a section's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// In `.eh_frame_hdr`.
    pub eh_frame_hdr: Vec<Range<usize>>,
    /// In `.eh_frame`.
    pub eh_frame: Vec<Range<usize>>,
}

impl ModuleUnwinder {
    /// The file's sections.
    pub fn sections(&self) -> &UnwindSections {
        &self.sections
    }

    /// What is read to find the rule or the function of `svma`, whether there is one or not. Where there is no search
    /// table, that is all of `.eh_frame`.
    pub fn footprint(&self, svma: Svma) -> Footprint {
        let Some(eh_frame_hdr) = self.index.footprint(svma, &self.sections) else {
            let whole = 0..self.sections.eh_frame.as_ref().map_or(0, |section| section.bytes.len());
            let header = 0..self.sections.eh_frame_hdr.as_ref().map_or(0, |section| section.bytes.len());
            return Footprint { eh_frame_hdr: vec![header], eh_frame: vec![whole] };
        };
        Footprint { eh_frame_hdr, eh_frame: self.entries(svma).unwrap_or_default() }
    }

    /// The candidate entry for `svma`, and the common entry that it refers to.
    fn entries(&self, svma: Svma) -> Option<Vec<Range<usize>>> {
        let offset = self.index.find(svma, &self.sections)?.offset;
        let eh_frame = self.sections.eh_frame();
        let fde = eh_frame.fde_from_offset(&self.bases, offset.into(), EhFrame::cie_from_offset).ok()?;
        let entry = |start: usize, len: usize| start..start.saturating_add(len).saturating_add(INITIAL_LENGTH);
        Some(vec![entry(offset, fde.entry_len()), entry(fde.cie().offset(), fde.cie().entry_len())])
    }
}
