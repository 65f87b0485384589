//! Making a snapshot of a thread that has just been read.
//!
//! Does: run the Python stage again on memory that remembers what was read, read the code objects once more, and pick
//! the parts of the unwind tables that the words on the stack can lead to.
//! Does not: capture, or write files.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::recorded_code::RecordedCode;
use super::recorder::{Recorder, join};
use super::{CodeMapping, ModuleImage, Runtime, Snapshot, SparseSection};
use crate::capture::native;
use crate::process::reader::Reader;
use crate::process::reading::Reading;
use crate::process::thread::KnownThread;
use crate::python::code::CodeObject;
use crate::python::runtime::{Candidate, Interpreter, RuntimeError};
use crate::python::stack::PythonEntry;
use crate::stack::journey::walk_python;
use crate::target::elf::SectionData;
use crate::target::memory::Region;
use crate::target::modules::ModuleId;
use crate::target::registers::MAX_REGISTERS;
use crate::types::{Addr, Svma};
use crate::unwind::address_space::Code;
use crate::unwind::module::{Footprint, ModuleUnwinder};

impl Snapshot {
    /// What `reader` has just read of the thread `known`, before its process has run far.
    ///
    /// Code objects are read now: one that has been replaced since the capture is left out, and missing in the replay.
    ///
    /// # Errors
    /// When the interpreter is not there any more.
    pub fn take(reader: &Reader, known: &KnownThread, reading: &Reading) -> Result<Snapshot, RuntimeError> {
        let stack = used_stack(reading);
        let pcs = possible_pcs(reader, reading, &stack);
        let looked_at = RecordedCode::of_replay(reader, known, reading);
        let mut taken = Modules::default();
        let code = reader.space.addresses.ranges().iter().map(|range| CodeMapping {
            start: range.start,
            end: range.end,
            module: match &range.code {
                Code::Module { index, bias, unwinder } => {
                    let inside = pcs.iter().filter(|pc| (range.start..range.end).contains(pc));
                    let number = taken.add(reader, (*index, *bias, unwinder), inside);
                    taken.add_code(number, looked_at.modules.get(index));
                    Some(number)
                }
                Code::Anonymous { .. } => None,
            },
        });
        let code = code.collect();
        let mut memory = memory(reader, reading, &known.states.addresses)?;
        memory.extend(looked_at.run_time.iter().flat_map(|code| code.functions()));
        Ok(Snapshot {
            machine: native::MACHINE,
            runtime: Runtime {
                address: reader.found.interpreter.runtime,
                version_symbol: reader.found.version_symbol,
                file_name: file_name(reader),
            },
            registers: reading.captured.registers.clone(),
            memory: join(memory),
            thread_states: known.states.addresses.clone(),
            evaluation_frame: reader.learned().certain(),
            evaluation_code: reader.learned().code().clone(),
            modules: taken.images(),
            code,
            stack,
        })
    }
}

/// The stack up to the outermost frame: what is above it (arguments, environment) is nobody's business. All of it where
/// the walk did not get that far.
fn used_stack(reading: &Reading) -> Region {
    let stack = &reading.captured.stack;
    let len = reading.stack_end.and_then(|end| usize::try_from(end.0.checked_sub(stack.start.0)?).ok());
    Region { start: stack.start, bytes: stack.bytes.get(..len.unwrap_or(usize::MAX)).unwrap_or(&stack.bytes).to_vec() }
}

/// Every address that a walk of this stack can look up, however it goes: each register and each word that may be a program
/// counter or a return address, signed or not.
fn possible_pcs(reader: &Reader, reading: &Reading, stack: &Region) -> Vec<Addr> {
    let registers = &reading.captured.registers;
    let words = stack.bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let words = words.chain((0..MAX_REGISTERS).filter_map(|number| registers.get(number)));
    let words = words.map(|word| word & !registers.signature_mask);
    let all: FxHashSet<Addr> = words.flat_map(|word| [Addr(word.wrapping_sub(1)), Addr(word)]).collect();
    all.into_iter().filter(|addr| reader.space.addresses.find(*addr).is_some()).collect()
}

/// What the Python stage reads: the frames from the capture, the runtime and the code objects from the live memory.
fn memory(reader: &Reader, reading: &Reading, states: &[Addr]) -> Result<Vec<Region>, RuntimeError> {
    let interpreter = &reader.found.interpreter;
    let frames = Recorder::new(&reading.captured);
    let python = walk_python(&interpreter.layout, states, &frames);
    let stack = &reading.captured.stack;
    let mut regions = frames.into_regions();
    regions.retain(|region| stack.slice(region.start, region.bytes.len()).is_none());

    let live = reader.memory();
    let runtime = Recorder::new(&live);
    let (version_symbol, file_name) = (reader.found.version_symbol, &*file_name(reader));
    Interpreter::recognise(&runtime, &Candidate { runtime: interpreter.runtime, version_symbol, file_name })?;
    regions.extend(runtime.into_regions());

    let mut seen = FxHashSet::default();
    for entry in python.iter().flat_map(|python| &python.entries) {
        if let PythonEntry::Frame(frame) = entry
            && seen.insert(frame.code)
        {
            let code = Recorder::new(&live);
            let read = CodeObject::read(&code, &interpreter.layout, frame.code);
            if read.is_ok_and(|code| reader.codes.is_known_as(frame.code, &code)) {
                regions.extend(code.into_regions());
            }
        }
    }
    Ok(join(regions))
}

fn file_name(reader: &Reader) -> String {
    reader.space.modules.get(reader.found.module).map(|module| module.name()).unwrap_or_default()
}

/// The modules of a snapshot, with the parts of their tables that have been needed so far.
#[derive(Default)]
struct Modules<'a> {
    numbers: FxHashMap<usize, usize>,
    list: Vec<Taken<'a>>,
}

struct Taken<'a> {
    name: String,
    build_id: Option<String>,
    bias: u64,
    unwinder: &'a ModuleUnwinder,
    needed: Footprint,
    code: Vec<Region>,
}

impl<'a> Modules<'a> {
    /// Notes what the lookups of `pcs` need of a module (its number in the reader, its bias, its tables). Returns the
    /// module's number in the snapshot.
    fn add<'p>(
        &mut self,
        reader: &Reader,
        (index, bias, unwinder): (usize, u64, &'a ModuleUnwinder),
        pcs: impl Iterator<Item = &'p Addr>,
    ) -> usize {
        let number = *self.numbers.entry(index).or_insert_with(|| {
            let module = u32::try_from(index).ok().and_then(|id| reader.space.modules.get(ModuleId(id)));
            let elf = module.and_then(|module| module.elf.as_ref().ok());
            let name = module.map(|module| module.name()).unwrap_or_default();
            let build_id = elf.and_then(|elf| elf.build_id()).map(|id| id.to_string());
            self.list.push(Taken { name, build_id, bias, unwinder, needed: Footprint::default(), code: Vec::new() });
            self.list.len() - 1
        });
        if let Some(taken) = self.list.get_mut(number) {
            for pc in pcs {
                let footprint = unwinder.footprint(Svma(pc.0.wrapping_sub(bias)));
                taken.needed.eh_frame_hdr.extend(footprint.eh_frame_hdr);
                taken.needed.eh_frame.extend(footprint.eh_frame);
            }
        }
        number
    }

    /// Notes the functions whose instructions were looked at, and what is needed to find them.
    fn add_code(&mut self, number: usize, code: Option<&Arc<RecordedCode>>) {
        let (Some(taken), Some(code)) = (self.list.get_mut(number), code) else { return };
        taken.code = code.functions();
        for function in &taken.code {
            let footprint = taken.unwinder.footprint(Svma(function.start.0));
            taken.needed.eh_frame_hdr.extend(footprint.eh_frame_hdr);
            taken.needed.eh_frame.extend(footprint.eh_frame);
        }
    }

    fn images(self) -> Vec<ModuleImage> {
        let image = |taken: Taken<'_>| {
            let sections = taken.unwinder.sections();
            ModuleImage {
                name: taken.name,
                build_id: taken.build_id,
                bias: taken.bias,
                eh_frame_hdr: sparse(sections.eh_frame_hdr.as_ref(), &taken.needed.eh_frame_hdr),
                eh_frame: sparse(sections.eh_frame.as_ref(), &taken.needed.eh_frame),
                code: taken.code.into_iter().map(|region| (region.start.0, region.bytes)).collect(),
            }
        };
        self.list.into_iter().map(image).collect()
    }
}

/// A section with nothing but these ranges of it; `None` when nothing of it is needed.
fn sparse(section: Option<&SectionData>, ranges: &[Range<usize>]) -> Option<SparseSection> {
    let section = section.filter(|_| !ranges.is_empty())?;
    let part = |range: &Range<usize>| {
        let len = section.bytes.len();
        let bytes = section.bytes.get(range.start.min(len)..range.end.min(len))?;
        Some(Region { start: Addr(range.start as u64), bytes: bytes.to_vec() })
    };
    let parts = join(ranges.iter().filter_map(part).collect());
    let parts = parts.into_iter().map(|region| (region.start.0, region.bytes)).collect();
    Some(SparseSection { svma: section.svma, len: section.bytes.len(), parts })
}
