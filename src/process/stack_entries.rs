//! Functions with which a stack of its own begins, that no unwind table tells of.
//!
//! Does: find them in the files of libraries that are known to switch stacks. Does not: follow a switch.
//!
//! greenlet (<https://github.com/python-greenlet/greenlet>) copies a piece of the C stack out and in again. What lies outside of a greenlet's own
//! piece are the frames of who started it, as they were then, and what has been written over them since: no caller of anything that runs. Its
//! piece begins in `UserGreenlet::g_initialstub`, which calls `inner_bootstrap` only once it stands on that piece
//! (src/greenlet/TUserGreenlet.cpp).

use crate::target::elf::{ElfFile, ElfSymbol, SymbolTableKind};
use crate::types::Svma;

/// By the name of its file, and of the function: with what a compiler has split off, and whatever its arguments are.
const GREENLET: (&str, &[u8]) = ("_greenlet.", b"_ZN8greenlet12UserGreenlet15inner_bootstrapE");
/// More parts no compiler makes of it.
const MAX_PARTS: usize = 8;

/// The extents of such functions in a file of this name.
pub fn stack_entries(file: &ElfFile, name: &str) -> Vec<(Svma, Svma)> {
    let (library, function) = GREENLET;
    if !name.starts_with(library) {
        return Vec::new();
    }
    let is_it = |symbol: &ElfSymbol<'_>| symbol.is_defined() && symbol.size > 0 && symbol.name().starts_with(function);
    let extent = |symbol: ElfSymbol<'_>| Some((symbol.svma, Svma(symbol.svma.0.checked_add(symbol.size)?)));
    let tables = [SymbolTableKind::Static, SymbolTableKind::Dynamic].map(|kind| file.symbol_table(kind));
    let found =
        tables.iter().flatten().map(|table| table.iter().filter(is_it).take(MAX_PARTS).filter_map(extent).collect());
    found.into_iter().find(|entries: &Vec<_>| !entries.is_empty()).unwrap_or_default()
}
