//! One ELF file's unwind tables, ready to answer for an address.
//!
//! Does: find the entry that describes an address, its row, and the row as a compact rule.
//! Does not: know where the file is mapped, or remember answers.

mod footprint;

pub use footprint::Footprint;

use std::cell::Cell;
use std::sync::Arc;

use gimli::{BaseAddresses, EhFrame, FrameDescriptionEntry, UnwindContext, UnwindSection, UnwindTableRow};

use super::architecture::Architecture;
use super::code_bytes::CodeBytes;
use super::index::FdeIndex;
use super::sections::{Bytes, UnwindSections};
use crate::types::Svma;

thread_local! {
    /// The decoder's working memory (25 KB), reused from one lookup to the next: of many processes one is unwound at a time.
    static SCRATCH: Cell<Option<UnwindContext<usize>>> = const { Cell::new(None) };
}

/// One row of the table that an entry of `.eh_frame` stands for.
pub type Row = UnwindTableRow<usize>;

/// An entry of `.eh_frame`: the rows of one function, or of one part of it.
pub type Fde<'a> = FrameDescriptionEntry<Bytes<'a>>;

/// Answers for one ELF file, in the file's own addresses.
#[derive(Debug)]
pub struct ModuleUnwinder {
    sections: UnwindSections,
    bases: BaseAddresses,
    index: FdeIndex,
    code: Option<Arc<dyn CodeBytes>>,
    /// Functions with which a stack begins, whatever the tables say.
    entries: Vec<(Svma, Svma)>,
}

impl ModuleUnwinder {
    /// Takes a file's sections. Cheap where `.eh_frame_hdr` has its table, else one scan of `.eh_frame`.
    pub fn new(sections: UnwindSections) -> Self {
        let index = FdeIndex::new(&sections);
        ModuleUnwinder { bases: sections.bases(), index, sections, code: None, entries: Vec::new() }
    }

    /// Adds the file's instructions, for what its tables alone do not tell.
    #[must_use]
    pub fn with_code(self, code: Arc<dyn CodeBytes>) -> Self {
        ModuleUnwinder { code: Some(code), ..self }
    }

    /// Adds extents of functions with which a stack begins: whoever has called them is not on it any more.
    #[must_use]
    pub fn with_entries(self, entries: Vec<(Svma, Svma)>) -> Self {
        ModuleUnwinder { entries, ..self }
    }

    /// The file's instructions.
    pub fn code(&self) -> Option<&dyn CodeBytes> {
        self.code.as_deref()
    }

    /// The unwind rule of the instruction at `svma`, or `None` when no table describes it.
    pub fn rule<A: Architecture>(&self, svma: Svma) -> Option<A::Rule> {
        if self.entries.iter().any(|(start, end)| (start.0..end.0).contains(&svma.0)) {
            return Some(A::ENTRY);
        }
        self.with_row(svma, |row, eh_frame, fde| A::rule(row, eh_frame, fde))
    }

    /// The extent `[start, end)` of the function, or of the part of a function, that covers `svma`.
    pub fn function_start(&self, svma: Svma) -> Option<(Svma, Svma)> {
        let fde = self.fde(svma)?;
        Some((Svma(fde.initial_address()), Svma(fde.end_address())))
    }

    /// The parts of the function that `svma` is in: that one, and each that its branches lead into the middle of. A compiler puts what
    /// it takes for cold elsewhere; into another function it calls, or jumps to the start.
    pub fn function_parts<A: Architecture>(&self, svma: Svma) -> Vec<(Svma, Svma)> {
        let Some((start, end)) = self.function_start(svma) else { return Vec::new() };
        let code = self.code.as_deref().and_then(|code| code.code(start, end.0.checked_sub(start.0)?));
        let mut parts = vec![(start, end)];
        for target in code.map(|code| A::branch_targets(&code, start.0)).unwrap_or_default() {
            let is_known = parts.iter().any(|(start, end)| (start.0..end.0).contains(&target));
            if !is_known && let Some(part) = self.function_start(Svma(target)).filter(|(start, _)| start.0 != target) {
                parts.push(part);
            }
        }
        parts
    }

    /// Calls `f` with the row that covers `svma`.
    pub(super) fn with_row<T>(
        &self,
        svma: Svma,
        f: impl FnOnce(&Row, &EhFrame<Bytes<'_>>, &Fde<'_>) -> T,
    ) -> Option<T> {
        let eh_frame = self.sections.eh_frame();
        let fde = self.fde(svma)?;
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let row = fde.unwind_info_for_address(&eh_frame, &self.bases, &mut scratch, svma.0);
        let found = row.ok().map(|row| f(row, &eh_frame, &fde));
        SCRATCH.set(Some(scratch));
        found
    }

    fn fde(&self, svma: Svma) -> Option<Fde<'_>> {
        let offset = self.index.find(svma, &self.sections)?.offset;
        let eh_frame = self.sections.eh_frame();
        let fde = eh_frame.fde_from_offset(&self.bases, offset.into(), EhFrame::cie_from_offset).ok()?;
        fde.contains(svma.0).then_some(fde)
    }
}

#[cfg(test)]
mod tests;
