//! Samples that are kept one by one, for what needs their times.
//!
//! Does: hold them in the order in which they were taken. Does not: hold stacks, threads or states; it has their numbers.

use serde::{Deserialize, Serialize};

/// What the weights of samples are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Ticks of the clock.
    #[default]
    Ticks,
    /// Microseconds: each sample has its share of what its thread has used by the kernel's account.
    Time,
}

impl Weights {
    /// Whether they are the default, which is not written.
    pub(super) fn are_ticks(&self) -> bool {
        *self == Weights::Ticks
    }
}

/// One stack of one thread at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedSample {
    /// Nanoseconds since the recording began.
    pub time: u64,
    /// The thread, by its number in the recording.
    pub thread: u32,
    /// What it did, by its number in the recording.
    pub state: u32,
    /// Its stack: a node's index.
    pub stack: u32,
    /// The ticks of the clock that it stands for.
    pub ticks: u64,
    /// What it counts for: its share of its thread's time in microseconds, where the recording has that
    /// ([`Weights::Time`]); else its ticks.
    pub weight: u64,
}

impl TimedSample {
    /// Whether it was taken at a tick; else it has time of which there is no sample.
    pub fn was_taken(&self) -> bool {
        self.ticks > 0
    }
}

/// The most samples that are kept in memory at once: hundreds of hours of one thread at the default rate.
pub const MAX_SAMPLES: usize = 1 << 28;

/// Samples as columns: numbers of one kind side by side compress best.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleColumns {
    /// The number of the program that they are of.
    pub program: usize,
    /// Nanoseconds since the program's sample before; the first one's since the recording began.
    pub after: Vec<u64>,
    /// Threads.
    pub thread: Vec<u32>,
    /// States.
    pub state: Vec<u32>,
    /// Stacks.
    pub stack: Vec<u32>,
    /// Ticks.
    pub weight: Vec<u64>,
    /// Microseconds; none where ticks are all that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub time: Vec<u64>,
}

impl SampleColumns {
    /// The columns of a program's samples, of which the first comes after `before` (ns since the start).
    pub fn of(program: usize, samples: &[TimedSample], before: u64, weights: Weights) -> SampleColumns {
        let mut columns = SampleColumns { program, ..SampleColumns::default() };
        let mut last = before;
        for sample in samples {
            columns.after.push(sample.time.saturating_sub(last));
            columns.thread.push(sample.thread);
            columns.state.push(sample.state);
            columns.stack.push(sample.stack);
            columns.weight.push(sample.ticks);
            if weights == Weights::Time {
                columns.time.push(sample.weight);
            }
            last = last.max(sample.time);
        }
        columns
    }

    /// The samples; `None` when the columns differ in length or the times overflow.
    pub fn samples(&self, before: u64) -> Option<Vec<TimedSample>> {
        let SampleColumns { program: _, after, thread, state, stack, weight: ticks, time: weight } = self;
        let weight = if weight.is_empty() { ticks } else { weight };
        let lengths = [thread.len(), state.len(), stack.len(), ticks.len(), weight.len()];
        if lengths.iter().any(|length| *length != after.len()) {
            return None;
        }
        let mut time = before;
        let numbers = after.iter().zip(thread).zip(state).zip(stack).zip(ticks.iter().zip(weight));
        numbers
            .map(|((((after, thread), state), stack), (ticks, weight))| {
                time = time.checked_add(*after)?;
                let (thread, state, stack) = (*thread, *state, *stack);
                Some(TimedSample { time, thread, state, stack, ticks: *ticks, weight: *weight })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: u64, stack: u32) -> TimedSample {
        TimedSample { time, thread: 1, state: 2, stack, ticks: 3, weight: 4 }
    }

    #[test]
    fn columns_keep_every_sample() {
        let samples = [sample(10, 4), sample(10, 5), sample(u64::MAX, 6)];
        let columns = |weights| SampleColumns::of(0, &samples, 7, weights);
        assert_eq!(columns(Weights::Time).samples(7).as_deref(), Some(&samples[..]));
        let by_ticks = samples.map(|sample| TimedSample { weight: sample.ticks, ..sample });
        assert_eq!(columns(Weights::Ticks).samples(7).as_deref(), Some(&by_ticks[..]));
    }

    #[test]
    fn columns_that_make_no_samples_are_refused() {
        let columns = SampleColumns::of(0, &[sample(10, 4), sample(u64::MAX, 4)], 0, Weights::Time);
        assert_eq!(columns.samples(1), None, "times overflow");
        assert_eq!(SampleColumns { weight: vec![1], ..columns.clone() }.samples(0), None, "lengths differ");
        assert_eq!(SampleColumns { time: vec![1], ..columns }.samples(0), None, "lengths differ");
    }
}
