//! Threads that run, and whose stack is the same at every moment all the same: samples of them are compared with what
//! gdb and the interpreter say, frame by frame, beginning at the function that spins.

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::session::Session;
use fpprof::stack::frame::SampleFrame;
use fpprof::types::Tid;

use crate::equality::expected;
use crate::extension;
use crate::gdb::Gdb;
use crate::interpreters::{self, TestInterpreter};
use crate::patience::samples;
use crate::reading::{self, Element};
use crate::rig;
use crate::target::{Mode, Target};
use crate::truth::{FrameTruth, ThreadTruth};

/// Samples a second: the intervals are random, so that the samples are of all moments.
const RATE: f64 = 1000.0;

/// Shapes whose innermost Python function spins, and how many samples to take of each.
const PYTHON_SHAPES: &[(&str, &[&str], usize)] =
    &[("qsort_callback", &[], 100), ("asyncio_task", &[], 100), ("deep_recursion", &["1000", "20"], 50)];

/// A frame without what changes while a function spins: where in an evaluation its program counter is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Settled {
    /// An address inside the call that is executing.
    Native(u64),
    Evaluation,
    Python(String, String, Option<u32>),
    Other(SampleFrame),
}

fn settled(session: &Session, frame: &SampleFrame) -> Settled {
    let python = |(name, file, line)| Settled::Python(name, file, line);
    match frame {
        SampleFrame::Evaluation { .. } => Settled::Evaluation,
        SampleFrame::Native { .. } => {
            reading::address(session, frame).map_or(Settled::Other(*frame), |a| Settled::Native(a.0))
        }
        other => reading::python(session, other).map_or(Settled::Other(*other), python),
    }
}

/// What gdb and the interpreter say, in the same terms. All but the innermost frame are at a return address.
fn settled_truth(stack: Vec<Element>) -> Vec<Settled> {
    let settled = |element| match element {
        Element::Native { evaluation: true, .. } => Settled::Evaluation,
        Element::Native { pc, .. } => Settled::Native(pc.wrapping_sub(1)),
        Element::Python(name, file, line) => Settled::Python(name, file, line),
        Element::Missing(_) => unreachable!("the truth has no gaps"),
    };
    stack.into_iter().map(settled).collect()
}

/// Samples of a spinning target's main thread, and the truth, both without their leaf: `leaf` gives its frames.
fn sample(
    gdb: &mut Gdb,
    target: &Target,
    count: usize,
    leaf: fn(&[Settled]) -> usize,
) -> (Vec<Vec<Settled>>, Vec<Settled>) {
    let main = &target.truth().threads[0];
    let threads = gdb.stacks(target.pid());
    target.wait_for_shape(Mode::Spin);
    let truth = settled_truth(expected(rig::thread(&threads, main), main));
    let mut session = reading::session(target.pid(), Sampled::Cpu);
    // The other threads are parked: each tick gives the main thread's stack, unless a late clock drops ticks.
    let taken = reading::samples(&mut session, RATE, (count, 30 * count));
    assert_eq!(taken.len(), count, "{:?}", session.statistics);
    assert!(taken.iter().all(|sample| sample.tid == Tid(main.native_id)));
    let outer = |stack: Vec<Settled>| stack.get(leaf(&stack)..).unwrap_or_default().to_vec();
    let stacks = taken.iter().map(|sample| {
        let stack: Vec<Settled> = sample.frames.iter().map(|frame| settled(&session, frame)).collect();
        outer(stack)
    });
    (stacks.collect(), outer(truth))
}

fn first_difference(got: &[Settled], expected: &[Settled]) -> String {
    let first = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let part = |stack: &[Settled]| stack.iter().skip(first.saturating_sub(1)).take(4).cloned().collect::<Vec<_>>();
    format!("{} frames of {}, at {first}: {:x?} not {:x?}", got.len(), expected.len(), part(got), part(expected))
}

/// What differs from the truth among the samples of a target.
fn wrong(stacks: &[Vec<Settled>], truth: &[Settled]) -> Option<String> {
    let wrong: Vec<_> = stacks.iter().filter(|stack| *stack != truth).collect();
    let first = wrong.first()?;
    Some(format!("{} of {} stacks are wrong: {}", wrong.len(), stacks.len(), first_difference(first, truth)))
}

fn to_python(stack: &[Settled]) -> usize {
    stack.iter().take_while(|frame| !matches!(frame, Settled::Python(..))).count()
}

/// A spinning Python function: what the evaluation calls for a moment is the leaf, and the rest is the truth.
fn check_python(gdb: &mut Gdb, interpreter: &TestInterpreter, found: &mut Vec<String>) {
    for (program, arguments, count) in PYTHON_SHAPES {
        let target = Target::spawn(interpreter, program, Mode::Spin, arguments);
        let (stacks, truth) = sample(gdb, &target, samples(*count, 1), to_python);
        let difference = if rig::is_jit_without_rules(interpreter) {
            // gdb has no rules for 3.14's JIT code: what is left is the interpreter's word on which frames C code called.
            let stacks: Vec<_> = stacks.iter().map(|stack| without_native(stack)).collect();
            wrong(&stacks, &told(&target.truth().threads[0]))
        } else {
            wrong(&stacks, &truth)
        };
        found.extend(difference.map(|what| format!("{program} on {}: {what}", interpreter.name)));
        assert!(target.release().success());
    }
}

fn without_native(stack: &[Settled]) -> Vec<Settled> {
    stack.iter().filter(|frame| !matches!(frame, Settled::Native(_))).cloned().collect()
}

/// A thread's Python frames, and behind each that C code called the evaluation that it is in.
fn told(thread: &ThreadTruth) -> Vec<Settled> {
    let python = |f: &FrameTruth| Settled::Python(f.qualname.clone(), f.filename.clone(), Some(f.line));
    let frames = thread.frames.iter().flat_map(|f| [Some(python(f)), f.from_c.then_some(Settled::Evaluation)]);
    frames.flatten().collect()
}

/// The extension calls back into Python at a known depth, and that spins in a known function of it.
fn check_extension(gdb: &mut Gdb, interpreter: &TestInterpreter, found: &mut Vec<String>) {
    for module in extension::MODULES {
        let target = Target::spawn(interpreter, "extension_spin", Mode::Spin, &[module, "7"]);
        // The function that spins has no caller's return address in it: it is somewhere in its loop.
        let (stacks, truth) = sample(gdb, &target, samples(300, 1), |_| 1);
        found.extend(wrong(&stacks, &truth).map(|what| format!("{module} on {}: {what}", interpreter.name)));
        assert!(target.release().success());
    }
}

#[test]
fn every_sample_of_a_spinning_python_function_is_right() {
    let (mut gdb, mut found) = (Gdb::start(), Vec::new());
    interpreters::all().iter().for_each(|interpreter| check_python(&mut gdb, interpreter, &mut found));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_sample_of_a_spinning_extension_is_right() {
    let (mut gdb, mut found) = (Gdb::start(), Vec::new());
    interpreters::all().iter().for_each(|interpreter| check_extension(&mut gdb, interpreter, &mut found));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
