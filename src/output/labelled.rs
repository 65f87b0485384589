//! A profile's frames as labels, ready to be written: equal labels are one frame, siblings are in order.
//!
//! Does: relabel, merge, sort, and leave out what is too narrow to be seen. Does not: write.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::label::{LabelOptions, foldable, label};
use crate::profile::Profile;
use crate::profile::frame::{Frame, FrameKind};
use crate::profile::tree::StackTree;

/// The line of samples that have no frame at all.
pub(super) const NO_FRAMES: &str = "[no frames]";
/// The line of samples whose outermost frame is left out.
pub(super) const NARROW: &str = "[too narrow to be drawn]";

/// A frame as outputs show it. No two kinds have one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Labelled {
    pub text: Rc<str>,
    pub kind: FrameKind,
}

/// Stacks of labels.
pub(super) struct LabelledStacks {
    tree: StackTree<Labelled>,
    totals: Vec<u64>,
    /// The children of each node, by index, ordered by text.
    children: Vec<Vec<usize>>,
}

/// What of [`LabelledStacks`] is too narrow to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Narrow {
    /// How many frames.
    pub frames: usize,
    /// Each of them has fewer samples than this.
    pub below: u64,
}

impl LabelledStacks {
    pub(super) fn new(profile: &Profile, options: &LabelOptions) -> LabelledStacks {
        let labels = labels(profile.frames(), options);
        let unknown = || Labelled { text: "[no name]".into(), kind: FrameKind::Gap };
        LabelledStacks::of(profile.expand(|frame| vec![labels.get(frame).cloned().unwrap_or_else(unknown)]))
    }

    /// Stacks that have been labelled.
    pub(super) fn of(tree: StackTree<Labelled>) -> LabelledStacks {
        let mut children = vec![Vec::new(); tree.nodes().len()];
        for (index, node) in tree.nodes().iter().enumerate().skip(1) {
            if let Some(siblings) = children.get_mut(node.parent.index()) {
                siblings.push(index);
            }
        }
        let text = |index: &usize| tree.nodes().get(*index).and_then(|node| tree.frame(node)).map(|frame| &frame.text);
        for siblings in &mut children {
            siblings.sort_by(|a, b| text(a).cmp(&text(b)));
        }
        LabelledStacks { totals: tree.total_weights(), children, tree }
    }

    /// The distinct frames.
    pub(super) fn frames(&self) -> &[Labelled] {
        self.tree.frames()
    }

    /// What to leave out so that at most `max` frames are left.
    pub(super) fn narrowest_of(&self, max: usize) -> Narrow {
        narrowest(self.totals.get(1..).unwrap_or_default(), max)
    }

    /// All frames as their callers' numbers, their labels' indices, and what was seen with them innermost: callers before their callees,
    /// the first one stands for all. The weights of frames that have fewer than `below` are counted to their callers.
    pub(super) fn nodes(&self, below: u64) -> Vec<(usize, usize, u64)> {
        let mut nodes: Vec<(usize, usize, u64)> = Vec::new();
        let mut pending = vec![(0, 0)];
        while let Some((index, caller)) = pending.pop() {
            let Some(node) = self.tree.nodes().get(index) else { continue };
            let number = nodes.len();
            let mut own = self.totals.get(index).copied().unwrap_or(0);
            for child in self.children.get(index).into_iter().flatten().rev() {
                let weight = self.totals.get(*child).copied().unwrap_or(0);
                if weight >= below.max(1) {
                    own = own.saturating_sub(weight);
                    pending.push((*child, number));
                }
            }
            nodes.push((caller, node.frame.map_or(0, |frame| frame.index()), own));
        }
        nodes
    }

    /// The lines of [`LabelledStacks::for_each_line`].
    pub(super) fn lines(&self, below: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let all: Result<(), std::convert::Infallible> = self.for_each_line(below, |line| {
            lines.push(line.to_owned());
            Ok(())
        });
        let Ok(()) = all;
        lines
    }

    /// Calls `line` with `a;b;c WEIGHT` for each stack, callers before their callees. The weights of frames that have
    /// fewer than `below` are counted to their callers.
    pub(super) fn for_each_line<E>(&self, below: u64, mut line: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        // For each node that is left to be visited: its index, and how long the line of its caller is. No recursion:
        // stacks may be deeper than this thread's own.
        let mut pending = vec![(0, 0)];
        let mut stack = String::new();
        while let Some((index, caller_length)) = pending.pop() {
            stack.truncate(caller_length);
            let Some(node) = self.tree.nodes().get(index) else { continue };
            if let Some(frame) = self.tree.frame(node) {
                if !stack.is_empty() {
                    stack.push(';');
                }
                stack.push_str(&frame.text);
            }
            let length = stack.len();
            let mut own = self.totals.get(index).copied().unwrap_or(0);
            for child in self.children.get(index).into_iter().flatten().rev() {
                let weight = self.totals.get(*child).copied().unwrap_or(0);
                if weight >= below.max(1) {
                    own = own.saturating_sub(weight);
                    pending.push((*child, length));
                }
            }
            if !stack.is_empty() && own > 0 {
                line(&format!("{stack} {own}"))?;
            } else if stack.is_empty() {
                // All samples: no frame has this text, and a line must have one.
                let narrow = own.saturating_sub(node.self_weight);
                for (text, own) in [(NO_FRAMES, node.self_weight), (NARROW, narrow)].into_iter().filter(|l| l.1 > 0) {
                    line(&format!("{text} {own}"))?;
                }
            }
        }
        Ok(())
    }
}

/// The lowest weight that at most `max` of the frames with these weights have; no higher than the heaviest one's, so that
/// something is left.
pub(super) fn narrowest(weights: &[u64], max: usize) -> Narrow {
    let mut weights = weights.to_vec();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let below = match (weights.get(max), weights.first()) {
        (Some(too_narrow), Some(widest)) => too_narrow.saturating_add(1).min(*widest),
        _ => 0,
    };
    Narrow { frames: weights.iter().filter(|weight| **weight < below).count(), below }
}

/// The label of each frame. Where frames of several kinds have one label, all but those of the first kind have their
/// kind added to it: `run (json/decoder.py:1) [standard library]`.
pub(super) fn labels<'a>(frames: &'a [Frame], options: &LabelOptions) -> FxHashMap<&'a Frame, Labelled> {
    let mut first_kinds: FxHashMap<Rc<str>, FrameKind> = FxHashMap::default();
    let mut texts: Vec<Rc<str>> = Vec::with_capacity(frames.len());
    for frame in frames {
        let text: Rc<str> = label(frame, options).into();
        let first = first_kinds.entry(text.clone()).or_insert(frame.kind);
        *first = frame.kind.min(*first);
        texts.push(text);
    }
    let distinct = |(frame, text): (&'a Frame, Rc<str>)| {
        let is_first = first_kinds.get(&text).is_none_or(|first| *first == frame.kind);
        let text = if is_first { text } else { foldable(&format!("{text} [{}]", frame.kind)).into() };
        (frame, Labelled { text, kind: frame.kind })
    };
    frames.iter().zip(texts).map(distinct).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::frame::SourceLine;

    fn native(name: &str) -> Frame {
        Frame::native(FrameKind::NativeExtension, name, None)
    }

    fn stacks(profile: &Profile) -> LabelledStacks {
        LabelledStacks::new(profile, &LabelOptions::default())
    }

    #[test]
    fn lines_are_ordered_and_a_caller_is_one_run_of_lines() {
        let mut profile = Profile::new();
        // In plain text order "a (x);c" stands between "a" and "a;b".
        profile.add(&[native("a"), native("b")], 1);
        profile.add(&[native("a (x)"), native("c")], 2);
        profile.add(&[native("a")], 4);
        assert_eq!(stacks(&profile).lines(0), ["a 4", "a;b 1", "a (x);c 2"]);
    }

    #[test]
    fn lines_of_one_function_become_one_frame_on_demand() {
        let at = |line| {
            let source = SourceLine { file: "a.py".into(), line: Some(line), first_line: Some(1) };
            Frame::python(FrameKind::UserCode, "f", source)
        };
        let mut profile = Profile::new();
        profile.add(&[at(2), native("x")], 1);
        profile.add(&[at(3), native("x")], 1);
        assert_eq!(stacks(&profile).lines(0), ["f (a.py:2);x 1", "f (a.py:3);x 1"]);
        let by_function = LabelOptions { by_function: true, no_line_numbers: false };
        assert_eq!(LabelledStacks::new(&profile, &by_function).lines(0), ["f (a.py:1);x 2"]);
    }

    #[test]
    fn one_label_never_stands_for_two_kinds() {
        let mut profile = Profile::new();
        profile.add(&[Frame::native(FrameKind::System, "run", None)], 1);
        profile.add(&[Frame::native(FrameKind::NativeExtension, "run", None)], 2);
        assert_eq!(stacks(&profile).lines(0), ["run 2", "run [libc and system] 1"]);
    }

    #[test]
    fn narrow_frames_are_counted_to_their_callers() {
        let mut profile = Profile::new();
        profile.add(&[native("main"), native("wide")], 10);
        profile.add(&[native("main"), native("narrow"), native("leaf")], 1);
        let stacks = stacks(&profile);
        assert_eq!(stacks.narrowest_of(100), Narrow { frames: 0, below: 0 });
        let narrow = stacks.narrowest_of(2);
        assert_eq!(narrow, Narrow { frames: 2, below: 2 });
        assert_eq!(stacks.lines(narrow.below), ["main 1", "main;wide 10"]);
    }

    #[test]
    fn the_widest_frames_are_never_too_narrow() {
        let mut profile = Profile::new();
        profile.add(&vec![native("f"); 1000], 1);
        assert_eq!(stacks(&profile).narrowest_of(10), Narrow { frames: 0, below: 1 });
    }
}
