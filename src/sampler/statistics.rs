//! What a recording was worth: counts of what was wanted, had and missed, and what it cost the target.
//!
//! Does: count. Does not: print, or leave anything out.

use std::collections::BTreeMap;

use super::sample::Sample;
use crate::process::stops::Stops;
use crate::python::gil::Gil;
use crate::stack::frame::{GapKind, SampleFrame};
use crate::target::memory::Memory;

/// Why a thread that should have been sampled was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleFailure {
    /// Another program traces it.
    Traced,
    /// The system does not let it be stopped any more.
    Denied,
    /// It woke up each time it was read without being stopped.
    Woke,
    /// A code object on its stack was freed, and its memory given to another, while the sample was taken.
    CodeReplaced,
    /// A library on its stack was unloaded, and another loaded in its place, while the sample was taken.
    ModuleReplaced,
    /// It was asked to stop, and did not come to its stop until the end.
    NeverStopped,
    /// It could not be read for another reason.
    Unreadable,
}

impl SampleFailure {
    /// What to tell a user.
    pub fn reason(self) -> &'static str {
        match self {
            SampleFailure::Traced => "thread traced by another program",
            SampleFailure::Denied => "thread may not be stopped any more (`fpprof doctor` tells why)",
            SampleFailure::Woke => "blocked thread woke while it was read",
            SampleFailure::CodeReplaced => "code object replaced while it was read",
            SampleFailure::ModuleReplaced => "library replaced while it was read",
            SampleFailure::NeverStopped => {
                "thread did not come to its stop (it started a program, waited for a page, or was frozen)"
            }
            SampleFailure::Unreadable => "thread could not be read",
        }
    }
}

/// The GILs that one look reads at most: subinterpreters can have their own (PEP 684), and a look must stay cheap.
const MAX_GILS: usize = 64;

/// How often the GIL was looked at, in ticks and whatever the threads did, and how often it was held then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GilLooks {
    /// Looks at which it could be read.
    pub looks: u64,
    /// Those at which it was held: any of them, where interpreters have their own.
    pub held: u64,
}

impl GilLooks {
    /// Looks. What cannot be read, or is not there, is not counted.
    pub fn look(&mut self, gils: &[Gil], memory: &impl Memory, weight: u64) {
        let mut read = gils.iter().take(MAX_GILS).filter_map(|gil| gil.is_held(memory).ok()).peekable();
        if read.peek().is_some() {
            self.looks += weight;
            self.held += weight * u64::from(read.any(|held| held));
        }
    }

    fn add(&mut self, other: GilLooks) {
        self.looks += other.looks;
        self.held += other.held;
    }
}

/// The weights of the ticks at which a stack was had: threads that are sampled together tell no more than one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TickWeights {
    sum: f64,
    squares: f64,
}

impl TickWeights {
    /// Adds a tick that stands for so many.
    pub fn add(&mut self, weight: u64) {
        let weight = weight as f64;
        self.sum += weight;
        self.squares += weight * weight;
    }

    /// How many ticks of equal weight tell as much of shares: (Σw)² / Σw² (Kish, "Survey Sampling", 1965); `None` of no ticks.
    pub fn effective(&self) -> Option<f64> {
        (self.squares > 0.0).then(|| self.sum * self.sum / self.squares)
    }
}

/// The counts of one recording.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Stacks that were had.
    pub taken: u64,
    /// Those of them in which nothing is missing.
    pub complete: u64,
    /// Gaps in the others, by reason.
    pub gaps: BTreeMap<GapKind, u64>,
    /// Threads that should have been sampled and were not, by reason.
    pub failed: BTreeMap<SampleFailure, u64>,
    /// Threads that ended while they were about to be sampled: nothing was missed.
    pub ended: u64,
    /// Looks at a thread that told nothing of it, and were left to the next one.
    pub left_to_next: u64,
    /// How much the GIL was held.
    pub gil: GilLooks,
    /// How much the stacks tell.
    pub tick_weights: TickWeights,
    /// What the sampling has cost the target.
    pub stops: Stops,
}

impl Statistics {
    /// Counts a stack.
    pub fn count(&mut self, sample: &Sample) {
        self.taken += 1;
        if sample.is_complete() {
            self.complete += 1;
            return;
        }
        for frame in sample.frames.iter() {
            if let SampleFrame::Missing(kind) = frame {
                *self.gaps.entry(*kind).or_default() += 1;
            }
        }
    }

    /// Counts a failure.
    pub fn fail(&mut self, reason: SampleFailure) {
        *self.failed.entry(reason).or_default() += 1;
    }

    /// Adds the counts of another part of the recording.
    pub fn add(&mut self, other: Statistics) {
        self.taken += other.taken;
        self.complete += other.complete;
        self.ended += other.ended;
        self.left_to_next += other.left_to_next;
        for (kind, count) in other.gaps {
            *self.gaps.entry(kind).or_default() += count;
        }
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        self.gil.add(other.gil);
        self.tick_weights.sum += other.tick_weights.sum;
        self.tick_weights.squares += other.tick_weights.squares;
        self.stops.add(&other.stops);
    }

    /// How many samples failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_weights_tell_as_much_as_fewer_equal_ones() {
        let effective = |weights: &[u64]| {
            let mut sums = TickWeights::default();
            weights.iter().for_each(|weight| sums.add(*weight));
            sums.effective()
        };
        assert_eq!(effective(&[]), None);
        assert_eq!(effective(&[3; 50]), Some(50.0));
        assert_eq!(effective(&[1, 1, 1, 1, 1, 5]), Some(100.0 / 30.0));
    }
}
