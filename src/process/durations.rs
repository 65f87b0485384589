//! A histogram of durations in fixed memory, for medians and percentiles of millions of them.
//!
//! Does: count nanoseconds in buckets that are at most 1/32 of their value wide, so that a percentile is within 2 %.
//! Does not: read a clock.

use crate::types::Nanos;

/// Buckets for each power of two. 32 of them make a bucket's middle differ by at most 1/64 from any value in it.
const BUCKETS_PER_OCTAVE: u64 = 32;
/// The octave of values that have a bucket each: 0..32.
const EXACT_BITS: u32 = BUCKETS_PER_OCTAVE.trailing_zeros();
const OCTAVES: usize = 64 - EXACT_BITS as usize + 1;
const BUCKETS: usize = OCTAVES * BUCKETS_PER_OCTAVE as usize;

/// How long something took, many times: 15 KB at most, whatever their number.
#[derive(Debug, Clone, Default)]
pub struct DurationHistogram {
    /// Up to the longest duration's bucket.
    counts: Vec<u64>,
    count: u64,
    largest: Nanos,
}

impl DurationHistogram {
    /// Without any duration.
    pub fn new() -> Self {
        DurationHistogram::default()
    }

    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, duration: Nanos) {
        let bucket = bucket(duration.0);
        self.make_room(bucket + 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
            self.count = self.count.saturating_add(1);
            self.largest = self.largest.max(duration);
        }
    }

    /// Counts all durations of another histogram.
    pub fn add(&mut self, other: &DurationHistogram) {
        self.make_room(other.counts.len());
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.count = self.count.saturating_add(other.count);
        self.largest = self.largest.max(other.largest);
    }

    fn make_room(&mut self, buckets: usize) {
        if buckets > self.counts.len() {
            self.counts.resize(buckets.next_power_of_two().min(BUCKETS), 0);
        }
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest duration, exactly; `None` when there is none.
    pub fn largest(&self) -> Option<Nanos> {
        (self.count > 0).then_some(self.largest)
    }

    /// The duration that `fraction` (0 to 1) of all are not longer than, within 2 %; `None` when there is none.
    pub fn percentile(&self, fraction: f64) -> Option<Nanos> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * fraction).ceil() as u64).clamp(1, self.count);
        let mut seen = 0u64;
        let found = self.counts.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen >= rank
        })?;
        Some(Nanos(middle(found)).min(self.largest))
    }
}

/// The bucket of a value: values below 32 have their own; of larger ones the highest bit and the 5 below it count.
fn bucket(value: u64) -> usize {
    let octave = (u64::BITS - value.leading_zeros()).saturating_sub(EXACT_BITS + 1);
    let within = value >> octave;
    (u64::from(octave) * BUCKETS_PER_OCTAVE + within) as usize
}

/// The value in the middle of a bucket: the inverse of [`bucket`].
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket / BUCKETS_PER_OCTAVE).saturating_sub(1);
    let within = bucket - octave * BUCKETS_PER_OCTAVE;
    (within << octave) + ((1u64 << octave) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_durations_there_is_no_percentile() {
        let histogram = DurationHistogram::new();
        assert_eq!((histogram.percentile(0.5), histogram.largest()), (None, None));
    }

    #[test]
    fn median_and_tail_of_a_known_distribution() {
        let mut histogram = DurationHistogram::new();
        (1..=1000).for_each(|us| histogram.record(Nanos(us * 1000)));
        let near = |fraction: f64, expected: f64| {
            let got = histogram.percentile(fraction).expect("durations were recorded").0 as f64;
            assert!((got / expected - 1.0).abs() < 0.02, "{fraction}: {got}, not {expected}");
        };
        near(0.5, 500_000.0);
        near(0.99, 990_000.0);
        near(1.0, 1_000_000.0);
        near(0.0, 1_000.0);
        assert_eq!((histogram.count(), histogram.largest()), (1000, Some(Nanos(1_000_000))));
    }

    proptest! {
        #[test]
        fn any_duration_is_given_back_within_two_percent(value: u64) {
            let mut histogram = DurationHistogram::new();
            histogram.record(Nanos(value));
            let got = histogram.percentile(0.5).expect("a duration was recorded").0;
            prop_assert!(got.abs_diff(value) as f64 <= value as f64 * 0.02);
        }
    }
}
