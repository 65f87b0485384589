//! Each switch does what its help says.

use std::process::Command;

use crate::processes::assert_untouched;
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, FPPROF, record};

/// One thread that works in C and in Python, one that waits, and one that holds no GIL while it works.
const MIXED: &str = "
import os, threading, hashlib, time
def waits():
    os.read(0, 1)
    os._exit(0)
data = bytes(3_000_000)
def hashes():
    while True: hashlib.sha256(data); time.sleep(0.004)
def key(n):
    for _ in range(30): n = -n
    return n
def sorts():
    while True:
        sorted(range(2000), key=key)
for f in (waits, hashes):
    threading.Thread(target=f, daemon=True, name=f.__name__).start()
print('ready', flush=True)
sorts()
";

fn recorded(target: &Program, switches: &[&str]) -> Ended {
    let ended = record(&[&["-d", "1", "-r", "200", "-o", "o.txt", "-p", &target.pid_text()][..], switches].concat());
    ended.recorded();
    ended
}

/// The lines of stacks, without the header.
fn stacks(ended: &Ended) -> Vec<&str> {
    ended.stacks()
}

#[track_caller]
fn some(ended: &Ended, words: &str) {
    assert!(stacks(ended).iter().any(|line| line.contains(words)), "no {words:?}: {ended:?}");
}

#[track_caller]
fn none(ended: &Ended, words: &str) {
    assert!(!stacks(ended).iter().any(|line| line.contains(words)), "{words:?}: {ended:?}");
}

#[test]
fn modes_choose_the_threads() {
    let target = Program::start(&python::newest(), MIXED);
    // The other spellings of each are those of the arguments' own tests (src/cli/args.rs).
    let cpu = recorded(&target, &["--native", "none"]);
    some(&cpu, "sorts (<string>");
    some(&cpu, "hashes (<string>");
    none(&cpu, "waits (<string>");
    assert!(cpu.stderr.contains("cpu mode"), "{cpu:?}");
    let wall = recorded(&target, &["-i", "--native", "none"]);
    some(&wall, "sorts (<string>");
    some(&wall, "waits (<string>");
    assert!(wall.stderr.contains("wall mode"), "{wall:?}");
    let gil = recorded(&target, &["--mode", "gil", "--native", "none"]);
    some(&gil, "sorts (<string>");
    none(&gil, "waits (<string>");
    assert!(gil.stderr.contains("gil mode"), "{gil:?}");
    assert_untouched(target.pid());
}

#[test]
fn filters_choose_threads_and_stacks() {
    let target = Program::start(&python::newest(), MIXED);
    let filtered = |filter: &[&str]| recorded(&target, &[&["-i"], filter].concat());
    for threads in [&["--thread", "hash*s"][..], &["--ignore", "sorts", "--ignore", "waits"]] {
        let ended = filtered(threads);
        some(&ended, "hashes (<string>");
        none(&ended, "sorts (<string>");
        none(&ended, "waits (<string>");
        assert!(ended.recorded().contains("# shown: a part of them, "), "it says so: {ended:?}");
    }
    let main = filtered(&["--thread", &target.pid_text(), "--native", "none"]);
    some(&main, "sorts (<string>");
    none(&main, "hashes (<string>");
    let module = filtered(&["--focus", "libcrypto.so"]);
    some(&module, "hashes (<string>");
    none(&module, "sorts (<string>");
    let nothing = filtered(&["--focus", "no such function"]);
    assert_eq!(stacks(&nothing), Vec::<&str>::new());
    assert!(nothing.stderr.contains("nothing that was recorded is what was chosen"), "{nothing:?}");
    let kept = record(&["-d", "1", "-o", "run.fpprof", "-p", &target.pid_text(), "--focus", "key"]);
    kept.assert_refused(&["`--focus` leaves samples out", "Give `--focus` to `fpprof report`"]);
    assert_untouched(target.pid());
}

#[test]
fn native_frames_are_shown_as_asked() {
    let target = Program::start(&python::newest(), MIXED);
    let ended = recorded(&target, &["-n"]);
    some(&ended, ";sorts (<string>:14);builtin_sorted");
    some(&ended, ";key (<string>:10) ");
    none(&ended, "_PyEval_EvalFrameDefault");
    none(&ended, "_PyEval_Vector");
    let ended = recorded(&target, &["--native", "all"]);
    some(&ended, "_start (");
    // The evaluation has its own name, whatever was inlined where it begins.
    some(&ended, ";_PyEval_EvalFrameDefault (python3.15);<module> (<string>:18);sorts (<string>:14)");
    some(&ended, ";_PyEval_EvalFrameDefault (python3.15);key (<string>:10)");
    some(&ended, "builtin_sorted");
    let ended = recorded(&target, &["--native", "none"]);
    some(&ended, "<module> (<string>:18);sorts (<string>:14);key (<string>:10) ");
    none(&ended, "builtin_sorted");
    assert!(stacks(&ended).iter().all(|line| line.contains(".py:") || line.contains("<string>:")), "{ended:?}");
}

#[test]
fn lines_and_threads_are_shown_as_asked() {
    let target = Program::start(&python::newest(), MIXED);
    let ended = recorded(&target, &["-t"]);
    some(&ended, &format!("thread {}", target.pid()));
    some(&ended, "hashes");
    assert!(stacks(&ended).iter().all(|line| line.starts_with("thread ")), "{ended:?}");
    let ended = recorded(&target, &["--native", "none", "-F"]);
    some(&ended, "sorts (<string>:12)");
    none(&ended, "sorts (<string>:14)");
    some(&ended, "key (<string>:9)");
    let ended = recorded(&target, &["--native", "none", "--nolineno"]);
    some(&ended, "<module> (<string>);sorts (<string>)");
    none(&ended, ":1");
}

#[test]
fn file_names_are_short_unless_they_shall_be_full() {
    let target = Program::start(&python::newest(), MIXED);
    let short = recorded(&target, &[]);
    some(&short, "(threading.py:");
    none(&short, "/usr/lib/python3.15/threading.py");
    // As the target names them, which runs in a root of its own.
    let full = recorded(&target, &["--full-filenames"]);
    some(&full, "(/usr/lib/python3.15/threading.py:");
}

#[test]
fn rate_and_duration_are_kept() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record(&["-r", "50", "-d", "2s", "-o", "o.txt", "-p", &target.pid_text()]);
    let line = ended.stderr.lines().find(|line| line.contains(" samples taken")).expect("it says so");
    // `95 of 102 samples taken`: Poisson, so 100 ± 4 standard deviations.
    let wanted: f64 = line.split(" of ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect(line);
    assert!((60.0..=140.0).contains(&wanted), "{ended:?}");
    let total: u64 = stacks(&ended).iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    // What one thread can use in two seconds and what it takes to stop.
    assert!((1..2_500_000).contains(&total), "{total} µs: {ended:?}");
    assert!(ended.stderr.contains("at 50 Hz for 2.0"), "{ended:?}");
}

#[test]
fn formats_are_chosen_by_name_and_by_extension() {
    let target = Program::start(&python::newest(), BUSY);
    let svg = record(&["-d", "300ms", "-o", "o.svg", "-p", &target.pid_text()]);
    let picture = svg.recorded();
    assert!(
        picture.contains("<svg ") && picture.trim_end().ends_with("</svg>") && picture.contains("inner"),
        "{svg:?}"
    );
    assert!(picture.contains(&target.pid_text()) && picture.contains("samples taken"), "the facts are in it");
    for format in ["collapsed", "raw"] {
        let ended = record(&["-d", "300ms", "-f", format, "-o", "-", "-p", &target.pid_text()]);
        assert!(ended.stdout.lines().any(|line| line.contains(";outer (<string>:11);inner (")), "{ended:?}");
        assert!(ended.stderr.contains("stacks: ") && ended.files.is_empty(), "{ended:?}");
    }
}

#[test]
fn switches_of_py_spy_that_are_not_offered_are_refused_by_name() {
    for (switch, instead) in [("--nonblocking", "Leave it out"), ("--capture", "Leave it out")] {
        let ended = record(&[switch, "-o", "o.svg", "-p", "1"]);
        ended.assert_refused(&["py-spy's, and not offered", instead]);
    }
    let ended = record(&["-f", "png", "-o", "o.png", "-p", "1"]);
    assert!(ended.code == 2 && ended.files.is_empty() && ended.stderr.contains("speedscope"), "{ended:?}");
    record(&["-o", "o.json", "-p", "1"]).assert_refused(&["`.json`", "--format", "speedscope"]);
    for (switch, shown) in [("--help", true), ("-h", true)] {
        let output = Command::new(FPPROF).args(["record", switch]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success());
        assert_eq!(text.contains("--duration"), shown);
        assert!(!text.contains("--nonblocking") && !text.contains("--capture"), "{text}");
    }
}

/// The numbers before these words in a line of the summary.
#[track_caller]
fn number_before(ended: &Ended, words: &str) -> u64 {
    let before = ended.stderr.split_once(words).unwrap_or_else(|| panic!("no {words:?}: {ended:?}")).0;
    let digits = before.trim_end().rsplit([' ', '\n']).next().unwrap_or_default().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("no number before {words:?}: {ended:?}"))
}

#[test]
fn a_recording_keeps_to_its_budget_and_counts_what_it_leaves_out() {
    let target = Program::start(&python::newest(), BUSY);
    let record = |overhead: &str| {
        // Of the thread that waits, for there is no moment at which it could not be counted.
        let shown = ["--mode", "wall", "--thread", "waiter", "-o", "o.txt", "-p", &target.pid_text()];
        let ended = record(&[&["-d", "2s", "-r", "1000", "--max-overhead", overhead][..], &shown].concat());
        let counted: u64 = stacks(&ended).iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        (
            number_before(&ended, " of "),
            number_before(&ended, " samples taken"),
            number_before(&ended, " late"),
            counted,
            ended,
        )
    };
    // A hundredth of a percent is two stops of 50 µs a second.
    let (taken, wanted, late, counted, ended) = record("0.01");
    let (_, left_out) = ended.stderr.split_once("left out: ").unwrap_or_else(|| panic!("nothing left out: {ended:?}"));
    let left_out: u64 = left_out.split(' ').next().map_or(0, |digits| digits.replace(',', "").parse().unwrap_or(0));
    assert!(left_out > wanted / 4, "{ended:?}");
    assert_eq!(taken + late + left_out, wanted, "every tick is accounted for: {ended:?}");
    let two_seconds = 1_500_000..2_500_000;
    // A tick is a millisecond.
    assert!(counted >= taken * 1_000, "a sample stands for those left out before it, {counted} µs: {ended:?}");
    assert!(counted < two_seconds.end, "and for no others, {counted} µs: {ended:?}");
    let (taken, wanted, late, counted, ended) = record("none");
    assert!(!ended.stderr.contains("left out"), "{ended:?}");
    assert_eq!(taken + late, wanted, "{ended:?}");
    assert!(two_seconds.contains(&counted), "{counted} µs: {ended:?}");
}

#[test]
fn a_fixed_clock_ticks_as_often_as_it_should() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record(&["-d", "2s", "-r", "50", "--clock", "fixed", "-o", "o.txt", "-p", &target.pid_text()]);
    ended.recorded();
    let wanted = number_before(&ended, " samples taken");
    // It ends late when the last sample takes long; a sample that goes on at its end has not counted its late ticks yet.
    let (_, seconds) = ended.stderr.split_once("(fixed intervals) for ").unwrap_or_else(|| panic!("{ended:?}"));
    let seconds = seconds.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok()).expect("seconds");
    assert!((2.0..10.0).contains(&seconds), "{ended:?}");
    let due = seconds * 50.0;
    assert!((due - 10.0..=due + 1.5).contains(&(wanted as f64)), "{ended:?}");
    assert!(ended.stderr.contains("fixed"), "the clock is told: {ended:?}");
}
