//! Where the time went, in words: held against programs that do one thing, in every kind of output that `record` makes.

use std::fs;

use crate::python::{self, Program};
use crate::run::{Ended, Scratch, fpprof, record};

/// Bytecode and nothing else, in a function of the program's own; a thread that waits.
const SPINS: &str = "
import os, threading
def spin():
    while True:
        pass
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
print('ready', flush=True)
spin()
";

/// Two threads that want the GIL all the time.
const WANT_THE_GIL: &str = "
import os, threading
def spin():
    while True:
        pass
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
threading.Thread(target=spin, daemon=True).start()
print('ready', flush=True)
spin()
";

/// The lines that begin so, without that.
fn told<'e>(ended: &'e Ended, begins: &'e str) -> Vec<&'e str> {
    ended.stderr.lines().filter_map(|line| line.trim_start().strip_prefix(begins)).collect()
}

/// The share in percent of the first line that begins so and has such words.
#[track_caller]
fn share(ended: &Ended, begins: &str, words: &str) -> f64 {
    let line = told(ended, begins).into_iter().find(|line| line.contains(words));
    let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no `{begins}…{words}`: {}", ended.stderr))
}

#[test]
fn a_recording_ends_with_what_the_time_went_to() {
    let target = Program::start(&python::newest(), SPINS);
    // A sample each 10 ms of CPU time; sums, single samples, and a recording.
    for output in ["o.svg", "o.html", "o.fpprof"] {
        let scratch = Scratch::new();
        let file = scratch.path().join(output);
        let path = file.to_string_lossy();
        let ended = record(&["--max-overhead", "none", "-d", "2", "-o", &path, "-p", &target.pid_text()]);
        assert_eq!(ended.code, 0, "{ended:?}");
        // On a full machine some of it meets no sample.
        let kinds = told(&ended, "time: ").into_iter().filter(|line| !line.contains("not sampled"));
        let kinds: Vec<&str> = kinds.collect();
        assert!(kinds.first().is_some_and(|line| line.ends_with(" your code")), "{}", ended.stderr);
        assert!(share(&ended, "time: ", " your code") > 10.0, "{}", ended.stderr);
        let functions = told(&ended, "function: ");
        assert!(functions.first().is_some_and(|line| line.contains(" in spin (<string>)")), "{}", ended.stderr);
        assert!(kinds.len() + functions.len() <= 12, "{}", ended.stderr);
        if output == "o.svg" {
            assert!(fs::read_to_string(file).unwrap().contains(" your code"), "it is in the description, too");
        } else if output == "o.fpprof" {
            let shown = scratch.path().join("again.svg");
            let report = fpprof(&["report", &path, "-o", &shown.to_string_lossy()]);
            assert_eq!(report.code, 0, "{report:?}");
            assert!(fs::read_to_string(shown).unwrap().contains(" your code"), "and in the recording");
        }
    }
}

#[test]
fn waiting_for_the_gil_and_other_waits_are_told_apart() {
    let target = Program::start(&python::newest(), WANT_THE_GIL);
    let wall = ["--mode", "wall", "--max-overhead", "none", "-d", "2", "-o", "o.svg", "-p", &target.pid_text()];
    let ended = record(&wall);
    assert_eq!(ended.code, 0, "{ended:?}");
    // Three threads: one waits for its input, two share the GIL. On a full machine they wait for CPUs, too.
    let waits = share(&ended, "time: ", " I/O and other waits");
    assert!((15.0..=55.0).contains(&waits), "{}", ended.stderr);
    assert!(share(&ended, "time: ", " waiting for the GIL") > 0.0, "{}", ended.stderr);
    assert!(share(&ended, "time: ", " your code") > 0.0, "{}", ended.stderr);
    assert!(share(&ended, "function: ", " on a CPU in spin (<string>)") > 0.0, "{}", ended.stderr);
}
