//! fpprof's own view of a live target, in the terms in which the truth is told.
//!
//! Does: read single threads with and without stopping them, take samples at a rate, and turn frames into something
//! that can be compared with gdb's frames and the interpreter's word.
//! Does not: know what is right (`gdb` and `truth` do).

use std::sync::Arc;
use std::time::Instant;

use fpprof::capture::blocked::BlockedError;
use fpprof::capture::running::Stopping;
use fpprof::merge::MergedFrame;
use fpprof::process::reader::Reader;
use fpprof::process::reading::{ReadFailure, Reading};
use fpprof::process::stops::Stops;
use fpprof::process::thread::KnownThread;
use fpprof::python::threads::Threads;
use fpprof::sampler::clock::{Clock, Intervals, Tick};
use fpprof::sampler::mode::Mode;
use fpprof::sampler::sample::Sample;
use fpprof::sampler::session::Session;
use fpprof::stack::frame::{GapKind, SampleFrame};
use fpprof::target::live::LiveTarget;
use fpprof::target::process::Process;
use fpprof::target::threads::Thread;
use fpprof::types::{Addr, Pid, Tid};

use super::patience::patience;

/// One frame of a merged stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A native frame.
    Native {
        /// Its program counter: a return address in all but the innermost.
        pc: u64,
        /// Its stack pointer.
        sp: u64,
        /// Its CFA; absent where it is undefined, in the outermost frame.
        cfa: Option<u64>,
        /// Whether it evaluates the Python frames in front of it.
        evaluation: bool,
    },
    /// A Python frame: qualified name, file, line.
    Python(String, String, Option<u32>),
    /// Frames are missing.
    Missing(GapKind),
}

/// How to read a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Blocked, by looking only.
    Blocked,
    /// By stopping it.
    Stopped,
}

/// Reads the threads of one target, one at a time.
pub struct OneByOne {
    reader: Reader,
    pid: Pid,
}

impl OneByOne {
    /// # Panics
    /// When the target cannot be read.
    pub fn open(pid: u32) -> OneByOne {
        let reader = Reader::new(Arc::new(LiveTarget::new(process(pid)).expect("it lives")))
            .expect("the target is a Python that can be read");
        OneByOne { reader, pid: pid_of(pid) }
    }

    /// One thread's merged stack, innermost first.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(&mut self, tid: i32, how: How) -> Vec<Element> {
        let reading = self.reading(tid, how);
        self.elements(&reading)
    }

    /// One thread at one moment.
    fn reading(&mut self, tid: i32, how: How) -> Reading {
        let deadline = Instant::now() + patience();
        let read = loop {
            let read = self.try_reading(tid, how);
            // Who has just let the thread go leaves it running until its call has begun again.
            let may_have_run = match &read {
                Err(ReadFailure::Blocked(error)) => matches!(error, BlockedError::Runs | BlockedError::Woke),
                Err(ReadFailure::ModuleReplaced) => how == How::Blocked,
                _ => false,
            };
            if !may_have_run || Instant::now() > deadline {
                break read;
            }
            std::thread::yield_now();
        };
        read.unwrap_or_else(|error: ReadFailure| panic!("{how:?}: {error:?}"))
    }

    /// One thread at one moment, if it can be read now: one that waits for a CPU can not.
    ///
    /// # Errors
    /// See [`ReadFailure`].
    pub fn try_reading(&mut self, tid: i32, how: How) -> Result<Reading, ReadFailure> {
        let thread = Thread::open(self.pid, Tid(tid)).expect("the thread lives");
        let mut known = KnownThread::new(thread);
        let states = Threads::list(&self.reader.found.interpreter, &self.reader.memory());
        let id = known.namespace_id.unsigned_abs().into();
        known.states.addresses = states.of_native_id(id).map(|state| state.address).collect();
        match how {
            How::Blocked => self.reader.read_blocked(&mut known),
            How::Stopped => self.reader.read_stopped(&mut known, &mut Stops::default(), Stopping::InAnyState),
        }
    }

    /// What reads them.
    #[allow(dead_code, reason = "each test program uses a part")]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn elements(&self, reading: &Reading) -> Vec<Element> {
        let (merged, frames) = (&reading.merged.frames, &reading.frames);
        assert_eq!(merged.len(), frames.len(), "each merged frame becomes one frame of the sample");
        let outermost = merged.iter().rposition(|frame| matches!(frame, MergedFrame::Native { .. }));
        let element = |(index, (merged, frame)): (usize, (&MergedFrame, &SampleFrame))| match (merged, frame) {
            (MergedFrame::Native { frame, is_eval_frame }, _) => Element::Native {
                pc: frame.pc.0,
                sp: frame.sp.0,
                cfa: (Some(index) != outermost).then_some(frame.cfa.0),
                evaluation: *is_eval_frame,
            },
            (_, SampleFrame::Python { function, line }) => {
                let function = &self.reader.codes.functions()[function.0 as usize];
                Element::Python(function.qualname.clone(), function.filename.clone(), line.map(Into::into))
            }
            (_, SampleFrame::Missing(kind)) => Element::Missing(*kind),
            (merged, frame) => panic!("{merged:?} became {frame:?}"),
        };
        merged.iter().zip(frames.iter()).enumerate().map(element).collect()
    }
}

/// A session on a target, as `fpprof record` has one.
///
/// # Panics
/// When the target cannot be read.
pub fn session(pid: u32, mode: Mode) -> Session {
    Session::live(process(pid), mode).expect("the target is a Python that can be read")
}

/// Ticks at `rate` until there are `count` samples, or `ticks` ticks are over; gives the samples.
pub fn samples(session: &mut Session, rate: f64, (count, ticks): (usize, usize)) -> Vec<Sample> {
    // Any seed: what is promised must hold at all moments.
    let mut clock = Clock::new(rate, Intervals::Poisson, u64::from(std::process::id()));
    let mut taken = Vec::new();
    for _ in 0..ticks {
        let mut take = |sample| taken.push(sample);
        wait_for_tick(&mut clock, session, &mut take);
        session.tick(1, &mut take);
        clock.skip_missed();
        if taken.len() >= count {
            break;
        }
    }
    // A thread whose stop is pending would stand still when it comes to it.
    session.serve_within(patience(), &mut |sample| taken.push(sample));
    // That of one tick may have come with the next.
    taken.truncate(count);
    taken
}

/// Waits for the next tick, and samples meanwhile the threads whose stops did not come at once.
pub fn wait_for_tick(clock: &mut Clock, session: &mut Session, take: &mut dyn FnMut(Sample)) {
    loop {
        let woke_by = match session.has_pending_stops() {
            true => clock.wait_with(None, |limit| session.sleep(limit)),
            false => clock.wait(None),
        };
        if woke_by == Tick::Due {
            break;
        }
        session.serve(take);
    }
    session.was_due(clock.due_at());
}

/// The target's address of a native frame, inside the instruction that is executing.
pub fn address(session: &Session, frame: &SampleFrame) -> Option<Addr> {
    match frame {
        SampleFrame::Native { module, svma } => Some(session.reader.space.modules.get(*module)?.addr(*svma)),
        SampleFrame::Unnamed(addr) => Some(*addr),
        _ => None,
    }
}

/// A Python frame's qualified name, file and line.
pub fn python(session: &Session, frame: &SampleFrame) -> Option<(String, String, Option<u32>)> {
    let SampleFrame::Python { function, line } = frame else { return None };
    let function: &Arc<_> = session.reader.codes.functions().get(function.0 as usize)?;
    Some((function.qualname.clone(), function.filename.clone(), line.map(Into::into)))
}

fn pid_of(pid: u32) -> Pid {
    Pid(i32::try_from(pid).expect("a process id"))
}

/// A process that lives.
///
/// # Panics
/// When it does not.
pub fn process(pid: u32) -> Process {
    Process::open(pid_of(pid)).expect("the target lives")
}
