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

    /// Makes one sample of those that differ in their times only, with the time of the first; `stack` is what a stack is told as.
    pub fn sum_up(&mut self, stack: impl Fn(u32) -> u32) {
        let mut sums: FxHashMap<(u32, u32, u32), usize> = FxHashMap::default();
        let mut summed: Vec<TimedSample> = Vec::new();
        for sample in self.samples.drain(..) {
            let sample = TimedSample { stack: stack(sample.stack), ..sample };
            let index = *sums.entry((sample.thread, sample.state, sample.stack)).or_insert(summed.len());
            match summed.get_mut(index) {
                Some(sum) => {
                    sum.ticks = sum.ticks.saturating_add(sample.ticks);
                    sum.weight = sum.weight.saturating_add(sample.weight);
                }
                None => summed.push(sample),
            }
        }
        self.samples = summed;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_differ_in_time_only_are_one_and_nothing_is_lost() {
        let sample = |time, thread, stack, weight| TimedSample { time, thread, state: 0, stack, ticks: 1, weight };
        let samples = vec![
            sample(1, 0, 5, 10),
            sample(2, 1, 5, 20),
            sample(3, 0, 5, 30),
            sample(4, 0, 6, 40),
            sample(5, 0, 7, 50),
        ];
        let mut pending = PendingSamples { samples, ..PendingSamples::default() };
        pending.sum_up(|stack| if stack == 7 { 6 } else { stack });
        let two = |first: TimedSample, weight| TimedSample { ticks: 2, weight, ..first };
        let sums = [two(sample(1, 0, 5, 0), 40), sample(2, 1, 5, 20), two(sample(4, 0, 6, 0), 90)];
        assert_eq!(pending.samples, sums);
    }
}
