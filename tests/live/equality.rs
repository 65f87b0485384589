//! The proof of parked stacks: on every interpreter and in every shape, the merged stack is frame by frame what gdb
//! gives for the native part and what the interpreter itself gives for the Python part, each in its place.
//!
//! Each thread is read twice: by looking only, and by stopping it. A thread in read(2) is not disturbed by a stop, so
//! gdb's frames, the looked-at stack and the stopped one are of the same moment.

use crate::gdb::{Gdb, GdbThread};
use crate::interpreters::{self, TestInterpreter};
use crate::patience::samples;
use crate::reading::{Element, How, OneByOne};
use crate::rig;
use crate::target::{Mode, Target};
use crate::truth::ThreadTruth;

/// Each shape with the arguments of its program.
const SHAPES: &[(&str, &[&str])] = &[
    ("sorted_key", &[]),
    ("functools_reduce", &[]),
    ("del_method", &[]),
    ("weakref_callback", &[]),
    ("re_sub", &[]),
    ("generators", &[]),
    ("asyncio_task", &[]),
    ("class_creation", &[]),
    ("exec_code", &[]),
    ("threads", &[]),
    ("subinterpreter", &[]),
    ("native_thread", &[]),
    ("qsort_callback", &[]),
    ("deep_recursion", &["1000", "20"]),
    ("hot_loop", &[]),
    ("extension_callback", &["fpext_fp", "7"]),
    ("extension_callback", &["fpext_nofp", "7"]),
    ("extension_callback", &["fpext_stripped", "7"]),
    // A third of a megabyte, which is as deep as this stack has ever been.
    ("extension_leaf", &["fpext_fp", "150"]),
    ("extension_leaf", &["fpext_nofp", "150"]),
    ("extension_leaf", &["fpext_stripped", "150"]),
];

/// The shapes where there is a JIT: the one in whose stack its code stands, and some of those that are the same stacks as without it,
/// because nothing runs often enough before they hold.
const SHAPES_WITH_JIT: &[(&str, &[&str])] = &[
    ("hot_loop", &[]),
    ("generators", &[]),
    ("threads", &[]),
    ("deep_recursion", &["1000", "20"]),
    ("extension_callback", &["fpext_nofp", "7"]),
];

/// The shapes where the libc is not that which the extension module and ctypes' libffi are built for.
#[cfg(target_arch = "x86_64")]
const SHAPES_WITH_MUSL: &[&str] = &[
    "sorted_key",
    "functools_reduce",
    "del_method",
    "weakref_callback",
    "re_sub",
    "generators",
    "asyncio_task",
    "class_creation",
    "exec_code",
    "threads",
    "subinterpreter",
    "deep_recursion",
];

/// What the merged stack must be: gdb's frames, with the Python frames of each evaluation in front of it.
pub fn expected(native: &GdbThread, truth: &ThreadTruth) -> Vec<Element> {
    let mut evaluations = truth.evaluations().into_iter();
    let frames = native.frames_on_stack();
    let mut stack = Vec::with_capacity(frames.len() + truth.frames.len());
    for (index, frame) in frames.iter().enumerate() {
        let evaluation = frame.is_evaluation();
        if evaluation {
            let told = evaluations.next().unwrap_or_default();
            stack.extend(told.iter().map(|f| Element::Python(f.qualname.clone(), f.filename.clone(), Some(f.line))));
        }
        let cfa = (index + 1 < frames.len()).then_some(frame.cfa);
        stack.push(Element::Native { pc: frame.pc, sp: frame.sp, cfa, evaluation });
    }
    stack
}

/// Where two stacks begin to differ, with what is around it.
fn difference(got: &[Element], expected: &[Element]) -> Option<String> {
    let first = got.iter().zip(expected).position(|(a, b)| a != b);
    let first = first.or_else(|| (got.len() != expected.len()).then(|| got.len().min(expected.len())))?;
    let around = |stack: &[Element]| {
        let part = stack.iter().enumerate().skip(first.saturating_sub(2)).take(6);
        part.map(|(index, element)| format!("\n      {index}: {element:x?}")).collect::<String>()
    };
    let (got_around, expected_around) = (around(got), around(expected));
    Some(format!(
        "{} frames of {}, different from frame {first} on:\n    got{got_around}\n    expected{expected_around}",
        got.len(),
        expected.len()
    ))
}

/// Takes the innermost program counter from `got` if the kernel may show a thread that waits there.
fn waits(expected: &mut [Element], native: &GdbThread, got: &[Element]) {
    let innermost = native.frames_on_stack()[0];
    if let (Some(Element::Native { pc, .. }), Some(Element::Native { pc: shown, .. })) =
        (expected.first_mut(), got.first())
        && innermost.waits_at().contains(shown)
    {
        *pc = *shown;
    }
}

/// Joins the two frames that gdb takes for one: on AArch64, CPython 3.15 tells it that the JIT's code has the frame record of the
/// function that enters it, and so gdb steps over that function.
fn join_jit_with_its_entry(got: &mut Vec<Element>, expected: &[Element], native: &GdbThread) {
    let is_jit = |pc: u64| native.frames.iter().any(|frame| frame.pc == pc && !frame.is_in_file);
    for index in 1..got.len() {
        let [Some(Element::Native { pc, sp, .. }), Some(Element::Native { cfa: end, .. })] =
            [index - 1, index].map(|index| got.get(index).cloned())
        else {
            continue;
        };
        let joined = Element::Native { pc, sp, cfa: end, evaluation: false };
        if is_jit(pc) && expected.get(index - 1) == Some(&joined) {
            got[index - 1] = joined;
            got.remove(index);
        }
    }
}

/// A shape that its program holds.
struct Shape {
    what: String,
    target: Target,
}

impl Shape {
    fn new(interpreter: &TestInterpreter, (program, arguments): (&str, &[&str])) -> Shape {
        let target = Target::spawn(interpreter, program, Mode::Park, arguments);
        Shape { what: format!("{program} {arguments:?} on {}", interpreter.name), target }
    }

    /// What is wrong, by gdb's word on its threads.
    fn check(self, threads: &[GdbThread]) -> Vec<String> {
        let Shape { what, target } = self;
        let mut found = rig::disagreements(threads, target.truth());
        let mut reader = OneByOne::open(target.pid());
        for native in threads {
            // A thread that has said nothing never enters Python.
            let silent = ThreadTruth { native_id: native.tid, name: "native".to_owned(), frames: Vec::new() };
            let truth = target.truth().threads.iter().find(|truth| truth.native_id == native.tid).unwrap_or(&silent);
            let mut expected = expected(native, truth);
            for how in [How::Stopped, How::Blocked] {
                let mut got = reader.read(truth.native_id, how);
                join_jit_with_its_entry(&mut got, &expected, native);
                if how == How::Blocked {
                    waits(&mut expected, native, &got);
                }
                let difference = difference(&got, &expected);
                found.extend(difference.map(|difference| format!("{}, {how:?}: {difference}", truth.name)));
            }
        }
        assert!(target.release().success(), "{what}");
        found.into_iter().map(|problem| format!("{what}: {problem}")).collect()
    }
}

fn prove(name: &str) {
    let interpreter = interpreters::named(name);
    let shapes = if interpreter.jit { SHAPES_WITH_JIT } else { SHAPES };
    // gdb has no rules for 3.14's JIT code: `spinning` compares what there is.
    let shapes =
        shapes.iter().filter(|(program, _)| *program != "hot_loop" || !rig::is_jit_without_rules(&interpreter));
    let mut gdb = Gdb::start();
    let found = shapes.flat_map(|shape| {
        let shape = Shape::new(&interpreter, *shape);
        let threads = gdb.stacks(shape.target.pid());
        shape.check(&threads)
    });
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// musl's libc has no unwind tables. gdb has those of its debug file, which fpprof is not shown.
#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_13_on_musl() {
    let interpreter = interpreters::named("musl 3.13");
    let mut gdb = Gdb::start();
    let shapes = SHAPES.iter().filter(|(program, _)| SHAPES_WITH_MUSL.contains(program));
    let found: Vec<String> = shapes
        .flat_map(|shape| {
            let shape = Shape::new(&interpreter, *shape);
            let threads = gdb.stacks(shape.target.pid());
            shape.check(&threads)
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_stack_of_thousands_of_native_frames() {
    // Any interpreter: they all run the same file. gdb takes most of the time.
    let depth = samples(2000, 1000);
    let shape = Shape::new(&interpreters::named("sid 3.15"), ("extension_leaf", &["fpext_nofp", &depth.to_string()]));
    let mut gdb = Gdb::start();
    let threads = gdb.stacks(shape.target.pid());
    let native = rig::thread(&threads, &shape.target.truth().threads[0]).frames_on_stack();
    assert_eq!(native.iter().filter(|frame| frame.function.as_deref() == Some("fpext_deep")).count(), depth + 1);
    let found = shape.check(&threads);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

// One test for each interpreter: they run side by side, and a failure names its interpreter.

#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_11_without_frame_pointers() {
    prove("pyenv 3.11");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn cpython_3_12_without_frame_pointers() {
    prove("pyenv 3.12");
}

#[test]
fn cpython_3_13_without_frame_pointers() {
    prove("pyenv 3.13");
}

#[test]
fn debian_3_13() {
    prove("sid 3.13");
}

#[test]
fn debian_3_14() {
    prove("sid 3.14");
}

#[test]
fn debian_3_14_with_jit() {
    prove("sid 3.14 jit");
}

#[test]
fn debian_3_15_with_frame_pointers() {
    prove("sid 3.15");
}

#[test]
fn debian_3_15_with_frame_pointers_and_jit() {
    prove("sid 3.15 jit");
}
