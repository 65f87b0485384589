//! Which units of `.debug_info` the look-ups of a batch of addresses can lead to, so that only these are read.
//!
//! Does: find the units that describe code at the addresses, and have the entries found that their functions' names are in.
//! Does not: look anything up. Where a unit does not say what it covers, or says it in a way that cannot be read, it is
//! taken: too much costs memory, too little would cost names.
//!
//! A `.debug_info` is the largest part of DWARF: 14 MB for a libpython of 155 units, of which a recording meets some 30.

use std::ops::Range;

use gimli::{Dwarf, EndianSlice, LittleEndian, Reader, Section, UnitHeader, UnitType};
use rustc_hash::FxHashSet;

use super::references::{Presence, fill_names};
use super::sections::{Bytes, HEAD, OtherSections, contains_any, header_at};
use crate::target::elf::{ElfError, ElfFile, SectionBuffer};

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
    let Some((units, whole)) = read_units(&mut info, file, addresses, others)? else {
        info.fill_all(file)?;
        return Ok(info);
    };
    let mut presence = Presence { units: &units, whole, entered: FxHashSet::default() };
    fill_names(&mut info, file, addresses, others, &mut presence)?;
    let is_needed = |number: &usize| presence.whole.contains(number) || presence.entered.contains(number);
    let dwarf = others.with(info.bytes());
    let passed_over = units.iter().enumerate().filter(|(number, _)| !is_needed(number)).map(|(_, unit)| unit);
    let empty_table = empty_table(&dwarf);
    let heads: Vec<PassedOver> = passed_over.filter_map(|unit| PassedOver::of(&dwarf, unit)).collect();
    for head in heads {
        info.overwrite(head.root, &NO_ABBREVIATION);
        if let Some(table) = empty_table {
            info.overwrite(head.table_offset, table.to_le_bytes().get(..head.word).unwrap_or_default());
        }
    }
    Ok(info)
}

/// Where a unit that is passed over tells an index what it would decode.
struct PassedOver {
    /// The first entry.
    root: usize,
    /// The offset of its table of abbreviations, a word of so many bytes.
    table_offset: usize,
    word: usize,
}

impl PassedOver {
    /// `None` for a unit whose header cannot be read, or which is too short to hold an entry that cannot be decoded.
    fn of(dwarf: &Dwarf<Bytes<'_>>, unit: &Range<usize>) -> Option<PassedOver> {
        let header = header_at(dwarf, unit.start).ok()?;
        let root = unit.start.checked_add(header.size_of_header())?;
        let word = usize::from(header.format().word_size());
        // Behind the initial length and the version; from DWARF 5 on behind the type and the size of addresses, too (7.5.1).
        let behind_version = if header.version() >= 5 { 2 } else { 0 };
        let table_offset = unit.start + usize::from(header.format().initial_length_size()) + 2 + behind_version;
        (unit.end.saturating_sub(root) >= NO_ABBREVIATION.len()).then_some(PassedOver { root, table_offset, word })
    }
}

/// The offset of a table of abbreviations that has none: decoding its own table takes longest of what an index does with a unit.
fn empty_table(dwarf: &Dwarf<Bytes<'_>>) -> Option<u64> {
    // The code 0 ends a table (7.5.3), wherever it is read from.
    let bytes = dwarf.debug_abbrev.reader().to_slice().ok()?;
    bytes.iter().position(|byte| *byte == 0).and_then(|at| u64::try_from(at).ok())
}

/// The extents of all units, and the numbers of some of them.
type Chosen = (Vec<Range<usize>>, FxHashSet<usize>);

/// Fills in the beginning of each unit, and all of those that may describe code at one of `addresses`, on one way through
/// the section; `None` where the chain of units is broken.
fn read_units(
    info: &mut SectionBuffer,
    file: &ElfFile,
    addresses: &[u64],
    others: &OtherSections,
) -> Result<Option<Chosen>, ElfError> {
    let (mut units, mut wanted) = (Vec::new(), FxHashSet::default());
    let by_table = by_address_table(&others.with(info.bytes()), addresses);
    let mut filler = info.filler(file);
    let mut at = 0_usize;
    while at < filler.bytes().len() {
        filler.fill(at..at.saturating_add(HEAD))?;
        // The initial length is 4 bytes, or 0xffffffff and 8 (DWARF 5, 7.4).
        let mut head = EndianSlice::new(filler.bytes().get(at..).unwrap_or_default(), LittleEndian);
        let before = head.len();
        let Ok((len, _)) = head.read_initial_length() else { return Ok(None) };
        let header = before.saturating_sub(head.len());
        let end = at.checked_add(header).and_then(|start| start.checked_add(len));
        let Some(end) = end.filter(|end| *end <= filler.bytes().len() && units.len() < MAX_UNITS) else {
            return Ok(None);
        };
        if is_wanted(&others.with(filler.bytes()), at, addresses, &by_table) {
            filler.fill(at..end)?;
            wanted.insert(units.len());
        }
        units.push(at..end);
        at = end;
    }
    Ok(Some((units, wanted)))
}

/// Whether the unit at `start` may describe code at one of `addresses`.
fn is_wanted(dwarf: &Dwarf<Bytes<'_>>, start: usize, addresses: &[u64], by_table: &ByAddressTable) -> bool {
    let described = by_table.described.contains(&start);
    if described && by_table.is_complete {
        return by_table.hit.contains(&start);
    }
    let Ok(header) = header_at(dwarf, start) else { return true };
    // Partial and type units cover nothing: they are there for others to refer to.
    let covers_nothing =
        matches!(header.type_(), UnitType::Partial | UnitType::Type { .. } | UnitType::SplitType { .. });
    match covers(dwarf, header, addresses, described) {
        None => true,
        Some(covers) => !covers_nothing && (covers || by_table.hit.contains(&start)),
    }
}

/// Whether a unit covers one of the addresses, by what its first entry says, or else by its lines (which is what an index
/// does); `None` when it cannot be read from the beginning of the unit.
fn covers<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    header: UnitHeader<Bytes<'a>>,
    addresses: &[u64],
    described: bool,
) -> Option<bool> {
    let unit = dwarf.unit(header).ok()?;
    let mut entries = unit.entries_raw(None).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    for attribute in abbreviation.attributes() {
        entries.read_attribute(*attribute).ok()?;
    }
    if entries.next_offset().0 > HEAD {
        return None;
    }
    let mut stated = described;
    let mut ranges = dwarf.unit_ranges(&unit).ok()?;
    while let Some(range) = ranges.next().ok()? {
        stated |= range.begin < range.end;
        if contains_any(addresses, range.begin, range.end) {
            return Some(true);
        }
    }
    if stated {
        return Some(false);
    }
    // With link-time optimization, two units in three only have what others refer to: neither ranges nor lines.
    let Some(lines) = unit.line_program.clone() else { return Some(false) };
    let (_, sequences) = lines.sequences().ok()?;
    Some(sequences.iter().any(|sequence| contains_any(addresses, sequence.start, sequence.end)))
}

/// What `.debug_aranges` says of units, by their offsets.
#[derive(Default)]
struct ByAddressTable {
    /// Those that it describes.
    described: FxHashSet<usize>,
    /// Those that cover one of the addresses.
    hit: FxHashSet<usize>,
    /// Whether each of the addresses is covered by one that is described: what else is described need not be looked into.
    is_complete: bool,
}

fn by_address_table(dwarf: &Dwarf<Bytes<'_>>, addresses: &[u64]) -> ByAddressTable {
    let mut found = ByAddressTable::default();
    let mut is_covered = vec![false; addresses.len()];
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        let unit = header.debug_info_offset().0;
        let mut entries = header.entries();
        while let Some(entry) = entries.next().transpose() {
            let Ok(entry) = entry else { continue };
            let range = entry.range();
            if range.begin < range.end {
                found.described.insert(unit);
            }
            if contains_any(addresses, range.begin, range.end) {
                found.hit.insert(unit);
                let first = addresses.partition_point(|address| *address < range.begin);
                let inside = addresses.iter().skip(first).take_while(|address| **address < range.end).count();
                is_covered.iter_mut().skip(first).take(inside).for_each(|is_covered| *is_covered = true);
            }
        }
    }
    found.is_complete = is_covered.into_iter().all(|is_covered| is_covered);
    found
}
