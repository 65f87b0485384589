//! One target under observation: which threads a tick looks at, and what became of each.
//!
//! Does: list threads when they change, pass over threads that have not run, count outcomes.
//! Does not: read a thread (that is `reader`), keep time, or count stacks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::approach::{Approach, Met, Step};
use super::idle_backoff::BackoffRound;
use super::mode::Mode;
use super::observe;
use super::run_state::RunState;
use super::sample::Sample;
use super::statistics::{SampleFailure, Statistics};
use super::thread_history::{Seen, ThreadHistory};
use super::transfers;
use crate::capture::ptrace::StopError;
use crate::capture::running::{RunningError, Stopping};
use crate::process::find::OpenError;
use crate::process::reader::Reader;
use crate::process::reading::{ReadFailure, Reading};
use crate::process::thread_states::ThreadStates;
use crate::stack::frame::SampleFrame;
use crate::target::live::LiveTarget;
use crate::target::process::Process;
use crate::target::threads::{Activity, RunCount};
use crate::target::view::{Identity, Target};
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

/// A process under observation.
#[derive(Debug)]
pub struct Session {
    /// What reads its threads.
    pub reader: Reader,
    /// What has been counted.
    pub statistics: Statistics,
    mode: Mode,
    /// Sorted by their numbers.
    threads: Vec<ThreadHistory>,
    listed_at: Option<Instant>,
    counted_at: Option<Instant>,
    followed_at: Instant,
    thread_count: u64,
    round: BackoffRound,
    states: ThreadStates,
}

/// A thread that has been read.
struct Read {
    reading: Reading,
    /// Its run count before, if it was not stopped.
    blocked_at: Option<RunCount>,
    /// Whether it was at work in a large transfer, and was let come to wait in it again.
    waits_again: bool,
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
    /// Looks for the interpreter in a target and gets ready to sample it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(target: Arc<dyn Target>, mode: Mode) -> Result<Session, OpenError> {
        Ok(Session::of(Reader::new(target)?, mode))
    }

    /// Gets ready to sample what is read by `reader`.
    pub fn of(reader: Reader, mode: Mode) -> Session {
        Session {
            reader,
            statistics: Statistics::default(),
            mode,
            threads: Vec::new(),
            listed_at: None,
            counted_at: None,
            followed_at: Instant::now(),
            thread_count: 0,
            round: BackoffRound::default(),
            states: ThreadStates::default(),
        }
    }

    /// The same for a live process.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn live(process: Process, mode: Mode) -> Result<Session, OpenError> {
        Session::new(Arc::new(LiveTarget::new(process)?), mode)
    }

    /// The same, with what another session knows of the binaries that the process shares with its target.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn after(before: &Session, process: Process) -> Result<Session, OpenError> {
        let binaries = Arc::clone(&before.reader.space.binaries);
        Ok(Session::of(Reader::sharing(Arc::new(LiveTarget::new(process)?), binaries)?, before.mode))
    }

    /// What is sampled.
    pub fn target(&self) -> &dyn Target {
        &**self.reader.target()
    }

    /// Which process that is.
    pub fn identity(&self) -> &Identity {
        self.target().identity()
    }

    /// Whether any thread is known.
    pub fn has_threads(&self) -> bool {
        !self.threads.is_empty()
    }

    /// The name of a thread that has been sampled and still lives.
    pub fn thread_name(&self, tid: Tid) -> Option<String> {
        self.threads.get(self.position(tid).ok()?)?.known.thread.name()
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
        self.threads.binary_search_by_key(&tid, |history| history.tid())
    }

    /// Samples the threads that the mode asks for, once, and hands each stack to `take`. The tick stands for `weight` ticks of
    /// the clock: shares of time are counted in those. Where many threads stay blocked, some are passed over, and the
    /// sample that the next look at them gives stands for this tick, too.
    ///
    /// Returns the wait status of the process when sampling has consumed it: that of our own child, just ended.
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
            if !self.chooses(history) || history.backoff.passes_over(weight, &mut self.round) {
                return true;
            }
            let tid = history.tid();
            let outcome = self.sample(history);
            let weight = weight + history.backoff.take_passed_over();
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
                    ended = ended.or(status.filter(|_| tid.0 == self.identity().pid.0));
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
            let weight = history.backoff.take_passed_over();
            if weight > 0
                && self.mode != Mode::Cpu
                && history.is_unchanged()
                && let Some((frames, run_state)) = history.last_block.stack()
            {
                self.hand_over(Sample { tid: history.tid(), frames, run_state, weight }, take);
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
        self.statistics.gil.look(self.states.gils(&mut self.reader), &self.reader.memory(), weight);
    }

    /// Lists the threads when their number has changed, and now and then.
    fn list_threads(&mut self) {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_THREADS_EVERY) {
            return;
        }
        self.counted_at = Some(Instant::now());
        let count = self.target().thread_count();
        let list_every = LIST_THREADS_EVERY.max(AND_FOR_EACH * u32::try_from(count).unwrap_or(u32::MAX));
        if count == self.thread_count && self.listed_at.is_some_and(|at| at.elapsed() < list_every) {
            return;
        }
        let Ok(tids) = self.target().threads() else { return };
        self.thread_count = count;
        self.listed_at = Some(Instant::now());
        self.threads.retain(|history| tids.binary_search(&history.tid()).is_ok());
        for tid in tids {
            if let Err(position) = self.position(tid)
                && let Ok(thread) = self.target().thread(tid)
            {
                self.threads.insert(position, ThreadHistory::new(thread));
            }
        }
    }

    /// Whether this tick looks at a thread.
    fn chooses(&self, history: &ThreadHistory) -> bool {
        self.mode != Mode::Gil || self.states.may_have_held_gil(&history.known)
    }

    fn sample(&mut self, history: &mut ThreadHistory) -> Outcome {
        if history.is_unchanged() {
            history.backoff.found_unchanged(&self.round, history.tid().0.unsigned_abs().into());
            match (self.mode, history.last_block.stack()) {
                (Mode::Cpu, _) => return Outcome::NotWanted,
                (_, Some((stack, run_state))) => return Outcome::Stack(stack, run_state),
                (_, None) => {}
            }
        }
        history.backoff.found_running();
        history.last_block.is_over();
        self.states.assign(&mut history.known, &mut self.reader);
        match self.read(history) {
            Ok(read) => self.take(history, read),
            Err(outcome) => outcome,
        }
    }

    /// Reads a thread in the way that disturbs it least.
    fn read(&mut self, history: &mut ThreadHistory) -> Result<Read, Outcome> {
        let mut approach = Approach::first(self.mode);
        for _ in 0..LOOKS {
            if approach == Approach::Look {
                let activity = history.known.thread.activity();
                let met = match &activity {
                    Ok(Activity::Running) => Met::Runs,
                    Ok(Activity::Blocked { .. }) => Met::IsBlocked,
                    Ok(Activity::Still) => Met::IsStill,
                    Err(error) => Met::CannotLook(error),
                };
                approach = self.next(approach, history, &met)?;
                if let Ok(activity @ Activity::Blocked { .. }) = activity {
                    history.last_block.transfer = transfers::of(activity);
                }
            }
            let transfer = history.last_block.transfer.take_if(|_| approach == Approach::Stop);
            let waits_again = transfer.is_some_and(|transfer| transfers::goes_on(&mut history.known.thread, transfer));
            if waits_again {
                history.last_block.transfer = transfer;
                approach = self.next(approach, history, &Met::WaitsAgain)?;
            }
            let blocked_at = if approach == Approach::Stop { None } else { history.known.thread.run_count() };
            let result = match approach {
                Approach::Stop => {
                    let stops = &mut self.statistics.stops;
                    self.reader.read_stopped(&mut history.known, stops, Stopping::IfRunning)
                }
                Approach::Look | Approach::LeaveBlocked => self.reader.read_blocked(&mut history.known),
                Approach::ReadStill => self.reader.read_still(&mut history.known),
            };
            // A stop that has disturbed it met it in the call: it is likely to be there again.
            let has_disturbed = match &result {
                Ok(reading) => reading.captured.disturbed,
                Err(_) => self.reader.failure_has_disturbed(),
            };
            history.last_block.transfer = history.last_block.transfer.or(transfer.filter(|_| has_disturbed));
            match result {
                Ok(reading) if self.states.assign_again(&mut history.known, &mut self.reader, &reading) => {
                    self.reader.reuse(reading);
                    approach = self.next(approach, history, &Met::States)?;
                }
                Ok(reading) => return Ok(Read { reading, blocked_at, waits_again }),
                Err(failure) => {
                    let is_denied = matches!(&failure, ReadFailure::Running(RunningError::Stop(StopError::Denied)));
                    // A thread that is ending cannot be traced any more.
                    let met = match is_denied && history.known.thread.has_ended() {
                        true => Met::Ended,
                        false => Met::Failed(&failure),
                    };
                    approach = self.next(approach, history, &met)?;
                }
            }
        }
        Err(Outcome::Failed(SampleFailure::Woke))
    }

    /// What is done next after `approach` has met something, or what that has come to.
    fn next(&self, approach: Approach, history: &mut ThreadHistory, met: &Met<'_>) -> Result<Approach, Outcome> {
        match approach.after(self.mode, met) {
            Step::Next(approach) => Ok(approach),
            Step::PassOver => {
                history.pass_over();
                Err(Outcome::NotWanted)
            }
            Step::Gone(status) => Err(Outcome::Gone(status)),
            Step::Fail(reason) => Err(Outcome::Failed(reason)),
        }
    }

    /// What a reading tells.
    fn take(&mut self, history: &mut ThreadHistory, read: Read) -> Outcome {
        let Read { reading, blocked_at, waits_again } = read;
        let known = &history.known;
        // One of which no state was known may turn out to have others than that which holds the GIL, or none.
        if self.mode == Mode::Gil && (known.states.addresses.is_empty() || !self.states.may_have_held_gil(known)) {
            self.reader.reuse(reading);
            return Outcome::NotWanted;
        }
        let run_state = observe::run_state(&self.reader, history, &self.states, &reading);
        let frames = Arc::clone(&reading.frames);
        if let Some(at) = blocked_at {
            history.last_block.was_read(at, &frames, run_state.clone());
        }
        let holds_gil = self.states.holds_gil(&history.known, &reading.captured);
        history.seen = Seen { holds_gil, capture_calls: reading.capture_calls, locals: self.reader.reuse(reading) };
        // At the tick one that waits again in a transfer was copying, in the kernel.
        Outcome::Stack(frames, if waits_again { RunState::Native } else { run_state })
    }
}
