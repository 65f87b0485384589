//! Functions, inlined functions and lines from DWARF.
//!
//! Does: load the sections, and the units, that lookups need, within a budget, and look addresses up with `addr2line`.
//! Does not: read split DWARF, or keep anything after the lookups.

use addr2line::Context;
use gimli::{DwarfSections, SectionId};
use rustc_hash::FxHashMap;

use super::metered::ReadMeter;
use super::sections::{Bytes, OtherSections};
use super::units::needed_units;
use crate::target::elf::{ElfError, ElfFile, SectionBuffer};
use crate::target::memory_budget::{Meter, Share};
use crate::types::Svma;
use crate::types::room::Room;

/// The most bytes of DWARF that are held at once for a module.
const MAX_DWARF_BYTES: u64 = 2 << 30;
/// Functions inlined into one another at one address; gcc and clang stay below 100.
const MAX_INLINED: usize = 256;
/// How often a name is in memory at once: found, for each query, demangled, and in a frame.
const COPIES: u64 = 4;
const NO_ROOM: ElfError = ElfError::NoRoom("what debug information unfolds to");
const INFO: &str = ".debug_info";

/// Addresses that are looked up with one index. What the index has decoded stays until it is dropped, some 100 KB a unit;
/// neighbours are of few units.
const MIN_BATCH: usize = 96;
/// Each batch decodes the beginnings of all units again, some 20 ms for a libpython: no more batches than so many.
const MAX_BATCHES: usize = 3;

/// The DWARF of a module and of the file that it shares parts with.
#[derive(Debug)]
pub(super) struct DwarfData<'f> {
    file: &'f ElfFile,
    others: OtherSections,
}

/// One function at an address; the innermost first, the one that is not inlined last.
#[derive(Debug, Clone)]
pub(super) struct DwarfFrame {
    /// The linkage name if there is one, else the plain name.
    pub(super) raw_name: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// Whether a file has DWARF that describes functions.
pub(super) fn has_dwarf(file: &ElfFile) -> bool {
    file.section(INFO).is_some_and(|s| s.has_bytes() && s.size > 0)
}

impl<'f> DwarfData<'f> {
    /// Loads all that lookups need but the units.
    ///
    /// Fails when there are no functions in them, and when they are larger than the budget.
    pub(super) fn load(file: &'f ElfFile, shared: Option<&ElfFile>) -> Result<DwarfData<'f>, ElfError> {
        let size = wanted_size(file).saturating_add(shared.map_or(0, wanted_size));
        if size > MAX_DWARF_BYTES {
            return Err(ElfError::TooLarge { what: "DWARF", size });
        }
        if !has_dwarf(file) {
            return Err(ElfError::Missing(INFO));
        }
        let main = load(file, false)?;
        let shared = shared.map(|shared| load(shared, true)).transpose()?;
        Ok(DwarfData { file, others: OtherSections { main, shared, meter: ReadMeter::new() } })
    }

    /// Why it cannot be decoded.
    fn unusable(&self) -> ElfError {
        if self.others.meter.is_over() { NO_ROOM } else { ElfError::Malformed("DWARF") }
    }

    /// The functions at each of the addresses, in their order. None where DWARF says nothing, or nothing that can be
    /// read.
    pub(super) fn frames(&self, addresses: &[Svma]) -> Result<Vec<Vec<DwarfFrame>>, ElfError> {
        let mut sorted: Vec<u64> = addresses.iter().map(|svma| svma.0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found: FxHashMap<u64, Vec<DwarfFrame>> = FxHashMap::default();
        let mut room = Meter::new(Share::All);
        let needed =
            |addresses: &[u64]| needed_units(self.file.section_buffer(INFO)?, self.file, addresses, &self.others);
        // Going through a compressed one takes longer than all else: once for all batches.
        let is_stream = self.file.section_buffer(INFO)?.is_stream();
        let of_all = if is_stream { Some(needed(&sorted)?) } else { None };
        let batches = (sorted.len() / MIN_BATCH).clamp(1, MAX_BATCHES);
        for batch in sorted.chunks(sorted.len().div_ceil(batches).max(1)) {
            let of_batch = if is_stream { None } else { Some(needed(batch)?) };
            let Some(units) = of_all.as_ref().or(of_batch.as_ref()) else { break };
            let dwarf = self.others.with(units.bytes());
            let context = Context::from_dwarf(dwarf).map_err(|_| self.unusable())?;
            for svma in batch {
                let frames = frames_at(&context, *svma);
                let texts = frames.iter().map(DwarfFrame::bytes).fold(0, u64::saturating_add);
                // What was decoded when memory became short may be a part of what is there.
                if self.others.meter.is_over() || !room.take(texts.saturating_mul(COPIES)) {
                    return Err(NO_ROOM);
                }
                found.insert(*svma, frames);
            }
        }
        Ok(addresses.iter().map(|svma| found.get(&svma.0).cloned().unwrap_or_default()).collect())
    }
}

impl DwarfFrame {
    /// What it takes in memory, in bytes.
    fn bytes(&self) -> u64 {
        let texts = [&self.raw_name, &self.file].into_iter().flatten();
        texts.map(|text| text.len() as u64).fold(size_of::<DwarfFrame>() as u64, u64::saturating_add)
    }
}

fn frames_at(context: &Context<Bytes<'_>>, svma: u64) -> Vec<DwarfFrame> {
    let mut found = Vec::new();
    let Ok(mut frames) = context.find_frames(svma).skip_all_loads() else { return found };
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

fn load(file: &ElfFile, with_info: bool) -> Result<DwarfSections<SectionBuffer>, ElfError> {
    let wanted = |id| WANTED.contains(&id) && (with_info || id != SectionId::DebugInfo);
    DwarfSections::load(|id| match wanted(id).then(|| file.section_buffer(id.name())) {
        None | Some(Err(ElfError::Missing(_))) => Ok(SectionBuffer::default()),
        Some(Ok(mut buffer)) => buffer.fill_all(file).map(|()| buffer),
        Some(Err(error)) => Err(error),
    })
}

fn wanted_size(file: &ElfFile) -> u64 {
    let sections = WANTED.iter().filter_map(|id| file.section(id.name()).filter(|s| s.has_bytes()));
    sections.map(|s| file.uncompressed_size(s)).fold(0, u64::saturating_add)
}
