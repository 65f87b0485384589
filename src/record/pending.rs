//! The samples of one program that have not been written yet.
//!
//! Does: number threads and states, and hold samples. Does not: write them.

use rustc_hash::FxHashMap;

use super::window::Held;
use crate::profile::samples::TimedSample;
use crate::sampler::run_state::RunState;
use crate::types::Tid;

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

impl PendingSamples {
    /// Keeps a sample of one thread, with its time.
    pub fn add(&mut self, held: &Held, micros: u64) {
        let thread = number(&mut self.thread_numbers, &mut self.threads, &held.tid);
        let state = number(&mut self.state_numbers, &mut self.states, &held.run_state);
        // There are no more nodes than 2^32.
        let stack = u32::try_from(held.node.index()).unwrap_or(0);
        self.samples.push(TimedSample { time: held.time.0, thread, state, stack, ticks: held.ticks, weight: micros });
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
