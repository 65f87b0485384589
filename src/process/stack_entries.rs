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

/// The function, with what a compiler has split off, and whatever its arguments are.
const FUNCTION: &[u8] = b"_ZN8greenlet12UserGreenlet15inner_bootstrapE";
/// More parts no compiler makes of it.
const MAX_PARTS: usize = 8;

/// Whether a file is greenlet's own library (of which gevent's and eventlet's are users), by its name.
pub fn is_greenlet(name: &str) -> bool {
    name.strip_prefix("_greenlet.").is_some_and(|rest| rest.ends_with("so"))
}

/// The extents of such functions in a file of this name.
pub fn stack_entries(file: &ElfFile, name: &str) -> Vec<(Svma, Svma)> {
    if !is_greenlet(name) {
        return Vec::new();
    }
    let is_it = |symbol: &ElfSymbol<'_>| symbol.is_defined() && symbol.size > 0 && symbol.name().starts_with(FUNCTION);
    let extent = |symbol: ElfSymbol<'_>| Some((symbol.svma, Svma(symbol.svma.0.checked_add(symbol.size)?)));
    let found = [SymbolTableKind::Static, SymbolTableKind::Dynamic].into_iter().find_map(|kind| {
        let table = file.symbol_table(kind).ok()?;
        let entries: Vec<_> = table.iter().filter(is_it).take(MAX_PARTS).filter_map(extent).collect();
        (!entries.is_empty()).then_some(entries)
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greenlets_library_is_known_by_its_name() {
        for (name, is_it) in [
            ("_greenlet.cpython-313-x86_64-linux-gnu.so", true),
            ("_greenlet.so", true),
            ("_gevent_cgreenlet.cpython-313-x86_64-linux-gnu.so", false),
            ("_greenlets.so", false),
            ("_greenlet.py", false),
        ] {
            assert_eq!(is_greenlet(name), is_it, "{name}");
        }
    }
}
