//! Which entry of `.eh_frame` describes an address.
//!
//! Does: binary search in `.eh_frame_hdr`'s table, or in an index made by one scan where there is no usable table.
//! Does not: decode the entry. An answer is a candidate: the entry's own extent decides.

use std::ops::Range;

use gimli::{BaseAddresses, CieOrFde, EhFrame, UnwindSection};

use super::sections::{Bytes, UnwindSections};
use crate::target::elf::SectionData;
use crate::types::Svma;

/// Where an entry begins in `.eh_frame`, and the first address it describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    pub(super) start: Svma,
    pub(super) offset: usize,
}

/// Finds entries by address.
#[derive(Debug)]
pub(super) enum FdeIndex {
    /// The table of `.eh_frame_hdr`: rows of two 32-bit numbers relative to the section, from `rows` on.
    Header { rows: usize, count: usize },
    /// Sorted by address.
    Scan(Vec<IndexEntry>),
}

/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`: the only encoding that linkers write for the table.
const TABLE_ENCODING: u8 = 0x3b;
/// Bytes of a row of the table.
const ROW: usize = 8;

impl FdeIndex {
    /// The header's table if it can be used, else a scan. Linear in the size of `.eh_frame` in the second case.
    pub(super) fn new(sections: &UnwindSections) -> Self {
        let table = sections.eh_frame_hdr.as_ref().and_then(header_table);
        table.unwrap_or_else(|| FdeIndex::Scan(scan(&sections.eh_frame(), &sections.bases())))
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        match self {
            FdeIndex::Header { count, .. } => *count,
            FdeIndex::Scan(entries) => entries.len(),
        }
    }

    /// The `n`th entry by address. `None` past the end, and for a row that points outside `.eh_frame`.
    pub(super) fn get(&self, n: usize, sections: &UnwindSections) -> Option<IndexEntry> {
        match self {
            FdeIndex::Header { rows, count } => {
                if n >= *count {
                    return None;
                }
                let header = sections.eh_frame_hdr.as_ref()?;
                let row = header.bytes.get(rows.checked_add(n.checked_mul(ROW)?)?..)?.first_chunk::<ROW>()?;
                let start = relative(header.svma, row.first_chunk()?);
                let entry = relative(header.svma, row.last_chunk()?);
                let offset = entry.0.checked_sub(sections.eh_frame.as_ref()?.svma.0)?;
                Some(IndexEntry { start, offset: usize::try_from(offset).ok()? })
            }
            FdeIndex::Scan(entries) => entries.get(n).copied(),
        }
    }

    /// The last entry that starts at or before `svma`.
    pub(super) fn find(&self, svma: Svma, sections: &UnwindSections) -> Option<IndexEntry> {
        self.get(self.search(svma, sections, |_| {})?, sections)
    }

    /// The bytes of `.eh_frame_hdr` that [`FdeIndex::find`] reads; `None` where it does not use that section.
    pub(super) fn footprint(&self, svma: Svma, sections: &UnwindSections) -> Option<Vec<Range<usize>>> {
        let FdeIndex::Header { rows, .. } = self else { return None };
        let mut read: Vec<_> = std::iter::once(0..*rows).collect();
        let mut row = |n: usize| {
            let start = n.saturating_mul(ROW).saturating_add(*rows);
            read.push(start..start.saturating_add(ROW));
        };
        if let Some(found) = self.search(svma, sections, &mut row) {
            row(found);
        }
        Some(read)
    }

    /// The number of the last entry that starts at or before `svma`; `looked_at` learns of each that is compared.
    fn search(&self, svma: Svma, sections: &UnwindSections, mut looked_at: impl FnMut(usize)) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            looked_at(middle);
            if self.start(middle, sections)? <= svma {
                low = middle.checked_add(1)?;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    fn start(&self, n: usize, sections: &UnwindSections) -> Option<Svma> {
        match self {
            FdeIndex::Header { rows, .. } => {
                let header = sections.eh_frame_hdr.as_ref()?;
                let row = header.bytes.get(rows.checked_add(n.checked_mul(ROW)?)?..)?;
                Some(relative(header.svma, row.first_chunk()?))
            }
            FdeIndex::Scan(entries) => entries.get(n).map(|e| e.start),
        }
    }
}

fn relative(base: Svma, bytes: &[u8; 4]) -> Svma {
    Svma(base.0.wrapping_add_signed(i64::from(i32::from_le_bytes(*bytes))))
}

/// The table, if the header is version 1 with a 32-bit count and the usual encodings.
fn header_table(header: &SectionData) -> Option<FdeIndex> {
    let &[version, pointer_encoding, count_encoding, table_encoding] = header.bytes.first_chunk::<4>()?;
    // DW_EH_PE_udata4 = 0x03, DW_EH_PE_sdata4 = 0x0b: the eh_frame pointer takes four bytes, relative or not.
    let known = version == 1 && matches!(pointer_encoding & 0x0f, 0x03 | 0x0b) && count_encoding == 0x03;
    if !known || table_encoding != TABLE_ENCODING {
        return None;
    }
    let count = u32::from_le_bytes(*header.bytes.get(8..)?.first_chunk()?);
    let rows = 12;
    let room = header.bytes.len().checked_sub(rows)? / ROW;
    let count = usize::try_from(count).ok()?;
    // A linker that gave up on the table writes a count of zero.
    (count > 0 && count <= room).then_some(FdeIndex::Header { rows, count })
}

/// Reads `.eh_frame` from its start. Stops at the first entry whose length is nonsense.
fn scan(eh_frame: &EhFrame<Bytes<'_>>, bases: &BaseAddresses) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    let mut all = eh_frame.entries(bases);
    while let Ok(Some(entry)) = all.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        if let Ok(fde) = partial.parse(EhFrame::cie_from_offset)
            && fde.len() > 0
        {
            entries.push(IndexEntry { start: Svma(fde.initial_address()), offset: partial.offset() });
        }
    }
    entries.sort_unstable();
    entries
}
