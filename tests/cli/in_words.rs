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

/// The share in percent of the line that begins and ends so.
#[track_caller]
fn share(ended: &Ended, begins: &str, ends: &str) -> f64 {
    let lines = || ended.stderr.lines().map(str::trim_start);
    let share = lines().find_map(|line| line.strip_prefix(begins)?.trim_start().strip_suffix(ends));
    let share = share.unwrap_or_else(|| panic!("no `{begins}…{ends}`: {}", ended.stderr));
    share.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{share}"))
}

#[test]
fn a_recording_ends_with_what_the_time_went_to() {
    let target = Program::start(&python::newest(), SPINS);
    // A sample each 10 ms of CPU time; sums, single samples, and a recording.
    for output in ["o.svg", "o.html", "o.fpprof"] {
        let scratch = Scratch::new();
        let file = scratch.path().join(output);
        let path = file.to_string_lossy();
        let ended = record(&["--max-overhead", "none", "-d", "1", "-o", &path, "-p", &target.pid_text()]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(share(&ended, "time:", " your code") > 80.0, "{}", ended.stderr);
        assert!(share(&ended, "function:", " in spin (<string>)") > 80.0, "{}", ended.stderr);
        let told = ended.stderr.lines().filter(|line| line.contains("time: ") || line.contains("function: "));
        assert!(told.count() <= 13, "with the line of CPU time: {}", ended.stderr);
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
    let wall = ["--mode", "wall", "--max-overhead", "none", "-d", "1500ms", "-o", "o.svg", "-p", &target.pid_text()];
    let ended = record(&wall);
    assert_eq!(ended.code, 0, "{ended:?}");
    // Three threads: one waits for its input, two share the GIL. On a full machine they wait for CPUs, too.
    let waits = share(&ended, "time:", " I/O and other waits");
    assert!((20.0..=50.0).contains(&waits), "{}", ended.stderr);
    assert!(share(&ended, "time:", " waiting for the GIL") > 5.0, "{}", ended.stderr);
    assert!(share(&ended, "function:", " on a CPU in spin (<string>)") > 1.0, "{}", ended.stderr);
}
