//! Stacks in memory: each native frame is 0x10 bytes, the first begins at 0x1000.

use super::*;

fn native(count: u64, end: StackEnd) -> NativeStack {
    segment(0, count, end)
}

fn segment(first: u64, count: u64, end: StackEnd) -> NativeStack {
    let frames = (first..first + count)
        .map(|i| NativeFrame {
            pc: Addr(0x40_0000 + i),
            is_return_address: i > 0,
            sp: Addr(0x1000 + i * 0x10),
            cfa: Addr(0x1010 + i * 0x10),
        })
        .collect();
    NativeStack { frames, end }
}

fn py(id: u64) -> PythonEntry {
    PythonEntry::Frame(PythonFrame { frame: Addr(id), code: Addr(id), instruction_offset: Some(0) })
}

fn marker(native_frame: u64) -> PythonEntry {
    PythonEntry::Marker(Addr(0x1008 + native_frame * 0x10))
}

/// The merged stack in short: `n3` a native frame, `e3` an eval frame, `p7` a Python frame, `gap`.
fn merged(segments: &[NativeStack], entries: Vec<PythonEntry>, end: ChainEnd) -> String {
    let mut out = MergedStack::default();
    merge(segments, Some(&PythonStack { entries, end }), &mut out);
    let words: Vec<_> = out
        .frames
        .iter()
        .map(|f| match f {
            MergedFrame::Native { frame, is_eval_frame } => {
                format!("{}{}", if *is_eval_frame { 'e' } else { 'n' }, frame.pc.0 - 0x40_0000)
            }
            MergedFrame::Python(frame) => format!("p{}", frame.code.0),
            MergedFrame::Gap(gap) => match gap {
                Gap::Native(_) => "gap".to_owned(),
                Gap::Python(_) => "python-gap".to_owned(),
                Gap::Unplaced(_) => "unplaced".to_owned(),
            },
        })
        .collect();
    words.join(" ")
}

#[test]
fn each_eval_frame_gets_its_own_python_frames() {
    let entries = vec![py(1), py(2), marker(1), py(3), marker(4)];
    assert_eq!(
        merged(&[native(6, StackEnd::ThreadEntry)], entries, ChainEnd::Root),
        "n0 p1 p2 e1 n2 n3 p3 e4 n5",
        "a frame's Python frames run inside it, so they stand in front of it"
    );
}

#[test]
fn an_eval_frame_without_a_marker_yet_is_native_only() {
    assert_eq!(merged(&[native(4, StackEnd::ThreadEntry)], vec![py(1), marker(2)], ChainEnd::Root), "n0 n1 p1 e2 n3");
}

#[test]
fn a_thread_without_python_is_its_native_stack() {
    let mut out = MergedStack::default();
    merge(&[native(2, StackEnd::ThreadEntry)], None, &mut out);
    assert_eq!((out.frames.len(), out.gaps().count()), (2, 0));
}

#[test]
fn a_broken_native_walk_keeps_the_python_frames_and_tells_the_gap_once() {
    assert_eq!(
        merged(&[native(2, StackEnd::NoUnwindRule(Addr(1)))], vec![py(1), marker(5), py(2), marker(7)], ChainEnd::Root),
        "n0 n1 gap p1 p2"
    );
}

#[test]
fn after_a_resync_the_eval_frame_that_was_restarted_at_follows_the_gap() {
    let segments = [native(1, StackEnd::UnknownRegister(Addr(1))), segment(4, 3, StackEnd::ThreadEntry)];
    let entries = vec![py(1), marker(3), py(2), marker(5)];
    assert_eq!(merged(&segments, entries, ChainEnd::Root), "n0 gap p1 n4 p2 e5 n6");
}

#[test]
fn a_marker_that_is_in_no_frame_makes_the_stack_incomplete() {
    let beyond = vec![py(1), marker(9)];
    assert_eq!(merged(&[native(2, StackEnd::ThreadEntry)], beyond, ChainEnd::Root), "n0 n1 unplaced p1");
    let below = vec![py(1), PythonEntry::Marker(Addr(0xff0)), py(2), marker(1)];
    assert_eq!(merged(&[native(2, StackEnd::ThreadEntry)], below, ChainEnd::Root), "unplaced p1 n0 p2 e1");
}

#[test]
fn a_chain_that_breaks_off_says_so() {
    let entries = vec![py(1), marker(0), py(2)];
    assert_eq!(
        merged(&[native(2, StackEnd::ThreadEntry)], entries, ChainEnd::Torn(Addr(8))),
        "p1 e0 n1 unplaced p2 python-gap"
    );
}

#[test]
fn an_empty_eval_loop_places_nothing() {
    assert_eq!(
        merged(&[native(3, StackEnd::ThreadEntry)], vec![marker(0), py(1), marker(1)], ChainEnd::Root),
        "e0 p1 e1 n2"
    );
}
