//! What the loader puts into the slots of a loaded file: the relocations that name a function.
//!
//! Does: read the tables of relocations, also from `PT_DYNAMIC`, and tell those that fill a slot. Does not: apply them, or read names.
//!
//! Source: gABI, "Relocation"; the processors' supplements for `JUMP_SLOT`, `GLOB_DAT` and `IRELATIVE`.

use object::elf;

use super::source::u64_at;
use super::symbols::dynamic_value;
use super::{ElfError, ElfFile, Section};
use crate::types::{Machine, Svma};

/// An `Elf64_Rela`: place, kind and symbol, addend.
const RELA_SIZE: usize = 24;
/// The most bytes of a table that are read. The largest libraries have some 20 MB.
const MAX_TABLE: u64 = 64 << 20;
/// The most tables of a file: linkers write two or three.
const MAX_TABLES: usize = 16;

/// What a slot is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// The function that the dynamic symbol with this number is, when it is first called: only the procedure linkage table uses such slots.
    Jump(u32),
    /// What the dynamic symbol with this number is: a function or data, for whoever uses the slot.
    Symbol(u32),
    /// The function that the resolver at this address chooses (`STT_GNU_IFUNC`).
    Resolved(Svma),
}

/// A relocation that fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRelocation {
    /// Where the slot is.
    pub slot: Svma,
    /// What it is filled with.
    pub filling: Filling,
}

/// A table of relocations.
#[derive(Debug, Clone)]
pub struct RelocationTable {
    bytes: Vec<u8>,
    machine: Machine,
}

impl RelocationTable {
    /// Those that fill slots, in the table's order.
    pub fn slots(&self) -> impl Iterator<Item = SlotRelocation> {
        self.bytes.chunks_exact(RELA_SIZE).filter_map(|entry| self.parse(entry))
    }

    /// The one with a number, by which an entry of the procedure linkage table means it, if it fills a slot.
    pub fn get(&self, number: u32) -> Option<SlotRelocation> {
        let at = (number as usize).checked_mul(RELA_SIZE)?;
        self.parse(self.bytes.get(at..at.checked_add(RELA_SIZE)?)?)
    }

    fn parse(&self, entry: &[u8]) -> Option<SlotRelocation> {
        let (slot, info, addend) = (u64_at(entry, 0)?, u64_at(entry, 8)?, u64_at(entry, 16)?);
        let (jump, data, resolved) = match self.machine {
            Machine::X86_64 => (elf::R_X86_64_JUMP_SLOT.0, elf::R_X86_64_GLOB_DAT.0, elf::R_X86_64_IRELATIVE.0),
            Machine::Aarch64 => (elf::R_AARCH64_JUMP_SLOT.0, elf::R_AARCH64_GLOB_DAT.0, elf::R_AARCH64_IRELATIVE.0),
        };
        let (kind, symbol) = (info as u32, (info >> 32) as u32);
        let filling = match kind {
            kind if kind == jump && addend == 0 => Filling::Jump(symbol),
            kind if kind == data && addend == 0 => Filling::Symbol(symbol),
            kind if kind == resolved => Filling::Resolved(Svma(addend)),
            _ => return None,
        };
        Some(SlotRelocation { slot: Svma(slot), filling })
    }
}

impl ElfFile {
    /// The relocations of the procedure linkage table, as its entries number them.
    ///
    /// # Errors
    /// That there are none, or that they cannot be read.
    pub fn jump_relocations(&self) -> Result<RelocationTable, ElfError> {
        const WHAT: &str = ".rela.plt";
        if let Some(section) = self.section(WHAT) {
            return self.relocation_table(section, WHAT);
        }
        if !self.sections.is_empty() {
            return Err(ElfError::Missing(WHAT));
        }
        let dynamic = self.dynamic_section(WHAT)?;
        let value = |tag| dynamic_value(&dynamic, tag).ok_or(ElfError::Missing(WHAT));
        let (start, size) = (value(elf::DT_JMPREL)?, value(elf::DT_PLTRELSZ)?);
        if size > MAX_TABLE {
            return Err(ElfError::TooLarge { what: WHAT, size });
        }
        Ok(RelocationTable { bytes: self.loaded_bytes(Svma(start), size, WHAT)?, machine: self.machine })
    }

    /// All tables that the loader applies, one after the other; those that cannot be read are passed over.
    pub fn relocation_tables(&self) -> impl Iterator<Item = RelocationTable> {
        let loaded = |s: &&Section| s.kind == elf::SHT_RELA.0 && s.flags & elf::SHF_ALLOC.0 != 0;
        let tables = self.sections.iter().filter(loaded).take(MAX_TABLES);
        let tables = tables.filter_map(|section| self.relocation_table(section, "relocations").ok());
        let without_sections = self.sections.is_empty().then(|| self.jump_relocations().ok()).flatten();
        tables.chain(without_sections)
    }

    fn relocation_table(&self, section: &Section, what: &'static str) -> Result<RelocationTable, ElfError> {
        if section.size > MAX_TABLE {
            return Err(ElfError::TooLarge { what, size: section.size });
        }
        Ok(RelocationTable { bytes: self.bytes_of(section, what)?, machine: self.machine })
    }
}
