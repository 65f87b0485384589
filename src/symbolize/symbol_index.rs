//! Which symbol covers an address.
//!
//! Does: index the function symbols of one module, from several tables, and choose between those at one address.
//! Does not: name an address by a symbol that ends before it. A stripped function stays nameless.

use std::cmp::Reverse;

use object::elf;

use super::native_symbol::FunctionExtent;
use crate::target::elf::{ElfFile, ElfSymbol, SymbolTable, SymbolTableKind};
use crate::types::Svma;

/// Symbols seen while looking for one that covers an address: nested symbols are rare and shallow.
const MAX_NESTING: usize = 64;

/// The function symbols of one module, by address.
#[derive(Debug, Default)]
pub(super) struct SymbolIndex {
    /// Symbols with a size; by start, and at one start the best last.
    sized: Vec<Entry>,
    /// Symbols without a size; likewise.
    labels: Vec<Entry>,
    names: Vec<u8>,
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
    /// Adds the function symbols of one table of a file. Call [`SymbolIndex::finish`] after the last.
    pub(super) fn add(&mut self, file: &ElfFile, table: &SymbolTable, kind: SymbolTableKind) {
        for symbol in table.iter().filter(is_function) {
            // The size of an exported symbol without one is unknown: it may be an alias inside another function.
            let label = symbol.size == 0;
            if label && kind == SymbolTableKind::Dynamic {
                continue;
            }
            let Some(region_end) = code_end(file, &symbol) else { continue };
            let start = symbol.svma.0;
            let end = if label { region_end } else { start.saturating_add(symbol.size) };
            let at = self.names.len();
            self.names.extend_from_slice(symbol.name);
            let entry = Entry {
                start,
                end,
                name: (at, self.names.len()),
                exported: symbol.binding != elf::STB_LOCAL.0,
                function: symbol.kind != elf::STT_NOTYPE.0,
            };
            if label { self.labels.push(entry) } else { self.sized.push(entry) }
        }
    }

    /// Sorts what was added.
    pub(super) fn finish(&mut self) {
        let names = &self.names;
        let rank = |e: &Entry| {
            let name = names.get(e.name.0..e.name.1).unwrap_or_default();
            let underscores = name.iter().take_while(|b| **b == b'_').count();
            // Among aliases, the name that programs use: `write`, not `__write` or `__GI___libc_write`.
            (e.function, e.exported, Reverse(underscores), Reverse(name.len()), Reverse(name))
        };
        // Names are read where they matter only: most symbols have their address to themselves.
        let order = |a: &Entry, b: &Entry| a.start.cmp(&b.start).then_with(|| rank(a).cmp(&rank(b)));
        self.sized.sort_unstable_by(order);
        self.labels.sort_unstable_by(order);
    }

    /// Whether there are no symbols at all.
    pub(super) fn is_empty(&self) -> bool {
        self.sized.is_empty() && self.labels.is_empty()
    }

    /// The raw name of the innermost symbol that covers an address.
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
        let last = |entries: &'_ [Entry]| entries.partition_point(|e| e.start <= svma.0).checked_sub(1);
        let label = self.labels.get(last(&self.labels)?).filter(|e| svma.0 < e.end)?;
        let sized = last(&self.sized).and_then(|at| self.sized.get(at));
        let behind_another = sized.is_some_and(|s| s.start >= label.start);
        let in_another = extent.is_some_and(|e| e.contains(svma) && e.start.0 > label.start);
        (!behind_another && !in_another).then_some(label)
    }
}

fn is_function(symbol: &ElfSymbol<'_>) -> bool {
    let kind = elf::SymbolType(symbol.kind);
    // Mapping symbols (`$x`, `$d.1`) mark code and data on ARM; names with a leading dot are the assembler's own.
    let marker = symbol.name.first().is_none_or(|first| matches!(first, b'$' | b'.'));
    symbol.is_defined() && !marker && matches!(kind, elf::STT_FUNC | elf::STT_NOTYPE | elf::STT_GNU_IFUNC)
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

    fn index(symbols: &[(&str, u64, u64, bool)]) -> SymbolIndex {
        let mut index = SymbolIndex::default();
        for (name, start, size, exported) in symbols {
            let at = index.names.len();
            index.names.extend_from_slice(name.as_bytes());
            let end = if *size == 0 { 0x10000 } else { start + size };
            let name = (at, index.names.len());
            let entry = Entry { start: *start, end, name, exported: *exported, function: true };
            if *size == 0 { index.labels.push(entry) } else { index.sized.push(entry) }
        }
        index.finish();
        index
    }

    fn find(index: &SymbolIndex, at: u64) -> Option<&str> {
        index.find(Svma(at), None).map(|n| std::str::from_utf8(n).unwrap())
    }

    #[test]
    fn only_a_symbol_that_covers_the_address_names_it() {
        let index = index(&[("first", 0x100, 0x10, true), ("second", 0x200, 0x10, true)]);
        assert_eq!(find(&index, 0xff), None);
        assert_eq!(find(&index, 0x100), Some("first"));
        assert_eq!(find(&index, 0x10f), Some("first"));
        assert_eq!(find(&index, 0x110), None, "between two functions there is a third that has no name");
        assert_eq!(find(&index, 0x210), None);
    }

    #[test]
    fn aliases_are_chosen_by_what_programs_call() {
        let symbols =
            [("__GI_write", 0x100, 0x10, false), ("__write", 0x100, 0x10, true), ("write", 0x100, 0x10, true)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            assert_eq!(find(&index(&order.map(|i| symbols[i])), 0x105), Some("write"));
        }
    }

    #[test]
    fn inside_a_function_the_inner_symbol_is_meant_and_outside_it_the_outer() {
        let index = index(&[("outer", 0x100, 0x100, true), ("inner", 0x140, 0x10, true)]);
        assert_eq!(find(&index, 0x148), Some("inner"));
        assert_eq!(find(&index, 0x150), Some("outer"));
    }

    #[test]
    fn a_label_ends_at_the_next_symbol_and_at_its_functions_end() {
        let index = index(&[("label", 0x100, 0, true), ("sized", 0x120, 0x10, true)]);
        assert_eq!(find(&index, 0x11f), Some("label"));
        assert_eq!(find(&index, 0x130), None);
        let extent = |start, end| Some(FunctionExtent { start: Svma(start), end: Svma(end) });
        assert!(index.find(Svma(0x118), extent(0x100, 0x120)).is_some());
        assert!(index.find(Svma(0x118), extent(0x110, 0x120)).is_none());
    }
}
