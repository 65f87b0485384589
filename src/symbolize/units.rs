//! Which units of `.debug_info` the look-ups of a batch of addresses can lead to, so that only these are read.
//!
//! Does: find the units that describe code at the addresses, and those that their functions' names are in.
//! Does not: look anything up. Where a unit does not say what it covers, or says it in a way that cannot be read, it is
//! taken: too much costs memory, too little would cost names.
//!
//! A `.debug_info` is the largest part of DWARF: 14 MB for a libpython of 155 units, of which a recording meets some 30.

use std::ops::Range;

use gimli::{AttributeValue, Dwarf, EndianSlice, LittleEndian, Reader, Section, UnitHeader, UnitType, constants as dw};
use rustc_hash::FxHashSet;

use super::dwarf::OtherSections;
use crate::target::elf::{ElfError, ElfFile, SectionBuffer};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// How much is read of each unit to see what it covers: its header and its first entry, some 60 bytes with the usual
/// forms. A unit whose first entry is longer is read as a whole.
const HEAD: usize = 512;
/// The abbreviation code 2^63 - 1, which no table has: a unit whose first entry has it cannot be decoded.
const NO_ABBREVIATION: [u8; 9] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
/// The most units that are read one by one; LLVM has some 5,000.
const MAX_UNITS: usize = 1 << 16;

/// `info`, the `.debug_info` of `file`, with what look-ups of `addresses` (sorted) need of it. The other units are there, too,
/// but an index passes over them, instead of keeping what it has decoded of each.
pub(super) fn needed_units(
    mut info: SectionBuffer,
    file: &ElfFile,
    addresses: &[u64],
    others: &OtherSections,
) -> Result<SectionBuffer, ElfError> {
    let Some(units) = read_heads(&mut info, file)? else {
        info.fill_all(file)?;
        return Ok(info);
    };
    let mut wanted = covering(&others.with(&info), &units, addresses);
    let mut seen: FxHashSet<usize> = wanted.iter().copied().collect();
    while !wanted.is_empty() {
        for unit in &wanted {
            if let Some(range) = units.get(*unit) {
                info.fill(file, range.clone())?;
            }
        }
        let dwarf = others.with(&info);
        let targets = wanted.iter().flat_map(|unit| references(&dwarf, units.get(*unit)));
        let targets = targets.filter_map(|offset| units.partition_point(|unit| unit.start <= offset).checked_sub(1));
        wanted = targets.filter(|unit| seen.insert(*unit)).collect();
    }
    let passed_over = || units.iter().enumerate().filter(|(number, _)| !seen.contains(number)).map(|(_, unit)| unit);
    let root = |dwarf: &Dwarf<Bytes<'_>>, unit: &Range<usize>| {
        let header = header_at(dwarf, unit.start).map_or(0, |header| header.size_of_header());
        unit.start.saturating_add(header)
    };
    let others_info = others.with(&info);
    let roots: Vec<usize> = passed_over()
        .map(|unit| (root(&others_info, unit), unit.end))
        .filter(|(root, end)| end.saturating_sub(*root) >= NO_ABBREVIATION.len())
        .map(|(root, _)| root)
        .collect();
    if !info.is_partial() {
        // Decompressed as a whole: lets go of what is not needed.
        let heads = passed_over().map(|unit| unit.start..unit.end.min(unit.start.saturating_add(HEAD)));
        let needed = seen.iter().filter_map(|number| units.get(*number).cloned());
        info = info.with_only(heads.chain(needed))?;
    }
    roots.into_iter().for_each(|root| info.overwrite(root, &NO_ABBREVIATION));
    Ok(info)
}

/// Fills in the beginning of each unit, and gives their extents; `None` where the chain of them is broken.
fn read_heads(info: &mut SectionBuffer, file: &ElfFile) -> Result<Option<Vec<Range<usize>>>, ElfError> {
    let mut units = Vec::new();
    let mut at = 0_usize;
    while at < info.bytes().len() {
        info.fill(file, at..at.saturating_add(HEAD))?;
        // The initial length is 4 bytes, or 0xffffffff and 8 (DWARF 5, 7.4).
        let mut head = EndianSlice::new(info.bytes().get(at..).unwrap_or_default(), LittleEndian);
        let before = head.len();
        let Ok((len, _)) = head.read_initial_length() else { return Ok(None) };
        let header = before.saturating_sub(head.len());
        let end = at.checked_add(header).and_then(|start| start.checked_add(len));
        match end {
            Some(end) if end <= info.bytes().len() && units.len() < MAX_UNITS => {
                units.push(at..end);
                at = end;
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(units))
}

/// The units that may describe code at one of `addresses`.
fn covering(dwarf: &Dwarf<Bytes<'_>>, units: &[Range<usize>], addresses: &[u64]) -> Vec<usize> {
    let (described, hit) = by_address_table(dwarf, addresses);
    let is_wanted = |range: &Range<usize>| {
        let Ok(header) = header_at(dwarf, range.start) else { return true };
        // Partial and type units cover nothing: they are there for others to refer to.
        if matches!(header.type_(), UnitType::Partial | UnitType::Type { .. } | UnitType::SplitType { .. }) {
            return false;
        }
        if hit.contains(&range.start) {
            return true;
        }
        match ranges_of(dwarf, header, addresses) {
            Some(Coverage::Some) | None => true,
            Some(Coverage::Unstated) => !described.contains(&range.start),
            Some(Coverage::Others) => false,
        }
    };
    let wanted = units.iter().enumerate().filter(|(_, range)| is_wanted(range));
    wanted.map(|(number, _)| number).collect()
}

/// What a unit's first entry says of what it covers.
enum Coverage {
    /// One of the addresses.
    Some,
    /// Other code.
    Others,
    /// Nothing.
    Unstated,
}

/// `None` when it cannot be read from the beginning of the unit.
fn ranges_of<'a>(dwarf: &Dwarf<Bytes<'a>>, header: UnitHeader<Bytes<'a>>, addresses: &[u64]) -> Option<Coverage> {
    let unit = dwarf.unit(header).ok()?;
    let mut entries = unit.entries_raw(None).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    for attribute in abbreviation.attributes() {
        entries.read_attribute(*attribute).ok()?;
    }
    if entries.next_offset().0 > HEAD {
        return None;
    }
    let mut coverage = Coverage::Unstated;
    let mut ranges = dwarf.unit_ranges(&unit).ok()?;
    while let Some(range) = ranges.next().ok()? {
        if range.begin < range.end {
            coverage = Coverage::Others;
        }
        if contains_any(addresses, range.begin, range.end) {
            return Some(Coverage::Some);
        }
    }
    Some(coverage)
}

/// The offsets of the units that `.debug_aranges` describes, and of those that it says cover an address.
fn by_address_table(dwarf: &Dwarf<Bytes<'_>>, addresses: &[u64]) -> (FxHashSet<usize>, FxHashSet<usize>) {
    let (mut described, mut hit) = (FxHashSet::default(), FxHashSet::default());
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let unit = header.debug_info_offset().0;
        let mut entries = header.entries();
        while let Some(entry) = entries.next().transpose() {
            let Ok(entry) = entry else { continue };
            let range = entry.range();
            if range.begin < range.end {
                described.insert(unit);
            }
            if contains_any(addresses, range.begin, range.end) {
                hit.insert(unit);
            }
        }
    }
    (described, hit)
}

fn contains_any(addresses: &[u64], begin: u64, end: u64) -> bool {
    let first = addresses.partition_point(|address| *address < begin);
    addresses.get(first).is_some_and(|address| *address < end)
}

fn header_at<'a>(dwarf: &Dwarf<Bytes<'a>>, offset: usize) -> gimli::Result<UnitHeader<Bytes<'a>>> {
    dwarf.debug_info.header_from_offset(gimli::DebugInfoOffset(offset))
}

/// Where in `.debug_info` the functions of a unit have their names, outside of the unit (link-time optimization, `dwz`).
fn references(dwarf: &Dwarf<Bytes<'_>>, unit: Option<&Range<usize>>) -> Vec<usize> {
    let mut found = FxHashSet::default();
    // What cannot be decoded here, cannot be looked up either.
    let _ = unit.map(|unit| collect_references(dwarf, unit.start, &mut found));
    found.into_iter().collect()
}

fn collect_references(dwarf: &Dwarf<Bytes<'_>>, start: usize, found: &mut FxHashSet<usize>) -> gimli::Result<()> {
    let header = header_at(dwarf, start)?;
    if !may_refer_outside(dwarf, &header)? {
        return Ok(());
    }
    let unit = dwarf.unit(header)?;
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        for attribute in abbreviation.attributes() {
            let value = entries.read_attribute(*attribute)?;
            if is_name_reference(value.name())
                && let AttributeValue::DebugInfoRef(offset) = value.value()
            {
                found.insert(offset.0);
            }
        }
    }
    Ok(())
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
