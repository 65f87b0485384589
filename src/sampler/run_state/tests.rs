//! Each state from what must be known for it, and from what looks much the same.

use std::collections::BTreeSet;

use super::*;
use crate::stack::code_cache::FunctionId;
use crate::stack::frame::GapKind;
use crate::types::Svma;

const INTERPRETER: ModuleId = ModuleId(0);
const LIBC: ModuleId = ModuleId(1);
const EXTENSION: ModuleId = ModuleId(2);
const PYTHON: SampleFrame = SampleFrame::Python { function: FunctionId(0), line: None };
const EVALUATION: SampleFrame = SampleFrame::Evaluation { module: INTERPRETER, function: Svma(0x100) };
const JIT: SampleFrame = SampleFrame::Unnamed(Addr(0x9000));
const GAP: SampleFrame = SampleFrame::Missing(GapKind::NoUnwindRule);

fn native(module: ModuleId) -> SampleFrame {
    SampleFrame::Native { module, svma: Svma(0x200) }
}

/// A GIL of 208 bytes at 0x1000.
fn is_gil(addr: Addr) -> bool {
    (0x1000..0x10d0).contains(&addr.0)
}

fn running(frames: &[SampleFrame]) -> RunState {
    RunState::of_running(frames, INTERPRETER, false)
}

fn blocked(wait: Option<Wait>, task: TaskState, frames: &[SampleFrame]) -> RunState {
    let blocked = Blocked { wait, task: Some(task), file: Some(FileKind::Pipe) };
    RunState::of_blocked(&blocked, frames, INTERPRETER, is_gil)
}

fn waiting(wait: Wait, frames: &[SampleFrame]) -> RunState {
    blocked(Some(wait), TaskState::Blocked, frames)
}

#[test]
fn python_runs_in_bytecode_and_in_the_interpreter_s_own_code() {
    assert_eq!(running(&[PYTHON, EVALUATION]), RunState::Python);
    assert_eq!(running(&[native(INTERPRETER), PYTHON, EVALUATION]), RunState::Python);
    assert_eq!(running(&[JIT, PYTHON, EVALUATION]), RunState::Python);
    assert_eq!(running(&[JIT, GAP, PYTHON, EVALUATION]), RunState::Python);
    // An evaluation that has not linked its marker yet shows no Python frames.
    assert_eq!(running(&[EVALUATION, native(INTERPRETER), PYTHON, EVALUATION]), RunState::Python);
}

#[test]
fn native_code_runs_where_another_module_is_inside_the_innermost_python_frame() {
    assert_eq!(running(&[native(LIBC), native(INTERPRETER), PYTHON, EVALUATION]), RunState::Native);
    assert_eq!(running(&[native(INTERPRETER), native(EXTENSION), PYTHON, EVALUATION]), RunState::Native);
    assert_eq!(running(&[JIT, native(EXTENSION), PYTHON, EVALUATION]), RunState::Native, "an extension's compiler");
    assert_eq!(running(&[native(INTERPRETER)]), RunState::Native, "a thread without Python");
    assert_eq!(running(&[]), RunState::Native);
}

#[test]
fn a_thread_that_collects_garbage_does_so_whatever_it_runs() {
    for frames in [[PYTHON, EVALUATION], [native(LIBC), PYTHON]] {
        assert_eq!(RunState::of_running(&frames, INTERPRETER, true), RunState::GarbageCollection);
    }
}

#[test]
fn a_futex_is_the_gil_s_a_lock_or_native_code_s_own() {
    let python = [native(LIBC), native(LIBC), native(INTERPRETER), PYTHON, EVALUATION];
    let pool = [native(LIBC), native(LIBC), native(EXTENSION), native(LIBC)];
    assert_eq!(waiting(Wait::Futex(Addr(0x1048)), &python), RunState::Gil);
    assert_eq!(waiting(Wait::Futex(Addr(0x1048)), &pool), RunState::Gil, "whoever takes it");
    assert_eq!(waiting(Wait::Futex(Addr(0x10d0)), &python), RunState::Lock, "just behind the GIL");
    assert_eq!(waiting(Wait::Futex(Addr(0x5000)), &pool), RunState::Futex);
    assert_eq!(waiting(Wait::Futex(Addr(0x5000)), &[native(INTERPRETER)]), RunState::Lock, "libc in the same file");
    assert_eq!(waiting(Wait::Futex(Addr(0x5000)), &[native(LIBC), GAP, PYTHON]), RunState::Futex);
    assert_eq!(waiting(Wait::Futex(Addr(0x5000)), &[]), RunState::Futex);
}

#[test]
fn other_waits_are_told_by_the_call() {
    let read = Wait::File { call: "read", descriptor: 3 };
    for (wait, state, text) in [
        (read, RunState::Io { call: "read".into(), file: Some(FileKind::Pipe) }, "I/O: read pipe"),
        (Wait::Files { call: "poll" }, RunState::Io { call: "poll".into(), file: None }, "I/O: poll"),
        (Wait::Time, RunState::Sleeping, "sleeping"),
        (Wait::Child, RunState::Child, "waiting for a child process"),
        (Wait::Signal, RunState::Signal, "waiting for a signal"),
    ] {
        assert_eq!(waiting(wait, &[PYTHON]), state);
        assert_eq!(state.to_string(), text);
    }
}

#[test]
fn a_stopped_thread_does_not_wait_for_what_it_was_in() {
    for wait in [None, Some(Wait::Time), Some(Wait::Futex(Addr(0x1048)))] {
        assert_eq!(blocked(wait, TaskState::Stopped, &[PYTHON]), RunState::Stopped);
    }
}

#[test]
fn what_is_not_known_is_unknown() {
    assert_eq!(blocked(None, TaskState::Blocked, &[PYTHON]), RunState::Unknown);
    assert_eq!(blocked(None, TaskState::Uninterruptible, &[PYTHON]), RunState::Uninterruptible);
    let unseen = Blocked { wait: Some(Wait::File { call: "read", descriptor: 3 }), task: None, file: None };
    let state = RunState::of_blocked(&unseen, &[PYTHON], INTERPRETER, is_gil);
    assert_eq!(
        (state.clone(), state.to_string().as_str()),
        (RunState::Io { call: "read".into(), file: None }, "I/O: read")
    );
    assert_eq!(
        RunState::of_blocked(
            &Blocked { wait: Some(Wait::Futex(Addr(0x1048))), ..unseen },
            &[native(LIBC), PYTHON],
            INTERPRETER,
            |_| false
        ),
        RunState::Lock,
        "without a GIL nothing waits for it"
    );
}

#[test]
fn no_two_states_are_called_the_same() {
    let io = RunState::Io { call: "read".into(), file: None };
    let other = RunState::Other { words: "on a break".into(), is_on_cpu: false };
    let states: Vec<&RunState> = RunState::PLAIN.iter().chain([&io, &other]).collect();
    let ids: BTreeSet<&str> = states.iter().map(|state| state.id()).collect();
    let words: BTreeSet<String> = states.iter().map(ToString::to_string).collect();
    assert_eq!((ids.len(), words.len()), (states.len(), states.len()));
}
