//! The journey of one sample: capture, unwind, walk, merge.
//!
//! Does: take one thread from a look at it to frames that mean the same at any time, and remember what makes the next
//! sample of it cheap.
//! Does not: choose threads, keep time, or name native functions.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use super::code_space::CodeSpace;
use super::codes::Codes;
use super::copies::Copies;
use super::find::{self, Found};
use super::frame::SampleFrame;
use super::journey::{self, Journey};
use super::moment::Moment;
use super::new_codes::NewCodes;
use super::plan::ThreadPlan;
use super::pthreads::Pthreads;
use super::statistics::Stops;
use super::thread_history::ThreadHistory;
use crate::capture::blocked::{self, BlockedError};
use crate::capture::captured::{Captured, Range};
use crate::capture::native;
use crate::capture::running::{RunningError, Stopper, Stopping};
use crate::merge::resync::EvalFrameModel;
use crate::python::locals;
use crate::python::runtime::RuntimeError;
use crate::python::stack::{ChainEnd, PythonStack};
use crate::target::memory::Memory;
use crate::target::process::Process;
use crate::target::process_memory::ProcessMemory;
use crate::target::root::TargetRoot;
use crate::target::threads::Thread;
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

/// Why a thread was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// It could not be read while it ran.
    #[error(transparent)]
    Running(RunningError),
    /// It could not be read without being stopped.
    #[error(transparent)]
    Blocked(BlockedError),
    /// A code object on its stack was replaced meanwhile.
    #[error("a code object on its stack was replaced")]
    CodeReplaced,
    /// A module on its stack was unloaded, and another mapped in its place, since the mappings had been read.
    #[error("a library on its stack was replaced")]
    ModuleReplaced,
}

/// A stack that is ready to be counted.
struct Finished {
    frames: Arc<[SampleFrame]>,
    /// Whether each of its modules is known to have been there when it was captured.
    is_proven: bool,
}

/// Why a process cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no interpreter in it that can be read.
    #[error(transparent)]
    Interpreter(#[from] RuntimeError),
    /// The system does not let it be looked at.
    #[error("it cannot be looked at: {0}")]
    Denied(#[from] std::io::Error),
}

/// Reads the threads of one process.
#[derive(Debug)]
pub struct Reader {
    /// The interpreter, and its module.
    pub found: Found,
    /// The process's code.
    pub space: CodeSpace,
    /// Its code objects.
    pub codes: Codes,
    /// Its memory.
    pub memory: ProcessMemory,
    root: Arc<TargetRoot>,
    process: Process,
    journey: Journey,
    captured: Captured,
    stopper: Stopper,
    capture_calls: u64,
    watched: Vec<Range>,
    pthreads: Pthreads,
    reads_locals: bool,
    values: Option<Copies>,
}

impl Reader {
    /// Looks for the interpreter in a process.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(process: &Process) -> Result<Reader, OpenError> {
        let memory = ProcessMemory::new(process.pid);
        let root = Arc::new(TargetRoot::of(process.pid)?);
        let mut space = CodeSpace::new(process, &root, &memory)?;
        let found = find::find(&space.modules, &memory)?;
        space.set_jit_keeps_frame_pointers(found.interpreter.layout.jit_keeps_frame_pointers);
        // It is the interpreter for as long as it is read.
        space.marks.ignore(found.module);
        Ok(Reader {
            found,
            space,
            codes: Codes::default(),
            memory,
            root,
            process: process.clone(),
            journey: Journey::new(native::MACHINE, EvalFrameModel::default()),
            captured: Captured::default(),
            stopper: Stopper::default(),
            capture_calls: 0,
            watched: Vec::new(),
            pthreads: Pthreads::new(native::PTHREAD_DISTANCE),
            reads_locals: false,
            values: None,
        })
    }

    /// The target's root directory, which outlives the target.
    pub fn root(&self) -> Arc<TargetRoot> {
        Arc::clone(&self.root)
    }

    /// Reads the variables of Python frames with every thread from now on: see [`ThreadHistory::locals`]. That takes milliseconds,
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

    /// Tells that the calling thread has just woken for a tick.
    pub fn begin_tick(&mut self) {
        self.stopper.begin_turn();
    }

    /// Reads a thread that stands still meanwhile, for the time that is counted in `stops`.
    ///
    /// # Errors
    /// See [`ReadFailure`].
    pub fn read_stopped(
        &mut self,
        history: &mut ThreadHistory,
        stops: &mut Stops,
        stopping: Stopping,
    ) -> Result<Arc<[SampleFrame]>, ReadFailure> {
        let mut attempts = 1;
        let mut pause = BEFORE_NEXT_ATTEMPT;
        loop {
            let python = self.capture(history, |stopper, thread, memory, plan, captured| {
                stopper.capture(thread, memory, plan, captured, stopping).map_err(ReadFailure::Running)
            })?;
            stops.count(&self.captured);
            if let Some(sp) = self.captured.registers.get(native::SP) {
                history.ran_at(Addr(sp));
            }
            let end = python.as_ref().map(|python| python.end);
            let torn = matches!(end, Some(ChainEnd::Torn(_) | ChainEnd::Unreadable(_)));
            let last = attempts >= if matches!(end, Some(ChainEnd::Torn(_))) { ATTEMPTS_WHEN_TORN } else { ATTEMPTS };
            // What has taken another's place is known by now: the next stop reads it.
            let checked = self.check(history, python.as_ref());
            if last || !(torn || checked.is_err()) {
                match checked.and_then(|()| self.finish(history, python)) {
                    Ok(Finished { frames, is_proven: true }) => return Ok(frames),
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
    pub fn read_blocked(&mut self, history: &mut ThreadHistory) -> Result<Arc<[SampleFrame]>, ReadFailure> {
        history.likely_sp = None;
        let before = history.thread.run_count();
        let python = self.capture(history, |stopper, thread, memory, plan, captured| {
            blocked::capture(thread, memory, plan, captured, stopper.signature_mask()).map_err(ReadFailure::Blocked)
        })?;
        self.check(history, python.as_ref())?;
        let Finished { frames, is_proven } = self.finish(history, python)?;
        // While it waits, nobody can unload what it waits in.
        let has_waited = || before.is_some() && history.thread.run_count() == before;
        if is_proven || has_waited() { Ok(frames) } else { Err(ReadFailure::ModuleReplaced) }
    }

    /// Captures a thread with `how`, into `self.captured`, and gives its Python stack.
    fn capture(
        &mut self,
        history: &mut ThreadHistory,
        how: impl FnOnce(
            &mut Stopper,
            &mut Thread,
            &ProcessMemory,
            &mut ThreadPlan<'_>,
            &mut Captured,
        ) -> Result<(), ReadFailure>,
    ) -> Result<Option<PythonStack>, ReadFailure> {
        let Reader { found, space, codes, memory, captured, stopper, capture_calls, watched, .. } = self;
        let layout = &found.interpreter.layout;
        let mut ranges = std::mem::take(&mut history.ranges);
        let modules = history.modules.watched(space.addresses.generation());
        let passing: Vec<Range> = watched.iter().copied().chain(space.marks.ranges(modules)).collect();
        ranges.extend_from_slice(&passing);
        let mut plan = ThreadPlan {
            layout,
            codes,
            memory,
            mappings: &space.mappings,
            stack_end: history.stack_end,
            thread_states: &history.thread_states,
            ranges,
            likely_sp: history.likely_sp,
            walks: Vec::new(),
            new_codes: NewCodes::default(),
            values: self.reads_locals.then(|| Copies::new(MAX_VALUE_BYTES)),
        };
        let calls_before = memory.calls();
        if let Err(failure) = how(stopper, &mut history.thread, memory, &mut plan, captured) {
            history.ranges = plan.ranges;
            history.ranges.retain(|range| !passing.contains(range));
            return Err(failure);
        }
        *capture_calls = memory.calls().wrapping_sub(calls_before);
        let ThreadPlan { walks, ranges, new_codes, values, .. } = plan;
        self.values = values;
        let python = journey::one_stack(walks);
        for code in new_codes.addresses() {
            // One that cannot be read is told by the frame that lacks it.
            let _ = codes.read(&new_codes, layout, *code);
        }
        history.keep_used(ranges, python.as_ref());
        Ok(python)
    }

    /// Everything that can be done after the thread runs again.
    fn finish(
        &mut self,
        history: &mut ThreadHistory,
        mut python: Option<PythonStack>,
    ) -> Result<Finished, ReadFailure> {
        let complete = self.walk(python.as_mut());
        let is_proven = self.check_new_modules(history, complete)?;
        let Reader { space, codes, captured, journey, .. } = self;
        let moment = moment(captured, space, codes);
        if let Some(python) = python.as_ref().filter(|_| complete) {
            journey.learn(moment, python);
        }
        let last = journey.native().last();
        if let Some(outermost) = last.and_then(|native| native.frames.last()).filter(|_| complete) {
            history.stack_end = outermost.cfa.checked_add(BEYOND_OUTERMOST);
        } else if matches!(last.map(|native| native.end), Some(StackEnd::UnreadableStack(_))) {
            // More of the stack is used than was copied: the next sample copies all of it.
            history.stack_end = space.mappings.find_stack(captured.stack.start).map(|mapping| mapping.end);
        }
        if let Some(values) = &self.values {
            let layout = &self.found.interpreter.layout;
            let frames = journey.merged().python_frames();
            history.locals = frames.map(|frame| locals::read(values, layout, frame.frame, frame.code)).collect();
        }
        Ok(Finished { frames: journey.resolve(moment), is_proven })
    }

    /// The merged stack; reads the mappings again when it leads to unknown code. Gives whether it is complete.
    fn walk(&mut self, mut python: Option<&mut PythonStack>) -> bool {
        let Reader { space, codes, captured, journey, process, root, memory, .. } = self;
        let end = journey.unwind(moment(captured, space, codes));
        if let StackEnd::UnmappedCode(addr) = end
            && space.refresh(addr, process, root, memory)
        {
            journey.unwind(moment(captured, space, codes));
        }
        let complete = journey.merge(moment(captured, space, codes), python.as_deref_mut());
        if !complete
            && let Some(addr) = journey.unmapped_code()
            && space.refresh(addr, process, root, memory)
        {
            journey.unwind(moment(captured, space, codes));
            return journey.merge(moment(captured, space, codes), python);
        }
        complete
    }

    /// What was captured last.
    pub fn captured(&self) -> &Captured {
        &self.captured
    }

    /// How many system calls read the target's memory for what was captured last: while it stood still, if it was stopped,
    /// and once before, to warm the caches, if the thread had been stopped before.
    pub fn capture_calls(&self) -> u64 {
        self.capture_calls
    }

    /// The pure stages, as the last capture went through them.
    pub fn journey(&self) -> &Journey {
        &self.journey
    }

    /// The `pthread_t` of the thread that was captured last, if its registers were read and tell it.
    pub fn pthread(&self) -> Option<Addr> {
        self.pthreads.of(self.captured.registers.thread_pointer?)
    }

    /// Whether the thread states that were copied last belong to the thread that was captured: a state that was freed
    /// may be another thread's by now. The `pthread_t` decides; the number of a process that has forked can be stale.
    pub fn states_fit(&mut self, history: &ThreadHistory) -> bool {
        let layout = &self.found.interpreter.layout.thread;
        let number = u64::from(history.namespace_id.unsigned_abs());
        let word = |state: &Addr, offset: u64| self.captured.read_u64(state.wrapping_add(offset)).ok();
        let is_numbered = |state: &&Addr| word(state, layout.native_thread_id) == Some(number);
        if let Some(pointer) = self.captured.registers.thread_pointer
            && self.pthread().is_none()
            && let Some(state) = history.thread_states.iter().find(is_numbered)
            && let Some(pthread) = word(state, layout.thread_id)
        {
            self.pthreads.learn(Addr(pthread), pointer);
        }
        let pthread = self.pthread().or(history.pthread);
        history.thread_states.iter().all(|state| match pthread {
            Some(pthread) => word(state, layout.thread_id) == Some(pthread.0),
            None => is_numbered(&state),
        })
    }

    /// Takes note of what the target has mapped meanwhile: a library that was unloaded, another in its place.
    pub fn follow_mappings(&mut self) {
        self.space.follow(&self.process, &self.root, &self.memory);
    }
}

fn moment<'a>(captured: &'a Captured, space: &'a CodeSpace, codes: &'a Codes) -> Moment<'a> {
    Moment { registers: &captured.registers, stack: &captured.stack, addresses: &space.addresses, codes }
}
