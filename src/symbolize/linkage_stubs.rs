//! Names of the stubs by which calls lead into other files: the entries of the procedure linkage table.
//!
//! Does: find the entry that an address is in, the slot that it jumps to, and what the loader puts there: `write@plt`.
//! Does not: name an entry whose slot no relocation fills, or two fill differently.
//!
//! Linkers write no symbols for them (mold does: `write$plt`), and the tables of a section's entries are one function to unwind tables. Which
//! section is one of entries is told by its name. In a file without section headers, code that jumps to a slot of the lazy kind
//! (`JUMP_SLOT`) is an entry: a compiler's own jump through a slot, as a function that only hands on has it (`-fno-plt`), uses another kind.

use std::cmp::Reverse;

use object::elf;
use rustc_hash::{FxHashMap, FxHashSet};

use super::demangle::display_name;
use crate::target::elf::{ElfFile, Filling, RelocationTable, SymbolTable, SymbolTableKind};
use crate::types::{Machine, Svma};
use crate::unwind::linkage::{Entry, EntryFunction};
use crate::unwind::{aarch64, x86_64};

/// The sections that hold nothing but entries.
const SECTIONS: [&str; 4] = [".plt", ".plt.sec", ".plt.got", ".iplt"];
/// The largest such section that is read, in bytes: a million entries.
const MAX_SECTION: u64 = 16 << 20;

/// The names of the stubs among some addresses of a file's code.
pub(super) fn find(elf: &ElfFile, addresses: impl Iterator<Item = Svma>) -> FxHashMap<u64, String> {
    let mut addresses: Vec<u64> = addresses.map(|svma| svma.0).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let jumps = elf.jump_relocations().ok();
    let without_sections = elf.sections().is_empty();
    let slots = match without_sections {
        true => slots_without_sections(elf, &addresses),
        false => slots_in_sections(elf, &addresses, jumps.as_ref()),
    };
    if slots.is_empty() {
        return FxHashMap::default();
    }
    let wanted: FxHashSet<u64> = slots.iter().map(|(_, slot)| *slot).collect();
    let fillings = fillings(elf, &wanted, without_sections);
    let names = Names::of(elf);
    let name = |(address, slot): (u64, u64)| Some((address, names.of_filling((*fillings.get(&slot)?)?)?));
    slots.into_iter().filter_map(name).collect()
}

/// Of addresses in entries, the slots that these jump to.
fn slots_in_sections(elf: &ElfFile, addresses: &[u64], jumps: Option<&RelocationTable>) -> Vec<(u64, u64)> {
    let mut slots = Vec::new();
    for section in elf.sections().iter().filter(|s| s.is_executable() && SECTIONS.contains(&s.name.as_str())) {
        let (start, end) = (section.svma.0, section.svma.0.saturating_add(section.size));
        let inside = addresses.partition_point(|at| *at < start)..addresses.partition_point(|at| *at < end);
        let mut inside = addresses.get(inside).unwrap_or_default().iter().peekable();
        if inside.peek().is_none() || section.size > MAX_SECTION {
            continue;
        }
        let Ok(code) = elf.code_bytes(section.svma, section.size) else { continue };
        // From entry to entry: what is in the middle of one can look like another.
        let mut at = 0;
        while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty())
            && inside.peek().is_some()
        {
            let address = start.wrapping_add(at as u64);
            let entry = entry(elf.machine(), rest, address);
            let next = entry.map_or(address + no_entry(elf.machine(), rest), |entry| entry.end);
            let slot = entry.and_then(|entry| slot(&entry, start, jumps));
            while let Some(wanted) = inside.next_if(|wanted| **wanted < next) {
                slots.extend(slot.map(|slot| (*wanted, slot)));
            }
            at = usize::try_from(next.wrapping_sub(start)).unwrap_or(usize::MAX);
        }
    }
    slots
}

/// The slot that an entry of the table at `first` jumps to, or would once its function is known.
fn slot(entry: &Entry, table: u64, jumps: Option<&RelocationTable>) -> Option<u64> {
    match entry.function {
        EntryFunction::InSlot(slot) => Some(slot),
        EntryFunction::Numbered { number, first } if first == table => Some(jumps?.get(number)?.slot.0),
        EntryFunction::Numbered { .. } => None,
    }
}

/// Likewise where nothing tells where entries begin.
fn slots_without_sections(elf: &ElfFile, addresses: &[u64]) -> Vec<(u64, u64)> {
    let find = |address: u64| {
        beginnings(elf.machine(), address).find_map(|start| {
            let longest = longest(elf.machine());
            // A file that ends with its code has less.
            let code = (1..=longest / 4).rev().find_map(|words| elf.code_bytes(Svma(start), 4 * words).ok())?;
            match entry(elf.machine(), &code, start)? {
                Entry { end, function: EntryFunction::InSlot(slot) } if address < end => Some((address, slot)),
                _ => None,
            }
        })
    };
    addresses.iter().filter_map(|address| find(*address)).collect()
}

fn entry(machine: Machine, code: &[u8], address: u64) -> Option<Entry> {
    match machine {
        Machine::X86_64 => x86_64::linkage::entry(code, address),
        Machine::Aarch64 => aarch64::linkage::entry(code, address),
    }
}

/// How many bytes to go on by where no entry begins, to the next place where one can.
fn no_entry(machine: Machine, code: &[u8]) -> u64 {
    match machine {
        // `push *(%rip)`: the first entry, with a jump in its middle.
        Machine::X86_64 if code.starts_with(&[0xff, 0x35]) => x86_64::linkage::ENTRY as u64,
        Machine::X86_64 => x86_64::linkage::SHORT_ENTRY as u64,
        Machine::Aarch64 => 4,
    }
}

fn longest(machine: Machine) -> u64 {
    match machine {
        Machine::X86_64 => x86_64::linkage::ENTRY as u64,
        Machine::Aarch64 => 4 * aarch64::linkage::ENTRY_WORDS as u64,
    }
}

/// Where an entry may begin that an address is in, the farthest first: an optional first instruction belongs to it.
fn beginnings(machine: Machine, address: u64) -> impl Iterator<Item = u64> {
    let (nearest, step) = match machine {
        Machine::X86_64 => (address & !15, 16),
        Machine::Aarch64 => (address & !3, 4),
    };
    (0..longest(machine) / step).rev().filter_map(move |n| nearest.checked_sub(n * step))
}

/// What fills each of some slots; `None` where that is not one thing.
fn fillings(elf: &ElfFile, slots: &FxHashSet<u64>, only_lazy: bool) -> FxHashMap<u64, Option<Filling>> {
    let mut fillings: FxHashMap<u64, Option<Filling>> = FxHashMap::default();
    for table in elf.relocation_tables() {
        for relocation in table.slots().filter(|relocation| slots.contains(&relocation.slot.0)) {
            let filling = Some(relocation.filling).filter(|filling| !only_lazy || matches!(filling, Filling::Jump(_)));
            let known = fillings.entry(relocation.slot.0).or_insert(filling);
            if *known != filling {
                *known = None;
            }
        }
    }
    fillings
}

/// The symbols that relocations mean.
struct Names {
    dynamic: SymbolTable,
    all: SymbolTable,
}

impl Names {
    fn of(elf: &ElfFile) -> Names {
        let table = |kind| elf.symbol_table(kind).unwrap_or_default();
        Names { dynamic: table(SymbolTableKind::Dynamic), all: table(SymbolTableKind::Static) }
    }

    fn of_filling(&self, filling: Filling) -> Option<String> {
        let raw = match filling {
            Filling::Jump(number) | Filling::Symbol(number) => self.dynamic.get(number)?.name(),
            Filling::Resolved(resolver) => self.of_resolver(resolver)?,
        };
        let name = display_name(&String::from_utf8_lossy(raw));
        (!name.is_empty()).then(|| format!("{name}@plt"))
    }

    /// The function that a resolver chooses, of its aliases the one that programs call.
    fn of_resolver(&self, resolver: Svma) -> Option<&[u8]> {
        let is_it = |symbol: &crate::target::elf::ElfSymbol<'_>| {
            symbol.svma == resolver && symbol.kind == elf::STT_GNU_IFUNC.0 && symbol.is_defined()
        };
        let names = self.dynamic.iter().chain(self.all.iter()).filter(is_it).map(|symbol| symbol.name());
        names.filter(|name| !name.is_empty()).max_by_key(|name| {
            let underscores = name.iter().take_while(|b| **b == b'_').count();
            (Reverse(underscores), Reverse(name.len()), Reverse(*name))
        })
    }
}

#[cfg(test)]
mod tests;
