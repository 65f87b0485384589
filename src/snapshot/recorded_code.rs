//! Which instructions the pure stages look at.
//!
//! Does: run the native stages once more on a capture, with modules that remember the code that was asked of them.
//! Does not: decide what is looked at; that is the work of `unwind::recover`, on threads that were not stopped, of
//! `unwind::without_cfi`, and of the walk where it looks for a signal trampoline.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::recorder::join;
use crate::capture::native;
use crate::merge::resync::EvalFrameModel;
use crate::process::reader::Reader;
use crate::process::reading::Reading;
use crate::process::thread::KnownThread;
use crate::stack::journey::{Journey, walk_python};
use crate::stack::moment::Moment;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};
use crate::unwind::address_space::{AddressSpace, Code, CodeRange};
use crate::unwind::code_bytes::CodeBytes;
use crate::unwind::module::ModuleUnwinder;

/// The code of a module, or what is in no file, which remembers what was asked of it.
#[derive(Debug)]
pub(super) struct RecordedCode {
    source: Source,
    functions: Mutex<Vec<Region>>,
}

#[derive(Debug)]
enum Source {
    Module(Arc<ModuleUnwinder>),
    RunTime(Arc<dyn CodeBytes>),
}

/// What was asked of the code while the stages ran.
#[derive(Default)]
pub(super) struct Recording {
    /// By the reader's numbers of the modules.
    pub(super) modules: FxHashMap<usize, Arc<RecordedCode>>,
    /// What is in no file, by its addresses in the process.
    pub(super) run_time: Option<Arc<RecordedCode>>,
}

impl CodeBytes for RecordedCode {
    fn code(&self, svma: Svma, len: u64) -> Option<Vec<u8>> {
        let bytes = match &self.source {
            Source::Module(module) => module.code()?.code(svma, len)?,
            Source::RunTime(code) => code.code(svma, len)?,
        };
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        functions.push(Region { start: Addr(svma.0), bytes: bytes.clone() });
        Some(bytes)
    }
}

impl RecordedCode {
    fn new(source: Source) -> Arc<RecordedCode> {
        Arc::new(RecordedCode { source, functions: Mutex::default() })
    }

    /// The code that the stages look at for what `reader` has read.
    pub(super) fn of_replay(reader: &Reader, known: &KnownThread, reading: &Reading) -> Recording {
        let mut recorded = Recording::default();
        let captured = &reading.captured;
        let mut unwinders = FxHashMap::default();
        let ranges = reader.space.addresses.ranges().iter().map(|range| {
            let Code::Module { index, bias, unwinder } = &range.code else { return range.clone() };
            let unwinder = unwinders.entry(*index).or_insert_with(|| {
                let code = RecordedCode::new(Source::Module(Arc::clone(unwinder)));
                recorded.modules.insert(*index, Arc::clone(&code));
                Arc::new(ModuleUnwinder::new(unwinder.sections().clone()).with_code(code))
            });
            let code = Code::Module { index: *index, bias: *bias, unwinder: Arc::clone(unwinder) };
            CodeRange { start: range.start, end: range.end, code }
        });
        let mut addresses = AddressSpace::new(ranges.collect());
        if let Some(code) = reader.space.addresses.anonymous_code() {
            let code = RecordedCode::new(Source::RunTime(Arc::clone(code)));
            recorded.run_time = Some(Arc::clone(&code));
            addresses = addresses.with_anonymous_code(code);
        }
        let moment = Moment {
            registers: &captured.registers,
            stack: &captured.stack,
            addresses: &addresses,
            codes: &reader.codes,
        };
        let learned = reader.learned().certain().map(EvalFrameModel::known);
        let mut journey = Journey::new(native::MACHINE, learned.unwrap_or_default());
        let mut python = walk_python(&reader.found.interpreter.layout, &known.states.addresses, captured);
        journey.unwind(moment);
        journey.merge(moment, python.as_mut());
        recorded
    }

    /// What was asked of it.
    pub(super) fn functions(&self) -> Vec<Region> {
        join(self.functions.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
