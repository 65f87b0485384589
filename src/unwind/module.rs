//! One ELF file's unwind tables, ready to answer for an address.
//!
//! Does: find the entry that describes an address, its row, and the row as a compact rule.
//! Does not: know where the file is mapped, or remember answers.

mod footprint;

pub use footprint::Footprint;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use gimli::{BaseAddresses, EhFrame, FrameDescriptionEntry, UnwindContext, UnwindSection, UnwindTable, UnwindTableRow};

use super::frame_pointers::FramePointerMap;
use super::index::{FdeIndex, IndexEntry};
use super::recover::CodeBytes;
use super::sections::{Bytes, UnwindSections};
use super::x86_64::rule::UnwindRule;
use crate::types::Svma;

/// The decoder's working memory, reused from one lookup to the next.
pub type UnwindScratch = UnwindContext<usize>;

/// One row of the table that an entry of `.eh_frame` stands for.
pub(super) type Row = UnwindTableRow<usize>;

/// An entry of `.eh_frame`: the rows of one function, or of one part of it.
pub(super) type Fde<'a> = FrameDescriptionEntry<Bytes<'a>>;

/// Answers for one ELF file, in the file's own addresses.
#[derive(Debug)]
pub struct ModuleUnwinder {
    sections: UnwindSections,
    bases: BaseAddresses,
    index: FdeIndex,
    frame_pointers: OnceLock<Option<FramePointerMap>>,
    code: Option<Arc<dyn CodeBytes>>,
}

impl ModuleUnwinder {
    /// Takes a file's sections. Cheap where `.eh_frame_hdr` has its table, else one scan of `.eh_frame`.
    pub fn new(sections: UnwindSections) -> Self {
        let index = FdeIndex::new(&sections);
        ModuleUnwinder { bases: sections.bases(), index, sections, frame_pointers: OnceLock::new(), code: None }
    }

    /// Adds the file's instructions, for what its tables alone do not tell.
    #[must_use]
    pub fn with_code(self, code: Arc<dyn CodeBytes>) -> Self {
        ModuleUnwinder { code: Some(code), ..self }
    }

    /// The file's instructions.
    pub fn code(&self) -> Option<&dyn CodeBytes> {
        self.code.as_deref()
    }

    /// The unwind rule of the instruction at `svma`, or `None` when no table describes it.
    pub fn rule(&self, svma: Svma, scratch: &mut UnwindScratch) -> Option<UnwindRule> {
        self.with_row(svma, scratch, |row, eh_frame, fde| UnwindRule::from_row(row, eh_frame, fde))
    }

    /// The extent `[start, end)` of the function, or of the part of a function, that covers `svma`.
    pub fn function_start(&self, svma: Svma) -> Option<(Svma, Svma)> {
        let fde = self.fde(svma)?;
        Some((Svma(fde.initial_address()), Svma(fde.end_address())))
    }

    /// The map of calls without a frame record, made on the first call (milliseconds for a large file).
    /// `None` when the module does not keep frame pointers.
    pub fn build_frame_pointer_map(&self) -> Option<&FramePointerMap> {
        self.frame_pointers.get_or_init(|| FramePointerMap::new(self)).as_ref()
    }

    /// The map, if it has been made and the module keeps frame pointers.
    pub fn frame_pointer_map(&self) -> Option<&FramePointerMap> {
        self.frame_pointers.get()?.as_ref()
    }

    /// Calls `f` with the row that covers `svma`.
    pub(super) fn with_row<T>(
        &self,
        svma: Svma,
        scratch: &mut UnwindScratch,
        f: impl FnOnce(&Row, &EhFrame<Bytes<'_>>, &Fde<'_>) -> T,
    ) -> Option<T> {
        let eh_frame = self.sections.eh_frame();
        let fde = self.fde(svma)?;
        let row = fde.unwind_info_for_address(&eh_frame, &self.bases, scratch, svma.0).ok()?;
        Some(f(row, &eh_frame, &fde))
    }

    /// Calls `f` with each row of `fde` and the addresses it covers, in order, until the table ends or is malformed.
    /// Rows are cut to the entry's extent. Returns how much of the extent had a row.
    pub(super) fn for_each_row(
        &self,
        fde: &Fde<'_>,
        scratch: &mut UnwindScratch,
        mut f: impl FnMut(Range<u64>, &UnwindRule),
    ) -> Range<u64> {
        let eh_frame = self.sections.eh_frame();
        let (start, end) = (fde.initial_address(), fde.end_address());
        let mut described = start;
        if let Ok(mut table) = UnwindTable::new(&eh_frame, &self.bases, scratch, fde) {
            while let Ok(Some(row)) = table.next_row() {
                let (row_start, row_end) = (row.start_address().max(described), row.end_address().min(end));
                if row_start < row_end {
                    f(row_start..row_end, &UnwindRule::from_row(row, &eh_frame, fde));
                    described = row_end;
                }
            }
        }
        start..described
    }

    /// How many entries the index has.
    pub(super) fn fde_count(&self) -> usize {
        self.index.len()
    }

    /// The `n`th entry by address, in the index's words.
    pub(super) fn index_entry(&self, n: usize) -> Option<IndexEntry> {
        self.index.get(n, &self.sections)
    }

    /// The entry that begins at `offset` of `.eh_frame`; `cies` remembers the common entries that were decoded.
    pub(super) fn fde_at<'a>(&'a self, offset: usize, cies: &mut CommonEntries<'a>) -> Option<Fde<'a>> {
        let eh_frame = self.sections.eh_frame();
        eh_frame.fde_from_offset(&self.bases, offset.into(), |s, b, o| cies.get(s, b, o)).ok()
    }

    fn fde(&self, svma: Svma) -> Option<Fde<'_>> {
        let offset = self.index.find(svma, &self.sections)?.offset;
        let eh_frame = self.sections.eh_frame();
        let fde = eh_frame.fde_from_offset(&self.bases, offset.into(), EhFrame::cie_from_offset).ok()?;
        fde.contains(svma.0).then_some(fde)
    }
}

/// The common information entries met in one pass over `.eh_frame`. Linkers merge equal ones, so there are few.
#[derive(Debug, Default)]
pub(super) struct CommonEntries<'a> {
    known: rustc_hash::FxHashMap<usize, gimli::CommonInformationEntry<Bytes<'a>>>,
}

impl<'a> CommonEntries<'a> {
    fn get(
        &mut self,
        eh_frame: &EhFrame<Bytes<'a>>,
        bases: &BaseAddresses,
        offset: gimli::EhFrameOffset<usize>,
    ) -> gimli::Result<gimli::CommonInformationEntry<Bytes<'a>>> {
        if let Some(cie) = self.known.get(&offset.0) {
            return Ok(cie.clone());
        }
        let cie = eh_frame.cie_from_offset(bases, offset)?;
        self.known.insert(offset.0, cie.clone());
        Ok(cie)
    }
}

#[cfg(test)]
mod tests;
