//! Every output of one small recording, compared with the files in `tests/golden`.
//!
//! `FPPROF_BLESS=1 cargo test --test output_golden` writes the files anew: look at what has changed before you commit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use fpprof::output::format::Format;
use fpprof::output::label::LabelOptions;
use fpprof::output::write;
use fpprof::profile::Profile;
use fpprof::profile::facts::activity::{GilUse, ThreadActivity};
use fpprof::profile::facts::{RecordingFacts, SampledThreads, StopFacts};
use fpprof::profile::frame::{Frame, FrameKind, SourceLine};
use fpprof::types::{Nanos, Pid, Tid};

fn facts() -> RecordingFacts {
    RecordingFacts {
        command: "python3 -m shop --serve <orders> & \"more\"".into(),
        pid: Pid(4711),
        python_version: Some("3.15.0".into()),
        threads: SampledThreads::Running,
        rate_hz: 100.0,
        fixed_intervals: false,
        started: Some(UNIX_EPOCH + Duration::from_secs(1_780_000_000)),
        duration: Duration::from_secs(10),
        samples_wanted: 1000,
        samples_taken: 990,
        samples_late: 6,
        samples_failed: 4,
        samples_left_out: 0,
        limit: None,
        failures: BTreeMap::from([("the thread has ended".to_owned(), 1), ("torn frame chain".to_owned(), 3)]),
        stacks: 990,
        stacks_complete: 980,
        activity: ThreadActivity {
            states: BTreeMap::from([("on CPU: Python".to_owned(), 660), ("waiting for the GIL".to_owned(), 330)]),
            gil: Some(GilUse { looks: 1000, held: 612, waiting: 330 }),
        },
        stops: Some(StopFacts { median: Nanos(10_300), p99: Nanos(48_000), disturbed_calls: 0 }),
        own_cpu: Some(Duration::from_millis(120)),
        fpprof_version: "0.1.0".into(),
        shown_part: None,
    }
}

fn python(kind: FrameKind, name: &str, file: &str, line: u32) -> Frame {
    let source = SourceLine { file: file.into(), line: Some(line), first_line: Some(line - line % 10) };
    Frame::python(kind, name, source)
}

fn native(kind: FrameKind, name: &str, module: &str) -> Frame {
    Frame::native(kind, name, Some(module))
}

/// One of everything: all kinds of frames, inlined and unnamed functions, non-ASCII names and hostile ones.
fn profile() -> Profile {
    use FrameKind::*;
    let thread = Frame::thread(Tid(4711), Some("MainThread"));
    let start = native(System, "_start", "python3.15");
    let eval = native(Interpreter, "_PyEval_EvalFrameDefault", "python3.15");
    let call = native(Interpreter, "PyObject_Vectorcall", "python3.15").at(SourceLine {
        file: "Objects/call.c".into(),
        line: Some(327),
        first_line: None,
    });
    let main = python(UserCode, "<module>", "shop/__main__.py", 41);
    let serve = python(UserCode, "Server.serve", "shop/server.py", 87);
    let serve_next = python(UserCode, "Server.serve", "shop/server.py", 88);
    let prices = python(UserCode, "größe.<locals>.<lambda>", "shop/名前.py", 12);
    let decode = python(StandardLibrary, "JSONDecoder.raw_decode", "json/decoder.py", 361);
    let request = python(InstalledPackage, "Session.request", "requests/sessions.py", 589);
    let scan = native(NativeExtension, "scan_once_unicode", "_json.cpython-315-x86_64-linux-gnu.so");
    let inlined = native(NativeExtension, "std::vector<int, std::allocator<int>>::push_back", "_fast.so")
        .at(SourceLine { file: "bits/stl_vector.h".into(), line: Some(1278), first_line: None })
        .inlined();
    let unnamed = native(System, "libz.so.1.3.1+0x4a10", "libz.so.1.3.1");
    let copy = native(System, "__memmove_avx_unaligned_erms", "libc.so.6");
    let jit = native(Jit, "py::Server.serve:/srv/shop/server.py", "");
    let hostile = native(NativeExtension, "x]]>&<\"';\u{7}\u{202e} 5", "evil.so");
    let gap = Frame::gap("no unwind rule at libcustom.so+0x2f0");

    let mut profile = Profile::new();
    let root = [&thread, &start, &eval, &main];
    let mut add = |inner: &[&Frame], weight| profile.add(root.iter().chain(inner).copied(), weight);
    add(&[&serve, &call, &eval, &decode, &scan], 310);
    add(&[&serve, &call, &eval, &decode, &scan, &copy], 80);
    add(&[&serve, &call, &eval, &decode], 60);
    add(&[&serve_next, &request, &unnamed], 170);
    add(&[&serve_next, &request, &unnamed, &copy], 40);
    add(&[&serve_next, &prices], 120);
    add(&[&serve_next, &jit], 60);
    add(&[&serve_next, &inlined], 90);
    add(&[&serve_next, &inlined, &hostile], 20);
    add(&[&serve, &Frame::run_state("I/O: read socket")], 50);
    add(&[], 30);
    profile.add([&thread, &gap, &scan], 10);
    profile
}

/// Compares with the file, or writes it.
fn check(name: &str, format: Format, profile: &Profile, facts: &RecordingFacts, options: LabelOptions) {
    let mut out = Vec::new();
    write(format, profile, facts, &options, &mut out).expect("writing to memory succeeds");
    let actual = String::from_utf8(out).expect("the output is UTF-8");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("FPPROF_BLESS").is_some() {
        std::fs::write(&path, &actual).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file exists: bless it");
    let first = golden.lines().zip(actual.lines()).position(|(a, b)| a != b);
    assert!(golden == actual, "{name} differs, first in line {first:?} (from 0): bless it if that is meant");
}

#[test]
fn flame_graph() {
    check("everything.svg", Format::FlameGraph, &profile(), &facts(), LabelOptions::default());
}

#[test]
fn collapsed() {
    check("everything.txt", Format::Collapsed, &profile(), &facts(), LabelOptions::default());
}

#[test]
fn collapsed_by_function() {
    let options = LabelOptions { by_function: true, no_line_numbers: false };
    check("by_function.txt", Format::Collapsed, &profile(), &facts(), options);
}

#[test]
fn collapsed_without_line_numbers() {
    let options = LabelOptions { by_function: false, no_line_numbers: true };
    check("no_line_numbers.txt", Format::Collapsed, &profile(), &facts(), options);
}

fn empty_facts() -> RecordingFacts {
    RecordingFacts {
        samples_failed: 0,
        samples_left_out: 0,
        limit: None,
        samples_taken: 994,
        failures: BTreeMap::new(),
        stacks: 0,
        activity: ThreadActivity::default(),
        stacks_complete: 0,
        stops: None,
        ..facts()
    }
}

#[test]
fn empty_flame_graph() {
    check("empty.svg", Format::FlameGraph, &Profile::new(), &empty_facts(), LabelOptions::default());
}

#[test]
fn empty_collapsed() {
    check("empty.txt", Format::Collapsed, &Profile::new(), &empty_facts(), LabelOptions::default());
}
