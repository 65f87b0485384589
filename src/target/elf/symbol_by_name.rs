//! The address of one symbol, by its name.
//!
//! Does: go through the names of a table a little at a time, and through its symbols only where the name is one: tables of large programs
//! have tens of megabytes, and most programs have no such symbol. Does not: keep a table.

use std::io::Read;

use memchr::memmem;

use super::source::u32_at;
use super::symbols::{ElfSymbol, SYMBOL_SIZE, SymbolTableKind};
use super::{ElfFile, MAX_SECTION_BYTES, Section};
use crate::types::Svma;

/// So many bytes are looked at at once: a whole number of symbols.
const PIECE: usize = SYMBOL_SIZE << 11;
/// A name stands once in a table, and may be the end of some longer ones: linkers share those.
const MAX_PLACES: usize = 64;

impl ElfFile {
    /// The address and size of the symbol of that name which this file defines, from `.dynsym` or `.symtab`.
    pub fn symbol(&self, name: &str) -> Option<(Svma, u64)> {
        let kinds = [SymbolTableKind::Dynamic, SymbolTableKind::Static];
        kinds.into_iter().find_map(|kind| self.symbol_of(kind, name.as_bytes()))
    }

    fn symbol_of(&self, kind: SymbolTableKind, name: &[u8]) -> Option<(Svma, u64)> {
        let Some((symbols, names)) = self.sections_of(kind) else {
            let table = self.symbol_table(kind).ok()?;
            return table.iter().find(|s| s.is_defined() && s.name() == name).map(|s| (s.svma, s.size));
        };
        let places = self.places_of(names, name);
        let mut reader = self.source.reader(symbols.offset, symbols.size);
        while !places.is_empty() {
            let piece = read_piece(&mut reader, Vec::new())?;
            if piece.is_empty() {
                break;
            }
            let is_named = |symbol: &&[u8]| u32_at(symbol, 0).is_some_and(|at| places.contains(&u64::from(at)));
            let named = piece.chunks_exact(SYMBOL_SIZE).filter(is_named);
            let mut symbols = named.filter_map(|entry| ElfSymbol::parse(entry, &[]));
            if let Some(symbol) = symbols.find(ElfSymbol::is_defined) {
                return Some((symbol.svma, symbol.size));
            }
        }
        None
    }

    /// The sections of a table and of its names, where they can be read a little at a time.
    fn sections_of(&self, kind: SymbolTableKind) -> Option<(&Section, &Section)> {
        let symbols = self.symbol_section(kind)?;
        let names = self.sections.get(symbols.link as usize)?;
        let is_plain =
            |section: &&Section| section.has_bytes() && !section.is_compressed() && section.size <= MAX_SECTION_BYTES;
        Some((symbols, names)).filter(|(symbols, names)| is_plain(symbols) && is_plain(names))
    }

    /// Where a name stands in a table of names, from its beginning.
    fn places_of(&self, names: &Section, name: &[u8]) -> Vec<u64> {
        let wanted = [name, b"\0"].concat();
        let finder = memmem::Finder::new(&wanted);
        let mut reader = self.source.reader(names.offset, names.size);
        let (mut places, mut piece, mut start) = (Vec::new(), Vec::new(), 0_u64);
        loop {
            let kept = piece.len();
            let Some(next) = read_piece(&mut reader, piece).filter(|next| next.len() > kept) else { return places };
            places.extend(finder.find_iter(&next).map(|at| start + at as u64).take(MAX_PLACES));
            if places.len() >= MAX_PLACES {
                return places;
            }
            // What may be the beginning of the name is looked at once more.
            let done = next.len().saturating_sub(name.len());
            piece = next.get(done..).unwrap_or_default().to_vec();
            start += done as u64;
        }
    }
}

/// What is in `piece`, and the next bytes behind it.
fn read_piece(reader: &mut impl Read, mut piece: Vec<u8>) -> Option<Vec<u8>> {
    // Without room, it is read in pieces that begin with 32 bytes.
    piece.reserve(PIECE + 1);
    reader.take(PIECE as u64).read_to_end(&mut piece).ok()?;
    Some(piece)
}
