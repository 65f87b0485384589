//! `--max-memory`: what fpprof takes has a bound, whatever the files unfold to that it reads.

use std::path::Path;
use std::process::Command;

use crate::python;
use crate::run::{Ended, FPPROF, Scratch, start_command};

const UNFOLDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/unfolding.py");

/// An unoptimised fpprof takes some 17 MB for nothing.
const MEGABYTES: u64 = 64;

pub fn unfolding(arguments: &[&str], folder: Scratch) -> Ended {
    let mut command: Command = python::shared().command();
    command.arg(UNFOLDING).args(arguments);
    start_command(command, folder).wait()
}

/// A folder with what a generator makes.
pub fn made(kind: &str, numbers: &[&str]) -> Scratch {
    let folder = Scratch::new();
    let path = folder.path().to_str().expect("it is text").to_owned();
    let ended = unfolding(&[&["make", kind, &path], numbers].concat(), Scratch::new());
    assert_eq!(ended.code, 0, "{ended:?}");
    folder
}

/// Runs fpprof, which must succeed, and holds its peak to the bound. Returns what it has said and written to standard output.
fn within_the_bound(arguments: &[&str]) -> (String, String) {
    within(MEGABYTES, &[&[FPPROF], arguments].concat())
}

/// Runs a command that runs fpprof in the end, which may fail, and holds its peak to a bound. Returns what it has said.
pub fn peak(megabytes: u64, command: &[&str]) -> String {
    let (ended, _) = held(megabytes, command);
    ended.stderr
}

/// The same where it must succeed. Returns what it has said and written to standard output.
pub fn within(megabytes: u64, command: &[&str]) -> (String, String) {
    let (ended, code) = held(megabytes, command);
    let written = ended.stdout.trim_end().rsplit_once('\n').map_or("", |(written, _)| written);
    assert_eq!(code, 0, "{command:?}: {}", ended.stderr);
    (ended.stderr, written.to_owned())
}

fn held(megabytes: u64, command: &[&str]) -> (Ended, u64) {
    let allowed = format!("{megabytes}MB");
    let ended = unfolding(&[&["peak"], command, &["--max-memory", &allowed]].concat(), Scratch::new());
    let last = ended.stdout.lines().last().unwrap_or_default();
    let numbers: Vec<u64> = last.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [code, peak] = numbers[..] else { panic!("{command:?}: {ended:?}") };
    assert!(peak <= megabytes * 1024, "{command:?}: {peak} kB, and {}", ended.stderr);
    (ended, code)
}

/// What a report of a generator's recording says, and shows as collapsed stacks.
fn report(recording: &Path, more: &[&str]) -> (String, String) {
    let path = recording.join("x.fpprof");
    let path = path.to_str().expect("it is text");
    // The libraries are on this machine: a report opens them only where it is told to.
    within_the_bound(&[&["report", path, "--hideprogress", "--native", "all", "--modules", "/"], more].concat())
}

/// Holds every format of a recording that unfolds to the bound, and has what is missing said, in the output, too.
fn every_format(kind: &str, numbers: &[&str]) {
    let folder = made(kind, numbers);
    let mut said = String::new();
    for format in ["flamegraph", "flamechart", "html", "speedscope", "pprof", "firefox", "chrometrace"] {
        said += &report(folder.path(), &["-t", "-f", format, "-o", "/dev/null"]).0;
    }
    let (collapsed, shown) = report(folder.path(), &["-t", "-f", "collapsed", "-o", "-"]);
    said += &collapsed;
    let no_room = "no room in the 64 MB that --max-memory allows";
    assert!(said.contains("left out: ") && said.contains(no_room), "{kind}: {said}");
    for line in collapsed.lines().filter_map(|line| line.strip_prefix("fpprof: warning: left out: ")) {
        let fact = format!("# left out: {line}");
        assert!(shown.lines().any(|line| line == fact), "{kind}: the file says so, too: {fact}");
    }
}

#[test]
fn many_leaves_of_a_deep_stack_stay_within_the_bound() {
    every_format("leaves", &["65000", "6"]);
}

#[test]
fn a_deep_stack_in_many_threads_stays_within_the_bound() {
    every_format("threads", &["65000", "6"]);
}

#[test]
fn deep_stacks_in_turn_stay_within_the_bound() {
    every_format("alternating", &["65000", "12"]);
}

#[test]
fn long_names_stay_within_the_bound() {
    every_format("long_names", &["1000000", "200"]);
}

#[test]
fn many_inlined_functions_stay_within_the_bound() {
    every_format("inlined", &["60000", "5000"]);
}

#[test]
fn many_samples_stay_within_the_bound() {
    every_format("samples", &["600000"]);
}

#[test]
fn inverted_stacks_stay_within_the_bound() {
    let folder = made("leaves", &["131000", "10"]);
    let (said, _) = report(folder.path(), &["--inverted", "-f", "flamegraph", "-o", "/dev/null"]);
    assert!(said.contains("outer frames of 10 stacks"), "{said}");
}

#[test]
fn debug_information_that_unfolds_is_not_looked_up_and_said_to_be() {
    let lines = "lines and inlined functions of libx.so: no room in the 64 MB that --max-memory allows";
    let names = "names of native code in libx.so: no room in the 64 MB that --max-memory allows";
    let kinds: [(&str, &[&str], &str, &str); 7] = [
        ("rows", &["6000000"], lines, "from_table"),
        ("many_functions", &["400000"], lines, "from_table"),
        ("ranges", &["1000", "5000"], lines, "from_table"),
        ("long_section", &["200000000"], lines, "from_table"),
        ("abbreviations", &["500000"], lines, "from_table"),
        ("many_symbols", &["2000", "1000000"], names, "libx.so+0x1008"),
        ("packed_symbols", &["100000000"], names, "libx.so+0x1008"),
    ];
    for (kind, numbers, left_out, name) in kinds {
        let folder = made(kind, numbers);
        let (said, shown) = report(folder.path(), &["-f", "collapsed", "-o", "-"]);
        assert!(said.contains(left_out), "{kind}: {said}");
        assert!(shown.lines().any(|line| line.starts_with(name)), "{kind}: {shown}");
    }
}

#[test]
fn what_fits_is_looked_up_and_nothing_is_said() {
    let folder = made("plain", &[]);
    let (said, shown) = report(folder.path(), &["-f", "collapsed", "-o", "-"]);
    assert!(!said.contains("left out"), "{said}");
    assert!(shown.lines().any(|line| line.starts_with("named ")), "{shown}");
}

#[test]
fn a_library_that_unfolds_is_examined_within_the_bound() {
    let folder = made("long_section", &["200000000"]);
    let library = folder.path().join("libx.so");
    within_the_bound(&["doctor", library.to_str().expect("it is text")]);
}

#[test]
fn a_bound_that_makes_no_sense_is_refused() {
    for (bad, why) in [("1MB", "fpprof itself takes some 24 MB"), ("much", "512MB, 2GB")] {
        let ended = crate::run::fpprof(&["report", "x.fpprof", "--max-memory", bad]);
        assert!(ended.code == 2 && ended.stderr.contains(why), "{ended:?}");
    }
}
