//! Counted stacks, with each frame and each common beginning kept once.
//!
//! Does: store stacks outermost first in memory that grows with the distinct stacks, not with the samples.
//! Does not: know what a frame is. Two stacks are one only when all their frames are equal: hashes only find them.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// A frame, as a number within one [`StackTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(u32);

impl FrameId {
    /// The position in [`StackTree::frames`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A stack (a path from the root), as a number within one [`StackTree`]. A parent's is lower than its children's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The stack that has no frame.
    pub const ROOT: NodeId = NodeId(0);

    /// The position in [`StackTree::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One stack: its innermost frame and the stack of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The stack without its innermost frame; the root is its own parent.
    pub parent: NodeId,
    /// The innermost frame; absent at the root.
    pub frame: Option<FrameId>,
    /// The weight of the samples whose whole stack this is.
    pub self_weight: u64,
}

/// Counted stacks of frames `F`.
#[derive(Debug, Clone)]
pub struct StackTree<F> {
    frames: Vec<F>,
    frame_ids: FxHashMap<F, FrameId>,
    nodes: Vec<Node>,
    children: FxHashMap<(NodeId, FrameId), NodeId>,
    /// The stack added last, outermost first: the next one mostly begins as it does, and is compared with it before
    /// anything is looked up.
    last: Vec<NodeId>,
    total: u64,
}

impl<F: Eq + Hash + Clone> Default for StackTree<F> {
    fn default() -> Self {
        StackTree {
            frames: Vec::new(),
            frame_ids: FxHashMap::default(),
            nodes: vec![Node { parent: NodeId::ROOT, frame: None, self_weight: 0 }],
            children: FxHashMap::default(),
            last: Vec::new(),
            total: 0,
        }
    }
}

impl<F: Eq + Hash + Clone> StackTree<F> {
    /// No stacks.
    pub fn new() -> Self {
        StackTree::default()
    }

    /// Counts a stack, given outermost first, with a weight (samples).
    ///
    /// When all 2³² numbers for frames or nodes are used up, the rest of the stack is left out; its weight stays.
    pub fn add<'a>(&mut self, stack: impl IntoIterator<Item = &'a F>, weight: u64) -> NodeId
    where
        F: 'a,
    {
        let mut stack = stack.into_iter().peekable();
        let mut is_known = |node: &NodeId| {
            let known = self.nodes.get(node.index()).and_then(|node| self.frame(node));
            known.is_some() && stack.next_if(|frame| Some(*frame) == known).is_some()
        };
        let shared = self.last.iter().take_while(|node| is_known(node)).count();
        self.last.truncate(shared);
        let mut node = self.last.last().copied().unwrap_or(NodeId::ROOT);
        for frame in stack {
            match self.child(node, frame) {
                Some(child) => node = child,
                None => break,
            }
            self.last.push(node);
        }
        self.add_weight(node, weight);
        node
    }

    /// The stack of `parent` with `frame` inside it, made if it is new; `None` when there are no numbers left.
    fn child(&mut self, parent: NodeId, frame: &F) -> Option<NodeId> {
        let frame = match self.frame_ids.get(frame) {
            Some(id) => *id,
            None => {
                let id = FrameId(u32::try_from(self.frames.len()).ok()?);
                self.frames.push(frame.clone());
                self.frame_ids.insert(frame.clone(), id);
                id
            }
        };
        if let Some(child) = self.children.get(&(parent, frame)) {
            return Some(*child);
        }
        let child = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(Node { parent, frame: Some(frame), self_weight: 0 });
        self.children.insert((parent, frame), child);
        Some(child)
    }

    /// The memory in bytes that adding a stack of so many frames takes at most, beside its frames where they are new: its nodes, and
    /// for a while the table that they are found in twice, when it grows.
    pub fn bytes_for(&self, frames: usize) -> u64 {
        // hashbrown has a byte of its own for each place, one place in eight stays empty, and there are a power of two of them.
        const PLACE: usize = size_of::<((NodeId, FrameId), NodeId)>() + 1;
        let wanted = self.children.len().saturating_add(frames);
        let places = wanted.saturating_mul(8).div_ceil(7).checked_next_power_of_two().unwrap_or(usize::MAX);
        let table = if wanted > self.children.capacity() { places.saturating_mul(PLACE) } else { 0 };
        let nodes = frames.saturating_mul(size_of::<Node>() + size_of::<NodeId>());
        table.saturating_add(nodes) as u64
    }

    /// Counts a stack that has been added before.
    pub fn add_weight(&mut self, node: NodeId, weight: u64) {
        if let Some(node) = self.nodes.get_mut(node.index()) {
            node.self_weight = node.self_weight.saturating_add(weight);
            self.total = self.total.saturating_add(weight);
        }
    }

    /// The weight of all stacks.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The distinct frames, in the order in which they were first seen.
    pub fn frames(&self) -> &[F] {
        &self.frames
    }

    /// All stacks and beginnings of stacks, in the order in which they were first seen: parents before children,
    /// the root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The innermost frame of a node; `None` for the root.
    pub fn frame(&self, node: &Node) -> Option<&F> {
        self.frames.get(node.frame?.0 as usize)
    }

    /// Each counted stack, outermost frame first, with its own weight, in the order in which they were first seen.
    pub fn stacks(&self) -> impl Iterator<Item = (Vec<&F>, u64)> {
        self.nodes.iter().filter(|node| node.self_weight > 0).map(|node| (self.stack(node), node.self_weight))
    }

    /// The frames of a node, by [`NodeId::index`], outermost first; none for the root and for a node that is not there.
    pub fn path(&self, node: usize) -> Vec<FrameId> {
        let mut path = Vec::new();
        let mut next = self.nodes.get(node);
        while let Some((node, frame)) = next.and_then(|node| Some((node, node.frame?))) {
            path.push(frame);
            next = self.nodes.get(node.parent.index());
        }
        path.reverse();
        path
    }

    /// The same stacks the other way round: each begins with its innermost frame.
    pub fn inverted(&self) -> StackTree<F> {
        let mut tree = StackTree::new();
        for (stack, weight) in self.stacks() {
            tree.add(stack.into_iter().rev(), weight);
        }
        tree
    }

    fn stack(&self, innermost: &Node) -> Vec<&F> {
        let mut stack = Vec::new();
        let mut node = innermost;
        while let Some(frame) = self.frame(node) {
            stack.push(frame);
            match self.nodes.get(node.parent.index()) {
                Some(parent) => node = parent,
                None => break,
            }
        }
        stack.reverse();
        stack
    }

    /// The weight of each node together with all that are inside it, by [`NodeId::index`].
    pub fn total_weights(&self) -> Vec<u64> {
        let mut totals: Vec<u64> = self.nodes.iter().map(|node| node.self_weight).collect();
        for (index, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let weight = totals.get(index).copied().unwrap_or(0);
            if let Some(parent) = totals.get_mut(node.parent.index()) {
                *parent = parent.saturating_add(weight);
            }
        }
        totals
    }

    /// The same stacks in other frames, one for each. Where `joins` says so of one, and its caller is equal, the two become one.
    pub fn joined<G: Eq + Hash + Clone>(
        &self,
        rename: impl FnMut(&F) -> G,
        joins: impl Fn(&G) -> bool,
    ) -> StackTree<G> {
        let renamed: Vec<G> = self.frames.iter().map(rename).collect();
        let mut tree = StackTree::new();
        let mut moved: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // A parent's number is lower, so it has been moved.
            let caller = moved.get(node.parent.index()).copied().unwrap_or(NodeId::ROOT);
            let frame = node.frame.and_then(|frame| renamed.get(frame.0 as usize));
            let of_caller = tree.nodes.get(caller.index()).and_then(|node| tree.frame(node));
            let to = match frame {
                Some(frame) if of_caller != Some(frame) || !joins(frame) => tree.child(caller, frame).unwrap_or(caller),
                _ => caller,
            };
            tree.add_weight(to, node.self_weight);
            moved.push(to);
        }
        tree
    }

    /// The same stacks in other frames. Each distinct frame is asked for once and becomes none, one or several
    /// (outermost first: a function and those inlined into it); stacks that become equal are counted together.
    pub fn expand<G: Eq + Hash + Clone>(&self, mut rename: impl FnMut(&F) -> Vec<G>) -> StackTree<G> {
        let renamed: Vec<Vec<G>> = self.frames.iter().map(&mut rename).collect();
        let mut tree = StackTree::new();
        let mut moved: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            // A parent's number is lower, so it has been moved.
            let mut to = moved.get(node.parent.index()).copied().unwrap_or(NodeId::ROOT);
            let frames = node.frame.and_then(|frame| renamed.get(frame.0 as usize));
            for frame in frames.into_iter().flatten() {
                match tree.child(to, frame) {
                    Some(child) => to = child,
                    None => break,
                }
            }
            tree.add_weight(to, node.self_weight);
            moved.push(to);
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn counted(tree: &StackTree<&'static str>) -> Vec<(String, u64)> {
        tree.stacks()
            .map(|(stack, weight)| (stack.into_iter().copied().collect::<Vec<_>>().join(";"), weight))
            .collect()
    }

    #[test]
    fn counts_each_distinct_stack_once_in_the_order_of_arrival() {
        let mut tree = StackTree::new();
        tree.add(&["main", "b"], 2);
        tree.add(&["main", "a", "a"], 1);
        tree.add(&["main"], 4);
        tree.add(&["main", "b"], 3);
        // "main" was first seen as the beginning of "main;b".
        assert_eq!(counted(&tree), [("main".to_owned(), 4), ("main;b".to_owned(), 5), ("main;a;a".to_owned(), 1)]);
        assert_eq!(tree.total(), 10);
        assert_eq!(tree.total_weights().first(), Some(&10));
    }

    #[test]
    fn memory_does_not_grow_with_samples() {
        let mut tree = StackTree::new();
        let stack: Vec<u32> = (0..40).collect();
        for _ in 0..1000 {
            tree.add(&stack, 1);
        }
        assert_eq!((tree.nodes().len(), tree.frames().len(), tree.total()), (41, 40, 1000));
    }

    /// All values have one hash.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            0u8.hash(state);
        }
    }

    #[test]
    fn frames_of_equal_hash_are_kept_apart() {
        let mut tree = StackTree::new();
        tree.add(&[Colliding(1), Colliding(2)], 1);
        tree.add(&[Colliding(2), Colliding(1)], 1);
        assert_eq!(tree.stacks().count(), 2);
        assert_eq!(tree.frames().len(), 2);
    }

    #[test]
    fn expanding_inlines_merges_and_drops_frames_and_keeps_the_total() {
        let mut tree = StackTree::new();
        tree.add(&["main", "x1", "leaf"], 1);
        tree.add(&["main", "x2", "leaf"], 2);
        tree.add(&["main", "hidden"], 4);
        let expanded = tree.expand(|frame| match *frame {
            "x1" | "x2" => vec!["x", "inlined"],
            "hidden" => vec![],
            other => vec![other],
        });
        assert_eq!(counted(&expanded), [("main".to_owned(), 4), ("main;x;inlined;leaf".to_owned(), 3)]);
        assert_eq!(expanded.total(), tree.total());
    }

    proptest! {
        #[test]
        fn every_stack_is_counted_as_often_as_it_was_added(
            added in prop::collection::vec((prop::collection::vec(0u8..3, 0..6), 1u64..5), 0..40),
        ) {
            let mut tree = StackTree::new();
            let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            for (stack, weight) in &added {
                tree.add(stack, *weight);
                *expected.entry(stack.clone()).or_default() += weight;
            }
            let counted = tree.stacks().map(|(stack, weight)| (stack.into_iter().copied().collect(), weight));
            prop_assert_eq!(counted.collect::<BTreeMap<Vec<u8>, u64>>(), expected);
        }
    }

    #[test]
    fn a_path_is_that_of_its_stack() {
        let mut tree = StackTree::new();
        let node = tree.add(&["main", "a", "b"], 1);
        let path: Vec<_> = tree.path(node.index()).into_iter().map(|frame| tree.frames()[frame.index()]).collect();
        assert_eq!(path, ["main", "a", "b"]);
        assert_eq!((tree.path(0), tree.path(9)), (vec![], vec![]));
    }

    #[test]
    fn inverted_stacks_are_counted_from_their_innermost_frames() {
        let mut tree = StackTree::new();
        tree.add(&["main", "a", "leaf"], 1);
        tree.add(&["main", "b", "leaf"], 2);
        assert_eq!(counted(&tree.inverted()), [("leaf;a;main".to_owned(), 1), ("leaf;b;main".to_owned(), 2)]);
    }

    #[test]
    fn a_stack_without_frames_is_counted() {
        let mut tree: StackTree<u8> = StackTree::new();
        tree.add(&[], 3);
        assert_eq!(tree.stacks().collect::<Vec<_>>(), [(vec![], 3)]);
    }
}
