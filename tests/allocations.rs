//! The walk of a thread allocates nothing once it is warm: it unwinds, repairs what broke off and merges in the memory of the
//! walks before. So a sample costs no more after a day than after a second, and waits for no lock of the allocator.
//!
//! Each saved snapshot is walked by the live code, as often as it takes to be warm, and then twice more, with the allocations
//! counted. What a sample hands over is made anew for each and is not counted: the Python stack before the walk, and the frames
//! that are kept of it behind it. Code that is in no file and has no tables (a JIT's) is excepted: its instructions can be others
//! by the next sample, so that they are read and followed anew each time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use fpprof::snapshot::Snapshot;
use fpprof::snapshot::replay::Replay;
use fpprof::stack::frame::SampleFrame;
use fpprof::stack::journey::Journey;
use fpprof::types::Machine;

/// Walks after which a journey is warm: its rules and calls are known, and all of its buffers have had their largest size.
const WARM: usize = 3;

/// Counts what a thread asks of the allocator.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends asks, too, when its counter is gone already.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: the system's allocator does all of it; the counter is a thread's own and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of one walk: unwinding, repairing and merging.
fn allocations(replay: &Replay, journey: &mut Journey) -> usize {
    let mut python = replay.walk();
    let before = ALLOCATIONS.get();
    journey.unwind(replay.moment());
    journey.merge(replay.moment(), python.as_mut());
    ALLOCATIONS.get() - before
}

fn snapshots() -> Vec<(String, Replay)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let entries = fs::read_dir(folder).expect("the folder of the snapshots is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let open = |file: &PathBuf| {
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let snapshot = Snapshot::from_json(&fs::read(file).expect("it can be read")).expect("it is a snapshot");
        (name, Replay::new(snapshot).expect("it has an interpreter"))
    };
    files.iter().map(open).collect()
}

/// Whether a stack has code in it whose instructions are read for each sample: in no file, and without frame records that are
/// known to hold (on AArch64 none are).
fn reads_instructions(replay: &Replay, frames: &[SampleFrame]) -> bool {
    let has_records =
        replay.interpreter().layout.jit_keeps_frame_pointers && replay.snapshot().machine == Machine::X86_64;
    !has_records && frames.iter().any(|frame| matches!(frame, SampleFrame::Unnamed(_)))
}

#[test]
fn a_warm_walk_allocates_nothing() {
    let mut walked = 0;
    for (name, replay) in snapshots() {
        let mut journey = replay.journey();
        for _ in 0..WARM {
            allocations(&replay, &mut journey);
        }
        let again = [(); 2].map(|()| allocations(&replay, &mut journey));
        if reads_instructions(&replay, &journey.resolve(replay.moment())) {
            assert_eq!(again[0], again[1], "{name}: a walk leaves something behind");
        } else {
            assert_eq!(again, [0, 0], "{name}");
            walked += 1;
        }
    }
    assert!(walked >= 25, "only {walked} snapshots were held to it");
}
