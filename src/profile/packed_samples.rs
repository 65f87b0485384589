//! Samples one behind the other, packed: some 12 bytes each instead of 48, so that ten million fit beside all that is made of them.
//!
//! Does: hold them in the order in which they came, and go through several lists of them in the order of time. Does not: find a sample
//! without going through those before it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use prost::encoding::{decode_varint, encode_varint};

use super::samples::TimedSample;

/// A block has this size in bytes, once it is full: a list that grows as a whole would be copied, and take twice its room.
const BLOCK: usize = 64 << 10;
/// The most bytes of a sample: six numbers of at most ten bytes.
const LONGEST: usize = 60;

/// Samples in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedSamples {
    /// Numbers of variable length, six for each sample: time since the one before, thread, state, stack, ticks, weight. None crosses
    /// the end of a block.
    blocks: Vec<Vec<u8>>,
    length: usize,
    /// The time of the last one.
    last: u64,
}

impl PackedSamples {
    /// Adds a sample behind the others.
    pub fn push(&mut self, sample: TimedSample) {
        let is_full = |block: &Vec<u8>| block.len() > BLOCK - LONGEST;
        if self.blocks.last().is_none_or(is_full) {
            self.blocks.push(Vec::new());
        }
        let Some(block) = self.blocks.last_mut() else { return };
        let TimedSample { time, thread, state, stack, ticks, weight } = sample;
        // Whatever the order is: the sum wraps around as the difference does.
        let after = time.wrapping_sub(self.last);
        for number in [after, thread.into(), state.into(), stack.into(), ticks, weight] {
            encode_varint(number, block);
        }
        self.last = time;
        self.length += 1;
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The time of the last one, ns since the recording began.
    pub fn end(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.last)
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Vec::capacity).sum()
    }

    /// The samples, in the order in which they came.
    pub fn iter(&self) -> Samples<'_> {
        Samples { blocks: self.blocks.iter(), block: &[], last: 0 }
    }
}

impl FromIterator<TimedSample> for PackedSamples {
    fn from_iter<I: IntoIterator<Item = TimedSample>>(samples: I) -> PackedSamples {
        let mut packed = PackedSamples::default();
        packed.extend(samples);
        packed
    }
}

impl Extend<TimedSample> for PackedSamples {
    fn extend<I: IntoIterator<Item = TimedSample>>(&mut self, samples: I) {
        samples.into_iter().for_each(|sample| self.push(sample));
    }
}

impl<'a> IntoIterator for &'a PackedSamples {
    type Item = TimedSample;
    type IntoIter = Samples<'a>;

    fn into_iter(self) -> Samples<'a> {
        self.iter()
    }
}

/// Goes through the samples of a list.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    blocks: std::slice::Iter<'a, Vec<u8>>,
    block: &'a [u8],
    last: u64,
}

impl Iterator for Samples<'_> {
    type Item = TimedSample;

    fn next(&mut self) -> Option<TimedSample> {
        while self.block.is_empty() {
            self.block = self.blocks.next()?;
        }
        let mut next = || decode_varint(&mut self.block).ok();
        self.last = self.last.wrapping_add(next()?);
        let [thread, state, stack] = [next()?, next()?, next()?].map(|number| u32::try_from(number).ok());
        Some(TimedSample {
            time: self.last,
            thread: thread?,
            state: state?,
            stack: stack?,
            ticks: next()?,
            weight: next()?,
        })
    }
}

/// Goes through the samples of several lists in the order of time; those of one moment in the order of the lists.
#[derive(Debug, Clone)]
pub struct Merged<'a> {
    lists: Vec<(Samples<'a>, Option<TimedSample>)>,
    /// The time of each list's next sample, and the list.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    left: usize,
}

impl<'a> Merged<'a> {
    /// Of lists each of which is in the order of time itself.
    pub fn of(lists: impl IntoIterator<Item = &'a PackedSamples>) -> Merged<'a> {
        let mut left = 0;
        let begun = |list: &'a PackedSamples| {
            left += list.len();
            let mut samples = list.iter();
            let first = samples.next();
            (samples, first)
        };
        let lists: Vec<_> = lists.into_iter().map(begun).collect();
        let first =
            |(list, (_, first)): (usize, &(_, Option<TimedSample>))| Some(Reverse((first.as_ref()?.time, list)));
        let next = lists.iter().enumerate().filter_map(first).collect();
        Merged { lists, next, left }
    }

    /// The next sample, and the number of its list.
    pub fn next_of(&mut self) -> Option<(usize, TimedSample)> {
        let mut top = self.next.peek_mut()?;
        let Reverse((_, number)) = *top;
        let (samples, next) = self.lists.get_mut(number)?;
        let sample = next.take()?;
        *next = samples.next();
        match next {
            Some(next) => *top = Reverse((next.time, number)),
            None => drop(PeekMut::pop(top)),
        }
        self.left = self.left.saturating_sub(1);
        Some((number, sample))
    }
}

impl Iterator for Merged<'_> {
    type Item = TimedSample;

    fn next(&mut self) -> Option<TimedSample> {
        self.next_of().map(|(_, sample)| sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Merged<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: u64, stack: u32) -> TimedSample {
        TimedSample { time, thread: 1, state: 2, stack, ticks: 3, weight: 4 }
    }

    #[test]
    fn what_is_taken_out_is_what_was_put_in() {
        let large = TimedSample {
            time: u64::MAX,
            thread: u32::MAX,
            state: u32::MAX,
            stack: u32::MAX,
            ticks: u64::MAX,
            weight: u64::MAX,
        };
        // Times may go back; some blocks are filled.
        let samples: Vec<TimedSample> =
            (0..20_000).map(|n| if n % 3 == 0 { large } else { sample(n * 1_000_000, n as u32) }).collect();
        let packed: PackedSamples = samples.iter().copied().collect();
        assert!(packed.iter().eq(samples.iter().copied()));
        assert_eq!((packed.len(), packed.end()), (samples.len(), Some(19_999_000_000)));
        assert!(packed.blocks.len() > 4 && packed.blocks.iter().all(|block| block.len() <= BLOCK));
        assert_eq!((PackedSamples::default().iter().next(), PackedSamples::default().end()), (None, None));
    }

    #[test]
    fn samples_are_small() {
        // Twenty times a second, four threads.
        let samples: PackedSamples = (0..100_000_u64)
            .map(|n| TimedSample {
                time: n / 4 * 50_000_000 + n * 40_000,
                thread: (n % 4) as u32,
                state: (n % 3) as u32,
                stack: (n % 5_000) as u32,
                ticks: 1,
                weight: 20_000 + n % 9_000,
            })
            .collect();
        assert!(samples.bytes() < 14 * samples.len(), "{}", samples.bytes());
    }

    #[test]
    fn lists_are_merged_by_time_and_then_by_their_order() {
        let list = |times: &[u64], stack| times.iter().map(|time| sample(*time, stack)).collect::<PackedSamples>();
        let lists = [list(&[1, 5, 5, 9], 0), list(&[], 1), list(&[0, 5, 7], 2)];
        let mut merged = Merged::of(&lists);
        assert_eq!(merged.len(), 7);
        let order: Vec<_> = merged.by_ref().map(|sample| (sample.time, sample.stack)).collect();
        assert_eq!(order, [(0, 2), (1, 0), (5, 0), (5, 0), (5, 2), (7, 2), (9, 0)]);
        assert_eq!((merged.len(), merged.next()), (0, None));
    }
}
