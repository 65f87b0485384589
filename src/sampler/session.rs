//! One target under observation: which threads a tick looks at, and what became of each.
//!
//! Does: list threads and thread states when they change, pass over threads that have not run, count outcomes.
//! Does not: read a thread (that is `reader`), keep time, or count stacks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::reader::{OpenError, ReadFailure, Reader};
use super::sample::{Sample, SampleFrame};
use super::statistics::{SampleFailure, Statistics};
use super::thread_history::ThreadHistory;
use crate::capture::blocked::BlockedError;
use crate::capture::ptrace::StopError;
use crate::python::threads::Threads;
use crate::target::process::Process;
use crate::target::threads::{self, Activity, Thread};
use crate::types::{Addr, Tid};

/// The number of threads is looked at with each tick; a thread that ends as another begins is noticed this late.
const LIST_THREADS_EVERY: Duration = Duration::from_millis(250);

/// A thread without states is looked for in the lists again this often, also when they seem not to have grown.
const LIST_STATES_EVERY: Duration = Duration::from_millis(250);
/// New code is noticed when a walk comes to it; code in the place of other code this late.
const FOLLOW_MAPPINGS_EVERY: Duration = Duration::from_secs(1);

/// Which threads to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those that run or wait for a CPU.
    Cpu,
    /// All.
    Wall,
    /// Those that hold a GIL.
    Gil,
}

/// A process under observation.
#[derive(Debug)]
pub struct Session {
    /// What reads its threads.
    pub reader: Reader,
    /// What has been counted.
    pub statistics: Statistics,
    process: Process,
    mode: Mode,
    threads: BTreeMap<Tid, ThreadHistory>,
    listed_at: Option<Instant>,
    followed_at: Instant,
    thread_count: u64,
    states: Threads,
    states_at: Instant,
    /// Counts the listings of thread states.
    listing: u64,
}

/// What became of one thread's sample.
enum Outcome {
    Stack(Arc<[SampleFrame]>),
    NotWanted,
    Failed(SampleFailure),
    /// The thread has ended; the wait status if learning so has consumed it.
    Gone(Option<i32>),
}

impl Session {
    /// Looks for the interpreter in a process and gets ready to sample it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(process: Process, mode: Mode) -> Result<Session, OpenError> {
        Ok(Session {
            reader: Reader::new(&process)?,
            statistics: Statistics::default(),
            process,
            mode,
            threads: BTreeMap::new(),
            listed_at: None,
            followed_at: Instant::now(),
            thread_count: 0,
            states: Threads::default(),
            states_at: Instant::now(),
            listing: 0,
        })
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether any thread is known.
    pub fn has_threads(&self) -> bool {
        !self.threads.is_empty()
    }

    /// The name of a thread that has been sampled and still lives.
    pub fn thread_name(&self, tid: Tid) -> Option<String> {
        self.threads.get(&tid)?.thread.name()
    }

    /// Samples the threads that the mode asks for, once, and hands each stack to `take`.
    ///
    /// Gives the wait status of the process when sampling has consumed it: that of our own child, just ended.
    pub fn tick(&mut self, take: &mut dyn FnMut(Sample)) -> Option<i32> {
        self.list_threads();
        if self.followed_at.elapsed() >= FOLLOW_MAPPINGS_EVERY {
            self.followed_at = Instant::now();
            self.reader.follow_mappings();
        }
        let mut ended = None;
        for tid in self.chosen() {
            let Some(mut history) = self.threads.remove(&tid) else { continue };
            match self.sample(&mut history) {
                Outcome::Stack(frames) => {
                    let sample = Sample { tid, frames };
                    self.statistics.count(&sample);
                    take(sample);
                }
                Outcome::NotWanted => {}
                Outcome::Failed(reason) => self.statistics.fail(reason),
                Outcome::Gone(status) => {
                    ended = ended.or(status.filter(|_| tid.0 == self.process.pid.0));
                    self.statistics.ended += 1;
                    self.listed_at = None;
                    continue;
                }
            }
            self.threads.insert(tid, history);
        }
        ended
    }

    /// Lists the threads when their number has changed, and now and then.
    fn list_threads(&mut self) {
        // A directory has a link for each subdirectory, and two more (proc's task directory keeps that count).
        let count = fs::metadata(format!("/proc/{}/task", self.process.pid)).map_or(0, |m| m.nlink());
        if count == self.thread_count && self.listed_at.is_some_and(|at| at.elapsed() < LIST_THREADS_EVERY) {
            return;
        }
        let Ok(tids) = threads::list(self.process.pid) else { return };
        self.thread_count = count;
        self.listed_at = Some(Instant::now());
        self.threads.retain(|tid, _| tids.binary_search(tid).is_ok());
        for tid in tids {
            if !self.threads.contains_key(&tid)
                && let Ok(thread) = Thread::open(self.process.pid, tid)
            {
                self.threads.insert(tid, ThreadHistory::new(thread));
            }
        }
    }

    /// The threads of this tick.
    fn chosen(&mut self) -> Vec<Tid> {
        if self.mode != Mode::Gil {
            return self.threads.keys().copied().collect();
        }
        self.list_states();
        let holders: Vec<Addr> = self.states.interpreters.iter().filter_map(|i| i.gil_holder).collect();
        let states = &self.states;
        let holds = |history: &ThreadHistory| {
            states.of_native_id(history.namespace_id.unsigned_abs().into()).any(|s| holders.contains(&s.address))
        };
        self.threads.iter().filter(|(_, history)| holds(history)).map(|(tid, _)| *tid).collect()
    }

    fn sample(&mut self, history: &mut ThreadHistory) -> Outcome {
        if history.is_unchanged() {
            match (self.mode, &history.blocked_stack) {
                (Mode::Cpu, _) => return Outcome::NotWanted,
                (_, Some(stack)) => return Outcome::Stack(Arc::clone(stack)),
                (_, None) => {}
            }
        }
        (history.blocked_at, history.blocked_stack) = (None, None);
        let before = history.thread.run_count();
        match history.thread.activity() {
            Ok(Activity::Running) => self.sample_running(history),
            Ok(Activity::Blocked { .. }) => {
                history.blocked_at = before;
                if self.mode == Mode::Cpu { Outcome::NotWanted } else { self.sample_blocked(history) }
            }
            Err(error) => outcome_of_look(&error),
        }
    }

    fn sample_running(&mut self, history: &mut ThreadHistory) -> Outcome {
        self.know_states(history);
        // Listing states takes time, in which the thread can have begun to wait: it must not be stopped then.
        match history.thread.activity() {
            Ok(Activity::Running) => {}
            Ok(Activity::Blocked { .. }) if self.mode == Mode::Cpu => return Outcome::NotWanted,
            Ok(Activity::Blocked { .. }) => {
                return self.read_blocked(history).unwrap_or_else(outcome_of);
            }
            Err(error) => return outcome_of_look(&error),
        }
        let mut result = self.reader.read_running(history, &mut self.statistics.stops);
        // A process that forked can leave its thread's number stale in the interpreter; the thread pointer is not.
        if result.is_ok() && history.thread_states.is_empty() {
            let pointer = self.reader.thread_pointer().unwrap_or(Addr::NULL);
            let states: Vec<Addr> = self.states.of_thread_pointer(pointer).map(|state| state.address).collect();
            if !states.is_empty() {
                history.set_thread_states(states);
                result = self.reader.read_running(history, &mut self.statistics.stops);
            }
        }
        history.thread_pointer = self.reader.thread_pointer().or(history.thread_pointer);
        match result {
            Ok(stack) => self.if_states_fit(history, stack),
            // A thread that is ending cannot be traced any more.
            Err(ReadFailure::Stop(StopError::Denied)) if history.thread.has_ended() => Outcome::Gone(None),
            Err(failure) => outcome_of(failure),
        }
    }

    /// The stack, unless it was read from thread states that have become another thread's.
    fn if_states_fit(&mut self, history: &mut ThreadHistory, stack: Arc<[SampleFrame]>) -> Outcome {
        if self.reader.states_fit(history) {
            return Outcome::Stack(stack);
        }
        history.listing = 0;
        history.set_thread_states(Vec::new());
        Outcome::Failed(SampleFailure::Unreadable)
    }

    fn read_blocked(&mut self, history: &mut ThreadHistory) -> Result<Outcome, ReadFailure> {
        let stack = self.reader.read_blocked(history)?;
        Ok(self.if_states_fit(history, stack))
    }

    fn sample_blocked(&mut self, history: &mut ThreadHistory) -> Outcome {
        self.know_states(history);
        match self.read_blocked(history) {
            Ok(outcome) => {
                if let Outcome::Stack(stack) = &outcome {
                    history.blocked_stack = Some(Arc::clone(stack));
                }
                outcome
            }
            // It has begun to run between two looks at it.
            Err(ReadFailure::Blocked(BlockedError::Runs)) => self.sample_running(history),
            Err(failure) => outcome_of(failure),
        }
    }

    /// Finds the thread's states, unless those that are known are the newest.
    fn know_states(&mut self, history: &mut ThreadHistory) {
        // A state can be listed before it is bound to its thread, and another begin where it was.
        let maybe_unbound = history.thread_states.is_empty() && self.states_at.elapsed() >= LIST_STATES_EVERY;
        let newest = self.listing > 0 && !maybe_unbound && self.has_no_newer_states();
        if newest && history.listing == self.listing {
            return;
        }
        if !newest {
            self.list_states();
        }
        history.listing = self.listing;
        let id = history.namespace_id.unsigned_abs().into();
        let states: Vec<Addr> = self.states.of_native_id(id).map(|state| state.address).collect();
        // States that were found by the thread pointer are not lost because a number is stale.
        if !states.is_empty() || !self.states.threads.iter().any(|s| history.thread_states.contains(&s.address)) {
            history.set_thread_states(states);
        }
    }

    fn has_no_newer_states(&self) -> bool {
        self.states.has_no_newer(&self.reader.found.interpreter, &self.reader.memory)
    }

    fn list_states(&mut self) {
        self.states = Threads::list(&self.reader.found.interpreter, &self.reader.memory);
        self.states_at = Instant::now();
        self.listing += 1;
    }
}

/// What a look at a thread has come to that gave nothing.
fn outcome_of_look(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Outcome::Failed(SampleFailure::Denied),
        // ESRCH: the files of a thread outlive it.
        _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => Outcome::Gone(None),
        io::ErrorKind::NotFound => Outcome::Gone(None),
        _ => Outcome::Failed(SampleFailure::Unreadable),
    }
}

fn outcome_of(failure: ReadFailure) -> Outcome {
    match failure {
        ReadFailure::Stop(StopError::Gone) => Outcome::Gone(None),
        ReadFailure::Stop(StopError::Exited(status)) => Outcome::Gone(Some(status)),
        ReadFailure::Stop(StopError::Denied) => Outcome::Failed(SampleFailure::Denied),
        ReadFailure::Stop(StopError::System(_)) => Outcome::Failed(SampleFailure::Unreadable),
        ReadFailure::Blocked(BlockedError::Runs | BlockedError::Woke) => Outcome::Failed(SampleFailure::Woke),
        ReadFailure::Blocked(BlockedError::Unreadable(error)) => outcome_of_look(&error),
        ReadFailure::CodeReplaced => Outcome::Failed(SampleFailure::CodeReplaced),
    }
}
