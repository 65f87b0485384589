//! Reading one thread: capture, unwind, walk, merge.
//!
//! Does: take one thread from a look at it to a [`Reading`]: frames that mean the same at any time, and what else was
//! there at that moment. Remembers what makes the next reading of it cheap.
//! Does not: choose threads, keep time, or name native functions.

mod checks;
mod ended;
mod eval_frames;

use std::sync::Arc;
use std::time::Duration;

use super::batched_memory::BatchedMemory;
use super::binaries::Binaries;
use super::code_space::CodeSpace;
use super::find::{self, Found, OpenError};
use super::new_code_objects::NewCodeObjects;
use super::plan::ThreadPlan;
use super::pthreads::Pthreads;
use super::read_around::ReadAround;
use super::reading::{ReadFailure, Reading};
use super::stops::Stops;
use super::thread::KnownThread;
use crate::capture::captured::Captured;
use crate::capture::native;
use crate::capture::range::Range;
use crate::capture::running::{Stopper, Stopping};
use crate::capture::{blocked, still};
use crate::merge::resync::EvalFrameModel;
use crate::python::locals::{self, Local};
use crate::python::stack::{ChainEnd, PythonEntry, PythonStack};
use crate::stack::code_cache::CodeCache;
use crate::stack::frame::SampleFrame;
use crate::stack::journey::{self, Journey};
use crate::stack::moment::Moment;
use crate::target::elf::ElfFile;
use crate::target::memory::BulkMemory;
use crate::target::root::TargetRoot;
use crate::target::threads::Thread;
use crate::target::view::Target;
use crate::types::Addr;
use crate::unwind::stack::StackEnd;

/// A thread is looked at so often when a code object had been replaced, or a frame could not be read.
const ATTEMPTS: usize = 3;
/// And this often when its chain of frames was being linked.
const ATTEMPTS_WHEN_TORN: usize = 8;
/// A thread that was let go takes some microseconds to run again, and milliseconds where others have its CPU; stopped
/// before that, it stands where it stood. Each attempt waits twice as long as the one before.
const BEFORE_NEXT_ATTEMPT: Duration = Duration::from_micros(50);
/// Words that lie this close together are copied in one range: each range costs as much as some kilobytes.
const WATCHED_TOGETHER: u64 = 1 << 10;
/// The most bytes of values that are copied of a thread.
const MAX_VALUE_BYTES: usize = 8 << 20;
/// What is copied beyond the outermost frame: the words of its return address.
const BEYOND_OUTERMOST: u64 = 64;

/// A stack that is ready to be counted.
struct Finished {
    frames: Arc<[SampleFrame]>,
    stack_end: Option<Addr>,
    locals: Vec<Vec<Local>>,
    /// Whether each of its modules is known to have been there when it was captured.
    is_proven: bool,
}

/// Reads the threads of one process.
#[derive(Debug)]
pub struct Reader {
    /// The interpreter, and its module.
    pub found: Found,
    /// The process's code.
    pub space: CodeSpace,
    /// Its code objects.
    pub codes: CodeCache,
    target: Arc<dyn Target>,
    /// The interpreter's file, until what is certain of its eval frames has been shared.
    interpreter_file: Option<Arc<ElfFile>>,
    journey: Journey,
    /// Where the copies of a reading are made; given away with it.
    pub captured: Captured,
    stopper: Stopper,
    capture_calls: u64,
    watched: Vec<Range>,
    /// The memory of the last walk of Python frames.
    walked: Vec<PythonEntry>,
    pthreads: Pthreads,
    reads_locals: bool,
    values: Option<BatchedMemory>,
}

impl Reader {
    /// Looks for the interpreter in a target.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(target: Arc<dyn Target>) -> Result<Reader, OpenError> {
        Reader::sharing(target, Arc::default())
    }

    /// The same, with what other readers know of the binaries that they share with the target.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn sharing(target: Arc<dyn Target>, binaries: Arc<Binaries>) -> Result<Reader, OpenError> {
        let mut space = CodeSpace::new(Arc::clone(&target), binaries)?;
        let found = find::find(&space.modules, &target.memory(), &space.binaries)?;
        space.set_jit_keeps_frame_pointers(found.interpreter.layout.jit_keeps_frame_pointers);
        // It is the interpreter for as long as it is read.
        space.marks.ignore(found.module);
        let file = space.modules.get(found.module).and_then(|module| module.elf.as_ref().ok().cloned());
        let learned = eval_frames::known(&space, found.module);
        Ok(Reader {
            found,
            space,
            codes: CodeCache::default(),
            target,
            interpreter_file: file,
            journey: Journey::new(native::MACHINE, learned),
            captured: Captured::default(),
            stopper: Stopper::default(),
            capture_calls: 0,
            watched: Vec::new(),
            walked: Vec::new(),
            pthreads: Pthreads::new(native::PTHREAD_DISTANCE),
            reads_locals: false,
            values: None,
        })
    }

    /// What is read.
    pub fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    /// The directory in which the target's paths begin, which outlives the target.
    pub fn root(&self) -> Arc<TargetRoot> {
        self.target.root()
    }

    /// The target's memory.
    pub fn memory(&self) -> &dyn BulkMemory {
        self.target.memory()
    }

    /// Reads the variables of Python frames with every thread from now on: see [`Reading::locals`]. That takes milliseconds,
    /// also of a thread that stands still meanwhile.
    pub fn read_locals(&mut self) {
        self.reads_locals = true;
    }

    /// Whether variables are read.
    pub fn reads_locals(&self) -> bool {
        self.reads_locals
    }

    /// Copies these words with every thread from now on: they are of the same moment as its stack, and cost no call of
    /// their own.
    pub fn watch(&mut self, mut words: Vec<Addr>) {
        words.sort_unstable();
        self.watched.clear();
        for start in words {
            let end = start.0.saturating_add(size_of::<u64>() as u64);
            match self.watched.last_mut() {
                Some(last) if end - last.start.0 <= WATCHED_TOGETHER => last.len = (end - last.start.0) as usize,
                _ => self.watched.push(Range { start, len: size_of::<u64>() }),
            }
        }
    }

    /// What stops its threads: it is told when the calling thread wakes and sleeps, and knows which stops have not come.
    pub fn stopper(&mut self) -> &mut Stopper {
        &mut self.stopper
    }

    /// Reads a thread that stands still meanwhile, for the time that is counted in `stops`.
    ///
    /// # Errors
    /// See [`ReadFailure`].
    pub fn read_stopped(
        &mut self,
        known: &mut KnownThread,
        stops: &mut Stops,
        stopping: Stopping,
    ) -> Result<Reading, ReadFailure> {
        let mut attempts = 1;
        let mut pause = BEFORE_NEXT_ATTEMPT;
        loop {
            let python = self.capture(known, |stopper, thread, memory, plan, captured| {
                stopper.capture(thread, memory, plan, captured, stopping).map_err(ReadFailure::Running)
            });
            stops.count(&self.captured);
            let python = python?;
            if let Some(sp) = self.captured.registers.get(native::SP) {
                known.expected.ran_at(Addr(sp));
            }
            let end = python.as_ref().map(|python| python.end);
            let torn = matches!(end, Some(ChainEnd::Torn(_) | ChainEnd::Unreadable(_)));
            let last = attempts >= if matches!(end, Some(ChainEnd::Torn(_))) { ATTEMPTS_WHEN_TORN } else { ATTEMPTS };
            // What has taken another's place is known by now: the next stop reads it.
            let checked = self.check(known, python.as_ref());
            if last || !(torn || checked.is_err()) {
                match checked.and_then(|()| self.finish(known, python)) {
                    Ok(finished) if finished.is_proven => return Ok(self.hand_over(finished)),
                    Ok(_) if last => return Err(ReadFailure::ModuleReplaced),
                    Err(failure) if last => return Err(failure),
                    // The next stop copies the marks of new modules with the stack.
                    Ok(_) | Err(_) => {}
                }
            }
            if torn {
                std::thread::sleep(pause);
                pause *= 2;
            }
            attempts += 1;
        }
    }

    /// Reads a thread that is blocked, without stopping it.
    ///
    /// # Errors
    /// See [`ReadFailure`].
    pub fn read_blocked(&mut self, known: &mut KnownThread) -> Result<Reading, ReadFailure> {
        known.rests();
        let before = known.thread.run_count();
        let python = self.capture(known, |stopper, thread, memory, plan, captured| {
            blocked::capture(thread, memory, plan, captured, stopper.signature_mask()).map_err(ReadFailure::Blocked)
        })?;
        self.check(known, python.as_ref())?;
        let finished = self.finish(known, python)?;
        // While it waits, nobody can unload what it waits in.
        let has_waited = || before.is_some() && known.thread.run_count() == before;
        if finished.is_proven || has_waited() { Ok(self.hand_over(finished)) } else { Err(ReadFailure::ModuleReplaced) }
    }

    /// Reads a thread that does not run any more.
    ///
    /// # Errors
    /// See [`ReadFailure`].
    pub fn read_still(&mut self, known: &mut KnownThread) -> Result<Reading, ReadFailure> {
        let python = self.capture(known, |_, thread, memory, plan, captured| {
            still::capture(thread, memory, plan, captured).map_err(ReadFailure::Blocked)
        })?;
        self.check(known, python.as_ref())?;
        let finished = self.finish(known, python)?;
        Ok(self.hand_over(finished))
    }

    /// Whether the stop of a thread that could then not be read has ended its system call early.
    pub fn failure_has_disturbed(&self) -> bool {
        self.captured.disturbed
    }

    /// Hands over what was captured and what came of it.
    fn hand_over(&mut self, finished: Finished) -> Reading {
        let Finished { frames, stack_end, locals, .. } = finished;
        let captured = std::mem::take(&mut self.captured);
        let merged = self.journey.take_merged();
        Reading { captured, merged, frames, stack_end, locals, capture_calls: self.capture_calls }
    }

    /// Takes back the buffers of a reading that is not needed any more: the next one fills them without asking for memory.
    /// Returns its variables.
    pub fn reuse(&mut self, reading: Reading) -> Vec<Vec<Local>> {
        self.captured = reading.captured;
        self.journey.reuse(reading.merged);
        reading.locals
    }

    /// Captures a thread with `how`, into `self.captured`, and returns its Python stack.
    fn capture(
        &mut self,
        known: &mut KnownThread,
        how: impl FnOnce(
            &mut Stopper,
            &mut Thread,
            &dyn BulkMemory,
            &mut ThreadPlan<'_>,
            &mut Captured,
        ) -> Result<(), ReadFailure>,
    ) -> Result<Option<PythonStack>, ReadFailure> {
        let Reader { found, space, codes, target, captured, stopper, capture_calls, watched, walked, .. } = self;
        let memory = target.memory();
        let layout = &found.interpreter.layout;
        let KnownThread { thread, states, expected, .. } = known;
        expected.of_states(&states.addresses);
        let mut ranges = std::mem::take(&mut expected.ranges);
        let modules = expected.modules.watched(space.addresses.generation());
        let passing: Vec<Range> = watched.iter().copied().chain(space.marks.ranges(modules)).collect();
        ranges.extend_from_slice(&passing);
        // Once for all copies that are made of them.
        ranges.sort_unstable_by_key(|range| range.start);
        let mut plan = ThreadPlan {
            layout,
            codes,
            memory,
            mappings: &space.mappings,
            stack_end: expected.stack_end,
            thread_states: &states.addresses,
            ranges,
            likely_sp: expected.likely_sp,
            walks: Vec::new(),
            around: ReadAround::default(),
            buffer: std::mem::take(walked),
            new_codes: NewCodeObjects::default(),
            values: self.reads_locals.then(|| BatchedMemory::new(MAX_VALUE_BYTES)),
        };
        let calls_before = memory.calls();
        if let Err(failure) = how(stopper, thread, memory, &mut plan, captured) {
            expected.ranges = plan.ranges;
            expected.ranges.retain(|range| !passing.contains(range));
            return Err(failure);
        }
        *capture_calls = memory.calls().wrapping_sub(calls_before);
        let ThreadPlan { walks, new_codes, values, .. } = plan;
        self.values = values;
        let python = journey::one_stack(walks);
        new_codes.read_into(codes, layout);
        expected.used(python.as_ref(), &captured.stack);
        Ok(python)
    }

    /// Everything that can be done after the thread runs again.
    fn finish(&mut self, known: &mut KnownThread, mut python: Option<PythonStack>) -> Result<Finished, ReadFailure> {
        let complete = self.walk(python.as_mut());
        let is_proven = self.check_new_modules(known, complete)?;
        let Reader { space, codes, captured, journey, .. } = self;
        let moment = moment(captured, space, codes);
        if let Some(python) = python.as_ref().filter(|_| complete) {
            journey.learn(moment, python);
        }
        if let Some(layout) = journey.eval_frames().certain()
            && let Some(file) = self.interpreter_file.take()
        {
            eval_frames::share(space, self.found.module, &file, (layout, journey.eval_frames().code()));
        }
        let outermost_segment = journey.native().last();
        let end = outermost_segment.map(|native| native.end);
        let outermost = outermost_segment.and_then(|native| native.frames.last());
        let beyond = outermost.and_then(|native| native.cfa.checked_add(BEYOND_OUTERMOST));
        if complete && outermost.is_some() {
            known.expected.stack_end = beyond;
        } else if matches!(end, Some(StackEnd::UnreadableStack(_))) {
            // More of the stack is used than was copied: the next sample copies all of it.
            known.expected.stack_end = space.mappings.find_stack(captured.stack.start).map(|mapping| mapping.end);
        }
        let stack_end = beyond.filter(|_| end == Some(StackEnd::ThreadEntry));
        let read_locals = |values: &BatchedMemory| {
            let layout = &self.found.interpreter.layout;
            let frames = journey.merged().python_frames();
            frames.map(|frame| locals::read(values, layout, frame.frame, frame.code)).collect()
        };
        let locals = self.values.as_ref().map(read_locals).unwrap_or_default();
        let frames = journey.resolve(moment);
        self.walked = python.map(|python| python.entries).unwrap_or_default();
        Ok(Finished { frames, stack_end, locals, is_proven })
    }

    /// The merged stack; reads the mappings again when it leads to unknown code. Returns whether it is complete.
    fn walk(&mut self, mut python: Option<&mut PythonStack>) -> bool {
        let Reader { space, codes, captured, journey, .. } = self;
        let end = journey.unwind(moment(captured, space, codes));
        if let StackEnd::UnmappedCode(addr) = end
            && space.refresh(addr)
        {
            journey.unwind(moment(captured, space, codes));
        }
        let complete = journey.merge(moment(captured, space, codes), python.as_deref_mut());
        if !complete
            && let Some(addr) = journey.unmapped_code()
            && space.refresh(addr)
        {
            journey.unwind(moment(captured, space, codes));
            return journey.merge(moment(captured, space, codes), python);
        }
        complete
    }

    /// What the process has taught of where its eval frames lie on the native stack.
    pub fn learned(&self) -> &EvalFrameModel {
        self.journey.eval_frames()
    }

    /// The `pthread_t` of a thread, if its registers were read and tell it.
    pub fn pthread_of(&self, captured: &Captured) -> Option<Addr> {
        self.pthreads.of(captured.registers.thread_pointer?)
    }

    /// Takes note of what the target has mapped meanwhile: a library that was unloaded, another in its place.
    pub fn follow_mappings(&mut self) {
        self.space.follow();
    }
}

fn moment<'a>(captured: &'a Captured, space: &'a CodeSpace, codes: &'a CodeCache) -> Moment<'a> {
    Moment { registers: &captured.registers, stack: &captured.stack, addresses: &space.addresses, codes }
}
