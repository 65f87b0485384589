//! The target's code, kept up to date: its mappings, the modules in them and their unwind tables.
//!
//! Does: read the mappings when a walk has met code that is in none of them, and turn them into what unwinding needs.
//! Does not: watch for changes; code that no sample has met does not matter.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use super::binaries::Binaries;
use super::module_marks::ModuleMarks;
use crate::capture::native;
use crate::capture::range::Range;
use crate::stack::native_walk;
use crate::target::elf::UnwindSections;
use crate::target::maps::Mappings;
use crate::target::memory::{PAGE, Region, Regions};
use crate::target::modules::{MappedCode, ModuleId, Modules};
use crate::target::view::Target;
use crate::types::{Addr, Svma};
use crate::unwind::address_space::{AddressSpace, Code, CodeRange};
use crate::unwind::code_bytes::CodeBytes;
use crate::unwind::module::ModuleUnwinder;

/// Code that is in no mapping even after they have been read again must not make every sample read them: it is looked
/// for again after so long. Other code is looked for at once: a program that starts, or compiles, maps new code often.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// So many pages of such code in that time, and the stacks are garbage: no more are looked for.
const MAX_UNMAPPED: usize = 32;

/// The target's code.
#[derive(Debug)]
pub struct CodeSpace {
    target: Arc<dyn Target>,
    /// What is known of the binaries, to be shared with other readers.
    pub binaries: Arc<Binaries>,
    /// All mappings.
    pub mappings: Mappings,
    /// The modules met so far.
    pub modules: Modules,
    /// The executable ranges, for unwinding.
    pub addresses: AddressSpace,
    /// What identifies the modules met so far.
    pub marks: ModuleMarks,
    unwinders: FxHashMap<ModuleId, Arc<ModuleUnwinder>>,
    anonymous_keeps_frame_pointers: bool,
    /// Pages that walks have led to and that were not mapped, since then.
    unmapped: FxHashSet<u64>,
    unmapped_since: Instant,
}

/// Instructions in the memory of a target.
#[derive(Debug)]
struct AnonymousCode(Arc<dyn Target>);

impl CodeBytes for AnonymousCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        self.0.memory().read_vec(Addr(svma.0), usize::try_from(len).ok()?).ok()
    }
}

impl CodeSpace {
    /// Takes what stands for the process once it has ended: its code is not read any more, only named.
    pub fn let_go(&mut self, gone: Arc<dyn Target>) {
        self.target = gone;
        // They read the process's memory.
        self.addresses = AddressSpace::new(Vec::new());
    }

    /// Reads the mappings and opens their modules.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn new(target: Arc<dyn Target>, binaries: Arc<Binaries>) -> io::Result<CodeSpace> {
        let mut space = CodeSpace {
            target,
            binaries,
            mappings: Mappings::default(),
            modules: Modules::default(),
            addresses: AddressSpace::new(Vec::new()),
            marks: ModuleMarks::default(),
            unwinders: FxHashMap::default(),
            anonymous_keeps_frame_pointers: false,
            unmapped: FxHashSet::default(),
            unmapped_since: Instant::now(),
        };
        space.read()?;
        Ok(space)
    }

    /// Says whether the target's own JIT keeps frame pointers.
    pub fn set_jit_keeps_frame_pointers(&mut self, keeps: bool) {
        self.anonymous_keeps_frame_pointers = keeps;
        self.rebuild(&self.ranges_of_modules());
    }

    /// Reads the mappings again because a walk has led to `unmapped`, unless that has just been done in vain for the
    /// same page. Returns whether it is mapped now.
    pub fn refresh(&mut self, unmapped: Addr) -> bool {
        // A return address can be behind the last byte of a mapping.
        let lookup = Addr(unmapped.0.saturating_sub(1));
        if self.unmapped_since.elapsed() >= RETRY_AFTER {
            self.unmapped.clear();
            self.unmapped_since = Instant::now();
        }
        let page = lookup.0 / PAGE;
        if self.unmapped.len() >= MAX_UNMAPPED || self.unmapped.contains(&page) {
            return false;
        }
        let changed = self.read().unwrap_or(false);
        let found = self.addresses.find(unmapped).is_some() || self.addresses.find(lookup).is_some();
        if !found {
            self.unmapped.insert(page);
        }
        changed && found
    }

    /// Reads the mappings again without unmapped code to look for: a module in another's place leads no walk to any. Returns
    /// whether they have changed.
    pub fn follow(&mut self) -> bool {
        // A process that is gone keeps what was known of it.
        self.read().unwrap_or(false)
    }

    /// Those of these modules that are not where the mappings say.
    pub fn replaced_now(&mut self, ids: &[ModuleId]) -> Vec<ModuleId> {
        self.marks.learn(ids, &self.modules);
        let region = |range: Range| Region { start: range.start, bytes: vec![0; range.len] };
        let mut now: Vec<Region> = self.marks.ranges(ids).map(region).collect();
        self.target.memory().read_regions(&mut now.iter_mut().collect::<Vec<_>>());
        self.marks.replaced(ids, &Regions::from_iter(now))
    }

    /// The extent of the function at an address of a module, by its unwind tables.
    pub fn function_extent(&self, module: ModuleId, svma: Svma) -> Option<(Svma, Svma)> {
        self.unwinders.get(&module)?.function_start(svma)
    }

    /// The parts of the function at an address of a module of this machine: see [`ModuleUnwinder::function_parts`].
    pub fn function_parts(&self, module: ModuleId, svma: Svma) -> Vec<(Svma, Svma)> {
        self.unwinders
            .get(&module)
            .map(|unwinder| native_walk::function_parts(native::MACHINE, unwinder, svma))
            .unwrap_or_default()
    }

    fn read(&mut self) -> io::Result<bool> {
        let mappings = self.target.mappings()?;
        if mappings == self.mappings {
            return Ok(false);
        }
        let code = self.modules.update(&*self.target, &mappings, &self.binaries.files);
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
                    unwinder: Arc::clone(self.unwinders.entry(id).or_insert_with(|| match &module.elf {
                        Ok(elf) => self.binaries.unwinder(elf, &module.name()),
                        Err(_) => Arc::new(ModuleUnwinder::new(UnwindSections::default())),
                    })),
                },
                None => Code::Anonymous { keeps_frame_pointers },
            };
            CodeRange { start: range.start, end: range.end, code }
        });
        let anonymous_code = Arc::new(AnonymousCode(Arc::clone(&self.target)));
        self.addresses = AddressSpace::new(ranges.collect()).with_anonymous_code(anonymous_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::live::LiveTarget;
    use crate::target::process::Process;
    use crate::types::Pid;

    #[test]
    fn the_bytes_that_identify_a_file_are_in_memory_where_it_is_mapped() {
        let process = Process::open(Pid(std::process::id() as i32)).unwrap();
        let mut space = CodeSpace::new(Arc::new(LiveTarget::new(process).unwrap()), Arc::default()).unwrap();
        let modules = space.modules.list().len();
        // This program, its C library, the loader and the vDSO, at least.
        assert!(modules >= 4, "{:?}", space.modules);
        let ids: Vec<ModuleId> = (0..modules as u32).map(ModuleId).collect();
        assert_eq!(space.replaced_now(&ids), []);
        assert_eq!(space.marks.ranges(&ids).count(), modules);
    }
}
