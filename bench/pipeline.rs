//! From bytes to an interned stack: the pure stages of one sample, on the saved snapshots.
//!
//! `cargo bench --bench pipeline` prints the table: medians of many short runs, in nanoseconds, of each stage and of all
//! of them in one go. Stages: walk the interpreter's frames in the copy, unwind (by cached rules: all program counters
//! have been met before), merge, resolve (name modules, functions and lines), intern (count the stack in the tree).

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use fpprof::profile::tree::StackTree;
use fpprof::snapshot::Snapshot;
use fpprof::snapshot::replay::Replay;
use fpprof::stack::frame::SampleFrame;
use fpprof::stack::journey::Journey;

/// The stages, and the whole.
const COLUMNS: [&str; 6] = ["walk", "unwind", "merge", "resolve", "intern", "all"];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the folder of the snapshots is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    println!("{:28}{:>7}{}", "ns", "frames", COLUMNS.map(|column| format!("{column:>9}")).concat());
    let mut rows = Vec::new();
    for path in paths {
        let text = fs::read(&path).expect("a snapshot can be read");
        let snapshot = Snapshot::from_json(&text).expect("it is a snapshot");
        let replay = Replay::new(snapshot).expect("it has an interpreter");
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (frames, times) = stages(&replay);
        print_row(&name, frames, times);
        rows.push(times);
    }
    let medians = std::array::from_fn(|column| median(rows.iter().map(|row| row[column]).collect()));
    print_row("median", 0, medians);
}

fn print_row(name: &str, frames: usize, times: [f64; COLUMNS.len()]) {
    let frames = if frames > 0 { frames.to_string() } else { String::new() };
    println!("{name:28}{frames:>7}{}", times.map(|ns| format!("{ns:>9.0}")).concat());
}

fn stages(replay: &Replay) -> (usize, [f64; COLUMNS.len()]) {
    let moment = replay.moment();
    let mut journey = replay.journey();
    let mut tree = StackTree::new();
    let frames = replay.run(&mut journey);
    let python = replay.walk();
    let walk = measure(|| {
        black_box(replay.walk());
    });
    let unwind = measure(|| {
        journey.unwind(black_box(moment));
    });
    // A merge may add native segments to those of the walk, so each needs a walk; the walk's own time is taken off.
    let with_merge = measure(|| {
        journey.unwind(black_box(moment));
        journey.merge(moment, python.clone().as_mut());
    });
    let copy = measure(|| {
        black_box(python.clone());
    });
    let resolve = measure(|| {
        black_box(journey.resolve(moment));
    });
    let intern = measure(|| {
        black_box(tree.add(frames.iter().rev(), 1));
    });
    let all = measure(|| sample(replay, &mut journey, &mut tree));
    (frames.len(), [walk, unwind, (with_merge - unwind - copy).max(0.0), resolve, intern, all])
}

fn sample(replay: &Replay, journey: &mut Journey, tree: &mut StackTree<SampleFrame>) {
    let frames = replay.run(journey);
    black_box(tree.add(frames.iter().rev(), 1));
}

/// The median time of one call in nanoseconds, over batches long enough for the clock.
fn measure(mut f: impl FnMut()) -> f64 {
    let mut batch = 1_u32;
    let time = |f: &mut dyn FnMut(), batch: u32| {
        let start = Instant::now();
        (0..batch).for_each(|_| f());
        start.elapsed()
    };
    while time(&mut f, batch).as_micros() < 500 {
        batch *= 2;
    }
    median((0..101).map(|_| time(&mut f, batch).as_nanos() as f64 / f64::from(batch)).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
