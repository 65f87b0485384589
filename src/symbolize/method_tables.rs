//! Names of built-in functions from the tables by which CPython finds them.
//!
//! Does: find the `PyMethodDef`s of some functions in a file's data, and the module or the type whose table they are in.
//! Does not: name code by anything but a table that is whole around it: a string and a function that stand side by side are none.
//!
//! A stripped module has no symbols of its static functions, and yet calls them by name: `{"compress", zlib_compress, METH_FASTCALL | …,
//! doc}` (cpython/methodobject.h). A table ends with an entry of zeros. A `PyModuleDef` (moduleobject.h), a `PyTypeObject` or a
//! `PyType_Spec` with its slots (cpython/object.h, typeslots.h) leads to it, and says whose it is.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::target::elf::{ElfFile, IMPORTED, SectionData};
use crate::types::Svma;

/// `sizeof(PyMethodDef)`: name, function, flags and padding, documentation.
const ENTRY: u64 = 32;
/// The most entries of a table.
const MAX_ENTRIES: u64 = 4_096;
/// The most tables of a file.
const MAX_TABLES: usize = 4_096;
/// The longest name, in bytes.
const MAX_NAME: u64 = 200;

/// Where the name and the methods are in what leads to a table.
struct Owner {
    /// From the pointer to the table back to the pointer to the name.
    name: u64,
    /// From the pointer to the table back to a number that is small, and how small.
    number: (u64, std::ops::Range<i64>),
    /// From the pointer to the table back to a function or nothing, if there is such a word.
    function: Option<u64>,
}

/// `PyModuleDef`: base (40 bytes), name, documentation, size, methods.
const MODULE: Owner = Owner { name: 24, number: (8, -1..1 << 24), function: None };
/// `PyTypeObject`: the name is its word 3, the size of an instance word 4, `tp_dealloc` word 6, the methods word 29.
const TYPE: Owner = Owner { name: 208, number: (200, 0..1 << 24), function: Some(184) };

/// `Py_tp_methods` in typeslots.h.
const METHODS_SLOT: u64 = 64;
/// The highest number of a slot, with room for later ones.
const MAX_SLOT: u64 = 200;
/// `PyType_Spec`: name, two sizes of 32 bits, flags, slots at 24.
const SPEC_SLOTS: u64 = 24;

/// The names of those of `functions` that a table of methods in a file has, by where they begin.
pub(super) fn find(file: &ElfFile, functions: &FxHashSet<u64>) -> FxHashMap<u64, String> {
    let Ok(data) = file.relocated_data() else { return FxHashMap::default() };
    Tables { file, data: &data }.find(functions)
}

struct Tables<'a> {
    file: &'a ElfFile,
    data: &'a [SectionData],
}

impl Tables<'_> {
    fn find(&self, functions: &FxHashSet<u64>) -> FxHashMap<u64, String> {
        // By where they begin: where they end, and whose they are.
        let mut tables: BTreeMap<u64, (u64, Option<String>)> = BTreeMap::new();
        // For each place of four that an entry can be at: entries before this one are of a table without an end. They need not be
        // gone through again, each from where it is.
        let mut endless_until = [0; (ENTRY / 8) as usize];
        // A function, its table and its name there.
        let mut found: Vec<(u64, u64, String)> = Vec::new();
        for (place, word) in self.words().filter(|(_, word)| functions.contains(word)) {
            let entry = place.wrapping_sub(8);
            let Some(name) = self.entry_name(entry) else { continue };
            let known =
                tables.range(..=entry).next_back().filter(|(_, (end, _))| entry < *end).map(|(start, _)| *start);
            let endless_until = endless_until.get_mut((entry / 8 % (ENTRY / 8)) as usize);
            let start = known.or_else(|| {
                let endless_until = endless_until.filter(|until| **until <= entry && tables.len() < MAX_TABLES)?;
                match self.table_of(entry) {
                    Ok((start, end)) => {
                        tables.insert(start, (end, None));
                        Some(start)
                    }
                    Err(until) => {
                        *endless_until = until;
                        None
                    }
                }
            });
            found.extend(start.map(|start| (word, start, name)));
        }
        self.find_owners(&mut tables);
        let mut names: FxHashMap<u64, String> = FxHashMap::default();
        let mut ambiguous = FxHashSet::default();
        for (function, table, name) in found {
            let owner = tables.get(&table).and_then(|(_, owner)| owner.as_ref());
            let whole = owner.map_or_else(|| name.clone(), |owner| format!("{owner}.{name}"));
            match names.get(&function) {
                // One function for several types, or under several names, has none of its own.
                Some(known) if *known != whole => drop(ambiguous.insert(function)),
                Some(_) => {}
                None => drop(names.insert(function, whole)),
            }
        }
        names.retain(|function, _| !ambiguous.contains(function));
        names
    }

    /// Finds whose tables those are that have a name so far.
    fn find_owners(&self, tables: &mut BTreeMap<u64, (u64, Option<String>)>) {
        // Tables by where the slots of their types begin; several where that cannot be told.
        let mut slots: FxHashMap<u64, u64> = FxHashMap::default();
        for (place, word) in self.words() {
            let Some((_, owner @ None)) = tables.get_mut(&word) else { continue };
            // The words in front of the methods tell the kinds apart: those of a module are its size, documentation and name.
            if place.checked_sub(8).and_then(|slot| self.word(slot)) == Some(METHODS_SLOT) {
                slots.extend(self.slots_before(place.wrapping_sub(8)).map(|start| (start, word)));
            } else {
                *owner = self.owner(place, &MODULE).or_else(|| self.owner(place, &TYPE));
            }
        }
        for (place, word) in self.words() {
            if let Some(table) = slots.get(&word)
                && let Some((_, owner @ None)) = tables.get_mut(table)
            {
                let name = place.checked_sub(SPEC_SLOTS).and_then(|name| self.word(name));
                *owner = name.and_then(|name| self.string(name)).filter(|name| is_dotted(name));
            }
        }
    }

    /// All aligned words, with their addresses.
    fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.data.iter().flat_map(|part| {
            let skipped = part.svma.0.wrapping_neg() & 7;
            let words = part.bytes.get(skipped as usize..).unwrap_or_default().as_chunks::<8>().0;
            let first = part.svma.0.wrapping_add(skipped);
            words.iter().zip(0_u64..).map(move |(word, n)| (first.wrapping_add(8 * n), u64::from_le_bytes(*word)))
        })
    }

    fn word(&self, place: u64) -> Option<u64> {
        self.data.iter().find_map(|part| {
            let at = usize::try_from(place.checked_sub(part.svma.0)?).ok()?;
            Some(u64::from_le_bytes(part.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
        })
    }

    /// The name that a whole entry has.
    fn entry_name(&self, entry: u64) -> Option<String> {
        let field = |offset: u64| self.word(entry.checked_add(offset)?);
        let (name, function, flags, doc) = (field(0)?, field(8)?, field(16)?, field(24)?);
        let is_function = function == IMPORTED || self.file.is_code(Svma(function));
        let is_whole = is_function && is_calling_convention(flags) && self.is_text(doc);
        let name = is_whole.then(|| self.string(name)).flatten()?;
        is_identifier(&name).then_some(name)
    }

    /// Where the table begins and ends that an entry is in; `Err`: it has no end, at least up to there.
    fn table_of(&self, entry: u64) -> Result<(u64, u64), u64> {
        let is_entry = |at: u64| self.entry_name(at).is_some();
        let is_end = |at: u64| [0, 8, 16, 24].iter().all(|field| self.word(at.wrapping_add(*field)) == Some(0));
        let mut later = (1..MAX_ENTRIES).map(|n| entry.wrapping_add(ENTRY * n));
        let end = later.find(|at| !is_entry(*at)).unwrap_or(entry.wrapping_add(ENTRY * MAX_ENTRIES));
        if !is_end(end) {
            return Err(end);
        }
        let earlier = (1..MAX_ENTRIES).map(|n| entry.wrapping_sub(ENTRY * n));
        let start = earlier.take_while(|at| is_entry(*at)).last().unwrap_or(entry);
        if start < end { Ok((start, end)) } else { Err(end) }
    }

    /// The name of what has its pointer to a table of methods at this place, if it is of that kind.
    fn owner(&self, place: u64, kind: &Owner) -> Option<String> {
        let in_front = |bytes: u64| self.word(place.checked_sub(bytes)?);
        let name = self.string(in_front(kind.name)?).filter(|name| is_dotted(name))?;
        let is_small = kind.number.1.contains(&in_front(kind.number.0)?.cast_signed());
        let function = kind.function.map_or(Some(0), in_front)?;
        (is_small && (matches!(function, 0 | IMPORTED) || self.file.is_code(Svma(function)))).then_some(name)
    }

    /// Where the slots of a type may begin of which one is at `slot`: what is in front of the first one can look like one, too.
    fn slots_before(&self, slot: u64) -> impl Iterator<Item = u64> + '_ {
        let is_slot = |at: &u64| self.word(*at).is_some_and(|number| (1..=MAX_SLOT).contains(&number));
        (0..=MAX_SLOT).map(move |n| slot.wrapping_sub(16 * n)).take_while(is_slot)
    }

    fn string(&self, svma: u64) -> Option<String> {
        let bytes = self.file.loaded_string(Svma(svma), MAX_NAME)?;
        String::from_utf8(bytes).ok()
    }

    /// Whether this is no text at all or leads into the file.
    fn is_text(&self, svma: u64) -> bool {
        svma == 0 || self.file.load_segments().any(|s| s.contains(Svma(svma)))
    }
}

/// Whether the flags of an entry tell how its function is called (`METH_*` in methodobject.h).
fn is_calling_convention(flags: u64) -> bool {
    const CLASS_STATIC_COEXIST: u64 = 0x70;
    // VARARGS, with KEYWORDS, NOARGS, O, FASTCALL, with KEYWORDS, METHOD with both; in the upper half is padding.
    matches!(flags & 0xffff_ffff & !CLASS_STATIC_COEXIST, 0x1 | 0x3 | 0x4 | 0x8 | 0x80 | 0x82 | 0x282)
}

fn is_identifier(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_dotted(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests;
