//! Stacks that are deeper than most: all frames keep their names, what a sample costs does not depend on how they came to lie in
//! memory, and what is too much is left out in one place.

use fpprof::python::frames::MAX_ENTRIES;
use fpprof::sampler::mode::Mode as Sampled;
use fpprof::stack::frame::{GapKind, SampleFrame};

use crate::interpreters::{self, TestInterpreter};
use crate::patience::emulated_or;
use crate::reading::{self, Element, How, OneByOne};
use crate::target::{Mode, Target};

/// Frames that call each other directly.
fn calls() -> usize {
    emulated_or(150_000, 20_000)
}

/// Generators that delegate to each other, each on the heap.
fn generators() -> usize {
    emulated_or(20_000, 2_000)
}

/// The most reads that a sample of a stack of which nothing is known takes: those of new code, and some for frames, with widening
/// steps. One read for each generator or page would be thousands.
const MOST_READS: u64 = 120;
/// And of one that has been looked at before: the stack and its frames, in vain and in earnest, with one read for 1,024 ranges.
const MOST_READS_AGAIN: u64 = 6;
/// Ticks in which a thread that works all the time is surely met once.
const MOST_TICKS: usize = 3_000;

fn target(interpreter: &TestInterpreter, mode: Mode, depth: usize, kind: &str) -> Target {
    let what = if mode == Mode::Park { "stay" } else { "work" };
    Target::spawn(interpreter, "deep_frames", mode, &[&depth.to_string(), kind, what])
}

/// What a thread's stack is, read once, by one that knows nothing of it.
fn read(target: &Target, how: How) -> Vec<Element> {
    OneByOne::open(target.pid()).read(target.truth().threads[0].native_id, how)
}

fn named(stack: &[Element], function: &str) -> usize {
    stack.iter().filter(|element| matches!(element, Element::Python(name, ..) if name == function)).count()
}

fn gaps(stack: &[Element]) -> Vec<GapKind> {
    let gap = |element: &Element| if let Element::Missing(kind) = element { Some(*kind) } else { None };
    stack.iter().filter_map(gap).collect()
}

/// 3.11 resumes generators through C, which is another kind of depth.
fn resumes_generators_without_c(interpreter: &TestInterpreter) -> bool {
    interpreter.minor >= 12
}

/// Whether a target is to stay where it is or to work, and how it is read then.
const BLOCKED_AND_STOPPED: [(Mode, How); 2] = [(Mode::Park, How::Blocked), (Mode::Work, How::Stopped)];

/// Each of `depth` frames of a function has its name, and nothing is missing.
fn all_keep_their_names(interpreter: &TestInterpreter, kind: &str, depth: usize, function: &str) {
    for (mode, how) in BLOCKED_AND_STOPPED {
        let target = target(interpreter, mode, depth, kind);
        let stack = read(&target, how);
        assert_eq!(gaps(&stack), [], "{} {how:?}", interpreter.name);
        assert_eq!(named(&stack, function), depth, "{} {how:?}", interpreter.name);
        assert_eq!(named(&stack, "<module>"), 1, "{} {how:?}", interpreter.name);
        assert!(target.release().success());
    }
}

#[test]
fn all_frames_of_a_deep_stack_keep_their_names() {
    for interpreter in interpreters::without_jit() {
        all_keep_their_names(&interpreter, "calls", calls(), "descend");
    }
}

#[test]
fn all_generators_of_a_long_chain_keep_their_names() {
    for interpreter in interpreters::without_jit().iter().filter(|i| resumes_generators_without_c(i)) {
        all_keep_their_names(interpreter, "generators", generators(), "delegate");
    }
}

#[test]
fn a_deep_stack_takes_few_reads_at_first_and_as_few_as_any_other_from_then_on() {
    for interpreter in interpreters::without_jit() {
        for (kind, depth) in [("calls", calls()), ("generators", generators())] {
            if kind == "generators" && !resumes_generators_without_c(&interpreter) {
                continue;
            }
            let target = target(&interpreter, Mode::Work, depth, kind);
            let mut session = reading::session(target.pid(), Sampled::Cpu);
            let mut reads = Vec::new();
            for _ in 0..4 {
                let samples = reading::samples(&mut session, 100.0, (1, MOST_TICKS));
                let sample = samples.last().expect("the target works all the time");
                let python = |frame: &&SampleFrame| matches!(frame, SampleFrame::Python { .. });
                assert!(sample.frames.iter().filter(python).count() >= depth, "{} {kind}", interpreter.name);
                let thread = session.threads().iter().find(|history| history.tid() == sample.tid);
                reads.push(thread.expect("it lives").seen.capture_calls);
            }
            println!("{} {kind}: {reads:?}", interpreter.name);
            assert!(reads[0] <= MOST_READS, "{} {kind}: {reads:?}", interpreter.name);
            // One of them may meet code that is new.
            let least = reads[1..].iter().min().expect("there are some");
            assert!(*least <= MOST_READS_AGAIN, "{} {kind}: {reads:?}", interpreter.name);
            assert!(target.release().success());
        }
    }
}

#[test]
fn beyond_the_bound_the_outer_frames_are_left_out_in_one_place() {
    for interpreter in interpreters::without_jit() {
        for (mode, how) in BLOCKED_AND_STOPPED {
            let target = target(&interpreter, mode, MAX_ENTRIES + 20_000, "calls");
            let stack = read(&target, how);
            assert_eq!(gaps(&stack), [GapKind::TooDeep], "{} {how:?}", interpreter.name);
            assert!(named(&stack, "descend") > MAX_ENTRIES - 100, "{} {how:?}", interpreter.name);
            let gap = stack.iter().position(|element| matches!(element, Element::Missing(_))).expect("there is one");
            let around = (&stack[gap - 1], &stack[gap + 1]);
            let is_in_place = |(inside, outside): (&Element, &Element)| {
                matches!(inside, Element::Python(name, ..) if name == "descend")
                    && matches!(outside, Element::Native { evaluation: true, .. })
            };
            assert!(is_in_place(around), "{} {how:?}: {around:?}", interpreter.name);
            assert!(target.release().success());
        }
    }
}
