//! The symbol tables of an ELF file as they stand in it.
//!
//! Does: read `.symtab` and `.dynsym`, the latter also from `PT_DYNAMIC`.
//! Does not: decide which symbol names an address; that is `symbolize`.

use object::elf;

use super::source::{Source, string_at, u16_at, u32_at, u64_at};
use super::{ElfError, ElfFile, Section, SectionData};
use crate::types::Svma;

/// What a symbol takes in a table, in bytes.
pub(super) const SYMBOL_SIZE: usize = 24;
/// A dynamic section has some 30 entries of 16 bytes.
const MAX_DYNAMIC: u64 = 1 << 16;

/// Which symbol table of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolTableKind {
    /// `.symtab`: every function; removed by `strip`.
    Static,
    /// `.dynsym`: what the file exports and imports.
    Dynamic,
}

/// One symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElfSymbol<'a> {
    /// Its value: an address, for all but absolute, thread-local and undefined symbols.
    pub svma: Svma,
    /// Its size in bytes; 0 when it is not known.
    pub size: u64,
    /// `STT_*`.
    pub kind: u8,
    /// `STB_*`.
    pub binding: u8,
    /// The index of its section, or a reserved number (`SHN_*`).
    pub section: u16,
    names: &'a [u8],
    name_at: usize,
}

impl<'a> ElfSymbol<'a> {
    /// The symbol of an entry of a table, whose names these are.
    pub(super) fn parse(entry: &[u8], names: &'a [u8]) -> Option<ElfSymbol<'a>> {
        let info = *entry.get(4)?;
        Some(ElfSymbol {
            svma: Svma(u64_at(entry, 8)?),
            size: u64_at(entry, 16)?,
            kind: info & 0xf,
            binding: info >> 4,
            section: u16_at(entry, 6)?,
            names,
            name_at: u32_at(entry, 0)? as usize,
        })
    }

    /// Its name as it stands in the file; may be mangled or carry a version. Empty if it cannot be read.
    ///
    /// Looked up when it is asked for: of the symbols of a large table, few are needed.
    pub fn name(&self) -> &'a [u8] {
        string_at(self.names, self.name_at).unwrap_or_default()
    }

    /// Whether the symbol is defined in this file, at an address.
    pub fn is_defined(&self) -> bool {
        self.section != elf::SHN_UNDEF.0 && self.section != elf::SHN_ABS.0 && self.section != elf::SHN_COMMON.0
    }
}

/// The bytes of a symbol table and of its names.
#[derive(Debug, Clone, Default)]
pub struct SymbolTable {
    symbols: Vec<u8>,
    names: Vec<u8>,
}

impl SymbolTable {
    /// The symbols, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = ElfSymbol<'_>> {
        self.symbols.chunks_exact(SYMBOL_SIZE).filter_map(|entry| ElfSymbol::parse(entry, &self.names))
    }

    /// The symbol with a number, by which relocations mean it.
    pub fn get(&self, number: u32) -> Option<ElfSymbol<'_>> {
        let at = (number as usize).checked_mul(SYMBOL_SIZE)?;
        ElfSymbol::parse(self.symbols.get(at..at.checked_add(SYMBOL_SIZE)?)?, &self.names)
    }
}

impl ElfFile {
    /// Reads a symbol table; [`ElfError::Missing`] if the file has none.
    pub fn symbol_table(&self, kind: SymbolTableKind) -> Result<SymbolTable, ElfError> {
        let what = match kind {
            SymbolTableKind::Static => ".symtab",
            SymbolTableKind::Dynamic => ".dynsym",
        };
        match self.symbol_section(kind) {
            Some(section) => {
                let names = self.sections.get(section.link as usize).ok_or(ElfError::Malformed(what))?;
                Ok(SymbolTable { symbols: self.bytes_of(section, what)?, names: self.bytes_of(names, what)? })
            }
            // Where there are section headers, they are believed.
            None if kind == SymbolTableKind::Dynamic && self.sections.is_empty() => self.dynamic_symbols(),
            None => Err(ElfError::Missing(what)),
        }
    }

    /// The section of a symbol table.
    pub(super) fn symbol_section(&self, kind: SymbolTableKind) -> Option<&Section> {
        let section_type = match kind {
            SymbolTableKind::Static => elf::SHT_SYMTAB,
            SymbolTableKind::Dynamic => elf::SHT_DYNSYM,
        };
        self.sections.iter().find(|section| section.kind == section_type.0)
    }

    /// The section of that name with its address; the loaded data of the interpreter is found by it.
    pub fn section_data(&self, name: &'static str) -> Result<SectionData, ElfError> {
        let svma = self.section(name).ok_or(ElfError::Missing(name))?.svma;
        Ok(SectionData { svma, bytes: self.section_bytes(name)? })
    }

    /// The dynamic symbols as the loader finds them: without section headers.
    fn dynamic_symbols(&self) -> Result<SymbolTable, ElfError> {
        const WHAT: &str = "dynamic symbols";
        let dynamic = self.dynamic_section(WHAT)?;
        let value = |tag| dynamic_value(&dynamic, tag);
        let missing = || ElfError::Missing(WHAT);
        let symbols = Svma(value(elf::DT_SYMTAB).ok_or_else(missing)?);
        let names = Svma(value(elf::DT_STRTAB).ok_or_else(missing)?);
        let names_size = value(elf::DT_STRSZ).ok_or_else(missing)?;
        // No tag states the number of symbols; the hash tables imply it.
        let by_hash = value(elf::DT_HASH).and_then(|at| self.count_by_hash(Svma(at)));
        let by_gnu_hash = || value(elf::DT_GNU_HASH).and_then(|at| self.count_by_gnu_hash(Svma(at)));
        let count = by_hash.or_else(by_gnu_hash).ok_or_else(missing)?;
        let size = count.checked_mul(SYMBOL_SIZE as u64).ok_or(ElfError::Malformed(WHAT))?;
        Ok(SymbolTable {
            symbols: self.loaded_bytes(symbols, size, WHAT)?,
            names: self.loaded_bytes(names, names_size, WHAT)?,
        })
    }

    /// The bytes of the dynamic section, from its segment.
    pub(super) fn dynamic_section(&self, what: &'static str) -> Result<Vec<u8>, ElfError> {
        let segment = self.segments_of(elf::PT_DYNAMIC).next().ok_or(ElfError::Missing(what))?;
        self.source.read(segment.offset.0, segment.file_size.min(MAX_DYNAMIC), what)
    }

    /// Turns the addresses by which the dynamic section leads to symbols and relocations back into the file's own: the GNU loader adds the load bias
    /// to them where they are (`ADJUST_DYN_INFO` in elf/get-dynamic-info.h).
    pub(super) fn undo_relocation(&mut self, bias: u64) {
        let Some(segment) = self.segments_of(elf::PT_DYNAMIC).next() else { return };
        let (start, len) = (segment.offset.0, segment.file_size.min(MAX_DYNAMIC));
        let Ok(mut dynamic) = self.source.read(start, len, "dynamic section") else { return };
        let tables =
            [elf::DT_SYMTAB, elf::DT_STRTAB, elf::DT_HASH, elf::DT_GNU_HASH, elf::DT_JMPREL].map(|tag| tag.0 as u64);
        for entry in dynamic.chunks_exact_mut(16) {
            let (Some(tag), Some(value)) = (u64_at(entry, 0), u64_at(entry, 8)) else { continue };
            let own = value.wrapping_sub(bias);
            let is_relocated = self.loaded_range(Svma(value)).is_none() && self.loaded_range(Svma(own)).is_some();
            if tables.contains(&tag) && is_relocated {
                entry[8..].copy_from_slice(&own.to_le_bytes());
            }
        }
        if let Source::Bytes(image) = &mut self.source
            && let Some(there) = image.get_mut(start as usize..).and_then(|rest| rest.get_mut(..dynamic.len()))
        {
            there.copy_from_slice(&dynamic);
        }
    }

    /// `DT_HASH` begins {buckets, chains}; there is one chain word per symbol.
    fn count_by_hash(&self, at: Svma) -> Option<u64> {
        let header = self.loaded_bytes(at, 8, "hash table").ok()?;
        u32_at(&header, 4).map(u64::from)
    }

    /// `DT_GNU_HASH` is {buckets, first symbol, bloom words, shift}, the bloom words, the buckets (the first symbol of
    /// each), and one chain word per hashed symbol, whose lowest bit ends a chain.
    fn count_by_gnu_hash(&self, at: Svma) -> Option<u64> {
        const WHAT: &str = "hash table";
        let (offset, available) = self.loaded_range(at)?;
        let table = self.source.read(offset, available.min(64 << 20), WHAT).ok()?;
        let (buckets, first, bloom) = (u32_at(&table, 0)?, u32_at(&table, 4)?, u32_at(&table, 8)?);
        let buckets_at = 16_usize.checked_add((bloom as usize).checked_mul(8)?)?;
        let chains_at = buckets_at.checked_add((buckets as usize).checked_mul(4)?)?;
        let starts = table.get(buckets_at..chains_at)?.chunks_exact(4).filter_map(|word| u32_at(word, 0));
        let mut last = starts.max()?;
        if last < first {
            return Some(u64::from(first));
        }
        loop {
            let index = (last.checked_sub(first)? as usize).checked_mul(4)?;
            let word = u32_at(&table, chains_at.checked_add(index)?)?;
            last = last.checked_add(1)?;
            if word & 1 == 1 {
                return Some(u64::from(last));
            }
        }
    }
}

/// The value of the first entry with a tag.
pub(super) fn dynamic_value(dynamic: &[u8], tag: elf::DynamicTag) -> Option<u64> {
    let entry = dynamic.chunks_exact(16).find(|e| u64_at(e, 0) == Some(tag.0 as u64))?;
    u64_at(entry, 8)
}

#[cfg(test)]
impl SymbolTable {
    /// A table of functions: their names, addresses, sizes, and whether they are exported.
    pub fn of_functions(functions: &[(&str, u64, u64, bool)]) -> SymbolTable {
        let mut table = SymbolTable::default();
        for (name, svma, size, exported) in functions {
            let binding = if *exported { elf::STB_GLOBAL } else { elf::STB_LOCAL };
            let name_at = table.names.len() as u32;
            table.symbols.extend(name_at.to_le_bytes());
            // In section 1.
            table.symbols.extend([binding.0 << 4 | elf::STT_FUNC.0, 0, 1, 0]);
            table.symbols.extend([svma.to_le_bytes(), size.to_le_bytes()].concat());
            table.names.extend(name.bytes().chain([0]));
        }
        table
    }
}
