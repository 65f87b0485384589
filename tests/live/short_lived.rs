//! Threads and thread states that live for two milliseconds have their Python frames, and no evaluation without them is complete.

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::sample::Sample;
use fpprof::sampler::session::Session;
use fpprof::stack::frame::{GapKind, SampleFrame};

use crate::interpreters;
use crate::patience;
use crate::reading;
use crate::target::{Mode, Target};

/// How many of its stacks make a test of a program, and after how many ticks there must be some.
const STACKS: usize = 200;
const TICKS: usize = 6_000;
/// A thread can have left the interpreter before its state is looked for, and have come back before it is read again: that is rare,
/// also where each look takes long. Without any such look it was one evaluation in four.
const RARE: usize = 10;

/// Whether a native frame is in the eval loop's function.
fn is_in_eval_loop(session: &Session, frame: &SampleFrame) -> bool {
    reading::address(session, frame).is_some_and(|addr| session.reader.learned().code().holds(addr))
}

/// Whether a frame evaluates bytecode, other than the leaf, which may not have begun.
fn evaluates(session: &Session, sample: &Sample) -> bool {
    let is_eval =
        |frame: &SampleFrame| matches!(frame, SampleFrame::Evaluation { .. }) || is_in_eval_loop(session, frame);
    sample.frames.iter().skip(1).any(is_eval)
}

fn has_python_frames(program: &str) {
    for interpreter in interpreters::without_jit() {
        let name = format!("{program} on {}", interpreter.name);
        let target = Target::spawn(&interpreter, program, Mode::Work, &[]);
        let mut session = reading::session(target.pid(), Sampled::Cpu);
        let samples = reading::samples(&mut session, 500.0, (patience::samples(STACKS, 80), TICKS));
        let evaluations: Vec<&Sample> = samples.iter().filter(|sample| evaluates(&session, sample)).collect();
        assert!(evaluations.len() >= 20, "{name}: {} of {}", evaluations.len(), samples.len());
        let has_python = |sample: &&&Sample| sample.frames.iter().any(|f| matches!(f, SampleFrame::Python { .. }));
        let without = evaluations.iter().filter(|sample| !has_python(sample) && sample.is_complete());
        // An eval loop whose only frame has just ended still has its marker: it is told as an evaluation, without a frame.
        let is_passed_over = |frame: &SampleFrame| is_in_eval_loop(&session, frame);
        let passed_over = without.clone().find(|sample| sample.frames.iter().skip(1).any(is_passed_over));
        assert!(passed_over.is_none(), "{name}: shown as complete: {passed_over:?}");
        assert!(without.count() * RARE <= evaluations.len(), "{name}");
        let is_gap = |frame: &SampleFrame| *frame == SampleFrame::Missing(GapKind::EvalLoop);
        let gaps = samples.iter().filter(|sample| sample.frames.iter().any(is_gap)).count();
        assert!(gaps * RARE <= evaluations.len(), "{name}: {gaps} of {}", evaluations.len());
        assert!(target.release().success(), "{name}");
    }
}

#[test]
fn threads_that_live_for_two_milliseconds_have_their_python_frames() {
    has_python_frames("short_threads");
}

#[test]
fn threads_that_enter_python_for_two_milliseconds_have_their_python_frames() {
    has_python_frames("c_threads");
}
