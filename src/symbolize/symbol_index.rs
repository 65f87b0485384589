//! Which symbol covers an address.
//!
//! Does: keep what can name the addresses that are asked for of a module's function symbols, from several tables, and choose
//! between those at one address.
//! Does not: name an address by a symbol that ends before it. A stripped function stays nameless.

use std::cmp::Reverse;

use object::elf;

use super::native_symbol::FunctionExtent;
use crate::target::elf::{ElfFile, ElfSymbol, SymbolTable, SymbolTableKind};
use crate::target::memory_budget::{Meter, Share};
use crate::types::Svma;
use crate::types::room::Room;

/// Symbols near an address seen while looking for one that covers it: nested symbols are rare and shallow.
const MAX_NESTING: usize = 64;

/// A list that grows is there twice for a moment, and sorting takes no more.
const GROWTH: usize = 2;

/// The function symbols of one module that can name some addresses.
#[derive(Debug)]
pub(super) struct SymbolIndex {
    /// The addresses, each once, in their order.
    wanted: Vec<WantedSymbols>,
    /// Symbols with a size; by start, and at one start the best last.
    sized: Vec<Entry>,
    /// Symbols without a size; likewise.
    labels: Vec<Entry>,
    names: Vec<u8>,
    /// Whether there was any function symbol, wherever it is.
    any: bool,
    /// Whether there was no room for all symbols: then there is none, for another one might have been the better name.
    is_over: bool,
    room: Meter,
}

/// An address that is asked for.
#[derive(Debug, Clone, Copy)]
struct WantedSymbols {
    svma: u64,
    /// Where the last symbol with a size begins that does so at or before the address, whether it covers it or not: a label
    /// reaches no further.
    last_sized: Option<u64>,
    /// Likewise of the symbols without a size.
    last_label: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u64,
    /// Behind the last address; for a label, the end of its section.
    end: u64,
    name: (usize, usize),
    exported: bool,
    function: bool,
}

impl SymbolIndex {
    /// An index for these addresses, without symbols yet.
    pub(super) fn of(addresses: impl Iterator<Item = Svma>) -> SymbolIndex {
        let mut wanted: Vec<WantedSymbols> =
            addresses.map(|svma| WantedSymbols { svma: svma.0, last_sized: None, last_label: None }).collect();
        wanted.sort_unstable_by_key(|wanted| wanted.svma);
        wanted.dedup_by_key(|wanted| wanted.svma);
        let (sized, labels, names) = (Vec::new(), Vec::new(), Vec::new());
        SymbolIndex { wanted, sized, labels, names, any: false, is_over: false, room: Meter::new(Share::All) }
    }

    /// Adds the function symbols of one table of a file. Call [`SymbolIndex::finish`] after the last.
    pub(super) fn add(&mut self, file: &ElfFile, table: &SymbolTable, kind: SymbolTableKind) {
        for symbol in table.iter() {
            // The size of an exported symbol without one is unknown: it may be an alias inside another function.
            let unknown_size = symbol.size == 0 && kind == SymbolTableKind::Dynamic;
            // Of a large table few symbols can matter, and only their names are looked at.
            if unknown_size || self.any && !self.can_matter(symbol.svma.0, symbol.size) || !is_function(&symbol) {
                continue;
            }
            let Some(region_end) = code_end(file, &symbol) else { continue };
            self.insert(&symbol, region_end);
        }
    }

    /// Whether a symbol can cover a wanted address, or end a label's reach.
    fn can_matter(&self, start: u64, size: u64) -> bool {
        let first = self.wanted.partition_point(|wanted| wanted.svma < start);
        self.wanted.get(first).is_some_and(|wanted| {
            size == 0 || wanted.svma - start < size || wanted.last_sized.is_none_or(|last| last < start)
        })
    }

    fn insert(&mut self, symbol: &ElfSymbol<'_>, region_end: u64) {
        self.any = true;
        let (start, label) = (symbol.svma.0, symbol.size == 0);
        let end = if label { region_end } else { start.saturating_add(symbol.size) };
        let first = self.wanted.partition_point(|wanted| wanted.svma < start);
        let Some(wanted) = self.wanted.get_mut(first) else { return };
        let last = if label { &mut wanted.last_label } else { &mut wanted.last_sized };
        *last = (*last).max(Some(start));
        if wanted.svma >= end {
            return;
        }
        let (at, name) = (self.names.len(), symbol.name());
        if self.is_over || !self.room.take((name.len() + size_of::<Entry>()).saturating_mul(GROWTH) as u64) {
            return self.give_up();
        }
        self.names.extend_from_slice(name);
        let entry = Entry {
            start,
            end,
            name: (at, self.names.len()),
            exported: symbol.binding != elf::STB_LOCAL.0,
            function: symbol.kind != elf::STT_NOTYPE.0,
        };
        if label { self.labels.push(entry) } else { self.sized.push(entry) }
    }

    /// Sorts what was added.
    pub(super) fn finish(&mut self) {
        let names = &self.names;
        let rank = |e: &Entry| {
            let name = names.get(e.name.0..e.name.1).unwrap_or_default();
            let underscores = name.iter().take_while(|b| **b == b'_').count();
            // Among aliases, the name that programs use: `write`, not `__write` or `__GI___libc_write`.
            (e.start, e.function, e.exported, Reverse(underscores), Reverse(name.len()), Reverse(name))
        };
        self.sized.sort_unstable_by(|a, b| rank(a).cmp(&rank(b)));
        self.labels.sort_unstable_by(|a, b| rank(a).cmp(&rank(b)));
        let (mut last_sized, mut last_label) = (None, None);
        for wanted in &mut self.wanted {
            last_sized = wanted.last_sized.max(last_sized);
            last_label = wanted.last_label.max(last_label);
            (wanted.last_sized, wanted.last_label) = (last_sized, last_label);
        }
    }

    /// Drops all symbols: there is no room for them.
    pub(super) fn give_up(&mut self) {
        (self.sized, self.labels, self.names) = (Vec::new(), Vec::new(), Vec::new());
        self.is_over = true;
    }

    /// Whether symbols are missing because there was no room for them.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether there was no function symbol at all.
    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    /// The raw name of the innermost symbol that covers an address, one of those that the index is for.
    pub(super) fn find(&self, svma: Svma, extent: Option<FunctionExtent>) -> Option<&[u8]> {
        let entry = self.find_sized(svma).or_else(|| self.find_label(svma, extent))?;
        self.names.get(entry.name.0..entry.name.1)
    }

    fn find_sized(&self, svma: Svma) -> Option<&Entry> {
        let after = self.sized.partition_point(|e| e.start <= svma.0);
        self.sized.get(..after)?.iter().rev().take(MAX_NESTING).find(|e| svma.0 < e.end)
    }

    /// A label reaches up to the next symbol of either kind, and never out of the function that it is in.
    fn find_label(&self, svma: Svma, extent: Option<FunctionExtent>) -> Option<&Entry> {
        let wanted = self.wanted.binary_search_by_key(&svma.0, |wanted| wanted.svma).ok();
        let wanted = wanted.and_then(|at| self.wanted.get(at))?;
        let last = self.labels.partition_point(|e| e.start <= svma.0).checked_sub(1)?;
        let label = self.labels.get(last).filter(|e| svma.0 < e.end)?;
        let behind_another = wanted.last_sized.is_some_and(|start| start >= label.start)
            || wanted.last_label.is_some_and(|start| start > label.start);
        let in_another = extent.is_some_and(|e| e.contains(svma) && e.start.0 > label.start);
        (!behind_another && !in_another).then_some(label)
    }
}

fn is_function(symbol: &ElfSymbol<'_>) -> bool {
    let kind = elf::SymbolType(symbol.kind);
    // Mapping symbols (`$x`, `$d.1`) mark code and data on ARM; names with a leading dot are the assembler's own.
    let marker = || symbol.name().first().is_none_or(|first| matches!(first, b'$' | b'.'));
    symbol.is_defined() && matches!(kind, elf::STT_FUNC | elf::STT_NOTYPE | elf::STT_GNU_IFUNC) && !marker()
}

/// Where the code that the symbol is in ends; `None` if the symbol is not in code.
fn code_end(file: &ElfFile, symbol: &ElfSymbol<'_>) -> Option<u64> {
    let svma = symbol.svma.0;
    let end = |start: u64, size: u64| start.checked_add(size).filter(|end| (start..*end).contains(&svma));
    if let Some(section) = file.sections().get(usize::from(symbol.section)) {
        return if section.is_executable() { end(section.svma.0, section.size) } else { None };
    }
    file.load_segments().filter(|s| s.is_executable()).find_map(|s| end(s.svma.0, s.memory_size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::elf::SymbolTable;

    /// A name, the address, the size, whether it is exported.
    type Symbol = (&'static str, u64, u64, bool);

    /// An index for some addresses. All code ends at 0x10000.
    fn index(symbols: &[Symbol], wanted: &[u64]) -> SymbolIndex {
        let table = SymbolTable::of_functions(symbols);
        let mut index = SymbolIndex::of(wanted.iter().map(|svma| Svma(*svma)));
        for symbol in table.iter() {
            if !index.any || index.can_matter(symbol.svma.0, symbol.size) {
                index.insert(&symbol, 0x10000);
            }
        }
        index.finish();
        index
    }

    fn find(symbols: &[Symbol], at: u64) -> Option<String> {
        let name = |index: &SymbolIndex| index.find(Svma(at), None).map(|n| std::str::from_utf8(n).unwrap().to_owned());
        let alone = name(&index(symbols, &[at]));
        assert_eq!(name(&index(symbols, &[0x300, at, 0, 0x118, at])), alone, "whatever else is asked for");
        alone
    }

    #[test]
    fn only_a_symbol_that_covers_the_address_names_it() {
        let symbols = [("first", 0x100, 0x10, true), ("second", 0x200, 0x10, true)];
        let find = |at| find(&symbols, at);
        assert_eq!(find(0xff), None);
        assert_eq!(find(0x100).as_deref(), Some("first"));
        assert_eq!(find(0x10f).as_deref(), Some("first"));
        assert_eq!(find(0x110), None, "between two functions there is a third that has no name");
        assert_eq!(find(0x210), None);
    }

    #[test]
    fn aliases_are_chosen_by_what_programs_call() {
        let symbols =
            [("__GI_write", 0x100, 0x10, false), ("__write", 0x100, 0x10, true), ("write", 0x100, 0x10, true)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            assert_eq!(find(&order.map(|i| symbols[i]), 0x105).as_deref(), Some("write"));
        }
    }

    #[test]
    fn inside_a_function_the_inner_symbol_is_meant_and_outside_it_the_outer() {
        for symbols in [[0, 1], [1, 0]]
            .map(|order| order.map(|i| [("outer", 0x100, 0x100, true), ("inner", 0x140, 0x10, true)][i]))
        {
            assert_eq!(find(&symbols, 0x148).as_deref(), Some("inner"));
            assert_eq!(find(&symbols, 0x150).as_deref(), Some("outer"));
        }
    }

    #[test]
    fn a_label_ends_at_the_next_symbol_and_at_its_functions_end() {
        for symbols in
            [[0, 1], [1, 0]].map(|order| order.map(|i| [("label", 0x100, 0, true), ("sized", 0x120, 0x10, true)][i]))
        {
            assert_eq!(find(&symbols, 0x11f).as_deref(), Some("label"));
            assert_eq!(find(&symbols, 0x130), None);
            let index = index(&symbols, &[0x118]);
            let extent = |start, end| Some(FunctionExtent { start: Svma(start), end: Svma(end) });
            assert!(index.find(Svma(0x118), extent(0x100, 0x120)).is_some());
            assert!(index.find(Svma(0x118), extent(0x110, 0x120)).is_none());
        }
    }

    #[test]
    fn symbols_far_from_all_addresses_are_symbols_all_the_same() {
        assert!(index(&[], &[0x100]).is_empty());
        assert!(!index(&[("far", 0x500, 0x10, true)], &[0x100]).is_empty());
        assert!(!index(&[("far", 0x500, 0x10, true)], &[]).is_empty());
    }
}
