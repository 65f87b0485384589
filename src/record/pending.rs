//! The samples of one program that have not been written yet.
//!
//! Does: number threads and states, and hold samples. Does not: write them.

use rustc_hash::FxHashMap;

use crate::profile::samples::TimedSample;
use crate::profile::tree::NodeId;
use crate::sampler::run_state::RunState;
use crate::types::{Nanos, Tid};

/// Samples, and what numbers in them mean.
#[derive(Debug, Default)]
pub struct PendingSamples {
    /// The threads, by number.
    pub threads: Vec<Tid>,
    /// What they did, by number.
    pub states: Vec<RunState>,
    /// The samples since they were taken out last.
    pub samples: Vec<TimedSample>,
    thread_numbers: FxHashMap<Tid, u32>,
    state_numbers: FxHashMap<RunState, u32>,
}

/// When a sample was taken, and what it stands for.
#[derive(Debug, Clone, Copy)]
pub struct SampledAt {
    /// Since the recording began.
    pub time: Nanos,
    /// Ticks of the clock.
    pub weight: u64,
}

impl PendingSamples {
    /// Keeps a sample of one thread.
    pub fn add(&mut self, at: SampledAt, tid: Tid, state: &RunState, stack: NodeId) {
        let thread = number(&mut self.thread_numbers, &mut self.threads, &tid);
        let state = number(&mut self.state_numbers, &mut self.states, state);
        let (time, weight) = (at.time.0, at.weight);
        // There are no more nodes than 2^32.
        let stack = u32::try_from(stack.index()).unwrap_or(0);
        self.samples.push(TimedSample { time, thread, state, stack, weight });
    }
}

fn number<T: Clone + Eq + std::hash::Hash>(numbers: &mut FxHashMap<T, u32>, list: &mut Vec<T>, value: &T) -> u32 {
    if let Some(number) = numbers.get(value) {
        return *number;
    }
    let number = u32::try_from(list.len()).unwrap_or(u32::MAX);
    list.push(value.clone());
    numbers.insert(value.clone(), number);
    number
}
