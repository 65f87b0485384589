//! Functions, inlined functions and lines from DWARF.
//!
//! Does: load the sections that lookups need, within a budget, and look addresses up with `addr2line`.
//! Does not: read split DWARF, or keep anything after the lookups.

use addr2line::Context;
use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};

use crate::target::elf::{ElfError, ElfFile};
use crate::types::Svma;

/// The most bytes of DWARF that are held at once for a module.
const MAX_DWARF_BYTES: u64 = 2 << 30;
/// Functions inlined into one another at one address; gcc and clang stay below 100.
const MAX_INLINED: usize = 256;

/// The DWARF sections of a module, and of the file that it shares parts with.
#[derive(Debug)]
pub(super) struct DwarfData {
    main: DwarfSections<Vec<u8>>,
    shared: Option<DwarfSections<Vec<u8>>>,
}

/// One function at an address; the innermost first, the one that is not inlined last.
#[derive(Debug)]
pub(super) struct DwarfFrame {
    /// The linkage name if there is one, else the plain name.
    pub(super) raw_name: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// Whether a file has DWARF that describes functions.
pub(super) fn has_dwarf(file: &ElfFile) -> bool {
    file.section(".debug_info").is_some_and(|s| s.has_bytes() && s.size > 0)
}

impl DwarfData {
    /// Loads the sections that lookups need.
    ///
    /// Fails when there are no functions in them, and when they are larger than the budget.
    pub(super) fn load(file: &ElfFile, shared: Option<&ElfFile>) -> Result<DwarfData, ElfError> {
        let size = wanted_size(file).saturating_add(shared.map_or(0, wanted_size));
        if size > MAX_DWARF_BYTES {
            return Err(ElfError::TooLarge { what: "DWARF", size });
        }
        if !has_dwarf(file) {
            return Err(ElfError::Missing(".debug_info"));
        }
        Ok(DwarfData { main: load(file)?, shared: shared.map(load).transpose()? })
    }

    /// Indexes the loaded sections for lookups.
    pub(super) fn lines(&self) -> Result<Lines<'_>, ElfError> {
        let dwarf = self.main.borrow_with_sup(self.shared.as_ref(), |s| EndianSlice::new(s, LittleEndian));
        let context = Context::from_dwarf(dwarf).map_err(|_| ElfError::Malformed("DWARF"))?;
        Ok(Lines { context })
    }
}

/// DWARF, ready for lookups.
pub(super) struct Lines<'a> {
    context: Context<EndianSlice<'a, LittleEndian>>,
}

impl Lines<'_> {
    /// The functions at an address. Empty where DWARF says nothing, or nothing that can be read.
    pub(super) fn frames(&self, svma: Svma) -> Vec<DwarfFrame> {
        let mut found = Vec::new();
        let Ok(mut frames) = self.context.find_frames(svma.0).skip_all_loads() else { return found };
        while let Ok(Some(frame)) = frames.next() {
            let location = frame.location.as_ref();
            found.push(DwarfFrame {
                raw_name: frame.function.and_then(|f| f.raw_name().ok().map(|name| name.into_owned())),
                file: location.and_then(|l| l.file).map(str::to_owned),
                line: location.and_then(|l| l.line).filter(|line| *line != 0),
            });
            if found.len() >= MAX_INLINED {
                break;
            }
        }
        found
    }
}

/// What `addr2line` reads; the location lists, macros and types are as large again and never needed.
const WANTED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

fn load(file: &ElfFile) -> Result<DwarfSections<Vec<u8>>, ElfError> {
    DwarfSections::load(|id| match WANTED.contains(&id).then(|| file.section_bytes(id.name())) {
        None | Some(Err(ElfError::Missing(_))) => Ok(Vec::new()),
        Some(result) => result,
    })
}

fn wanted_size(file: &ElfFile) -> u64 {
    let sections = WANTED.iter().filter_map(|id| file.section(id.name()).filter(|s| s.has_bytes()));
    sections.map(|s| file.uncompressed_size(s)).fold(0, u64::saturating_add)
}
