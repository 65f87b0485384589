//! The native code that a recording refers to.
//!
//! Does: find the files by the recorded paths below a root, and tell by their build-ids whether they are still those that were recorded.
//! Does not: name anything, or open what only the recording names: without a root, no file is looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::profile::recording::{Module, RecordedFrame, RecordedProgram};
use crate::symbolize::names::NativeCode;
use crate::symbolize::{FunctionExtent, ModuleFile};
use crate::target::elf::{ElfError, ElfFile};
use crate::target::modules::ModuleId;
use crate::target::root::TargetRoot;
use crate::types::Svma;

/// The files that native frames of a recording are from, those that are still what was recorded.
#[derive(Debug)]
pub struct RecordedCode<'a> {
    /// Where they are.
    root: Option<&'a TargetRoot>,
    modules: &'a [Module],
    extents: FxHashMap<(u32, Svma), (Svma, Svma)>,
}

impl<'a> RecordedCode<'a> {
    /// Those of a program, below the target's root or a folder that the user has named; none without one.
    pub fn new(program: &'a RecordedProgram, root: Option<&'a TargetRoot>) -> RecordedCode<'a> {
        let extent = |frame: &RecordedFrame| match *frame {
            RecordedFrame::Native(module, svma, extent) | RecordedFrame::Evaluation(module, svma, extent) => {
                Some(((module, svma), extent?))
            }
            _ => None,
        };
        RecordedCode { root, modules: &program.modules, extents: program.frames.iter().filter_map(extent).collect() }
    }
}

impl NativeCode for RecordedCode<'_> {
    fn module(&self, id: ModuleId) -> Option<ModuleFile> {
        let module = self.modules.get(id.0 as usize)?;
        Some(ModuleFile { path: PathBuf::from(&module.path), elf: self.open(module).map(Arc::new) })
    }

    fn extent(&self, id: ModuleId, svma: Svma) -> Option<FunctionExtent> {
        let (start, end) = self.extents.get(&(id.0, svma)).copied()?;
        Some(FunctionExtent { start, end })
    }
}

impl RecordedCode<'_> {
    /// Opens a module's file, unless it is another one now. A file without a build-id cannot be told from another.
    fn open(&self, module: &Module) -> Result<ElfFile, ElfError> {
        let file = self.root.and_then(|root| root.open(Path::new(&module.path)).ok());
        let elf = ElfFile::open(file.ok_or(ElfError::Io(std::io::ErrorKind::NotFound))?)?;
        let is_same = module.build_id.is_some() && elf.build_id().map(|id| id.to_string()) == module.build_id;
        if is_same { Ok(elf) } else { Err(ElfError::Io(std::io::ErrorKind::NotFound)) }
    }
}
