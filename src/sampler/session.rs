//! One target under observation: which threads a tick looks at, and what became of each.
//!
//! Does: list threads when they change, pass over threads that have not run, count outcomes.
//! Does not: read a thread (that is `reader`), keep time, or count stacks.

mod among_many;
mod names;
mod one_thread;
mod pending;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accounts::Accounts;
use super::idle_backoff::BackoffRound;
use super::mode::Mode;
use super::run_state::RunState;
use super::sample::Sample;
use super::statistics::{SampleFailure, Statistics};
use super::thread_history::{PendingTicks, ThreadHistory};
use crate::process::binaries::Binaries;
use crate::process::find::OpenError;
use crate::process::reader::Reader;
use crate::process::reading::Reading;
use crate::process::thread_names::ThreadNames;
use crate::process::thread_states::ThreadStates;
use crate::stack::frame::SampleFrame;
use crate::target::live::LiveTarget;
use crate::target::memory_budget::{self, Left, Meter, Share};
use crate::target::process::Process;
use crate::target::threads::RunCount;
use crate::target::view::{Identity, Target};
use crate::types::Tid;
use crate::types::room::Room;
pub use among_many::SharedBySessions;

/// Threads are listed when their number has changed; one that ends as another begins is noticed this late.
const LIST_THREADS_EVERY: Duration = Duration::from_millis(250);
/// And where there are many, so much later for each: listing it takes 2 µs.
const AND_FOR_EACH: Duration = Duration::from_millis(1);
/// Their number is looked at this often: a look costs some microseconds.
const COUNT_THREADS_EVERY: Duration = Duration::from_millis(5);
/// New code is noticed when a walk comes to it, a library in the place of another by its bytes; what has no bytes of its own,
/// this late.
const FOLLOW_MAPPINGS_EVERY: Duration = Duration::from_secs(1);
/// What is known of a thread takes some two kilobytes beside its stack, and its open files.
const OF_A_THREAD: u64 = 4 << 10;
/// So long are pending stops waited for at the end.
const LAST_STOPS: Duration = Duration::from_millis(200);

/// A process under observation.
#[derive(Debug)]
pub struct Session {
    /// What reads its threads.
    pub reader: Reader,
    /// What has been counted.
    pub statistics: Statistics,
    mode: Mode,
    /// Whether threads on a CPU are sampled at fair moments only.
    wants_fair_moments: bool,
    /// When the next tick was due, if that was told.
    due_at: Option<Instant>,
    /// Sorted by their numbers.
    threads: Vec<ThreadHistory>,
    listed_at: Option<Instant>,
    counted_at: Option<Instant>,
    followed_at: Instant,
    thread_count: u64,
    has_lost_id: bool,
    round: BackoffRound,
    states: ThreadStates,
    /// For stacks that are kept of blocked threads.
    room: Meter,
    /// For what is known of threads.
    room_for_threads: Meter,
    names: ThreadNames,
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
    /// Its stop has not come yet.
    Pending,
    /// The moment told nothing.
    Unfair,
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
            wants_fair_moments: false,
            due_at: None,
            threads: Vec::new(),
            listed_at: None,
            counted_at: None,
            followed_at: Instant::now(),
            thread_count: 0,
            has_lost_id: false,
            round: BackoffRound::default(),
            states: ThreadStates::default(),
            room: Meter::new(Share::Keeping),
            room_for_threads: Meter::new(Share::Sampling),
            names: ThreadNames::default(),
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
        Session::sharing(process, &before.reader.space.binaries, before.mode)
    }

    /// The same, with what is known of binaries that the process may have mapped, too.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn sharing(process: Process, binaries: &Arc<Binaries>, mode: Mode) -> Result<Session, OpenError> {
        Ok(Session::of(Reader::sharing(Arc::new(LiveTarget::new(process)?), Arc::clone(binaries))?, mode))
    }

    /// Leaves out, from now on, threads on a CPU at moments that are no fair draw of where they compute: see
    /// [`Placement`](crate::capture::placement::Placement). For who counts stacks; who looks once takes what there is.
    pub fn want_fair_moments(&mut self) {
        self.wants_fair_moments = true;
    }

    /// Tells whether the calling thread, from now on, goes before all threads without a priority.
    pub fn set_goes_first(&mut self, goes_first: bool) {
        self.reader.stopper().set_goes_first(goes_first);
    }

    /// Tells when the tick was due that is taken next: the calling thread woke no earlier.
    pub fn was_due(&mut self, at: Instant) {
        self.due_at = Some(at);
    }

    /// Which threads are sampled.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What is sampled.
    pub fn target(&self) -> &dyn Target {
        &**self.reader.target()
    }

    /// Which process that is.
    pub fn identity(&self) -> &Identity {
        self.target().identity()
    }

    /// What the kernel tells of the time of the process and of those of its threads that are known, now.
    pub fn accounts(&self) -> Accounts {
        let schedule = |history: &ThreadHistory| Some((history.tid(), history.known.thread.schedule()?));
        Accounts { threads: self.threads.iter().filter_map(schedule).collect(), cpu: self.target().cpu_time() }
    }

    /// Whether any thread is known.
    pub fn has_threads(&self) -> bool {
        !self.threads.is_empty()
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
        let began = self.due_at.take().unwrap_or_else(Instant::now);
        self.reader.stopper().begin_turn(began);
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
            self.look_at(history, weight, &mut ended, take)
        });
        self.threads = threads;
        self.reader.stopper().end_turn();
        ended
    }

    /// Samples a thread at a tick of this weight, or serves its pending stop between two ticks. Returns whether it lives.
    fn look_at(
        &mut self,
        history: &mut ThreadHistory,
        weight: u64,
        ended: &mut Option<i32>,
        take: &mut dyn FnMut(Sample),
    ) -> bool {
        let tid = history.tid();
        let was_pending = history.pending.take();
        let outcome = self.sample(history);
        let is_pending = self.reader.stopper().pending().holds(tid);
        match outcome {
            Outcome::Pending => history.pending = was_pending.or_later(weight + history.backoff.take_passed_over()),
            Outcome::Stack(frames, run_state) => {
                history.failure = None;
                // The stop was asked for at one tick; at those since then the thread stood where it is, and waited for a CPU.
                let (asked, waited) = match was_pending.is_none() || is_pending {
                    true => (weight + history.backoff.take_passed_over() + was_pending.ticks(), 0),
                    false => (was_pending.asked, was_pending.later + weight + history.backoff.take_passed_over()),
                };
                if waited > 0 && self.mode != Mode::Cpu {
                    let (frames, run_state) = (Arc::clone(&frames), RunState::WaitingForCpu);
                    self.hand_over(Sample { tid, frames, run_state, weight: waited }, take);
                }
                self.hand_over(Sample { tid, frames, run_state, weight: asked }, take);
            }
            Outcome::Unfair => {
                self.statistics.left_to_next += 1;
                history.backoff.leave_to_next(weight + was_pending.ticks());
            }
            Outcome::NotWanted => drop(history.backoff.take_passed_over()),
            Outcome::Failed(reason) => {
                history.backoff.take_passed_over();
                history.failure = Some(reason);
                self.statistics.fail(reason);
            }
            Outcome::Gone(status) => {
                *ended = ended.or(self.of_process(tid, status));
                self.statistics.ended += 1;
                (self.listed_at, self.counted_at) = (None, None);
                return false;
            }
        }
        true
    }

    /// Ends the sampling, at least for a while: nothing is held any more. Threads that were passed over lately are looked at once more, and
    /// those that have not run since are counted with the ticks that had passed them over.
    ///
    /// Returns what [`tick`](Self::tick) does.
    pub fn settle(&mut self, take: &mut dyn FnMut(Sample)) -> Option<i32> {
        let mut ended = self.serve_within(LAST_STOPS, take);
        for tid in self.reader.stopper().pending().tids() {
            let status = self.reader.stopper().pending().give_up(tid);
            if status.is_none() {
                self.statistics.fail(SampleFailure::NeverStopped);
            }
            ended = ended.or(self.of_process(tid, status));
        }
        self.threads.iter_mut().for_each(|history| history.pending = PendingTicks::default());
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
        ended
    }

    /// The wait status of a thread where it is its process's: the first thread's.
    fn of_process(&self, tid: Tid, status: Option<i32>) -> Option<i32> {
        status.filter(|_| tid.0 == self.identity().pid.0)
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
    pub fn list_threads(&mut self) {
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
                if !self.room_for_threads.take(OF_A_THREAD) {
                    memory_budget::leave_out(Left::Other("threads beyond those that were seen first".to_owned()));
                    break;
                }
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
        history.last_block.is_over();
        if self.sleeps_on(history)
            && let Some((stack, run_state)) = history.last_block.stack()
        {
            history.backoff.found_unchanged(&self.round, history.tid().0.unsigned_abs().into());
            return Outcome::Stack(stack, run_state);
        }
        history.backoff.found_running();
        self.states.assign(&mut history.known, &mut self.reader);
        match self.read(history) {
            Ok(read) => self.take(history, read),
            Err(outcome) => outcome,
        }
    }
}
