//! The modules of a process: the ELF files that it has mapped, and where.
//!
//! Does: open each mapped file once, or read it from the target's memory where it is gone; number it for the life of a recording; find
//! the file of code that a program has moved onto other memory.
//! Does not: interpret unwind tables or symbols.

use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::elf::{ElfError, ElfFile};
use super::elf_files::ElfFiles;
use super::maps::{Backing, FileId, Mapping, Mappings};
use super::memory::{BulkMemory, RangeRead};
use super::memory_budget::{self, Left, Share};
use super::view::Target;
use crate::types::{Addr, Svma};

/// The most bytes of a module that are taken from memory when its file cannot be opened.
const MAX_IMAGE: u64 = 256 << 20;

/// What is made of a small file, in bytes.
const MODULE: u64 = 32 << 10;

/// So many mappings on each side of code without a file can belong to the file that it is from.
const NEAR: usize = 16;

/// A module's number: its index in [`Modules::list`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub u32);

/// One ELF file, as mapped at one place.
#[derive(Debug)]
pub struct Module {
    /// Its path as the target names it; `[vdso]` for the kernel's.
    pub path: PathBuf,
    /// What the loader added to the file's addresses, modulo 2^64.
    pub bias: u64,
    /// The file, or why it cannot be used.
    pub elf: Result<Arc<ElfFile>, ElfError>,
}

impl Module {
    /// The last part of the path.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The file's own address for an address of the target.
    pub fn svma(&self, addr: Addr) -> Svma {
        Svma(addr.0.wrapping_sub(self.bias))
    }

    /// Where the file's first byte would be mapped if a range of code were the file's at that place; `None` where its code does not belong.
    fn code_base(&self, code: &MappedCode) -> Option<u64> {
        let base = self.elf.as_ref().ok()?.code_base(self.svma(code.start), code.end.0 - code.start.0)?;
        Some(base.wrapping_add(self.bias))
    }

    /// The target's address for one of the file.
    pub fn addr(&self, svma: Svma) -> Addr {
        Addr(svma.0.wrapping_add(self.bias))
    }
}

/// An executable range of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedCode {
    /// Its first address.
    pub start: Addr,
    /// The address behind its last.
    pub end: Addr,
    /// The module that is mapped there; `None` for code without a file.
    pub module: Option<ModuleId>,
}

/// What identifies a mapped module: the same file, or the vDSO, at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    file: Option<FileId>,
    path: PathBuf,
    /// Where the file's first byte is, or would be, mapped.
    base: u64,
}

/// All modules that a process has had mapped since it has been looked at.
#[derive(Debug, Default)]
pub struct Modules {
    list: Vec<Module>,
    known: FxHashMap<Identity, ModuleId>,
    /// Files without code that are mapped beside code without a file.
    without_code: FxHashSet<FileId>,
    /// Files that are mapped as code, and are no ELF files.
    no_elf: FxHashSet<FileId>,
}

impl Modules {
    /// The modules, by number. Modules that have been unmapped since stay.
    pub fn list(&self) -> &[Module] {
        &self.list
    }

    /// The module with this number.
    pub fn get(&self, id: ModuleId) -> Option<&Module> {
        self.list.get(id.0 as usize)
    }

    /// Takes note of what is mapped now and returns the executable ranges, by address.
    pub fn update(&mut self, target: &dyn Target, maps: &Mappings, files: &ElfFiles) -> Vec<MappedCode> {
        let mut code = Vec::new();
        for mapping in maps.iter().filter(|m| m.executable) {
            let has_file = matches!(mapping.backing, Backing::File { .. } | Backing::Vdso);
            let module = has_file.then(|| self.module(target, maps, mapping, files)).flatten();
            code.push(MappedCode { start: mapping.start, end: mapping.end, module });
        }
        for range in code.iter_mut().filter(|range| range.module.is_none()) {
            range.module = self.module_around(target, maps, range, files);
        }
        code
    }

    /// The module of a mapping with an ELF file, or of the vDSO.
    fn module(
        &mut self,
        target: &dyn Target,
        maps: &Mappings,
        mapping: &Mapping,
        files: &ElfFiles,
    ) -> Option<ModuleId> {
        let (file, path) = match &mapping.backing {
            Backing::File { id, path, .. } => (Some(*id), path.clone()),
            _ => (None, PathBuf::from("[vdso]")),
        };
        let identity = Identity { file, path, base: mapping.start.0.wrapping_sub(mapping.offset.0) };
        if let Some(known) = self.known.get(&identity) {
            return Some(*known);
        }
        if file.is_some_and(|file| self.no_elf.contains(&file)) {
            return None;
        }
        if !memory_budget::fits(MODULE, Share::Sampling) {
            memory_budget::leave_out(Left::Other("names of some mapped files".to_owned()));
            return None;
        }
        let module = open(target, maps, mapping, files);
        // Memory that programs share is a file, too, and JITs put code there.
        if let (Err(ElfError::NotElf), Some(file)) = (&module.elf, file) {
            self.no_elf.insert(file);
            return None;
        }
        Some(self.add(identity, module))
    }

    fn add(&mut self, identity: Identity, module: Module) -> ModuleId {
        let id = ModuleId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(module);
        self.known.insert(identity, id);
        id
    }

    /// The module in whose place a range of code lies that has no file of its own: a program has moved it onto other memory (large pages),
    /// and its file is still mapped around it.
    fn module_around(
        &mut self,
        target: &dyn Target,
        maps: &Mappings,
        code: &MappedCode,
        files: &ElfFiles,
    ) -> Option<ModuleId> {
        // Between its segments a file can be mapped without any right, at an offset that is none of theirs.
        let has_file = |mapping: &&Mapping| mapping.readable && matches!(mapping.backing, Backing::File { .. });
        let before = maps.before(code.start).rev().take(NEAR).find(has_file);
        let behind = maps.behind(code.end).take(NEAR).find(has_file);
        before.into_iter().chain(behind).find_map(|around| self.module_of(target, maps, (around, code), files))
    }

    /// The module whose file is mapped at `around`, if `code` lies where that file's code belongs.
    fn module_of(
        &mut self,
        target: &dyn Target,
        maps: &Mappings,
        (around, code): (&Mapping, &MappedCode),
        files: &ElfFiles,
    ) -> Option<ModuleId> {
        let Backing::File { id: file, path, .. } = &around.backing else { return None };
        let base = |module: &Module| module.code_base(code);
        let mut same = self.known.iter().filter(|(identity, _)| identity.file == Some(*file)).peekable();
        if same.peek().is_some() {
            let is_it = |(identity, id): &(&Identity, &ModuleId)| self.get(**id).and_then(base) == Some(identity.base);
            return same.find(is_it).map(|(_, id)| *id);
        }
        if self.without_code.contains(file) {
            return None;
        }
        let module = open(target, maps, around, files);
        match base(&module) {
            // Known by where its code would be mapped, as a module is whose code has its file.
            Some(base) => Some(self.add(Identity { file: Some(*file), path: path.clone(), base }, module)),
            None => {
                self.without_code.insert(*file);
                None
            }
        }
    }
}

fn open(target: &dyn Target, maps: &Mappings, mapping: &Mapping, files: &ElfFiles) -> Module {
    let (path, elf) = match &mapping.backing {
        Backing::File { id, path, .. } => {
            let elf = match target.open_mapped(mapping, *id, path) {
                Some(file) => ElfFile::open(file),
                None => from_memory(maps, mapping, *id, target.memory()),
            };
            (target.root().as_target_names(path.clone()), elf)
        }
        _ => (PathBuf::from("[vdso]"), vdso(mapping, target.memory())),
    };
    let bias = elf.as_ref().ok().and_then(|elf| elf.load_bias(mapping.start, mapping.offset, mapping.executable));
    // A file whose headers do not explain the mapping is shown by its offsets.
    let bias = bias.unwrap_or_else(|| mapping.start.0.wrapping_sub(mapping.offset.0));
    Module { path, bias, elf: elf.map(|elf| files.shared(elf)) }
}

/// The parts of the file that are mapped, each at its offset. Section headers are not among them; the program headers
/// lead to the unwind tables and the dynamic symbols.
fn from_memory(maps: &Mappings, mapping: &Mapping, id: FileId, memory: &dyn BulkMemory) -> Result<ElfFile, ElfError> {
    const WHAT: &str = "mapped file";
    let is_part = |part: &&Mapping| matches!(&part.backing, Backing::File { id: other, .. } if *other == id);
    let end = |part: &Mapping| part.offset.0.saturating_add(part.end.0 - part.start.0);
    let size = maps.iter().filter(is_part).map(end).max().unwrap_or(0);
    if size > MAX_IMAGE {
        return Err(ElfError::TooLarge { what: WHAT, size });
    }
    if !memory_budget::fits(size, Share::Sampling) {
        return Err(ElfError::NoRoom(WHAT));
    }
    // What cannot be read stays zero, takes no memory, and is found wanting where it is used. A core file can have the first page only.
    let mut image = vec![0; size as usize];
    for part in maps.iter().filter(is_part).filter(|part| part.readable) {
        let into = &mut image[part.offset.0 as usize..end(part) as usize];
        memory.read_ranges(&mut [RangeRead { addr: part.start, into }]);
    }
    ElfFile::from_image(image, mapping.start, mapping.offset, mapping.executable)
}

fn vdso(mapping: &Mapping, memory: &dyn BulkMemory) -> Result<ElfFile, ElfError> {
    let len = (mapping.end.0 - mapping.start.0).min(MAX_IMAGE) as usize;
    let bytes = memory.read_vec(mapping.start, len).map_err(|_| ElfError::Missing("vDSO"))?;
    ElfFile::from_bytes(bytes)
}
