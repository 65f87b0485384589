//! Sums of samples in memory.

use super::*;
use crate::profile::frame::{Frame, FrameKind, SourceLine};
use crate::profile::named::Role;
use crate::profile::packed_samples::PackedSamples;
use crate::profile::recording::{Program, RecordedStack};
use crate::stack::frame::GapKind;

const MS: u64 = 1_000_000;

/// `main` calls `work`, which calls `work` or `deflate`; a gap. States: on CPU in Python, sleeping. Threads 7 and 9.
fn program() -> RecordedProgram {
    let frames = [0, 1, 2].map(|function| RecordedFrame::Python(function, None)).to_vec();
    let stack = |caller, frame| RecordedStack { caller, frame };
    RecordedProgram {
        program: Program { number: 0, pid: None, again: 0, command: None, interpreter: 0, project: None, home: None },
        modules: Vec::new(),
        functions: Vec::new(),
        threads: [(7, "main"), (9, "waiter")].map(|(tid, name)| Thread { tid, name: Some(name.into()) }).to_vec(),
        states: vec![RunState::Python, RunState::Sleeping],
        frames: [frames, vec![RecordedFrame::Missing(GapKind::TooDeep)]].concat(),
        // 1: main, 2: main work, 3: main work work, 4: main work deflate, 5: a gap in main.
        stacks: vec![stack(0, 0), stack(1, 1), stack(2, 1), stack(2, 2), stack(1, 3)],
        samples: PackedSamples::default(),
        names: Vec::new(),
        sources: Vec::new(),
    }
}

fn names() -> Vec<Option<NamedFrame>> {
    let python = |name: &str| {
        let source = SourceLine { file: "app.py".into(), line: Some(5), first_line: Some(1) };
        let frame = Frame::python(FrameKind::UserCode, name, source);
        Some(NamedFrame { frames: vec![frame], role: Role::Python })
    };
    let native = Frame::native(FrameKind::System, "deflate", Some("libz.so.1"));
    vec![
        python("main"),
        python("work"),
        Some(NamedFrame { frames: vec![native], role: Role::Native }),
        Some(NamedFrame::always(Frame::gap("too deep"))),
    ]
}

fn sample(time: u64, thread: u32, state: u32, stack: u32) -> TimedSample {
    TimedSample { time, thread, state, stack, ticks: 1, weight: 1 }
}

fn model(samples: Vec<TimedSample>) -> Model {
    let mut model = Model { names: vec![names()], ..Model::default() };
    model.add((0, &program()), &samples.into_iter().collect());
    model
}

const WANTED: Wanted = Wanted { native: NativeFrames::Calls, idle: false, thread: None };

fn shares(summary: &Summary) -> Vec<(&str, f64, f64)> {
    let mut rows: Vec<_> =
        summary.functions.iter().map(|row| (row.name.as_str(), row.own.overall, row.total.overall)).collect();
    rows.sort_by(|a, b| a.0.cmp(b.0));
    rows
}

#[test]
fn a_function_that_calls_itself_is_counted_once() {
    let mut model = model(vec![sample(0, 0, 0, 3), sample(10 * MS, 0, 0, 4), sample(20 * MS, 0, 0, 1)]);
    let summary = model.summary(&[program()], WANTED);
    let third = 1.0 / 3.0;
    assert_eq!(shares(&summary), [("deflate", third, third), ("main", third, 1.0), ("work", third, 2.0 * third)]);
    let python = model.summary(&[program()], Wanted { native: NativeFrames::None, ..WANTED });
    assert_eq!(shares(&python), [("main", third, 1.0), ("work", 2.0 * third, 2.0 * third)]);
}

#[test]
fn functions_without_names_are_one_and_threads_without_python_have_a_row() {
    let native = |name: &str| {
        let frame = Frame::native(FrameKind::System, name, Some("libz.so.1"));
        Some(NamedFrame { frames: vec![frame], role: Role::Native })
    };
    let mut model = model(vec![sample(0, 0, 0, 3), sample(10 * MS, 0, 0, 4)]);
    model.names = vec![(0..names().len()).map(|n| native(&format!("libz.so.1+0x{n:x}0"))).collect()];
    let calls = model.summary(&[program()], WANTED);
    assert_eq!(shares(&calls), [("libz.so.1 [without names]", 1.0, 1.0)]);
    assert!(calls.hot.iter().all(|stack| stack.frames.len() == 1), "a run of them is one: {:?}", calls.hot);
    let python = model.summary(&[program()], Wanted { native: NativeFrames::None, ..WANTED });
    assert_eq!(shares(&python), [(WITHOUT_PYTHON, 1.0, 1.0)]);
}

#[test]
fn threads_that_wait_are_shown_when_they_are_wanted() {
    let mut model = model(vec![sample(0, 0, 0, 2), sample(0, 1, 1, 1)]);
    let programs = [program()];
    assert_eq!(shares(&model.summary(&programs, WANTED)), [("main", 0.0, 1.0), ("work", 1.0, 1.0)]);
    let all = model.summary(&programs, Wanted { idle: true, ..WANTED });
    assert_eq!(shares(&all), [("main", 0.5, 1.0), ("work", 0.5, 0.5)]);
    let one = model.summary(&programs, Wanted { idle: true, thread: Some(9), ..WANTED });
    assert_eq!(shares(&one), [("main", 1.0, 1.0)]);
    assert_eq!(
        one.threads.iter().map(|t| (t.tid, t.cpu, t.mostly.clone())).collect::<Vec<_>>(),
        [(7, 1.0, RunState::Python), (9, 0.0, RunState::Sleeping)]
    );
    assert_eq!((one.activity.cpu, one.activity.python, one.activity.waits_for_gil), (1.0, 1.0, 0.0));
}

#[test]
fn now_is_the_last_seconds() {
    let mut model = model(vec![sample(0, 0, 0, 2)]);
    let later = [sample(2 * NOW, 0, 0, 4), sample(2 * NOW + 10 * MS, 0, 0, 4)];
    model.add((0, &program()), &later.into_iter().collect());
    let summary = model.summary(&[program()], WANTED);
    let deflate = summary.functions.iter().find(|row| row.name == "deflate").unwrap();
    assert_eq!((deflate.own.now, deflate.own.overall), (1.0, 2.0 / 3.0));
    let hot: Vec<_> = summary.hot.iter().map(|stack| (stack.share, stack.frames.len())).collect();
    assert_eq!(hot, [(1.0, 3)]);
    assert_eq!(summary.hot[0].frames[0].0, "deflate", "innermost first");
}

#[test]
fn ticks_are_those_of_the_clock_and_not_of_samples() {
    let long = TimedSample { ticks: 16, weight: 16, ..sample(10 * MS, 1, 1, 1) };
    let model = model(vec![sample(0, 0, 0, 2), sample(10 * MS, 0, 0, 2), long]);
    assert_eq!((model.recent_ticks(), model.samples(), model.complete()), (2, 3, 3));
}

#[test]
fn stacks_with_gaps_are_not_complete() {
    let mut model = model(vec![sample(0, 0, 0, 5), sample(10 * MS, 0, 0, 1)]);
    assert_eq!((model.samples(), model.complete()), (2, 1));
    assert!(model.summary(&[program()], WANTED).functions.iter().any(|row| row.name.contains("too deep")));
}

#[test]
fn nothing_seen_gives_nothing_to_show() {
    let summary = model(Vec::new()).summary(&[program()], WANTED);
    assert_eq!(summary, Summary::default());
}
