//! Running a snapshot: the same stages as for a live process, on what was saved.
//!
//! Does: open a snapshot for the pure stages, run them, and say in text what came out.
//! Does not: read files, or name native functions.

use std::sync::Arc;

use super::{Snapshot, SparseSection};
use crate::merge::resync::EvalFrameModel;
use crate::python::layout::Layout;
use crate::python::runtime::{Candidate, Interpreter, RuntimeError};
use crate::python::stack::{PythonEntry, PythonStack};
use crate::stack::code_cache::{CodeCache, Function};
use crate::stack::frame::SampleFrame;
use crate::stack::journey::{Journey, walk_python};
use crate::stack::moment::Moment;
use crate::target::elf::{SectionData, UnwindSections};
use crate::target::memory::{Memory, ReadError, Region, Regions};
use crate::target::modules::ModuleId;
use crate::types::room::Unbounded;
use crate::types::{Addr, Svma};
use crate::unwind::address_space::{AddressSpace, Code, CodeRange};
use crate::unwind::code_bytes::CodeBytes;
use crate::unwind::module::ModuleUnwinder;

/// A snapshot, open for the pure stages.
#[derive(Debug)]
pub struct Replay {
    snapshot: Snapshot,
    interpreter: Interpreter,
    addresses: AddressSpace,
    codes: CodeCache,
}

impl Replay {
    /// Recognises the interpreter, opens the modules' unwind tables and reads the code objects.
    ///
    /// # Errors
    /// Why there is no interpreter in the snapshot.
    pub fn new(snapshot: Snapshot) -> Result<Replay, RuntimeError> {
        let memory = CopiedMemory(&snapshot);
        let runtime = &snapshot.runtime;
        let (version_symbol, file_name) = (runtime.version_symbol, &*runtime.file_name);
        let candidate = Candidate { runtime: runtime.address, version_symbol, file_name };
        let interpreter = Interpreter::recognise(&memory, &candidate)?;
        let layout = &interpreter.layout;
        let mut codes = CodeCache::default();
        let python = walk_python(layout, &snapshot.thread_states, &memory);
        for entry in python.iter().flat_map(|python| &python.entries) {
            if let PythonEntry::Frame(frame) = entry
                && !codes.contains(frame.code)
            {
                // One that cannot be read is missing in the stack, as it was for the live process.
                let _ = codes.read((&memory, layout), frame.code, &mut Unbounded);
            }
        }
        let addresses = address_space(&snapshot, layout);
        Ok(Replay { interpreter, addresses, codes, snapshot })
    }

    /// The saved memory and stack.
    pub(super) fn memory(&self) -> impl Memory {
        CopiedMemory(&self.snapshot)
    }

    /// The interpreter.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// What is replayed.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The Python functions that frames refer to, by number.
    pub fn functions(&self) -> &[Arc<Function>] {
        self.codes.functions()
    }

    /// A journey that knows what was known when the snapshot was taken.
    pub fn journey(&self) -> Journey {
        let learned = self.snapshot.evaluation_frame.map(EvalFrameModel::known).unwrap_or_default();
        Journey::new(self.snapshot.machine, learned.with_code(self.snapshot.evaluation_code.clone()))
    }

    /// What the native stages are given.
    pub fn moment(&self) -> Moment<'_> {
        let Replay { snapshot, addresses, codes, .. } = self;
        Moment { registers: &snapshot.registers, stack: &snapshot.stack, addresses, codes }
    }

    /// The Python stage.
    pub fn walk(&self) -> Option<PythonStack> {
        walk_python(&self.interpreter.layout, &self.snapshot.thread_states, &CopiedMemory(&self.snapshot))
    }

    /// All stages: the frames, innermost first.
    pub fn run(&self, journey: &mut Journey) -> Arc<[SampleFrame]> {
        let mut python = self.walk();
        journey.unwind(self.moment());
        journey.merge(self.moment(), python.as_mut());
        journey.resolve(self.moment())
    }

    /// One frame in words: what kind it is, and where.
    pub fn describe(&self, frame: &SampleFrame) -> String {
        match *frame {
            SampleFrame::Python { function, line } => {
                let Some(function) = self.codes.functions().get(function.0 as usize) else { return "python ?".into() };
                let line = line.map_or("?".to_owned(), |line| line.to_string());
                format!("python      {}  {}:{line}", function.qualname, function.filename)
            }
            SampleFrame::Native { module, svma } => {
                let place = match self.function_extent(module, svma) {
                    Some((Svma(start), _)) => format!("{start:#x}+{:#x}", svma.0.wrapping_sub(start)),
                    None => "in no function".to_owned(),
                };
                format!("native      {}+{:#x}  ({place})", self.module_name(module), svma.0)
            }
            SampleFrame::Evaluation { module, function } => {
                format!("evaluation  {}+{:#x}", self.module_name(module), function.0)
            }
            SampleFrame::Unnamed(addr) => format!("unnamed     {addr}"),
            SampleFrame::Missing(gap) => format!("missing     {}", gap.reason()),
        }
    }

    fn module_name(&self, module: ModuleId) -> &str {
        self.snapshot.modules.get(module.0 as usize).map_or("?", |module| &module.name)
    }

    /// The extent of the function at an address of a module, by its unwind tables.
    pub fn function_extent(&self, module: ModuleId, svma: Svma) -> Option<(Svma, Svma)> {
        let unwinder = self.addresses.ranges().iter().find_map(|range| match &range.code {
            Code::Module { index, unwinder, .. } if *index == module.0 as usize => Some(unwinder),
            _ => None,
        });
        unwinder?.function_start(svma)
    }
}

fn address_space(snapshot: &Snapshot, layout: &Layout) -> AddressSpace {
    let unwinders: Vec<Arc<ModuleUnwinder>> = snapshot
        .modules
        .iter()
        .map(|module| {
            let section = |section: &Option<SparseSection>| section.as_ref().map(SparseSection::fill);
            let unwinder = ModuleUnwinder::new(UnwindSections {
                eh_frame_hdr: section(&module.eh_frame_hdr),
                eh_frame: section(&module.eh_frame),
            });
            let code = module.code.iter().map(|(svma, bytes)| Region { start: Addr(*svma), bytes: bytes.clone() });
            Arc::new(unwinder.with_code(Arc::new(SavedCode(code.collect()))))
        })
        .collect();
    let ranges = snapshot.code.iter().map(|code| {
        let module = code.module.and_then(|n| Some((n, snapshot.modules.get(n)?, unwinders.get(n)?)));
        let what = match module {
            Some((index, module, unwinder)) => {
                Code::Module { index, bias: module.bias, unwinder: Arc::clone(unwinder) }
            }
            None => Code::Anonymous { keeps_frame_pointers: layout.jit_keeps_frame_pointers },
        };
        CodeRange { start: code.start, end: code.end, code: what }
    });
    AddressSpace::new(ranges.collect())
        .with_anonymous_code(Arc::new(SavedCode(snapshot.memory.iter().cloned().collect())))
}

impl SparseSection {
    /// The section in its whole length. What is known of it beyond that is left out.
    fn fill(&self) -> SectionData {
        let mut bytes = vec![0; self.len];
        for (offset, part) in &self.parts {
            let place = usize::try_from(*offset).ok().and_then(|start| bytes.get_mut(start..)).unwrap_or_default();
            place.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        }
        SectionData { svma: self.svma, bytes }
    }
}

/// What was saved of a module's instructions, by stated address, or of what is in no file, by its address.
#[derive(Debug)]
struct SavedCode(Regions);

impl CodeBytes for SavedCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        let len = usize::try_from(len).ok()?;
        self.0.as_slice().iter().find_map(|region| region.slice(Addr(svma.0), len)).map(<[u8]>::to_vec)
    }
}

/// A snapshot's memory and stack.
struct CopiedMemory<'a>(&'a Snapshot);

impl Memory for CopiedMemory<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        let regions = &self.0.memory;
        let after = regions.partition_point(|region| region.start <= addr);
        let slice =
            after.checked_sub(1).and_then(|n| regions.get(n)).and_then(|region: &Region| region.slice(addr, len));
        let bytes = slice.or_else(|| self.0.stack.slice(addr, len)).ok_or(ReadError { addr, len })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}
