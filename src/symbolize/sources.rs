//! Where a module's names and lines would come from.
//!
//! Does: look which tables are there, in the module and in its separate debug file. Does not: read them.

use super::dwarf::has_dwarf;
use super::query::ModuleFile;
use super::symbolizer::{NameSources, NoLines, SymbolSource, Symbolizer};
use crate::target::elf::ElfFile;

impl Symbolizer {
    /// Where [`Symbolizer::resolve`] would find names and lines of a module. A table that is there and damaged is not
    /// noticed.
    pub fn sources(&self, module: &ModuleFile) -> NameSources {
        let elf = match &module.elf {
            Ok(elf) => elf,
            Err(error) => {
                return NameSources { symbols: SymbolSource::Nothing, lines: Err(NoLines::Module(error.clone())) };
            }
        };
        let (own_symbols, own_lines) = (has(elf, ".symtab"), has_dwarf(elf));
        if own_symbols && own_lines {
            return NameSources { symbols: SymbolSource::Own, lines: Ok(None) };
        }
        let debug_file = self.files.find(&module.path, elf);
        let symbols = match &debug_file {
            _ if own_symbols => SymbolSource::Own,
            Ok(file) if has(&file.elf, ".symtab") => SymbolSource::DebugFile(file.source.clone()),
            _ if elf.has_debug_data() => SymbolSource::MiniDebugInfo,
            _ if has(elf, ".dynsym") => SymbolSource::ExportsOnly,
            _ => SymbolSource::Nothing,
        };
        let lines = match debug_file {
            _ if own_lines => Ok(None),
            Ok(file) if has_dwarf(&file.elf) => Ok(Some(file.source)),
            Ok(_) => Err(NoLines::Unusable(crate::target::elf::ElfError::Missing(".debug_info"))),
            Err(missing) => Err(NoLines::DebugFile(missing)),
        };
        NameSources { symbols, lines }
    }
}

fn has(elf: &ElfFile, section: &str) -> bool {
    elf.section(section).is_some_and(|section| section.has_bytes() && section.size > 0)
}
