//! One program of the target, from its start or ours to its end or ours, and the stacks that it was seen with.
//!
//! Does: count the stacks of a sample. A thread that is still where it was is counted without looking at its frames.
//! Does not: choose the moments, or look whether the program still runs.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::pending::{PendingSamples, SampledAt};
use crate::profile::counted::Counted;
use crate::profile::tree::{NodeId, StackTree};
use crate::sampler::run_state::RunState;
use crate::sampler::sample::Sample;
use crate::sampler::session::Session;
use crate::stack::frame::SampleFrame;
use crate::types::{Nanos, Tid};

/// Stacks of threads that have ended are forgotten when so many more are remembered than threads are known.
const ENDED_THREADS: usize = 256;

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
    /// The program under observation.
    pub session: Session,
    /// Its stacks, outermost first.
    pub stacks: StackTree<Counted>,
    /// The names of its threads.
    pub thread_names: FxHashMap<Tid, String>,
    /// Its samples one by one, where they are kept.
    pub pending: Option<PendingSamples>,
    last: FxHashMap<Tid, LastStack>,
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
    /// Stacks were wanted, and none could be had.
    pub failed: bool,
    /// There is no stack because no moment told anything of its thread.
    pub told_nothing: bool,
    /// The wait status of the process, if sampling has consumed it: see [`Session::tick`].
    pub status: Option<i32>,
}

impl Program {
    /// The program with this number, which has not been seen yet; `keep`: every sample is kept, too.
    pub fn new(number: usize, mut session: Session, keep: bool) -> Program {
        session.want_fair_moments();
        Program {
            number,
            session,
            stacks: StackTree::new(),
            thread_names: FxHashMap::default(),
            pending: keep.then(PendingSamples::default),
            last: FxHashMap::default(),
        }
    }

    /// Takes a sample at `time` after the beginning, which stands for so many ticks.
    pub fn sample(&mut self, labels: StackLabels, time: Nanos, ticks: u64) -> Outcome {
        self.count(labels, time, |session, take| session.tick(ticks, take))
    }

    /// Serves the pending stops that have come, at `time` after the beginning.
    pub fn serve(&mut self, labels: StackLabels, time: Nanos) -> Outcome {
        self.count(labels, time, |session, take| session.serve(take))
    }

    /// Counts what is still to be counted of threads that were passed over lately, at the end.
    pub fn settle(&mut self, labels: StackLabels, time: Nanos) -> Outcome {
        self.count(labels, time, |session, take| session.settle(take))
    }

    fn count(
        &mut self,
        labels: StackLabels,
        time: Nanos,
        sampling: impl FnOnce(&mut Session, &mut dyn FnMut(Sample)) -> Option<i32>,
    ) -> Outcome {
        let Program { session, stacks, thread_names, pending, last, .. } = self;
        let are_named = labels.thread || pending.is_some();
        let mut keep = |moment: SampledAt, tid, run_state: &RunState, node| {
            if let Some(pending) = pending.as_mut() {
                pending.add(moment, tid, run_state, node);
            }
        };
        let (failures, left) = (session.statistics.failures(), session.statistics.left_to_next);
        let mut heaviest = 0;
        let mut new_threads = Vec::new();
        let status = sampling(session, &mut |sample| {
            let Sample { tid, frames, run_state, weight } = sample;
            heaviest = weight.max(heaviest);
            let moment = SampledAt { time, weight };
            if let Some(same) = last.get(&tid).filter(|l| Arc::ptr_eq(&l.frames, &frames) && l.run_state == run_state) {
                keep(moment, tid, &run_state, same.node);
                return stacks.add_weight(same.node, weight);
            }
            let thread = labels.thread.then_some(Counted::Thread(tid));
            let counted = frames.iter().rev().map(|frame| Counted::Frame(*frame));
            let state = labels.state.then(|| Counted::RunState(run_state.clone()));
            let stack: Vec<Counted> = thread.into_iter().chain(counted).chain(state).collect();
            let node = stacks.add(&stack, weight);
            keep(moment, tid, &run_state, node);
            last.insert(tid, LastStack { frames, run_state, node });
            if are_named && !thread_names.contains_key(&tid) {
                new_threads.push(tid);
            }
        });
        for tid in new_threads {
            if let Some(name) = session.thread_name(tid) {
                thread_names.insert(tid, name);
            }
        }
        if last.len() > session.thread_count() + ENDED_THREADS {
            last.clear();
        }
        if heaviest > 0 {
            session.statistics.tick_weights.add(heaviest);
        }
        Outcome {
            failed: heaviest == 0 && session.statistics.failures() > failures,
            told_nothing: heaviest == 0 && session.statistics.left_to_next > left,
            status,
        }
    }
}
