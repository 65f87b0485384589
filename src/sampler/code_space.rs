//! The target's code, kept up to date: its mappings, the modules in them and their unwind tables.
//!
//! Does: read the mappings when a walk has met code that is in none of them, and turn them into what unwinding needs.
//! Does not: watch for changes; code that no sample has met does not matter.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::target::elf::ElfFile;
use crate::target::maps::Mappings;
use crate::target::memory::Memory;
use crate::target::modules::{MappedCode, ModuleId, Modules};
use crate::target::process::Process;
use crate::target::process_memory::ProcessMemory;
use crate::target::root::TargetRoot;
use crate::types::{Addr, Pid, Svma};
use crate::unwind::address_space::{AddressSpace, Code, CodeRange};
use crate::unwind::module::ModuleUnwinder;
use crate::unwind::recover::CodeBytes;

/// Code that is in no mapping even after they have been read again must not make every sample read them: reading takes
/// at most one part in so many of the time. A program that starts maps its libraries within some milliseconds.
const READING_SHARE: u32 = 20;

/// The target's code.
#[derive(Debug)]
pub struct CodeSpace {
    pid: Pid,
    /// All mappings.
    pub mappings: Mappings,
    /// The modules met so far.
    pub modules: Modules,
    /// The executable ranges, for unwinding.
    pub addresses: AddressSpace,
    unwinders: FxHashMap<ModuleId, Arc<ModuleUnwinder>>,
    anonymous_keeps_frame_pointers: bool,
    read_at: Instant,
    read_took: Duration,
}

/// A file's instructions.
#[derive(Debug)]
struct FileCode(Arc<ElfFile>);

impl CodeBytes for FileCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        self.0.code_bytes(svma, len).ok()
    }
}

/// Instructions in the memory of a process.
#[derive(Debug)]
struct RunTimeCode(ProcessMemory);

impl CodeBytes for RunTimeCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        self.0.read_vec(Addr(svma.0), usize::try_from(len).ok()?).ok()
    }
}

impl CodeSpace {
    /// Reads the mappings and opens their modules.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn new(process: &Process, root: &TargetRoot, memory: &ProcessMemory) -> io::Result<CodeSpace> {
        let mut space = CodeSpace {
            pid: process.pid,
            mappings: Mappings::default(),
            modules: Modules::default(),
            addresses: AddressSpace::new(Vec::new()),
            unwinders: FxHashMap::default(),
            anonymous_keeps_frame_pointers: false,
            read_at: Instant::now(),
            read_took: Duration::ZERO,
        };
        space.read(process, root, memory)?;
        Ok(space)
    }

    /// Says whether the target's own JIT keeps frame pointers.
    pub fn set_jit_keeps_frame_pointers(&mut self, keeps: bool) {
        self.anonymous_keeps_frame_pointers = keeps;
        self.rebuild(&self.ranges_of_modules());
    }

    /// Reads the mappings again, unless that has just been done. Gives whether they have changed.
    pub fn refresh(&mut self, process: &Process, root: &TargetRoot, memory: &ProcessMemory) -> bool {
        if self.read_at.elapsed() < self.read_took * READING_SHARE {
            return false;
        }
        self.read(process, root, memory).unwrap_or(false)
    }

    /// The extent of the function at an address of a module, by its unwind tables.
    pub fn function_extent(&self, module: ModuleId, svma: Svma) -> Option<(Svma, Svma)> {
        self.unwinders.get(&module)?.function_start(svma)
    }

    fn read(&mut self, process: &Process, root: &TargetRoot, memory: &ProcessMemory) -> io::Result<bool> {
        let started = Instant::now();
        let changed = self.read_now(process, root, memory);
        (self.read_at, self.read_took) = (Instant::now(), started.elapsed());
        changed
    }

    fn read_now(&mut self, process: &Process, root: &TargetRoot, memory: &ProcessMemory) -> io::Result<bool> {
        let mappings = process.mappings()?;
        if mappings == self.mappings {
            return Ok(false);
        }
        let code = self.modules.update(process.pid, root, &mappings, memory);
        self.mappings = mappings;
        self.rebuild(&code);
        Ok(true)
    }

    fn ranges_of_modules(&self) -> Vec<MappedCode> {
        let module = |code: &Code| match code {
            Code::Module { index, .. } => u32::try_from(*index).ok().map(ModuleId),
            Code::Anonymous { .. } => None,
        };
        let ranges = self.addresses.ranges().iter();
        ranges.map(|r| MappedCode { start: r.start, end: r.end, module: module(&r.code) }).collect()
    }

    fn rebuild(&mut self, code: &[MappedCode]) {
        let keeps_frame_pointers = self.anonymous_keeps_frame_pointers;
        let ranges = code.iter().map(|range| {
            let code = match range.module.and_then(|id| Some((id, self.modules.get(id)?))) {
                Some((id, module)) => Code::Module {
                    index: id.0 as usize,
                    bias: module.bias,
                    unwinder: Arc::clone(self.unwinders.entry(id).or_insert_with(|| {
                        let sections = module.elf.as_ref().map(|elf| elf.unwind_sections()).unwrap_or_default();
                        let unwinder = ModuleUnwinder::new(sections);
                        Arc::new(match &module.elf {
                            Ok(elf) => unwinder.with_code(Arc::new(FileCode(Arc::clone(elf)))),
                            Err(_) => unwinder,
                        })
                    })),
                },
                None => Code::Anonymous { keeps_frame_pointers },
            };
            CodeRange { start: range.start, end: range.end, code }
        });
        let run_time_code = Arc::new(RunTimeCode(ProcessMemory::new(self.pid)));
        self.addresses = AddressSpace::new(ranges.collect()).with_run_time_code(run_time_code);
    }
}
