//! Tests of the rig itself: the two sources of truth must agree before anything is measured against them.

use crate::gdb::{Gdb, GdbThread};
use crate::interpreters::{self, TestInterpreter};
use crate::target::{Mode, Target};
use crate::truth::{ThreadTruth, Truth};

/// A thread as gdb sees it.
pub fn thread<'a>(threads: &'a [GdbThread], truth: &ThreadTruth) -> &'a GdbThread {
    threads.iter().find(|thread| thread.tid == truth.native_id).expect("gdb sees every thread")
}

/// What the two sources do not agree on.
///
/// There are as many evaluations on the C stack as there are frames that C code called: then every frame's place is known.
pub fn disagreements(threads: &[GdbThread], truth: &Truth) -> Vec<String> {
    let disagreement = |truth: &ThreadTruth| {
        let native = thread(threads, truth);
        let evaluations = native.frames_on_stack().iter().filter(|frame| frame.is_evaluation()).count();
        let told = truth.evaluations().len();
        if native.is_complete() && evaluations == told {
            return None;
        }
        let functions: Vec<_> = native.frames_on_stack().iter().map(|frame| frame.function.as_deref()).collect();
        let python: Vec<_> = truth.frames.iter().map(|frame| (&frame.qualname, frame.from_c)).collect();
        Some(format!(
            "thread {}: ends {}, complete: {}, {evaluations} evaluations of {told}: {functions:?} {python:?}",
            truth.name,
            native.end,
            native.is_complete()
        ))
    };
    truth.threads.iter().filter_map(disagreement).collect()
}

/// Whether gdb has no unwind rules for the code that this interpreter's JIT makes.
pub fn is_jit_without_rules(interpreter: &TestInterpreter) -> bool {
    interpreter.name == "sid 3.14 jit"
}

#[test]
fn a_stack_that_gdb_has_guessed_is_not_complete() {
    let interpreter = interpreters::all().into_iter().find(is_jit_without_rules).expect("it is one of them");
    let target = Target::spawn(&interpreter, "hot_loop", Mode::Park, &[]);
    let threads = Gdb::start().stacks(target.pid());
    assert!(!thread(&threads, &target.truth().threads[0]).is_complete());
}

#[test]
fn a_parked_target_says_where_it_is() {
    for interpreter in interpreters::without_jit() {
        let target = Target::spawn(&interpreter, "sorted_key", Mode::Park, &[]);
        let frames = &target.truth().threads[0].frames;
        let names: Vec<&str> = frames.iter().map(|frame| frame.qualname.as_str()).collect();
        assert_eq!(names, ["park", "hold", "key", "main", "<module>"], "{}", interpreter.name);
        let program = target.program_folder().join("sorted_key.py");
        assert!(frames[2..].iter().all(|frame| program == std::path::Path::new(&frame.filename)), "{frames:?}");
        assert!(frames.iter().all(|frame| frame.line >= frame.first_line), "{frames:?}");
        assert_eq!((target.truth().pid, target.truth().version), (target.pid(), (3, interpreter.minor)));
    }
}

#[test]
fn a_spinning_target_spins_until_it_is_released() {
    for interpreter in interpreters::without_jit() {
        for (program, arguments) in [("sorted_key", &[][..]), ("extension_leaf", &["fpext_fp"]), ("threads", &[])] {
            let target = Target::spawn(&interpreter, program, Mode::Spin, arguments);
            let main = target.truth().threads[0].native_id;
            let syscall =
                std::fs::read_to_string(format!("/proc/{}/task/{main}/syscall", target.pid())).expect("it runs");
            assert_eq!(syscall.trim(), "running", "{program} on {}", interpreter.name);
            assert!(target.release().success(), "{program} on {}", interpreter.name);
        }
    }
}
