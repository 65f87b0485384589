//! What is to be recorded, who is told how far that is, and what came of it.
//!
//! Does: hold them. Does not: record.

use std::time::Duration;

use super::program::{Program, StackLabels};
use super::stream::Stream;
use crate::profile::facts::processes::ChildrenFacts;
use crate::profile::facts::throttling::ThrottlingFacts;
use crate::sampler::budget::{Exceeded, Limits};
use crate::sampler::clock::Intervals;
use crate::sampler::follower::Followed;
use crate::sampler::mode::Mode;
use crate::sampler::statistics::Statistics;

/// What to record.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Samples a second.
    pub rate: f64,
    /// At most so long.
    pub duration: Option<Duration>,
    /// Which threads.
    pub mode: Mode,
    /// When.
    pub intervals: Intervals,
    /// What stacks hold beside their frames.
    pub labels: StackLabels,
    /// What it may cost; anything if there are no limits.
    pub limits: Option<Limits>,
}

/// Why a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    TimeOver,
    /// The user or the system asked for it.
    Signal,
    /// The target ended.
    TargetGone,
    /// The target replaced its program by one that cannot be read; its name, if that could be had.
    Replaced(Option<String>),
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Since its beginning.
    pub elapsed: Duration,
    /// Ticks at which samples were taken.
    pub taken: u64,
    /// Ticks that passed while an earlier one was served.
    pub late: u64,
    /// Ticks left out because samples would have cost more than is allowed.
    pub left_out: u64,
    /// Errors.
    pub errors: u64,
    /// Stops of blocked threads, of which nothing else told where they were.
    pub sleepers_stopped: u64,
    /// How many processes are sampled.
    pub processes: usize,
}

/// Who is told how far a recording is, while it is made.
pub trait Observer: Send {
    /// Takes note of it. Sampling waits meanwhile.
    fn progress(&mut self, counts: Counts);
}

/// What was recorded.
#[derive(Debug)]
pub struct Recording {
    /// Its programs, by their numbers; more than one where a process has replaced its own, and where there were several processes.
    pub programs: Vec<Program>,
    /// Why it ended.
    pub ended: Ended,
    /// How long it took.
    pub duration: Duration,
    /// Ticks that were due.
    pub wanted: u64,
    /// Ticks that passed while an earlier one was served.
    pub late: u64,
    /// Ticks at which no stack could be had though one was wanted.
    pub failed: u64,
    /// Ticks at which no sample was taken because of the limits.
    pub left_out: u64,
    /// The limit that was exceeded last.
    pub exceeded: Option<Exceeded>,
    /// How often the kernel stopped the target because of a CPU quota, if it did.
    pub throttling: Option<ThrottlingFacts>,
    /// What was counted, in all programs together.
    pub statistics: Statistics,
    /// The Python processes that the target has started, where these are not recorded.
    pub children: Option<ChildrenFacts>,
    /// What became of the processes that were chosen, where more than one could be.
    pub followed: Option<Followed>,
    /// Where it is written, if it was written while it was made.
    pub stream: Option<Stream>,
}
