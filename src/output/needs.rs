//! How much memory writing a format takes, at most.
//!
//! Does: estimate it from what is written, format by format. Does not: know how much there is, or leave anything out.
//!
//! What a format holds at once can be far more than its profile: a stack of a hundred thousand frames with two thousand leaves has a
//! hundred thousand nodes, and two thousand lines of a megabyte.

use rustc_hash::FxHashSet;

use super::format::Format;
use super::label::{LabelOptions, label};
use super::labelled::narrowest;
use crate::profile::Profile;
use crate::profile::nameless::has_nameless;
use crate::profile::timeline::{Timeline, longest_pause};

/// What [`of`] itself takes for each node, in bytes.
pub const BYTES_TO_ASK: u64 = 48;

/// A node of a tree of labels: with its place in the tables, its sum and its place in the list of its caller's callees.
const LABELLED_NODE: u64 = 170;
/// A frame in a picture, without its texts: its rectangle and its text in what inferno draws and in what is made of that.
const DRAWN_FRAME: u64 = 700;
/// How often the text of a frame is in a picture at once.
const DRAWN_TEXTS: u64 = 6;
/// The most frames that a picture has.
const MAX_DRAWN: usize = 20_000;
/// The most frames that a page has.
const MAX_IN_PAGE: usize = 50_000;
/// A slice or a block over time, sorting included.
const SLICE: u64 = 80;
/// A sample in a table of one format or another.
const SAMPLE: u64 = 100;
/// Shapes of samples are counted as long as they are a part of so many of the samples: one takes some 30 bytes to count.
const FEWER: usize = 16;
/// A stack of one thread in the Firefox Profiler's tables.
const THREAD_NODE: u64 = 200;
/// A distinct frame, with its texts in some tables, without the lengths of these.
const FRAME: u64 = 600;
/// How often the text of a distinct frame is in memory at once.
const FRAME_TEXTS: u64 = 6;

/// What is known of each node.
struct Paths {
    /// How long the label of each frame is.
    texts: Vec<u64>,
    /// How long a line of each stack is.
    lines: Vec<u64>,
    depths: Vec<u64>,
}

impl Paths {
    fn of(stacks: &Profile, labels: &LabelOptions) -> Paths {
        let texts: Vec<u64> = stacks.frames().iter().map(|frame| label(frame, labels).len() as u64 + 1).collect();
        let (mut lines, mut depths): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
        for node in stacks.nodes() {
            let own = node.frame.and_then(|frame| texts.get(frame.index())).copied();
            let line = lines.get(node.parent.index()).copied().unwrap_or(0);
            let depth = depths.get(node.parent.index()).copied().unwrap_or(0);
            lines.push(line.saturating_add(own.unwrap_or(0)));
            depths.push(depth + u64::from(own.is_some()));
        }
        Paths { texts, lines, depths }
    }

    fn text(&self, stacks: &Profile, node: usize) -> u64 {
        let frame = stacks.nodes().get(node).and_then(|node| node.frame);
        frame.and_then(|frame| self.texts.get(frame.index())).copied().unwrap_or(0)
    }
}

/// The memory in bytes that writing some stacks, and their samples, takes beside them. A tick of the clock stands for `period`
/// nanoseconds.
pub fn of(
    format: Format,
    (stacks, timeline): (&Profile, Option<&Timeline>),
    period: u64,
    labels: &LabelOptions,
) -> u64 {
    let paths = Paths::of(stacks, labels);
    let samples = timeline.map_or(0, |timeline| timeline.samples().len() as u64).saturating_mul(SAMPLE);
    // Once more, thread by thread.
    let packed = timeline.map_or(0, |timeline| timeline.bytes() as u64).saturating_mul(2);
    let frames =
        paths.texts.iter().fold(0, |sum: u64, text| sum.saturating_add(FRAME + text.saturating_mul(FRAME_TEXTS)));
    let longest = paths.lines.iter().max().copied().unwrap_or(0).saturating_mul(3);
    let deepest = paths.depths.iter().max().copied().unwrap_or(0).saturating_mul(SAMPLE);
    let nodes = (stacks.nodes().len() as u64).saturating_mul(LABELLED_NODE);
    // Where functions without names are folded, the stacks are there once more.
    let folded = if has_nameless(stacks) { nodes } else { 0 };
    let own = match format {
        Format::FlameGraph => nodes.saturating_add(folded).saturating_add(drawn(stacks, &paths)),
        Format::Html => nodes.saturating_add(folded).saturating_add(packed).saturating_add(distinct(stacks, &paths)),
        Format::Collapsed => nodes,
        Format::FlameChart => {
            samples.saturating_add(timeline.map_or(0, |timeline| chart(stacks, timeline, &paths, period)))
        }
        Format::JsonLines => 0,
        Format::Speedscope => samples,
        Format::Pprof => timeline.map_or(0, shapes).saturating_mul(SAMPLE * 2),
        Format::Firefox => samples.saturating_add(timeline.map_or(0, |timeline| nodes_of_threads(stacks, timeline))),
        Format::ChromeTrace => {
            samples.saturating_add(timeline.map_or(0, |timeline| slices(timeline, &paths, stacks, period).1))
        }
    };
    [frames, longest, deepest].into_iter().fold(own, u64::saturating_add)
}

/// How many stacks, threads and states there are together, at most: where they are not far fewer than samples, these.
fn shapes(timeline: &Timeline) -> u64 {
    let samples = timeline.samples().len();
    let mut shapes: FxHashSet<(u32, u32, u32)> = FxHashSet::default();
    for sample in timeline.samples() {
        shapes.insert((sample.stack, sample.thread, sample.state));
        if shapes.len() > samples / FEWER {
            return samples as u64;
        }
    }
    shapes.len() as u64
}

/// What the widest frames take that a flame graph draws, and the lines that inferno draws them from.
fn drawn(stacks: &Profile, paths: &Paths) -> u64 {
    let totals = stacks.total_weights();
    let narrow = narrowest(totals.get(1..).unwrap_or_default(), MAX_DRAWN);
    let wide = totals.iter().enumerate().filter(|(_, total)| **total >= narrow.below);
    // Only a stack with samples of its own, or with callees that are too narrow, has a line.
    let mut own = totals.clone();
    for (index, node) in stacks.nodes().iter().enumerate().skip(1) {
        let total = totals.get(index).copied().unwrap_or(0);
        if total >= narrow.below.max(1)
            && let Some(own) = own.get_mut(node.parent.index())
        {
            *own = own.saturating_sub(total);
        }
    }
    let bytes = wide.map(|(index, _)| {
        let has_line = own.get(index).is_some_and(|own| *own > 0);
        let line = if has_line { paths.lines.get(index).copied().unwrap_or(0) } else { 0 };
        DRAWN_FRAME.saturating_add(paths.text(stacks, index).saturating_mul(DRAWN_TEXTS)).saturating_add(line)
    });
    bytes.fold(0, u64::saturating_add)
}

/// What the widest frames take in a page, and the tables of functions and lines.
fn distinct(stacks: &Profile, paths: &Paths) -> u64 {
    let files = stacks.frames().len() as u64 * SAMPLE;
    let nodes = stacks.nodes().len() as u64 * 16;
    let ties = {
        let totals = stacks.total_weights();
        let narrow = narrowest(totals.get(1..).unwrap_or_default(), MAX_IN_PAGE);
        totals.iter().filter(|total| **total >= narrow.below).count() as u64 * SAMPLE
    };
    let texts = paths.texts.iter().fold(0, |sum: u64, text| sum.saturating_add(*text));
    [nodes, ties, texts].into_iter().fold(files, u64::saturating_add)
}

/// The blocks over time, and the lines of those that are drawn.
fn chart(stacks: &Profile, timeline: &Timeline, paths: &Paths, period: u64) -> u64 {
    let (all, _) = slices(timeline, paths, stacks, period);
    let mut lines: Vec<u64> =
        timeline.samples().filter_map(|sample| paths.lines.get(sample.stack as usize).copied()).collect();
    lines.sort_unstable_by(|a, b| b.cmp(a));
    let lines = lines.iter().take(MAX_DRAWN).fold(0, |sum: u64, line| sum.saturating_add(*line));
    // No more texts are drawn than are in the blocks, and no more blocks than so many.
    let widest = paths.texts.iter().max().copied().unwrap_or(0);
    let drawn = (all / SLICE).min(MAX_DRAWN as u64).saturating_mul(DRAWN_FRAME.saturating_add(widest.min(1 << 12)));
    [lines, drawn].into_iter().fold(all, u64::saturating_add)
}

/// What the slices of all threads take, and those of the thread that has most: a frame has a new one whenever it was not on its
/// thread's stack before.
fn slices(timeline: &Timeline, paths: &Paths, stacks: &Profile, period: u64) -> (u64, u64) {
    // The node and the time of each thread's last sample.
    let mut last = vec![(0_usize, 0_u64); timeline.threads().len()];
    let mut of_threads = vec![0_u64; timeline.threads().len()];
    let depth = |node: usize| paths.depths.get(node).copied().unwrap_or(0);
    let parent = |node: usize| stacks.nodes().get(node).map_or(0, |node| node.parent.index());
    for sample in timeline.samples() {
        let (Some(last), Some(slices)) =
            (last.get_mut(sample.thread as usize), of_threads.get_mut(sample.thread as usize))
        else {
            continue;
        };
        let stack = sample.stack as usize;
        // A pause ends all slices.
        let goes_on = sample.time.saturating_sub(last.1) <= longest_pause(&sample, period);
        let (mut a, mut b) = if goes_on { (last.0, stack) } else { (0, stack) };
        while a != b {
            // Parents have lower numbers, so this ends at the root.
            if a > b { a = parent(a) } else { b = parent(b) }
        }
        *slices = slices.saturating_add((depth(stack) - depth(a)).saturating_mul(SLICE));
        *last = (stack, sample.time);
    }
    (
        of_threads.iter().fold(0, |sum, slices| sum.saturating_add(*slices)),
        of_threads.iter().max().copied().unwrap_or(0),
    )
}

/// The nodes of each thread's own tree.
fn nodes_of_threads(stacks: &Profile, timeline: &Timeline) -> u64 {
    let mut seen_by: Vec<u32> = vec![u32::MAX; stacks.nodes().len()];
    let mut nodes = 0_u64;
    for (number, (_, samples)) in (0..).zip(timeline.by_thread()) {
        for sample in &samples {
            let mut node = sample.stack as usize;
            while let Some(seen) = seen_by.get_mut(node).filter(|seen| **seen != number) {
                *seen = number;
                nodes += 1;
                node = stacks.nodes().get(node).map_or(0, |node| node.parent.index());
            }
        }
    }
    nodes.saturating_mul(THREAD_NODE)
}
