//! Naming the addresses of one module after the other.
//!
//! Does: gather a module's symbols and DWARF from wherever they are, answer a batch of addresses, and drop everything
//! again, so that no more than one module's tables are in memory.
//! Does not: decide when; the caller asks once per distinct address, aside from sampling.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::answers::Answers;
use super::debug_files::{DebugFile, DebugFileSource, DebugFiles, NoDebugFile};
use super::demangle::{display_name, is_mangled};
use super::dwarf::{DwarfData, DwarfFrame, has_dwarf};
use super::linkage_stubs;
use super::method_tables;
use super::mini_debug_info::{XzError, decompress_xz};
use super::native_symbol::{FunctionName, NativeSymbol, NoName};
use super::query::{ModuleFile, Query};
use super::symbol_index::SymbolIndex;
use crate::profile::clean::shortened;
use crate::profile::steps::Steps;
use crate::target::elf::{ElfError, ElfFile, SymbolTableKind};
use crate::target::memory_budget::{self, Left};
use crate::target::root::{RootIdentity, TargetRoot};
use crate::types::Svma;

/// The longest name of a module in a message.
const MAX_TOLD_NAME: usize = 60;

/// Where a module's symbols are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SymbolSource {
    /// The module's own `.symtab`.
    Own,
    /// The `.symtab` of its separate debug file.
    DebugFile(DebugFileSource),
    /// Its `.gnu_debugdata`.
    MiniDebugInfo,
    /// Only its exported functions have names.
    ExportsOnly,
    /// Nothing has a name.
    Nothing,
}

/// Why there are no lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLines {
    /// They were not asked for.
    #[error("lines were not looked up")]
    NotWanted,
    /// The module cannot be read.
    #[error("the module's file is unusable: {0}")]
    Module(ElfError),
    /// The module has no debug information and its debug file is not there.
    #[error(transparent)]
    DebugFile(#[from] NoDebugFile),
    /// The debug information cannot be used.
    #[error("the debug information is unusable: {0}")]
    Unusable(ElfError),
}

/// Where a module's names and lines are from, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSources {
    /// Where function names without debug information are from.
    pub symbols: SymbolSource,
    /// Where lines are from: `None` is the module itself.
    pub lines: Result<Option<DebugFileSource>, NoLines>,
}

/// The names of a batch of addresses of one module.
#[derive(Debug, Clone)]
pub struct ModuleNames {
    /// For each query, in their order: the functions at the address, the innermost inlined one first, the one that
    /// was not inlined last. Never empty.
    pub names: Vec<Vec<NativeSymbol>>,
    /// Where they are from.
    pub sources: NameSources,
}

/// Names addresses, module by module.
#[derive(Debug)]
pub struct Symbolizer {
    pub(super) files: DebugFiles,
    lines: bool,
    /// Each step is a frame.
    pub(super) steps: Arc<Steps>,
    /// What has been looked up before, and the root whose files this names.
    known: Option<(Arc<Answers>, Option<RootIdentity>)>,
}

impl Symbolizer {
    /// A symbolizer that looks for debug files in the target's root and then in the profiler's own.
    pub fn new(target: impl Into<Option<Arc<TargetRoot>>>) -> Symbolizer {
        Symbolizer { files: DebugFiles::new(target.into()), lines: true, steps: Arc::default(), known: None }
    }

    /// The same, which looks neither lines nor inlined functions up: a symbol table is read in milliseconds, the DWARF of
    /// an interpreter in a hundred.
    #[must_use]
    pub fn without_lines(self) -> Symbolizer {
        Symbolizer { lines: false, ..self }
    }

    /// The same, which tells by `steps` how many of the frames that it was given have names.
    #[must_use]
    pub fn telling(self, steps: &Arc<Steps>) -> Symbolizer {
        Symbolizer { steps: Arc::clone(steps), ..self }
    }

    /// The same, which knows some answers already.
    #[must_use]
    pub fn knowing(self, answers: &Arc<Answers>) -> Symbolizer {
        Symbolizer { known: Some((Arc::clone(answers), self.files.root_identity())), ..self }
    }

    /// The names at addresses of one module, for each query in their order: what is known already, or else [`resolve`](Self::resolve)
    /// tells.
    pub fn names(&self, module: &ModuleFile, queries: &[Query]) -> Vec<Vec<NativeSymbol>> {
        let known = self.known.as_ref().and_then(|(answers, root)| answers.of(module, root.clone(), queries));
        known.unwrap_or_else(|| self.resolve(module, queries).names)
    }

    /// Names addresses of one module. Loads the module's tables and drops them again: ask for many at once.
    pub fn resolve(&self, module: &ModuleFile, queries: &[Query]) -> ModuleNames {
        let name = module.path.file_name().unwrap_or(module.path.as_os_str()).to_string_lossy().into_owned();
        let elf = match &module.elf {
            Ok(elf) => elf,
            Err(error) => return unreadable(&name, error, queries),
        };
        let suffices = has_symbols(elf) && (has_dwarf(elf) || !self.lines);
        let debug_file = if suffices { None } else { Some(self.files.find(&module.path, elf)) };
        // DWARF first, so that the two are not in memory together.
        let (frames, lines) = match self.look_up(module, elf, debug_file.as_ref(), queries) {
            Ok((frames, from)) => (frames, Ok(from)),
            Err(reason) => (vec![Vec::new(); queries.len()], Err(reason)),
        };
        if let Err(NoLines::Unusable(ElfError::NoRoom(_))) = lines {
            memory_budget::leave_out(Left::Other(format!(
                "lines and inlined functions of {}",
                shortened(&name, MAX_TOLD_NAME)
            )));
        }
        let index = SymbolIndex::of(queries.iter().map(|query| query.svma));
        let (index, symbols) = load_symbols(index, elf, debug_file.as_ref().and_then(|f| f.as_ref().ok()));
        let full_table = !matches!(symbols, SymbolSource::ExportsOnly | SymbolSource::Nothing);
        if index.is_over() {
            memory_budget::leave_out(Left::Other(format!(
                "names of native code in {}",
                shortened(&name, MAX_TOLD_NAME)
            )));
        }
        let reason = if full_table { NoName::NotCovered } else { NoName::Stripped };
        let stubs = linkage_stubs::find(elf, queries.iter().map(|query| query.svma));
        let unnamed = queries.iter().zip(&frames).filter(|(query, _)| !stubs.contains_key(&query.svma.0));
        let methods = methods(elf, &index, unnamed);
        let tables = Tables { module: &name, index, methods, stubs, reason };
        let names = queries.iter().zip(frames).map(|(query, frames)| tables.resolve(query, frames)).collect();
        ModuleNames { names, sources: NameSources { symbols, lines } }
    }

    /// The functions that DWARF has at each query's address, and where that DWARF is from.
    fn look_up(
        &self,
        module: &ModuleFile,
        elf: &ElfFile,
        debug_file: Option<&Result<DebugFile, NoDebugFile>>,
        queries: &[Query],
    ) -> Result<(Vec<Vec<DwarfFrame>>, Option<DebugFileSource>), NoLines> {
        if !self.lines {
            return Err(NoLines::NotWanted);
        }
        let debug_file = match debug_file {
            Some(found) if !has_dwarf(elf) => Some(found.as_ref().map_err(NoDebugFile::clone)?),
            _ => None,
        };
        let file = debug_file.map_or(elf, |f| &f.elf);
        let path = debug_file.map_or(&module.path, |f| &f.source.path);
        let shared = file.debug_alt_link().and_then(|link| self.files.find_shared(path, &link));
        let dwarf = DwarfData::load(file, shared.as_ref()).map_err(NoLines::Unusable)?;
        let addresses: Vec<Svma> = queries.iter().map(|query| query.svma).collect();
        let frames = dwarf.frames(&addresses).map_err(NoLines::Unusable)?;
        Ok((frames, debug_file.map(|f| f.source.clone())))
    }
}

/// What tables of methods call the functions that nothing else names.
fn methods<'q>(
    elf: &ElfFile,
    index: &SymbolIndex,
    queries: impl Iterator<Item = (&'q Query, &'q Vec<DwarfFrame>)>,
) -> FxHashMap<u64, String> {
    let is_unnamed = |query: &Query, frames: &[DwarfFrame]| {
        frames.last().is_none_or(|frame| frame.raw_name.is_none()) && index.find(query.svma, query.extent).is_none()
    };
    let unnamed = queries.filter(|(query, frames)| is_unnamed(query, frames));
    let starts: FxHashSet<u64> =
        unnamed.filter_map(|(query, _)| Some(query.extent.filter(|e| e.contains(query.svma))?.start.0)).collect();
    if starts.is_empty() { FxHashMap::default() } else { method_tables::find(elf, &starts) }
}

fn has_symbols(elf: &ElfFile) -> bool {
    elf.section(".symtab").is_some_and(|s| s.has_bytes())
}

/// A module's own `.symtab` has all its functions; without one, every other table adds what it has.
fn load_symbols(mut index: SymbolIndex, elf: &ElfFile, debug_file: Option<&DebugFile>) -> (SymbolIndex, SymbolSource) {
    let (mut source, mut has_room) = (SymbolSource::Nothing, true);
    let mut add = |file: &ElfFile, kind, from: SymbolSource| {
        let table = match file.symbol_table(kind) {
            Ok(table) => table,
            Err(ElfError::NoRoom(_)) => {
                index.give_up();
                return true;
            }
            Err(_) => return false,
        };
        index.add(file, &table, kind);
        if source == SymbolSource::Nothing && !index.is_empty() {
            source = from;
        }
        true
    };
    if !add(elf, SymbolTableKind::Static, SymbolSource::Own) {
        if let Some(file) = debug_file {
            add(&file.elf, SymbolTableKind::Static, SymbolSource::DebugFile(file.source.clone()));
        }
        match mini_debug_info(elf) {
            Ok(Some(file)) => drop(add(&file, SymbolTableKind::Static, SymbolSource::MiniDebugInfo)),
            Ok(None) => {}
            Err(NoRoom) => has_room = false,
        }
        add(elf, SymbolTableKind::Dynamic, SymbolSource::ExportsOnly);
    }
    if !has_room {
        index.give_up();
    }
    index.finish();
    (index, source)
}

/// That there is no room for something.
struct NoRoom;

fn mini_debug_info(elf: &ElfFile) -> Result<Option<ElfFile>, NoRoom> {
    if !elf.has_debug_data() {
        return Ok(None);
    }
    let packed = match elf.section_bytes(".gnu_debugdata") {
        Ok(packed) => packed,
        Err(ElfError::NoRoom(_)) => return Err(NoRoom),
        Err(_) => return Ok(None),
    };
    match decompress_xz(&packed) {
        Ok(bytes) => Ok(ElfFile::from_bytes(bytes).ok()),
        Err(XzError::NoRoom) => Err(NoRoom),
        Err(_) => Ok(None),
    }
}

/// A module's tables while its addresses are looked up.
struct Tables<'a> {
    module: &'a str,
    index: SymbolIndex,
    /// What tables of methods call functions, by where these begin.
    methods: FxHashMap<u64, String>,
    /// The names of those addresses that are in stubs.
    stubs: FxHashMap<u64, String>,
    reason: NoName,
}

impl Tables<'_> {
    /// Makes symbols of what DWARF says and what the symbols say.
    fn resolve(&self, query: &Query, mut frames: Vec<DwarfFrame>) -> Vec<NativeSymbol> {
        if let Some(name) = self.stubs.get(&query.svma.0) {
            let name = FunctionName::Stub(name.clone());
            return vec![NativeSymbol { name, file: None, line: None, inlined: false }];
        }
        let outermost = frames.pop().unwrap_or(DwarfFrame { raw_name: None, file: None, line: None });
        let mut symbols = Vec::with_capacity(frames.len() + 1);
        for frame in frames {
            let name = frame.raw_name.as_deref().map(display_name).map(FunctionName::Known);
            let name = name.unwrap_or_else(|| self.unknown(query, NoName::Anonymous));
            symbols.push(NativeSymbol { name, file: frame.file, line: frame.line, inlined: true });
        }
        let name = self.outermost_name(query, outermost.raw_name);
        symbols.push(NativeSymbol { name, file: outermost.file, line: outermost.line, inlined: false });
        symbols
    }

    /// DWARF's name, for it has no aliases; but a mangled symbol rather than a plain name without its namespace.
    fn outermost_name(&self, query: &Query, dwarf: Option<String>) -> FunctionName {
        let symbol = || self.index.find(query.svma, query.extent).map(String::from_utf8_lossy);
        let raw = match dwarf {
            Some(raw) if is_mangled(&raw) => Some(raw),
            Some(plain) => Some(symbol().filter(|s| is_mangled(s)).map_or(plain, |s| s.into_owned())),
            None => symbol().map(|s| s.into_owned()),
        };
        match raw {
            Some(raw) => FunctionName::Known(display_name(&raw)),
            None => match query.extent.and_then(|extent| self.methods.get(&extent.start.0)) {
                Some(name) => FunctionName::InMethodTable(name.clone()),
                None => self.unknown(query, self.reason.clone()),
            },
        }
    }

    fn unknown(&self, query: &Query, reason: NoName) -> FunctionName {
        unknown(self.module, query, reason)
    }
}

fn unknown(module: &str, query: &Query, reason: NoName) -> FunctionName {
    let extent = query.extent.filter(|e| e.contains(query.svma));
    let start = extent.map_or(query.svma, |e| e.start);
    FunctionName::Unknown { module: module.to_owned(), start, reason }
}

fn unreadable(module: &str, error: &ElfError, queries: &[Query]) -> ModuleNames {
    let symbol = |query: &Query| {
        let name = unknown(module, query, NoName::Unreadable(error.clone()));
        vec![NativeSymbol { name, file: None, line: None, inlined: false }]
    };
    let sources = NameSources { symbols: SymbolSource::Nothing, lines: Err(NoLines::Module(error.clone())) };
    ModuleNames { names: queries.iter().map(symbol).collect(), sources }
}
