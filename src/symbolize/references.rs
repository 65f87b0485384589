//! Where in `.debug_info` the functions at the addresses of a batch have their names.
//!
//! Does: follow the references of a function, and of what was inlined into it, from entry to entry and into other units,
//! and fill in only the entries that they lead to. With link-time optimization (and `dwz`) nearly all units refer to
//! others; but a recording meets few of their functions.
//! Does not: choose the units that describe code; they are there as a whole.

use std::collections::BTreeMap;
use std::ops::Range;

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Reader, Section, Unit, UnitHeader, constants as dw};
use rustc_hash::FxHashSet;

use super::sections::{Bytes, HEAD, OtherSections, contains_any, header_at};
use crate::target::elf::{ElfError, ElfFile, SectionBuffer};

/// How far references are followed into units that are not there; `addr2line` follows 16 for a name.
const MAX_ROUNDS: usize = 16;

/// Which units of a `.debug_info` are there.
pub(super) struct Presence<'a> {
    /// The extents of all units, in the order of the section.
    pub(super) units: &'a [Range<usize>],
    /// The numbers of those that have been filled in as a whole.
    pub(super) whole: FxHashSet<usize>,
    /// The numbers of those of which only entries that others refer to have been filled in.
    pub(super) entered: FxHashSet<usize>,
}

/// Fills in the entries that functions at `addresses` (sorted) have their names from.
pub(super) fn fill_names(
    info: &mut SectionBuffer,
    file: &ElfFile,
    addresses: &[u64],
    others: &OtherSections,
    presence: &mut Presence<'_>,
) -> Result<(), ElfError> {
    let mut pending = Vec::new();
    let dwarf = others.with(info.bytes());
    for unit in presence.whole.iter().filter_map(|number| presence.units.get(*number)) {
        // What cannot be decoded here, cannot be looked up either.
        let _ = functions_references(&dwarf, unit, addresses, &mut pending);
    }
    let mut visited = FxHashSet::default();
    for _ in 0..MAX_ROUNDS {
        let absent = follow(&others.with(info.bytes()), presence, &mut pending, &mut visited);
        if absent.is_empty() {
            break;
        }
        let mut filler = info.filler(file);
        for (offset, (number, unit)) in &absent {
            filler.fill(*offset..unit.end.min(offset.saturating_add(HEAD)))?;
            presence.entered.insert(*number);
        }
        drop(filler);
        let dwarf = others.with(info.bytes());
        let mut entries = EntryReader::new(&dwarf);
        let mut is_long = |offset, start| !matches!(entries.references(start, offset, &mut pending), Ok(true));
        let long: BTreeMap<usize, Range<usize>> = absent
            .iter()
            .filter(|(offset, (_, unit))| is_long(**offset, unit.start))
            .map(|(_, entered)| entered.clone())
            .collect();
        if !long.is_empty() {
            // An entry that is longer, or cannot be decoded: its unit is there as a whole from now on.
            let mut filler = info.filler(file);
            for (number, unit) in long {
                filler.fill(unit)?;
                presence.whole.insert(number);
            }
            drop(filler);
            let absent = absent.keys().copied();
            pending.extend(absent.inspect(|offset| {
                visited.remove(offset);
            }));
        }
    }
    Ok(())
}

/// Entries that are not there: the number and the extent of their unit, by their offset.
type Absent = BTreeMap<usize, (usize, Range<usize>)>;

/// Follows references as far as the units are there.
fn follow(
    dwarf: &Dwarf<Bytes<'_>>,
    presence: &Presence<'_>,
    pending: &mut Vec<usize>,
    visited: &mut FxHashSet<usize>,
) -> Absent {
    let mut absent = Absent::new();
    let mut entries = EntryReader::new(dwarf);
    while let Some(offset) = pending.pop() {
        let number = presence.units.partition_point(|unit| unit.start <= offset).checked_sub(1);
        let unit = number.and_then(|number| presence.units.get(number)).filter(|unit| unit.contains(&offset));
        let (Some(number), Some(unit)) = (number, unit) else { continue };
        if !visited.insert(offset) {
            continue;
        }
        if presence.whole.contains(&number) {
            let _ = entries.references(unit.start, offset, pending);
        } else {
            absent.insert(offset, (number, unit.clone()));
        }
    }
    absent
}

/// Adds what the functions of a unit that are at the addresses refer to, and what was inlined into them.
fn functions_references(
    dwarf: &Dwarf<Bytes<'_>>,
    extent: &Range<usize>,
    addresses: &[u64],
    found: &mut Vec<usize>,
) -> gimli::Result<()> {
    let header = header_at(dwarf, extent.start)?;
    if !may_refer_outside(dwarf, &header)? {
        return Ok(());
    }
    let unit = dwarf.unit(header)?;
    let mut entries = unit.entries_raw(None)?;
    let mut entry = DebuggingInformationEntry::null();
    let mut function = None;
    while !entries.is_empty() {
        if !entries.read_entry(&mut entry)? {
            continue;
        }
        if function.is_some_and(|depth| entry.depth() <= depth) {
            function = None;
        }
        if function.is_none() && entry.tag() == dw::DW_TAG_subprogram && covers_any(dwarf, &unit, &entry, addresses) {
            function = Some(entry.depth());
        }
        if function.is_some() {
            found.extend(references_of(&entry, extent.start));
        }
    }
    Ok(())
}

/// Whether a function covers one of the addresses, or does not say so in a way that can be read.
fn covers_any<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    unit: &Unit<Bytes<'a>>,
    function: &DebuggingInformationEntry<Bytes<'a>>,
    addresses: &[u64],
) -> bool {
    let Ok(mut ranges) = dwarf.die_ranges(unit, function) else { return true };
    loop {
        match ranges.next() {
            Ok(Some(range)) if contains_any(addresses, range.begin, range.end) => return true,
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Decodes single entries. Keeps the unit of the last one, for decoding its abbreviations takes longer than all else.
struct EntryReader<'d, 'a> {
    dwarf: &'d Dwarf<Bytes<'a>>,
    last: Option<(usize, Unit<Bytes<'a>>)>,
}

impl<'d, 'a> EntryReader<'d, 'a> {
    fn new(dwarf: &'d Dwarf<Bytes<'a>>) -> EntryReader<'d, 'a> {
        EntryReader { dwarf, last: None }
    }

    /// Adds what the entry at an offset refers to. Whether the entry ends within what is filled in of one.
    fn references(&mut self, start: usize, offset: usize, found: &mut Vec<usize>) -> gimli::Result<bool> {
        let (_, unit) = match self.last.take().filter(|(last, _)| *last == start) {
            Some(last) => self.last.insert(last),
            None => self.last.insert((start, self.dwarf.unit(header_at(self.dwarf, start)?)?)),
        };
        let at = gimli::UnitOffset(offset.saturating_sub(start));
        let mut entries = unit.entries_raw(Some(at))?;
        let mut entry = DebuggingInformationEntry::null();
        entries.read_entry(&mut entry)?;
        found.extend(references_of(&entry, start));
        Ok(entries.next_offset().0.saturating_sub(at.0) <= HEAD)
    }
}

/// The offsets in `.debug_info` of what an entry of the unit at `start` has its name from.
fn references_of(entry: &DebuggingInformationEntry<Bytes<'_>>, start: usize) -> impl Iterator<Item = usize> {
    let references = entry.attrs().iter().filter(|attribute| is_name_reference(attribute.name()));
    references.filter_map(move |attribute| match attribute.value() {
        AttributeValue::DebugInfoRef(offset) => Some(offset.0),
        AttributeValue::UnitRef(offset) => start.checked_add(offset.0),
        _ => None,
    })
}

fn is_name_reference(name: gimli::DwAt) -> bool {
    matches!(name, dw::DW_AT_abstract_origin | dw::DW_AT_specification)
}

/// Whether a unit's abbreviations (DWARF 5, 7.5.3) have such a reference at all: most files have none, and their units
/// need not be decoded twice.
fn may_refer_outside(dwarf: &Dwarf<Bytes<'_>>, header: &UnitHeader<Bytes<'_>>) -> gimli::Result<bool> {
    let mut bytes = *dwarf.debug_abbrev.reader();
    bytes.skip(header.debug_abbrev_offset().0)?;
    while bytes.read_uleb128()? != 0 {
        let _tag = bytes.read_uleb128()?;
        let _has_children = bytes.read_u8()?;
        loop {
            let (name, form) = (bytes.read_uleb128_u16()?, bytes.read_uleb128_u16()?);
            if (name, form) == (0, 0) {
                break;
            }
            let form = gimli::DwForm(form);
            if form == dw::DW_FORM_implicit_const {
                bytes.read_sleb128()?;
            }
            let outside = matches!(form, dw::DW_FORM_ref_addr | dw::DW_FORM_indirect);
            if outside && is_name_reference(gimli::DwAt(name)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
