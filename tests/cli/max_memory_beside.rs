//! `--max-memory` of what runs beside a target: the bound holds whatever that has in its memory, its mappings and its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::executables;
use crate::interpreters::TestInterpreter;
use crate::max_memory::{made, peak, within};
use crate::patience::eventually;
use crate::permissions::{as_nobody, of_nobody};
use crate::processes::field;
use crate::python::{self, Program};
use crate::run::{FPPROF, Scratch};
use crate::top::Top;

const TARGET: &str = include_str!("../support/unfolding_target.py");

/// A small bound: an unoptimised fpprof takes some 20 MB for nothing.
const SMALL: u64 = 48;
/// What is allowed beside a target where nothing is said.
const DEFAULT: u64 = 128;

/// The code of a target of this kind.
fn code(kind: &str, arguments: &[&str]) -> String {
    format!("import sys\nsys.argv[1:] = {:?}\n{TARGET}", [&[kind], arguments].concat())
}

fn start(interpreter: &TestInterpreter, kind: &str, arguments: &[&str]) -> Program {
    Program::start(interpreter, &code(kind, arguments))
}

/// Dumps and records a target within a bound. Returns what all of them have said, and what the dump has shown.
fn all_commands(target: &Program, megabytes: u64) -> (String, String) {
    let pid = target.pid_text();
    let (mut said, shown) = within(megabytes, &[FPPROF, "dump", "-p", &pid]);
    said += &within(megabytes, &[FPPROF, "dump", "--json", "-p", &pid]).0;
    let record = [FPPROF, "record", "--hideprogress", "-d", "1", "--idle", "-t", "--native", "all", "-p", &pid];
    for output in
        [&["-o", "o.fpprof"][..], &["-f", "flamegraph", "-o", "/dev/null"], &["-f", "html", "-o", "/dev/null"]]
    {
        said += &within(megabytes, &[&record[..], output].concat()).0;
    }
    (said, shown)
}

const NO_ROOM: &str = "no room in the 48 MB that --max-memory allows";

#[test]
fn many_threads_with_long_stacks_stay_within_the_bound() {
    let target = start(&python::shared(), "threads", &["300", "300"]);
    for megabytes in [SMALL, DEFAULT] {
        let (_, shown) = all_commands(&target, megabytes);
        assert_eq!(shown.lines().filter(|line| line.starts_with("Thread ")).count(), 302, "each is there");
    }
}

#[test]
fn stacks_that_do_not_fit_together_are_shortened_in_a_dump_and_said_to_be() {
    let target = start(&python::shared(), "threads", &["90", "9000"]);
    let (said, shown) = within(SMALL, &[FPPROF, "dump", "-p", &target.pid_text()]);
    assert!(said.contains("left out: outer frames of ") && said.contains(NO_ROOM), "{said}");
    let gap = "[stack incomplete: no room in memory, see --max-memory]";
    assert!(shown.lines().any(|line| line.trim() == gap), "{said}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("Thread ")).count(), 92, "each is there");
}

#[test]
fn a_deep_stack_stays_within_the_bound_and_keeps_its_innermost_frames() {
    let target = start(&python::shared(), "deep", &["150000"]);
    let (said, shown) = all_commands(&target, SMALL);
    assert!(said.contains("left out: outer frames of deep stacks: ") && said.contains(NO_ROOM), "{said}");
    let frames: Vec<&str> = shown.lines().filter(|line| line.starts_with("    ")).collect();
    assert!(frames.len() > 4_000, "{}", frames.len());
    assert!(frames.iter().any(|line| line.contains("work")), "{:?}", &frames[..10]);
    all_commands(&target, DEFAULT);
}

#[test]
fn stacks_that_are_never_the_same_stay_within_the_bound() {
    let target = start(&python::shared(), "distinct", &["10000"]);
    all_commands(&target, SMALL);
}

#[test]
fn functions_that_are_always_new_stay_within_the_bound_and_are_said_to_be_missing() {
    let target = start(&python::shared(), "codes", &["100", "1500000"]);
    let (said, _) = all_commands(&target, SMALL);
    let words = "left out: names of Python functions: ";
    assert!(said.contains(words) && said.contains(NO_ROOM), "{said}");
}

#[test]
fn a_large_perf_map_is_cut_and_said_to_be() {
    for (entries, length) in [("400000", "10"), ("15000", "4000")] {
        let target = start(&python::shared(), "perf_map", &[entries, length]);
        let path = format!("/tmp/perf-{}.map", target.pid());
        let (said, _) = all_commands(&target, SMALL);
        fs::remove_file(&path).unwrap();
        assert!(said.contains(&format!("names: {path}: cut: only its first ")), "{said}");
    }
}

#[test]
fn many_mappings_of_files_with_long_names_stay_within_the_bound_and_are_said_to_be_cut() {
    let folder = Scratch::new();
    let path = folder.path().to_str().expect("it is text").to_owned();
    let target = start(&python::shared(), "mappings", &["24000", "200", &path]);
    let (said, shown) = within(SMALL, &[FPPROF, "dump", "-p", &target.pid_text()]);
    assert!(!said.contains("left out") && shown.contains("    work ("), "{said}");
    // Their names are 60 MB, and CPython itself is mapped behind them.
    let longer = Scratch::new();
    let path = longer.path().to_str().expect("it is text").to_owned();
    let target = start(&python::shared(), "mappings", &["24000", "2500", &path]);
    let ended = peak(SMALL, &[FPPROF, "dump", "-p", &target.pid_text()]);
    assert!(ended.contains("left out: code behind the mappings that were read: "), "{ended}");
}

/// A library that is mapped far behind its beginning, of which no file is left that fpprof may open: it is put together from memory.
#[test]
fn what_is_read_from_memory_in_a_file_s_place_stays_within_the_bound() {
    let path = format!("/tmp/fpprof-far-{}", std::process::id());
    let target = Program::start_command(of_nobody(), &code("far_code", &[&path, "209715200"]));
    let program = Scratch::new();
    let copy = program.path().join("fpprof");
    executables::copy(Path::new(FPPROF), &copy);
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let setpriv = as_nobody();
    let mut command = vec!["setpriv"];
    command.extend(setpriv.iter().map(String::as_str));
    let pid = target.pid_text();
    command.extend([copy.to_str().expect("it is text"), "dump", "--native", "all", "-p", &pid]);
    let (_, shown) = within(SMALL, &command);
    assert!(shown.contains("Thread "), "{shown}");
}

#[test]
fn libraries_that_unfold_are_not_looked_up_and_said_to_be() {
    let lines = "lines and inlined functions of libx.so: ";
    let names = "names of native code in libx.so: ";
    let kinds: [(&str, &[&str], &str); 4] = [
        ("rows", &["6000000"], lines),
        ("many_functions", &["400000"], lines),
        ("long_section", &["200000000"], lines),
        ("packed_symbols", &["100000000"], names),
    ];
    for (kind, numbers, left_out) in kinds {
        let folder = made(kind, numbers);
        let library = folder.path().join("libx.so");
        let target = start(&python::shared(), "library", &[library.to_str().expect("it is text")]);
        let pid = target.pid_text();
        let record =
            ["record", "--hideprogress", "-d", "1", "--native", "all", "-p", &pid, "-f", "collapsed", "-o", "-"];
        let (said, shown) = within(SMALL, &[&[FPPROF][..], &record].concat());
        assert!(said.contains(left_out) && said.contains(NO_ROOM), "{kind}: {said}");
        let name = if left_out == lines { "from_table" } else { "libx.so+0x100" };
        assert!(shown.lines().any(|line| line.contains(name)), "{kind}: {shown}");
        within(SMALL, &[FPPROF, "dump", "--lines", "--native", "all", "-p", &pid]);
        within(SMALL, &[FPPROF, "doctor", "-p", &pid]);
    }
}

/// Debian's `python3.15-dbg`: 45 MB of debug information for one file.
#[test]
fn a_distribution_s_debug_package_is_looked_up_within_the_default() {
    let target = Program::start(&python::newest(), python::BUSY);
    let pid = target.pid_text();
    let (said, shown) = within(DEFAULT, &[FPPROF, "dump", "--lines", "--native", "all", "-p", &pid]);
    assert!(!said.contains("left out") && shown.contains("ceval.c:"), "{said}{shown}");
    let record = ["record", "--hideprogress", "-d", "1", "--native", "all", "-p", &pid, "-f", "collapsed", "-o", "-"];
    let (said, shown) = within(DEFAULT, &[&[FPPROF][..], &record].concat());
    assert!(!said.contains("left out: lines") && shown.contains("ceval.c:"), "{said}{shown}");
}

#[test]
fn top_stays_within_the_bound() {
    let kinds: [(&str, &[&str]); 3] = [("distinct", &["10000"]), ("deep", &["150000"]), ("threads", &["300", "300"])];
    for (kind, numbers) in kinds {
        let target = start(&python::shared(), kind, numbers);
        let mut top = Top::of(&target, &["--idle", "--max-memory", &format!("{SMALL}MB")]);
        // In all of them, on a CPU; or a stack that is too deep to be kept twice.
        eventually("there are samples", || ["work", "without room"].iter().any(|words| top.text().contains(words)));
        top.press("nntts");
        top.wait_for("saved ");
        let peak = field(top.pid(), "VmHWM").expect("it runs");
        let kilobytes: u64 = peak.trim_end_matches(" kB").trim().parse().expect("a number");
        assert!(kilobytes <= SMALL * 1024, "{kind}: {peak}");
        top.press("q");
        assert!(top.wait().0.success(), "{kind}");
    }
}

#[test]
fn recordings_that_unfold_are_compared_within_the_bound() {
    for (kind, numbers) in
        [("leaves", &["65000", "6"]), ("alternating", &["65000", "12"]), ("long_names", &["1000000", "200"])]
    {
        let folder = made(kind, numbers);
        let path = folder.path().join("x.fpprof");
        let path = path.to_str().expect("it is text");
        for format in ["table", "json", "flamegraph"] {
            let said = peak(64, &[FPPROF, "diff", path, path, "-f", format, "-o", "/dev/null"]);
            assert!(said.contains("left out: ") || kind != "long_names", "{kind}: {said}");
        }
    }
}
