//! Counting stacks of 40 frames in a tree: those that are known, and those that are new.
//!
//! `cargo bench --bench stack_tree` prints the table. Each figure is the median of many short runs.

use std::hint::black_box;
use std::time::Instant;

use fpprof::profile::tree::StackTree;

const FRAMES: usize = 40;
/// As many distinct stacks as a long recording of a large program has.
const STACKS: usize = 5_000;
const RUNS: usize = 101;

/// A frame as wide as a native one: an address and what tells it from others there.
type Key = (u64, u64, u32);

fn main() {
    // Stacks share their callers and differ in their innermost frames, as those of programs do.
    let stacks: Vec<Vec<Key>> = (0..STACKS)
        .map(|n| {
            let frame = |depth: usize| {
                let variant = if depth < FRAMES / 2 { depth } else { n % (1 << (depth - FRAMES / 2).min(16)) };
                (0x7f00_0000_0000 + (variant as u64) * 0x140, depth as u64, 0)
            };
            (0..FRAMES).map(frame).collect()
        })
        .collect();

    let mut tree: StackTree<Key> = StackTree::new();
    let mut hot = Vec::new();
    let mut new = Vec::new();
    let mut any = Vec::new();
    for _ in 0..RUNS {
        tree = StackTree::new();
        new.push(nanoseconds_each(&stacks, &mut tree));
        any.push(nanoseconds_each(&stacks, &mut tree));
        let one = vec![stacks.first().cloned().unwrap_or_default(); STACKS];
        hot.push(nanoseconds_each(&one, &mut tree));
    }
    println!("{FRAMES} frames, ns a stack, median of {RUNS} runs");
    println!("{:>8.0}  one known stack again and again", median(hot));
    println!("{:>8.0}  {STACKS} known stacks in turn", median(any));
    println!("{:>8.0}  {STACKS} new stacks ({} nodes)", median(new), tree.nodes().len());
}

fn nanoseconds_each(stacks: &[Vec<Key>], tree: &mut StackTree<Key>) -> f64 {
    let start = Instant::now();
    for stack in stacks {
        black_box(tree.add(stack, 1));
    }
    start.elapsed().as_nanos() as f64 / stacks.len() as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
