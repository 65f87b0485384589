//! What each thread did, over time.
//!
//! Does: divide the time into parts, and tell for each how much of it each state took. Does not: draw.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::profile::clean::one_line;
use crate::profile::facts::RecordingFacts;
use crate::profile::packed_samples::PackedSamples;
use crate::profile::samples::TimedSample;
use crate::profile::timeline::{ShownThread, Timeline, with_ends};
use crate::types::Nanos;

/// Into how many parts the time is divided: more cannot be told apart on most screens.
const BINS: usize = 600;
/// The most threads that are shown, those with the most samples.
const MAX_THREADS: usize = 500;

/// A thread.
#[derive(Debug, Serialize)]
pub(super) struct ThreadRow {
    /// Its process, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    tid: i32,
    name: Option<String>,
    total: u64,
    /// The number of a part of the time, a state, and the share of the part that the thread was in it, from 0 to 1.
    bins: Vec<(usize, u32, f64)>,
    /// The samples of each state.
    states: BTreeMap<u32, u64>,
}

/// Into how many parts the time is divided, how long all of it is in seconds, and the threads.
pub(super) fn threads(timeline: &Timeline, facts: &RecordingFacts) -> (usize, f64, Vec<ThreadRow>) {
    let last = timeline.end().unwrap_or(0);
    let duration = Nanos::from(facts.duration).0.max(last).max(1);
    let row = |(thread, samples): (&ShownThread, PackedSamples)| {
        let mut states: BTreeMap<u32, u64> = BTreeMap::new();
        for sample in &samples {
            let weight = states.entry(sample.state).or_default();
            *weight = weight.saturating_add(sample.weight);
        }
        ThreadRow {
            process: timeline.process_of(thread).map(|process| one_line(&process.name()).into_owned()),
            tid: thread.tid,
            name: thread.name.as_deref().map(|name| one_line(name).into_owned()),
            total: states.values().copied().fold(0, u64::saturating_add),
            bins: bins(samples.iter().filter(TimedSample::was_taken), facts.period(), duration),
            states,
        }
    };
    let mut rows: Vec<ThreadRow> = timeline.by_thread().into_iter().map(row).collect();
    // The main thread is the first: threads come in the order in which they were first seen.
    rows.sort_by_key(|row| std::cmp::Reverse(row.total));
    rows.truncate(MAX_THREADS);
    (BINS, duration as f64 / 1e9, rows)
}

fn bins(samples: impl IntoIterator<Item = TimedSample>, period: u64, duration: u64) -> Vec<(usize, u32, f64)> {
    let width = duration as f64 / BINS as f64;
    let mut shares: BTreeMap<(usize, u32), f64> = BTreeMap::new();
    for (sample, end) in with_ends(samples, period) {
        let (from, to) = (sample.time as f64 / width, (end.min(duration) as f64 / width).min(BINS as f64));
        let mut bin = from as usize;
        while bin < BINS && (bin as f64) < to {
            let share = to.min((bin + 1) as f64) - from.max(bin as f64);
            if share > 0.0 {
                *shares.entry((bin, sample.state)).or_default() += share;
            }
            bin += 1;
        }
    }
    let rounded = |share: f64| (share.min(1.0) * 100.0).round() / 100.0;
    shares.into_iter().map(|((bin, state), share)| (bin, state, rounded(share))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_time_hold_what_was_in_them() {
        let sample = |time, state| TimedSample { time, thread: 0, state, stack: 0, ticks: 1, weight: 1 };
        // A part is 10 long; samples of 5 each, then none for a long time.
        let samples = [sample(0, 0), sample(5, 1), sample(10, 1), sample(3_000, 0)];
        let expected = [(0, 0, 0.5), (0, 1, 0.5), (1, 1, 0.5), (300, 0, 0.5)];
        assert_eq!(bins(samples, 5, 10 * BINS as u64), expected);
    }

    #[test]
    fn times_beyond_the_end_are_cut_off() {
        let sample = TimedSample { time: u64::MAX, thread: 0, state: 0, stack: 0, ticks: 1, weight: 1 };
        assert_eq!(bins([sample], u64::MAX, 1), []);
    }
}
