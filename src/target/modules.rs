//! The modules of a process: the ELF files that it has mapped, and where.
//!
//! Does: open each mapped file once, or read it from the target's memory where it is gone; number it for the life of a recording.
//! Does not: interpret unwind tables or symbols.

use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::elf::{ElfError, ElfFile};
use super::elf_files::ElfFiles;
use super::maps::{Backing, FileId, Mapping, Mappings};
use super::memory::BulkMemory;
use super::view::Target;
use crate::types::{Addr, Svma};

/// The most bytes of a module that are taken from memory when its file cannot be opened.
const MAX_IMAGE: u64 = 256 << 20;

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
            let (file, path) = match &mapping.backing {
                Backing::File { id, path, .. } => (Some(*id), path.clone()),
                Backing::Vdso => (None, PathBuf::from("[vdso]")),
                Backing::Stack | Backing::Anonymous => {
                    code.push(MappedCode { start: mapping.start, end: mapping.end, module: None });
                    continue;
                }
            };
            let identity = Identity { file, path, base: mapping.start.0.wrapping_sub(mapping.offset.0) };
            let module = self.known.get(&identity).copied().unwrap_or_else(|| {
                let module = open(target, maps, mapping, files);
                let id = ModuleId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
                self.list.push(module);
                self.known.insert(identity, id);
                id
            });
            code.push(MappedCode { start: mapping.start, end: mapping.end, module: Some(module) });
        }
        code
    }
}

fn open(target: &dyn Target, maps: &Mappings, mapping: &Mapping, files: &ElfFiles) -> Module {
    let (path, elf) = match &mapping.backing {
        Backing::File { id, path, .. } => {
            let elf = match target.open_mapped(mapping, *id, path) {
                Some(file) => ElfFile::open(file),
                None => from_memory(maps, *id, target.memory()),
            };
            (target.root().as_target_names(path.clone()), elf)
        }
        _ => (PathBuf::from("[vdso]"), vdso(mapping, target.memory())),
    };
    let bias = elf.as_ref().ok().and_then(|elf| elf.load_bias(mapping.start, mapping.offset, true));
    // A file whose headers do not explain the mapping is shown by its offsets.
    let bias = bias.unwrap_or_else(|| mapping.start.0.wrapping_sub(mapping.offset.0));
    Module { path, bias, elf: elf.map(|elf| files.shared(elf)) }
}

/// The parts of the file that are mapped, each at its offset. Section headers are not among them; the program headers
/// lead to the unwind tables and the dynamic symbols.
fn from_memory(maps: &Mappings, id: FileId, memory: &dyn BulkMemory) -> Result<ElfFile, ElfError> {
    let mut image = Vec::new();
    for part in maps.iter().filter(|m| matches!(&m.backing, Backing::File { id: other, .. } if *other == id)) {
        let len = part.end.0 - part.start.0;
        let end = part.offset.0.saturating_add(len);
        if end > MAX_IMAGE {
            return Err(ElfError::TooLarge { what: "mapped file", size: end });
        }
        if image.len() < end as usize {
            image.resize(end as usize, 0);
        }
        if part.readable {
            // What cannot be read stays zero, and is found wanting where it is used.
            let _ = memory.read(part.start, &mut image[part.offset.0 as usize..end as usize]);
        }
    }
    ElfFile::from_bytes(image)
}

fn vdso(mapping: &Mapping, memory: &dyn BulkMemory) -> Result<ElfFile, ElfError> {
    let len = (mapping.end.0 - mapping.start.0).min(MAX_IMAGE) as usize;
    let bytes = memory.read_vec(mapping.start, len).map_err(|_| ElfError::Missing("vDSO"))?;
    ElfFile::from_bytes(bytes)
}
