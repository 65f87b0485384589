//! One target under observation: which threads a tick looks at, and what became of each.
//!
//! Does: list threads when they change, pass over threads that have not run, count outcomes.
//! Does not: read a thread (that is `reader`), keep time, or count stacks.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::frame::SampleFrame;
use super::observe;
use super::reader::{OpenError, ReadFailure, Reader};
use super::run_state::RunState;
use super::sample::Sample;
use super::settled::Round;
use super::statistics::{SampleFailure, Statistics};
use super::thread_history::ThreadHistory;
use super::thread_states::ThreadStates;
use super::transfers;
use crate::capture::blocked::BlockedError;
use crate::capture::ptrace::StopError;
use crate::capture::running::{RunningError, Stopping};
use crate::target::process::Process;
use crate::target::threads::{self, Activity, Thread};
use crate::types::Tid;

/// Threads are listed when their number has changed; one that ends as another begins is noticed this late.
const LIST_THREADS_EVERY: Duration = Duration::from_millis(250);
/// And where there are many, so much later for each: listing it takes 2 µs.
const AND_FOR_EACH: Duration = Duration::from_millis(1);
/// Their number is looked at this often: a look costs some microseconds.
const COUNT_THREADS_EVERY: Duration = Duration::from_millis(5);
/// A thread that falls asleep and wakes all the time is looked at so often.
const LOOKS: usize = 8;
/// New code is noticed when a walk comes to it, a library in the place of another by its bytes; what has no bytes of its own,
/// this late.
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
    /// Sorted by their numbers.
    threads: Vec<ThreadHistory>,
    listed_at: Option<Instant>,
    counted_at: Option<Instant>,
    followed_at: Instant,
    thread_count: u64,
    round: Round,
    states: ThreadStates,
}

/// What became of one thread's sample.
enum Outcome {
    Stack(Arc<[SampleFrame]>, RunState),
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
            threads: Vec::new(),
            listed_at: None,
            counted_at: None,
            followed_at: Instant::now(),
            thread_count: 0,
            round: Round::default(),
            states: ThreadStates::default(),
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
        self.threads.get(self.position(tid).ok()?)?.thread.name()
    }

    /// The threads that are known, by their numbers, with what the last tick has learned of each.
    pub fn threads(&self) -> &[ThreadHistory] {
        &self.threads
    }

    /// How many threads are known.
    pub fn thread_count(&self) -> usize {
        self.threads.len()
    }

    fn position(&self, tid: Tid) -> Result<usize, usize> {
        self.threads.binary_search_by_key(&tid, |history| history.thread.tid)
    }

    /// Samples the threads that the mode asks for, once, and hands each stack to `take`. The tick stands for `weight` ticks of
    /// the clock: shares of time are counted in those. Where many threads stay blocked, some are passed over, and the
    /// sample that the next look at them gives stands for this tick, too.
    ///
    /// Gives the wait status of the process when sampling has consumed it: that of our own child, just ended.
    pub fn tick(&mut self, weight: u64, take: &mut dyn FnMut(Sample)) -> Option<i32> {
        self.reader.begin_tick();
        self.list_threads();
        if self.followed_at.elapsed() >= FOLLOW_MAPPINGS_EVERY {
            self.followed_at = Instant::now();
            self.reader.follow_mappings();
        }
        if self.mode == Mode::Gil {
            self.states.list(&mut self.reader);
        }
        if self.mode == Mode::Wall {
            self.look_at_gil(weight);
        }
        self.round.begin_tick();
        let mut ended = None;
        // Taken out, for sampling a thread takes all of the session.
        let mut threads = std::mem::take(&mut self.threads);
        threads.retain_mut(|history| {
            if !self.chooses(history) || history.rest.passes_over(weight, &mut self.round) {
                return true;
            }
            let tid = history.thread.tid;
            let outcome = self.sample(history);
            let weight = weight + history.rest.take_passed_over();
            match outcome {
                Outcome::Stack(frames, run_state) => {
                    history.failure = None;
                    self.hand_over(Sample { tid, frames, run_state, weight }, take);
                }
                Outcome::NotWanted => {}
                Outcome::Failed(reason) => {
                    history.failure = Some(reason);
                    self.statistics.fail(reason);
                }
                Outcome::Gone(status) => {
                    ended = ended.or(status.filter(|_| tid.0 == self.process.pid.0));
                    self.statistics.ended += 1;
                    (self.listed_at, self.counted_at) = (None, None);
                    return false;
                }
            }
            true
        });
        self.threads = threads;
        ended
    }

    /// Ends the sampling: threads that were passed over lately are looked at once more, and those that have not run since
    /// are counted with the ticks that had passed them over.
    pub fn settle(&mut self, take: &mut dyn FnMut(Sample)) {
        let mut threads = std::mem::take(&mut self.threads);
        for history in &mut threads {
            let weight = history.rest.take_passed_over();
            if weight > 0
                && self.mode != Mode::Cpu
                && history.is_unchanged()
                && let Some((frames, run_state)) = &history.blocked_stack
            {
                let (tid, frames) = (history.thread.tid, Arc::clone(frames));
                self.hand_over(Sample { tid, frames, run_state: run_state.clone(), weight }, take);
            }
        }
        self.threads = threads;
    }

    fn hand_over(&mut self, sample: Sample, take: &mut dyn FnMut(Sample)) {
        self.statistics.count(&sample);
        take(sample);
    }

    /// Counts whether a GIL is held now.
    fn look_at_gil(&mut self, weight: u64) {
        self.statistics.gil.look(self.states.gils(&mut self.reader), &self.reader.memory, weight);
    }

    /// Lists the threads when their number has changed, and now and then.
    fn list_threads(&mut self) {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_THREADS_EVERY) {
            return;
        }
        self.counted_at = Some(Instant::now());
        let count = threads::links(self.process.pid);
        let list_every = LIST_THREADS_EVERY.max(AND_FOR_EACH * u32::try_from(count).unwrap_or(u32::MAX));
        if count == self.thread_count && self.listed_at.is_some_and(|at| at.elapsed() < list_every) {
            return;
        }
        let Ok(tids) = threads::list(self.process.pid) else { return };
        self.thread_count = count;
        self.listed_at = Some(Instant::now());
        self.threads.retain(|history| tids.binary_search(&history.thread.tid).is_ok());
        for tid in tids {
            if let Err(position) = self.position(tid)
                && let Ok(thread) = Thread::open(self.process.pid, tid)
            {
                self.threads.insert(position, ThreadHistory::new(thread));
            }
        }
    }

    /// Whether this tick looks at a thread.
    fn chooses(&self, history: &ThreadHistory) -> bool {
        self.mode != Mode::Gil || self.states.held_gil(history)
    }

    fn sample(&mut self, history: &mut ThreadHistory) -> Outcome {
        if history.is_unchanged() {
            history.rest.is_unchanged(&self.round, history.thread.tid.0.unsigned_abs().into());
            match (self.mode, &history.blocked_stack) {
                (Mode::Cpu, _) => return Outcome::NotWanted,
                (_, Some((stack, run_state))) => return Outcome::Stack(Arc::clone(stack), run_state.clone()),
                (_, None) => {}
            }
        }
        history.rest.has_run();
        (history.blocked_at, history.blocked_stack) = (None, None);
        self.states.assign(history, &mut self.reader);
        let outcome = self.read(history);
        if matches!(outcome, Outcome::Stack(..)) && !self.states.are_newest(&self.reader) {
            self.states.list(&mut self.reader);
            if self.states.assign(history, &mut self.reader) {
                return self.read(history);
            }
        }
        outcome
    }

    /// Reads a thread in the way that disturbs it least.
    fn read(&mut self, history: &mut ThreadHistory) -> Outcome {
        // In CPU mode the last look before the stop alone decides: with a second one before it, threads that run for
        // microseconds at a time would be seen less often than they run.
        let mut runs = self.mode == Mode::Cpu;
        for _ in 0..LOOKS {
            if !runs {
                match history.thread.activity() {
                    Ok(Activity::Running) => runs = true,
                    Ok(activity) => history.transfer = transfers::of(activity),
                    Err(error) => return outcome_of_look(&error),
                }
            }
            let transfer = history.transfer.take_if(|_| runs);
            let goes_on = transfer.is_some_and(|transfer| transfers::goes_on(&mut history.thread, transfer));
            if goes_on {
                (runs, history.transfer) = (false, transfer);
            }
            let before = if runs { None } else { history.thread.run_count() };
            let result = match runs {
                true => self.reader.read_stopped(history, &mut self.statistics.stops, Stopping::IfRunning),
                false => self.reader.read_blocked(history),
            };
            // A stop that has disturbed it met it in the call: it is likely to be there again.
            history.transfer = history.transfer.or(transfer.filter(|_| self.reader.captured().disturbed));
            match result {
                Ok(_) if self.is_missing_states(history) => continue,
                Ok(stack) => {
                    let outcome = self.if_states_fit(history, stack);
                    if let (Some(before), Outcome::Stack(stack, run_state)) = (before, &outcome) {
                        history.blocked_at = Some(before);
                        history.blocked_stack = Some((Arc::clone(stack), run_state.clone()));
                    }
                    return match outcome {
                        // At the tick it was copying, in the kernel.
                        Outcome::Stack(stack, _) if goes_on => Outcome::Stack(stack, RunState::Native),
                        outcome => outcome,
                    };
                }
                Err(ReadFailure::Running(RunningError::Blocked)) if self.mode == Mode::Cpu => {
                    history.pass_over();
                    return Outcome::NotWanted;
                }
                // It has changed between two looks at it.
                Err(ReadFailure::Running(RunningError::Blocked)) => runs = false,
                Err(ReadFailure::Blocked(BlockedError::Runs)) => runs = true,
                Err(ReadFailure::ModuleReplaced) if !runs => {}
                // A thread that is ending cannot be traced any more.
                Err(ReadFailure::Running(RunningError::Stop(StopError::Denied))) if history.thread.has_ended() => {
                    return Outcome::Gone(None);
                }
                Err(failure) => return outcome_of(failure),
            }
        }
        Outcome::Failed(SampleFailure::Woke)
    }

    /// Whether a thread that has just been stopped turns out to have states that are found by its thread pointer only.
    fn is_missing_states(&mut self, history: &mut ThreadHistory) -> bool {
        history.pthread = self.reader.pthread().or(history.pthread);
        history.thread_states.is_empty() && self.states.assign_by_pointer(history, &self.reader)
    }

    /// The stack, unless it was read from thread states that have become another thread's.
    fn if_states_fit(&mut self, history: &mut ThreadHistory, stack: Arc<[SampleFrame]>) -> Outcome {
        if self.reader.states_fit(history) {
            history.holds_gil = self.states.holds_gil(history, &self.reader);
            let run_state = observe::run_state(&self.reader, history, &self.states, &stack);
            return Outcome::Stack(stack, run_state);
        }
        history.listing = 0;
        history.set_thread_states(Vec::new());
        Outcome::Failed(SampleFailure::Unreadable)
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
        ReadFailure::Running(RunningError::Stop(error)) => match error {
            StopError::Gone => Outcome::Gone(None),
            StopError::Exited(status) => Outcome::Gone(Some(status)),
            StopError::Denied => Outcome::Failed(SampleFailure::Denied),
            StopError::System(_) => Outcome::Failed(SampleFailure::Unreadable),
        },
        ReadFailure::Running(RunningError::Blocked) => Outcome::Failed(SampleFailure::Woke),
        ReadFailure::Running(RunningError::Unreadable(error)) => outcome_of_look(&error),
        ReadFailure::Blocked(BlockedError::Runs | BlockedError::Woke) => Outcome::Failed(SampleFailure::Woke),
        ReadFailure::Blocked(BlockedError::Unreadable(error)) => outcome_of_look(&error),
        ReadFailure::CodeReplaced => Outcome::Failed(SampleFailure::CodeReplaced),
        ReadFailure::ModuleReplaced => Outcome::Failed(SampleFailure::ModuleReplaced),
    }
}
