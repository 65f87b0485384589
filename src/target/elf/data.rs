//! The data of a loaded file, with the pointers in it as the loader makes them.
//!
//! Does: read the writable segments and apply the relocations to pointers; read a string of the file.
//! Does not: look into other files: a pointer to what is in one is [`IMPORTED`].
//!
//! Source: gABI, "Relocation"; the processors' supplements for `R_X86_64_RELATIVE`, `R_X86_64_64`, `R_AARCH64_RELATIVE` and `R_AARCH64_ABS64`. What a `.relr.dyn` lists is
//! right in the file already: its addends are in place.

use object::elf;

use super::source::{string_at, u64_at};
use super::{ElfError, ElfFile, SectionData, SymbolTableKind};
use crate::types::{Machine, Svma};

/// A pointer to what another file has.
pub const IMPORTED: u64 = u64::MAX;

/// An `Elf64_Rela`: place, kind and symbol, addend.
const RELA_SIZE: usize = 24;
/// The most bytes of data that are read of a file, and of relocations. An interpreter has less than 1 MB of each.
const MAX_DATA: u64 = 64 << 20;

impl ElfFile {
    /// The segments that are data, each with its address, with the pointers into the file itself.
    ///
    /// # Errors
    /// That they cannot be read, or are too large.
    pub fn relocated_data(&self) -> Result<Vec<SectionData>, ElfError> {
        const WHAT: &str = "data";
        let is_data = |flags: u32| flags & elf::PF_W.0 != 0 && flags & elf::PF_X.0 == 0;
        let segments: Vec<_> = self.load_segments().filter(|s| is_data(s.flags)).collect();
        let size = segments.iter().fold(0_u64, |sum, s| sum.saturating_add(s.file_size));
        if size > MAX_DATA {
            return Err(ElfError::TooLarge { what: WHAT, size });
        }
        let read = |s: &&super::Segment| {
            Ok(SectionData { svma: s.svma, bytes: self.source.read(s.offset.0, s.file_size, WHAT)? })
        };
        let mut data: Vec<SectionData> = segments.iter().map(read).collect::<Result<_, ElfError>>()?;
        let (relative, absolute) = match self.machine {
            Machine::X86_64 => (elf::R_X86_64_RELATIVE.0, elf::R_X86_64_64.0),
            Machine::Aarch64 => (elf::R_AARCH64_RELATIVE.0, elf::R_AARCH64_ABS64.0),
        };
        let Some(section) = self.section(".rela.dyn").filter(|s| s.size <= MAX_DATA) else { return Ok(data) };
        let table = self.symbol_table(SymbolTableKind::Dynamic).unwrap_or_default();
        let symbols: Vec<Option<Svma>> = table.iter().map(|s| s.is_defined().then_some(s.svma)).collect();
        for entry in self.bytes_of(section, ".rela.dyn")?.chunks_exact(RELA_SIZE) {
            let (Some(place), Some(info), Some(addend)) = (u64_at(entry, 0), u64_at(entry, 8), u64_at(entry, 16))
            else {
                continue;
            };
            let value = match info & 0xffff_ffff {
                kind if kind == u64::from(relative) => addend,
                kind if kind == u64::from(absolute) => {
                    let symbol = usize::try_from(info >> 32).ok().and_then(|number| symbols.get(number));
                    symbol.copied().flatten().map_or(IMPORTED, |svma| svma.0.wrapping_add(addend))
                }
                _ => continue,
            };
            let word = data.iter_mut().find_map(|part| {
                let at = usize::try_from(place.checked_sub(part.svma.0)?).ok()?;
                part.bytes.get_mut(at..at.checked_add(8)?)
            });
            if let Some(word) = word {
                word.copy_from_slice(&value.to_le_bytes());
            }
        }
        Ok(data)
    }

    /// The bytes of the loaded image from an address up to the next zero, if there is one within `max` bytes.
    pub fn loaded_string(&self, svma: Svma, max: u64) -> Option<Vec<u8>> {
        let (offset, available) = self.loaded_range(svma)?;
        let bytes = self.source.read(offset, available.min(max.saturating_add(1)), "string").ok()?;
        string_at(&bytes, 0).map(<[u8]>::to_vec)
    }
}
