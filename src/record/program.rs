//! One program of the target, from its start or ours to its end or ours, and the stacks that it was seen with.
//!
//! Does: count the stacks of a sample, with the time that it stands for once that is known. A thread that is still where it was is counted
//! without looking at its frames.
//! Does not: choose the moments, or look whether the program still runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::names;
use super::pending::PendingSamples;
use super::window::{Held, Window};
use crate::profile::counted::Counted;
use crate::profile::time_kind::TimeKind;
use crate::profile::tree::{NodeId, StackTree};
use crate::sampler::accounts::Accounts;
use crate::sampler::run_state::RunState;
use crate::sampler::sample::Sample;
use crate::sampler::session::Session;
use crate::stack::frame::{GapKind, SampleFrame};
use crate::target::memory_budget::{self, Left, Meter, Share};
use crate::types::room::Room;
use crate::types::{Nanos, Tid};

/// Stacks of threads that have ended are forgotten when so many more are remembered than threads are known.
const ENDED_THREADS: usize = 256;

/// Accounts are compared this often, later where there are more threads: each costs some microseconds.
const WINDOW: Duration = Duration::from_secs(1);
const AND_FOR_EACH_THREAD: Duration = Duration::from_millis(1);

/// Of the CPU time so small a part (one in so many) that no sample was seen of has no block of its own.
const NOT_WORTH_A_BLOCK: u64 = 1_000;

/// Once they are named, stacks are there twice: so many bytes for each node, the table that it is found in included.
const OF_A_NAMED_NODE: u64 = 64;

/// A stack's elements that are not frames: its thread, and what that did.
const LABELS: usize = 2;

/// What the time of a stack takes beside it, in bytes, with room for a table that has grown.
const OF_A_TIME: u64 = 48;

/// What a stack holds beside its frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct StackLabels {
    /// It begins with its thread.
    pub thread: bool,
    /// It ends with what its thread did.
    pub state: bool,
}

/// One program of the target.
#[derive(Debug)]
pub struct Program {
    /// Its number in the recording.
    pub number: usize,
    /// How many other processes of the recording had the id of its process before.
    pub again: u32,
    /// The program under observation.
    pub session: Session,
    /// Its stacks, outermost first.
    pub stacks: StackTree<Counted>,
    /// The names of its threads.
    pub thread_names: FxHashMap<Tid, String>,
    /// Its samples one by one, where they are kept.
    pub pending: Option<PendingSamples>,
    /// The stacks that were counted, once it is not sampled any more.
    pub taken: u64,
    /// How long its threads were in each state, in microseconds.
    pub time_in_states: BTreeMap<RunState, u64>,
    /// By the numbers of stacks: how much of their time they were not running by themselves, in microseconds: waiting, or collecting garbage.
    pub other_time: FxHashMap<usize, u64>,
    window: Window,
    labels: StackLabels,
    /// For stacks that were not seen before.
    room: Meter,
    last: FxHashMap<Tid, LastStack>,
    /// How many functions and modules it had when its user was looked at last.
    named: usize,
}

/// The stack that a thread was counted with last.
#[derive(Debug)]
struct LastStack {
    frames: Arc<[SampleFrame]>,
    run_state: RunState,
    node: NodeId,
}

/// What became of one tick.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// A stack was had.
    pub taken: bool,
    /// Stacks were wanted, and none could be had.
    pub failed: bool,
    /// There is no stack because no moment told anything of its thread.
    pub told_nothing: bool,
    /// The wait status of the process, if sampling has consumed it: see [`Session::tick`].
    pub status: Option<i32>,
}

impl Program {
    /// The program with this number, which has not been seen yet; `keep`: every sample is kept, too. A tick of the clock stands for
    /// `period`.
    pub fn new(
        (number, again): (usize, u32),
        mut session: Session,
        keep: bool,
        (labels, period): (StackLabels, Nanos),
    ) -> Program {
        session.want_fair_moments();
        Program {
            taken: 0,
            time_in_states: BTreeMap::new(),
            other_time: FxHashMap::default(),
            window: Window::new(session.mode(), period),
            labels,
            room: Meter::new(Share::Sampling),
            number,
            again,
            session,
            stacks: StackTree::new(),
            thread_names: FxHashMap::default(),
            pending: keep.then(PendingSamples::default),
            last: FxHashMap::default(),
            named: 0,
        }
    }

    /// Begins, or goes on after a pause, at `time` after the beginning of the recording. `goes_first`: whether the calling thread goes
    /// before all threads without a priority; `is_born`: the process was started a moment ago, and all that it has used counts.
    pub fn begin(&mut self, time: Nanos, goes_first: bool, is_born: bool) {
        self.session.set_goes_first(goes_first);
        self.session.list_threads();
        match is_born {
            true => self.window.begin_at_birth(time),
            false => self.window.begin(time, &self.session.accounts()),
        }
    }

    /// Takes a sample at `time` after the beginning, which stands for so many ticks.
    pub fn sample(&mut self, time: Nanos, ticks: u64) -> Outcome {
        self.window.tick(ticks);
        self.count(time, |session, take| session.tick(ticks, take))
    }

    /// Serves the pending stops that have come, at `time` after the beginning.
    pub fn serve(&mut self, time: Nanos) -> Outcome {
        self.count(time, |session, take| session.serve(take))
    }

    /// Counts what is still to be counted of threads that were passed over lately, before the end or a pause.
    pub fn settle(&mut self, time: Nanos) -> Outcome {
        let outcome = self.count(time, |session, take| session.settle(take));
        self.close_window(time);
        outcome
    }

    /// Gives the samples since the last time their times, when that is due. To be called several times a second.
    pub fn close_window_if_due(&mut self, time: Nanos) {
        let threads = u32::try_from(self.session.thread_count()).unwrap_or(u32::MAX);
        let due = WINDOW.max(AND_FOR_EACH_THREAD.saturating_mul(threads));
        if time.0.saturating_sub(self.window.began().0) >= Nanos::from(due).0 {
            self.close_window(time);
        } else if let Some(cpu) = self.session.target().cpu_time() {
            self.window.note(time, cpu);
        }
    }

    fn close_window(&mut self, time: Nanos) {
        let mut accounts = self.session.accounts();
        // What they tell may be of another program by now.
        if self.session.target().is_replaced() {
            accounts = Accounts::default();
        }
        let held = self.window.close(time, &accounts);
        // Threads that are sampled together tell no more than one.
        for tick in held.chunk_by(|(a, _), (b, _)| a.time == b.time) {
            self.session.statistics.tick_weights.add(tick.iter().map(|(_, weight)| *weight).max().unwrap_or(0));
        }
        for (held, weight) in held {
            self.give(&held, weight);
        }
    }

    /// Ends the recording of this program, at `time` after the beginning: time of which there is no sample is counted as such.
    pub fn finish(&mut self, time: Nanos) {
        self.taken = self.session.statistics.taken;
        for (held, micros) in self.window.finish() {
            self.give(&Held { time, ..held }, micros);
        }
        let (all, left) = self.window.cpu();
        if left.0 > all.0 / NOT_WORTH_A_BLOCK {
            let main = Tid(self.session.identity().pid.0);
            let (frames, run_state) = ([SampleFrame::Missing(GapKind::NotSampled)], RunState::NotSampled);
            let node = add_stack(&mut self.stacks, self.labels, (main, &frames, &run_state));
            self.give(&Held { time, tid: main, run_state, node, ticks: 0 }, left.0 / 1_000);
        }
    }

    /// The CPU time of all its threads while it was recorded, and how much of that is of no sample.
    pub fn cpu(&self) -> (Nanos, Nanos) {
        self.window.cpu()
    }

    /// Counts a sample with its time, in microseconds.
    fn give(&mut self, held: &Held, micros: u64) {
        self.stacks.add_weight(held.node, micros);
        if TimeKind::of_state(&held.run_state).is_some() {
            *self.other_time.entry(held.node.index()).or_default() += micros;
        }
        *self.time_in_states.entry(held.run_state.clone()).or_default() += micros;
        if let Some(pending) = &mut self.pending {
            pending.add(held, micros);
        }
    }

    fn count(
        &mut self,
        time: Nanos,
        sampling: impl FnOnce(&mut Session, &mut dyn FnMut(Sample)) -> Option<i32>,
    ) -> Outcome {
        let Program { session, stacks, thread_names, pending, last, window, labels, room, named, .. } = self;
        let are_named = labels.thread || pending.is_some();
        let (failures, left) = (session.statistics.failures(), session.statistics.left_to_next);
        let mut heaviest = 0;
        let mut new_threads = Vec::new();
        let status = sampling(session, &mut |sample| {
            let Sample { tid, frames, run_state, weight } = sample;
            heaviest = weight.max(heaviest);
            let mut hold = |run_state, node| window.add(Held { time, tid, run_state, node, ticks: weight });
            if let Some(same) = last.get(&tid).filter(|l| Arc::ptr_eq(&l.frames, &frames) && l.run_state == run_state) {
                return hold(run_state, same.node);
            }
            // A program that is never twice in one place would make the recording grow without end.
            let named_later = stacks.nodes().len() as u64 * OF_A_NAMED_NODE;
            let fits = room.take(stacks.bytes_for(frames.len() + LABELS) + OF_A_TIME)
                && memory_budget::fits(named_later, Share::Sampling);
            let known: &[SampleFrame] = if fits { &frames } else { &[SampleFrame::Missing(GapKind::NoRoom)] };
            if !fits {
                memory_budget::leave_out(Left::Other("stacks of the later part of the recording".to_owned()));
            }
            let node = add_stack(stacks, *labels, (tid, known, &run_state));
            hold(run_state.clone(), node);
            last.insert(tid, LastStack { frames, run_state, node });
            if are_named && !thread_names.contains_key(&tid) {
                new_threads.push(tid);
            }
        });
        // What it names from here on is read with the eyes that it has now, also when it has ended by then.
        let reader = &session.reader;
        let names = reader.codes.functions().len().saturating_add(reader.space.modules.list().len());
        if std::mem::replace(named, names) != names {
            reader.root().note_user();
        }
        if are_named {
            names::update(thread_names, session, &new_threads);
        }
        if last.len() > session.thread_count() + ENDED_THREADS {
            last.clear();
        }
        Outcome {
            taken: heaviest > 0,
            failed: heaviest == 0 && session.statistics.failures() > failures,
            told_nothing: heaviest == 0 && session.statistics.left_to_next > left,
            status,
        }
    }
}

/// The stack of a thread, which is not counted yet.
fn add_stack(
    stacks: &mut StackTree<Counted>,
    labels: StackLabels,
    (tid, frames, run_state): (Tid, &[SampleFrame], &RunState),
) -> NodeId {
    let thread = labels.thread.then_some(Counted::Thread(tid));
    let counted = frames.iter().rev().map(|frame| Counted::Frame(*frame));
    let state = labels.state.then(|| Counted::RunState(run_state.clone()));
    let stack: Vec<Counted> = thread.into_iter().chain(counted).chain(state).collect();
    stacks.add(&stack, 0)
}
