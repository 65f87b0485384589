//! A flame chart's frames: each thread's stacks in the order in which they were seen, as lines that inferno draws.
//!
//! Does: put each thread under a root of its own, join equal neighbours, and leave out frames that are too narrow to be seen.
//! Does not: draw.

use std::rc::Rc;

use super::Drawing;
use crate::output::SampledProfile;
use crate::output::label::{LabelOptions, label};
use crate::output::labelled::{Labelled, NARROW, NO_FRAMES, Narrow, labels, narrowest};
use crate::profile::frame::{Frame, FrameKind};
use crate::profile::nameless::is_nameless;
use crate::profile::timeline::runs;
use crate::profile::tree::FrameId;
use crate::types::Tid;

/// A rectangle: a frame for as long as it stays on its thread's stack.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// Its caller, by index; absent for a thread.
    caller: Option<usize>,
    frame: Labelled,
    weight: u64,
}

/// All rectangles of a chart, callers before what they call, and what was seen, in order.
#[derive(Debug, Default)]
struct Chart {
    blocks: Vec<Block>,
    /// The rectangles that are still going on, outermost first.
    open: Vec<usize>,
    /// For each stack that was seen its innermost rectangle, and its weight.
    seen: Vec<(usize, u64)>,
}

/// What to draw, at most `max` frames.
pub(super) fn drawing(sampled: SampledProfile<'_>, options: &LabelOptions, max: usize) -> Drawing {
    let chart = chart(sampled, options);
    let weights: Vec<u64> = chart.blocks.iter().map(|block| block.weight).collect();
    let narrow = narrowest(&weights, max);
    let total = chart.seen.iter().fold(0, |sum: u64, (_, weight)| sum.saturating_add(*weight));
    Drawing::by_kind(chart.lines(narrow), &chart.frames(), (narrow, sampled.facts, total))
}

fn chart(sampled: SampledProfile<'_>, options: &LabelOptions) -> Chart {
    let SampledProfile { stacks, timeline, .. } = sampled;
    let frames: Vec<Frame> = stacks.frames().iter().map(|frame| frame.without_address().into_owned()).collect();
    let labels = labels(&frames, options);
    let gap = |text: &str| Labelled { text: text.into(), kind: FrameKind::Gap };
    let none = gap(NO_FRAMES);
    let by_index: Vec<Labelled> =
        frames.iter().map(|frame| labels.get(frame).cloned().unwrap_or_else(|| gap("[no name]"))).collect();
    let mut chart = Chart::default();
    for (thread, samples) in timeline.by_thread() {
        let text = label(&Frame::thread(Tid(thread.tid), thread.name.as_deref()), options);
        let root = Labelled { text: text.into(), kind: FrameKind::Thread };
        for run in runs(&samples) {
            let mut path = stacks.path(run.stack as usize);
            // A run of functions without names is one box.
            path.dedup_by(|inner, outer| {
                let of = |frame: &FrameId| frames.get(frame.index()).filter(|frame| is_nameless(frame));
                of(inner).is_some() && of(inner) == of(outer)
            });
            // Where stacks begin with their threads anyway, once is enough.
            let frames = path.iter().filter_map(|frame| by_index.get(frame.index())).filter(|frame| **frame != root);
            let none = path.is_empty().then_some(&none);
            let stack: Vec<&Labelled> = std::iter::once(&root).chain(frames).chain(none).collect();
            chart.add(&stack, run.weight);
        }
        chart.open.clear();
    }
    chart
}

impl Chart {
    /// Adds what was seen next.
    fn add(&mut self, stack: &[&Labelled], weight: u64) {
        let is_open = |(block, frame): &(&usize, &&Labelled)| {
            self.blocks.get(**block).is_some_and(|block| block.frame == ***frame)
        };
        let shared = self.open.iter().zip(stack).take_while(is_open).count();
        self.open.truncate(shared);
        for frame in stack.iter().skip(shared) {
            let caller = self.open.last().copied();
            self.open.push(self.blocks.len());
            self.blocks.push(Block { caller, frame: (*frame).clone(), weight: 0 });
        }
        for block in &self.open {
            if let Some(block) = self.blocks.get_mut(*block) {
                block.weight = block.weight.saturating_add(weight);
            }
        }
        if let Some(innermost) = self.open.last() {
            self.seen.push((*innermost, weight));
        }
    }

    /// A line for each stack that was seen, in order, without the frames that are too narrow: those are the innermost ones,
    /// and what was seen is counted to their callers.
    fn lines(&self, narrow: Narrow) -> Vec<String> {
        let mut drawn: Vec<(Option<usize>, u64)> = Vec::new();
        for (innermost, weight) in &self.seen {
            let mut place = Some(*innermost);
            while let Some(block) = place.and_then(|index| self.blocks.get(index)) {
                if block.weight >= narrow.below {
                    break;
                }
                place = block.caller;
            }
            match drawn.last_mut().filter(|(last, _)| *last == place) {
                Some((_, sum)) => *sum = sum.saturating_add(*weight),
                None => drawn.push((place, *weight)),
            }
        }
        let line = |(place, weight): (Option<usize>, u64)| format!("{} {weight}", self.text(place));
        drawn.into_iter().map(line).collect()
    }

    fn text(&self, innermost: Option<usize>) -> String {
        let mut texts: Vec<&str> = Vec::new();
        let mut next = innermost;
        while let Some(block) = next.and_then(|index| self.blocks.get(index)) {
            texts.push(&block.frame.text);
            next = block.caller;
        }
        if texts.is_empty() {
            return NARROW.to_owned();
        }
        texts.reverse();
        texts.join(";")
    }

    fn frames(&self) -> Vec<Labelled> {
        let mut seen: rustc_hash::FxHashSet<Rc<str>> = rustc_hash::FxHashSet::default();
        let new = self.blocks.iter().filter(|block| seen.insert(block.frame.text.clone()));
        new.map(|block| block.frame.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(text: &str) -> Labelled {
        Labelled { text: text.into(), kind: FrameKind::UserCode }
    }

    fn chart(stacks: &[(&str, u64)]) -> Chart {
        let mut chart = Chart::default();
        for (stack, weight) in stacks {
            let frames: Vec<Labelled> = stack.split(';').map(labelled).collect();
            chart.add(&frames.iter().collect::<Vec<_>>(), *weight);
        }
        chart
    }

    const SEEN: [(&str, u64); 4] = [("t;a", 5), ("t;b", 1), ("t;a;c", 2), ("t;a", 4)];

    #[test]
    fn the_order_of_time_is_kept() {
        let chart = chart(&SEEN);
        assert_eq!(chart.lines(Narrow { frames: 0, below: 0 }), ["t;a 5", "t;b 1", "t;a;c 2", "t;a 4"]);
        assert_eq!(chart.blocks.iter().map(|block| block.weight).collect::<Vec<_>>(), [12, 5, 1, 6, 2]);
    }

    #[test]
    fn what_is_too_narrow_is_counted_to_its_caller() {
        assert_eq!(chart(&SEEN).lines(Narrow { frames: 2, below: 3 }), ["t;a 5", "t 1", "t;a 6"]);
        assert_eq!(chart(&[("t", 1)]).lines(Narrow { frames: 1, below: 2 }), [format!("{NARROW} 1")]);
    }
}
