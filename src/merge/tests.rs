//! Stacks in memory: each native frame is 0x10 bytes, the first begins at 0x1000.

use super::*;

fn native(count: u64, end: StackEnd) -> NativeStack {
    segment(0, count, end)
}

fn segment(first: u64, count: u64, end: StackEnd) -> NativeStack {
    let frames = (first..first + count)
        .map(|i| NativeFrame {
            pc: Addr(0x40_0000 + i * 0x10),
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

/// The code of these native frames.
fn eval_code(native_frames: &[u64]) -> EvalCode {
    // A return address is behind its call.
    let parts = native_frames.iter().map(|i| (Addr(0x40_0000 + i * 0x10 - 8), Addr(0x40_0000 + i * 0x10 + 8)));
    parts.collect()
}

fn marker(native_frame: u64) -> PythonEntry {
    PythonEntry::Marker(Addr(0x1008 + native_frame * 0x10))
}

/// The merged stack in short: `n3` a native frame, `e3` an eval frame, `p7` a Python frame, `gap`.
fn merged(segments: &[NativeStack], entries: Vec<PythonEntry>, end: ChainEnd) -> String {
    in_words(segments, Some(&PythonStack { entries, end }), &EvalCode::default())
}

/// The same where `eval_code` is known.
fn in_words(segments: &[NativeStack], python: Option<&PythonStack>, eval_code: &EvalCode) -> String {
    let mut out = MergedStack::default();
    merge(segments, python, eval_code, &mut out);
    let words: Vec<_> = out
        .frames
        .iter()
        .map(|f| match f {
            MergedFrame::Native { frame, is_eval_frame } => {
                format!("{}{}", if *is_eval_frame { 'e' } else { 'n' }, (frame.pc.0 - 0x40_0000) / 0x10)
            }
            MergedFrame::Python(frame) => format!("p{}", frame.code.0),
            MergedFrame::Gap(gap) => match gap {
                Gap::Native(_) => "gap".to_owned(),
                Gap::Python(_) => "python-gap".to_owned(),
                Gap::Unplaced(_) => "unplaced".to_owned(),
                Gap::EvalLoop(_) => "no-python".to_owned(),
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
    merge(&[native(2, StackEnd::ThreadEntry)], None, &eval_code(&[2]), &mut out);
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
fn a_chain_that_was_cut_says_so_once_where_it_was_cut() {
    let whole = || [native(5, StackEnd::ThreadEntry)];
    let with_markers = vec![py(1), marker(1), py(2), marker(2), marker(4)];
    assert_eq!(merged(&whole(), with_markers, ChainEnd::TooDeep), "n0 p1 e1 p2 python-gap e2 n3 e4");
    let without = vec![py(1), marker(1), py(2)];
    assert_eq!(merged(&whole(), without, ChainEnd::TooDeep), "n0 p1 e1 n2 n3 n4 p2 python-gap");
    assert_eq!(merged(&whole(), vec![marker(1)], ChainEnd::TooDeep), "n0 e1 n2 n3 n4 python-gap");
}

#[test]
fn an_empty_eval_loop_places_nothing() {
    assert_eq!(
        merged(&[native(3, StackEnd::ThreadEntry)], vec![marker(0), py(1), marker(1)], ChainEnd::Root),
        "e0 p1 e1 n2"
    );
}

#[test]
fn an_eval_frame_of_a_thread_whose_state_is_not_known_lacks_its_python_frames() {
    let stack = [native(4, StackEnd::ThreadEntry)];
    assert_eq!(in_words(&stack, None, &eval_code(&[0, 2])), "no-python e0 n1 no-python e2 n3");
    assert_eq!(in_words(&stack, None, &EvalCode::default()), "n0 n1 n2 n3");
}

#[test]
fn of_a_known_chain_only_the_leaf_may_be_an_eval_frame_without_a_marker() {
    let python = |entries: Vec<PythonEntry>| PythonStack { entries, end: ChainEnd::Root };
    let stack = [native(5, StackEnd::ThreadEntry)];
    let in_prologue = python(vec![py(1), marker(2)]);
    assert_eq!(in_words(&stack, Some(&in_prologue), &eval_code(&[0, 2])), "n0 n1 p1 e2 n3 n4");
    assert_eq!(in_words(&stack, Some(&in_prologue), &eval_code(&[1, 2])), "n0 no-python e1 p1 e2 n3 n4");
    assert_eq!(in_words(&stack, Some(&in_prologue), &eval_code(&[2, 4])), "n0 n1 p1 e2 n3 no-python e4");
    assert_eq!(in_words(&stack, Some(&python(Vec::new())), &eval_code(&[3])), "n0 n1 n2 no-python e3 n4");
}

#[test]
fn a_chain_that_breaks_off_tells_of_the_frames_outside_it_once() {
    let python = PythonStack { entries: vec![py(1), marker(0)], end: ChainEnd::Torn(Addr(8)) };
    assert_eq!(
        in_words(&[native(3, StackEnd::ThreadEntry)], Some(&python), &eval_code(&[0, 2])),
        "p1 e0 n1 n2 python-gap"
    );
}

#[test]
fn frames_that_another_thread_has_left_in_memory_are_where_no_eval_frame_is() {
    let placement = |segments: &[NativeStack], entries: Vec<PythonEntry>| {
        let (mut out, code) = (MergedStack::default(), eval_code(&[1, 3]));
        merge(segments, Some(&PythonStack { entries, end: ChainEnd::Root }), &code, &mut out);
        out.placement(|addr| code.holds(addr))
    };
    let whole = [native(5, StackEnd::ThreadEntry)];
    assert_eq!(placement(&whole, vec![py(1), marker(1), py(2), marker(3)]), Placement::Proved);
    assert_eq!(
        placement(&whole, vec![py(1), marker(1)]),
        Placement::Proved,
        "an eval frame of another state is none of it"
    );
    assert_eq!(placement(&whole, vec![py(1), marker(2), py(2), marker(3)]), Placement::Contradicted);
    assert_eq!(placement(&whole, vec![py(1), marker(9)]), Placement::Contradicted);
    assert_eq!(placement(&whole, Vec::new()), Placement::NoFrames);
    let cut = [native(1, StackEnd::UnknownRegister(Addr(1)))];
    assert_eq!(placement(&cut, vec![py(1), marker(3)]), Placement::Open);
}
