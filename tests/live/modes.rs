//! Which threads a session samples in each mode, and how native frames are named in what a user gets.

use std::collections::BTreeSet;
use std::process::Command;

use fpprof::sampler::mode::Mode as Sampled;

use crate::extension;
use crate::interpreters;
use crate::reading;
use crate::target::{Mode, Target};

/// How often to tick where nothing shall come: at any of these moments something could.
const TICKS: usize = 50;

/// The threads of which a session gives stacks.
fn sampled(target: &Target, mode: Sampled) -> BTreeSet<i32> {
    let mut session = reading::session(target.pid(), mode);
    let samples = reading::samples(&mut session, 1000.0, (usize::MAX, TICKS));
    samples.iter().map(|sample| sample.tid.0).collect()
}

#[test]
fn each_mode_samples_its_threads() {
    for interpreter in interpreters::without_jit() {
        let name = &interpreter.name;
        let target = Target::spawn(&interpreter, "threads", Mode::Spin, &[]);
        let all: BTreeSet<i32> = target.truth().threads.iter().map(|thread| thread.native_id).collect();
        let main = BTreeSet::from([target.truth().threads[0].native_id]);
        assert_eq!(all.len(), 5, "{name}: four threads, and the one that waits for the end");
        assert_eq!(sampled(&target, Sampled::Cpu), main, "{name}: the others are parked");
        assert_eq!(sampled(&target, Sampled::Gil), main, "{name}: the one that spins in Python holds the GIL");
        assert_eq!(sampled(&target, Sampled::Wall), all, "{name}");
        assert!(target.release().success());
    }
}

#[test]
fn a_thread_that_has_released_the_gil_is_sampled_for_its_cpu_only() {
    for interpreter in interpreters::without_jit() {
        let name = &interpreter.name;
        let target = Target::spawn(&interpreter, "extension_leaf", Mode::Spin, &["fpext_nofp"]);
        let main = BTreeSet::from([target.truth().threads[0].native_id]);
        assert_eq!(sampled(&target, Sampled::Cpu), main, "{name}");
        assert_eq!(sampled(&target, Sampled::Gil), BTreeSet::new(), "{name}: nobody holds the GIL");
        assert!(target.release().success());
    }
}

/// The lines of `fpprof record --native all -f collapsed`, without their counts.
fn recorded(pid: u32) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_fpprof"))
        .args(["record", "--native", "all", "--nolineno", "-f", "collapsed", "-o", "-", "-r", "500", "-d", "1"])
        .args(["--pid", &pid.to_string()])
        .output()
        .expect("fpprof runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("profiles are UTF-8");
    // A busy machine has time of which there is no sample.
    let stacks = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("[not sampled]"));
    stacks.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

/// The names of the extension's frames in a collapsed stack, outermost first.
fn of_extension(stack: &str) -> Vec<&str> {
    let names = stack.split(';').map(|frame| frame.split(" (").next().unwrap_or(frame));
    names.filter(|name| name.starts_with("fpext_")).collect()
}

#[test]
fn a_recording_names_the_extension_s_frames_exactly() {
    // One interpreter of each kind: the names come from the extension's file.
    for interpreter in ["pyenv 3.12", "sid 3.15"].map(interpreters::named) {
        for module in &extension::MODULES[..2] {
            let target = Target::spawn(&interpreter, "extension_spin", Mode::Spin, &[module, "7"]);
            let stacks = recorded(target.pid());
            assert!(!stacks.is_empty());
            let mut expected = vec!["fpext_call_at_depth"];
            expected.extend(["fpext_descend"; 8]);
            expected.extend(["fpext_call", "fpext_spin_until", "fpext_spin_flag"]);
            for stack in &stacks {
                assert_eq!(of_extension(stack), expected, "{module} on {}: {stack}", interpreter.name);
            }
            assert!(target.release().success());
        }
    }
}

#[test]
fn a_stripped_function_is_named_by_where_it_begins() {
    for interpreter in ["pyenv 3.12", "sid 3.15"].map(interpreters::named) {
        let target = Target::spawn(&interpreter, "extension_spin", Mode::Spin, &["fpext_stripped", "7"]);
        for stack in recorded(target.pid()) {
            let names = of_extension(&stack);
            assert_eq!(names.len(), 12, "{stack}");
            // Those two that Python calls are in the module's table of methods.
            let (named, others): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(|name| !name.contains("+0x"));
            assert_eq!(named, ["fpext_stripped.call_at_depth", "fpext_stripped.spin_until"], "{names:?}");
            assert!(others.iter().all(|name| name.starts_with("fpext_stripped+0x")), "{names:?}");
            assert!(names[1..9].iter().all(|name| *name == names[1]), "eight frames of one function: {names:?}");
            let distinct: BTreeSet<_> = names.iter().collect();
            assert_eq!(distinct.len(), 5, "five functions: {names:?}");
        }
        assert!(target.release().success());
    }
}
