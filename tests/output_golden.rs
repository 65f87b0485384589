//! Every output of one small recording, compared with the files in `tests/golden`.
//!
//! `FPPROF_BLESS=1 cargo test --test output_golden` writes the files anew: look at what has changed before you commit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use fpprof::output::format::Format;
use fpprof::output::label::LabelOptions;
use fpprof::output::mark::is_own;
use fpprof::output::{Difference, ShownProfile, write, write_difference};
use fpprof::profile::Profile;
use fpprof::profile::comparison::{Change, Estimate, FunctionChange, FunctionKey, Unit};
use fpprof::profile::facts::activity::{GilUse, ThreadActivity};
use fpprof::profile::facts::processes::{ProcessFacts, ProcessesFacts};
use fpprof::profile::facts::{RecordingFacts, StopFacts};
use fpprof::profile::frame::{Frame, FrameKind, SourceLine};
use fpprof::profile::processes::{ProcessLabels, ShownProcess};
use fpprof::profile::recording::{Module, Thread};
use fpprof::profile::samples::{TimedSample, Weights};
use fpprof::profile::sources::{Source, Sources};
use fpprof::profile::timeline::Timeline;
use fpprof::sampler::mode::Mode;
use fpprof::sampler::run_state::RunState;
use fpprof::target::descriptors::FileKind;
use fpprof::types::{Nanos, Pid, Tid};

/// The state of a thread that waits for a socket.
fn reading() -> RunState {
    RunState::Io { call: "read".into(), file: Some(FileKind::Socket) }
}

fn facts() -> RecordingFacts {
    RecordingFacts {
        command: "python3 -m shop --serve <orders> & \"more\"".into(),
        python_version: Some("3.15.0".into()),
        started: Some(UNIX_EPOCH + Duration::from_secs(1_780_000_000)),
        duration: Duration::from_secs(10),
        samples_wanted: 1000,
        samples_taken: 990,
        samples_late: 6,
        samples_failed: 4,
        failures: BTreeMap::from([("the thread has ended".to_owned(), 1), ("torn frame chain".to_owned(), 3)]),
        stacks: 990,
        stacks_complete: 980,
        activity: ThreadActivity {
            states: BTreeMap::from([(RunState::Python, 660), (RunState::Gil, 330)]),
            gil: Some(GilUse { looks: 1000, held: 612, waiting: 330 }),
        },
        stops: Some(StopFacts {
            median: Nanos(10_300),
            p99: Nanos(48_000),
            disturbed_calls: 0,
            of_sleepers: 0,
            arrivals: None,
        }),
        own_cpu: Some(Duration::from_millis(120)),
        fpprof_version: "0.1.0".into(),
        ..RecordingFacts::of_nothing(Pid(4711), Mode::Cpu, 100.0)
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
    add(&[&serve, &Frame::run_state(&reading())], 50);
    add(&[], 30);
    profile.add([&thread, &gap, &scan], 10);
    profile
}

/// Two threads that were seen with the stacks in turn, and in two states.
fn timeline(profile: &Profile) -> Timeline {
    let mut timeline = Timeline::default();
    let module = |path: &str, build_id: &str| Module { path: path.into(), build_id: Some(build_id.into()), bias: 0 };
    let modules = [module("/usr/bin/python3.15", "0a1b2c3d"), module("/usr/lib/x86_64-linux-gnu/libc.so.6", "4e5f")];
    timeline.add_modules(modules.iter());
    let threads = [(4711, Some("MainThread")), (4712, None)];
    let threads = threads.map(|(tid, name)| timeline.thread_number(0, &Thread { tid, name: name.map(str::to_owned) }));
    let states = [RunState::Python, reading()].map(|state| timeline.state_number(&state));
    let seen = profile.nodes().iter().enumerate().filter(|(_, node)| node.self_weight > 0);
    for (number, (stack, node)) in seen.enumerate() {
        for part in 0..2 {
            let time = 1_000_000 * (2 * number as u64 + part) + 123;
            let (thread, state) = (threads[number % 2], states[number / 4 % 2]);
            let weight = if part == 0 { node.self_weight / 3 } else { node.self_weight - node.self_weight / 3 };
            // Where weights are times, one sample each.
            let ticks = if weight < 1_000 { weight } else { 1 };
            timeline.add(TimedSample { time, thread, state, stack: stack as u32, ticks, weight });
        }
    }
    timeline
}

fn written(format: Format, shown: &ShownProfile<'_>, options: LabelOptions) -> Vec<u8> {
    let mut out = Vec::new();
    write(format, shown, &options, &mut out).expect("writing to memory succeeds");
    assert!(is_own(&out), "{format} can be told to be fpprof's");
    out
}

/// Compares with the file, or writes it.
fn check(name: &str, format: Format, profile: &Profile, facts: &RecordingFacts, options: LabelOptions) {
    let timeline = timeline(profile);
    let shown = ShownProfile { stacks: profile, timeline: Some(&timeline), facts, sources: None, is_inverted: false };
    compare(name, String::from_utf8(written(format, &shown, options)).expect("the output is UTF-8"));
}

/// The same with JSON laid out for people.
fn check_json(name: &str, format: Format, profile: &Profile, facts: &RecordingFacts) {
    let timeline = timeline(profile);
    let shown = ShownProfile { stacks: profile, timeline: Some(&timeline), facts, sources: None, is_inverted: false };
    let out = written(format, &shown, LabelOptions::default());
    let document: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
    compare(name, serde_json::to_string_pretty(&document).expect("it is JSON") + "\n");
}

/// The data of a page, laid out for people.
fn check_page(name: &str, profile: &Profile, facts: &RecordingFacts) {
    let timeline = timeline(profile);
    let lines = Source::Lines(vec!["def f():".into(), "    return '</script><img src=x onerror=alert(1)>'".into()]);
    let sources = Sources { files: BTreeMap::from([("shop/server.py".into(), lines)]) };
    let shown =
        ShownProfile { stacks: profile, timeline: Some(&timeline), sources: Some(&sources), facts, is_inverted: false };
    let page = String::from_utf8(written(Format::Html, &shown, LabelOptions::default())).expect("the page is UTF-8");
    assert_eq!((page.matches("</script").count(), page.matches("<img").count()), (2, 0), "no name ends the block");
    let (_, data) = page.split_once("id=\"data\">").expect("there is data");
    let (data, _) = data.split_once("</script>").expect("it ends");
    let document: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    compare(name, serde_json::to_string_pretty(&document).expect("it is JSON") + "\n");
}

fn compare(name: &str, actual: String) {
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

/// The same recording as one whose weights are times: a tick is 10 ms of the thread's, and 90 ms were used of which there is no sample.
fn with_times() -> (Profile, RecordingFacts) {
    let mut profile = Profile::new();
    for (stack, weight) in self::profile().stacks() {
        profile.add(stack, weight * 10_000);
    }
    profile.add([&Frame::not_sampled()], 90_000);
    let facts = RecordingFacts {
        weights: Weights::Time,
        target_cpu: Some(Duration::from_millis(10_490)),
        not_sampled: Some(Duration::from_millis(90)),
        ..facts()
    };
    (profile, facts)
}

#[test]
fn times() {
    let (profile, facts) = with_times();
    check("times.svg", Format::FlameGraph, &profile, &facts, LabelOptions::default());
    check("times.txt", Format::Collapsed, &profile, &facts, LabelOptions::default());
    check("times.jsonl", Format::JsonLines, &profile, &facts, LabelOptions::default());
    check_json("times.firefox.json", Format::Firefox, &profile, &facts);
    check_json("times.speedscope.json", Format::Speedscope, &profile, &facts);
    check_page("times.html.json", &profile, &facts);
}

/// A master and a worker, of which the second has used most; a hostile role.
fn several() -> (Profile, Timeline, RecordingFacts) {
    let (mut profile, mut timeline) = (Profile::new(), Timeline::default());
    let processes = [(4711, "gunicorn: master [shop]"), (4712, "gunicorn: <worker> [shop\u{7}]")]
        .map(|(pid, role)| ShownProcess { pid: Some(Pid(pid)), again: 0, role: role.into() });
    let state = timeline.state_number(&RunState::Python);
    for (process, weight) in processes.iter().zip([20_000, 480_000]) {
        let module = python(FrameKind::UserCode, "<module>", "shop/__main__.py", 41);
        profile.add([&process.frame(ProcessLabels::Each), &module], weight);
        let stack = u32::try_from(profile.nodes().len() - 1).expect("there are few");
        let number = timeline.process_number(process);
        let tid = process.pid.expect("it has one").0;
        let thread = timeline.thread_number(number, &Thread { tid, name: Some("MainThread".into()) });
        timeline.add(TimedSample { time: u64::from(number) * 10, thread, state, stack, ticks: 1, weight });
    }
    let recorded = processes.iter().zip([20, 480]).map(|(process, millis)| ProcessFacts {
        pid: process.pid.expect("it has one"),
        again: 0,
        role: process.role.clone(),
        cpu: Duration::from_millis(millis),
        stacks: 1,
    });
    let processes = ProcessesFacts { recorded: recorded.collect(), not_python: 3, ..ProcessesFacts::default() };
    (profile, timeline, RecordingFacts { weights: Weights::Time, processes: Some(processes), ..facts() })
}

#[test]
fn several_processes() {
    let (profile, timeline, facts) = several();
    let shown =
        ShownProfile { stacks: &profile, timeline: Some(&timeline), facts: &facts, sources: None, is_inverted: false };
    let text = |format| String::from_utf8(written(format, &shown, LabelOptions::default())).expect("it is UTF-8");
    compare("processes.txt", text(Format::Collapsed));
    compare("processes.jsonl", text(Format::JsonLines));
    for (name, format) in [
        ("processes.firefox.json", Format::Firefox),
        ("processes.speedscope.json", Format::Speedscope),
        ("processes.trace.json", Format::ChromeTrace),
    ] {
        let document: serde_json::Value = serde_json::from_str(&text(format)).expect("it is JSON");
        compare(name, serde_json::to_string_pretty(&document).expect("it is JSON") + "\n");
    }
    assert!(text(Format::Html).contains("\"processes\":[{\"name\":\"gunicorn: master [shop] (4711)\""));
}

fn empty_facts() -> RecordingFacts {
    RecordingFacts {
        samples_failed: 0,
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

#[test]
fn inverted_flame_graph() {
    let profile = profile().inverted();
    let shown = ShownProfile { stacks: &profile, timeline: None, facts: &facts(), sources: None, is_inverted: true };
    let out = written(Format::FlameGraph, &shown, LabelOptions::default());
    compare("inverted.svg", String::from_utf8(out).expect("the output is UTF-8"));
}

/// Functions that have grown, shrunk, or not changed beyond the error, in turn.
#[test]
fn difference() {
    let profile = profile();
    let estimate = |value| Estimate { value, error: 0.01 };
    let change = |(number, frame): (usize, &Frame)| {
        let after = [0.2, 0.45, 0.05, 0.21][number % 4];
        let change = Change { before: estimate(0.2), after: estimate(after) };
        FunctionChange { key: FunctionKey::of(frame), kind: frame.kind, own: change, total: change }
    };
    let changes: Vec<FunctionChange> = profile.frames().iter().enumerate().map(change).collect();
    let facts = facts();
    let difference = Difference {
        stacks: &profile,
        facts: &facts,
        changes: &changes,
        unit: Unit::Share,
        title: "from <before>.fpprof to after.fpprof".into(),
        subtitle: "change of total time".into(),
        description: facts.summary_lines().join("\n"),
    };
    let mut out = Vec::new();
    write_difference(&difference, &mut out).expect("writing to memory succeeds");
    assert!(is_own(&out));
    compare("difference.svg", String::from_utf8(out).expect("the output is UTF-8"));
}

#[test]
fn flame_chart() {
    check("chart.svg", Format::FlameChart, &profile(), &facts(), LabelOptions::default());
}

#[test]
fn empty_flame_chart() {
    check("empty.svg", Format::FlameChart, &Profile::new(), &empty_facts(), LabelOptions::default());
}

#[test]
fn page() {
    check_page("everything.html.json", &profile(), &facts());
    check_page("empty.html.json", &Profile::new(), &empty_facts());
}

#[test]
fn json_lines() {
    check("everything.jsonl", Format::JsonLines, &profile(), &facts(), LabelOptions::default());
    check("empty.jsonl", Format::JsonLines, &Profile::new(), &empty_facts(), LabelOptions::default());
}

#[test]
fn speedscope() {
    check_json("everything.speedscope.json", Format::Speedscope, &profile(), &facts());
    check_json("empty.speedscope.json", Format::Speedscope, &Profile::new(), &empty_facts());
}

#[test]
fn firefox() {
    check_json("everything.firefox.json", Format::Firefox, &profile(), &facts());
    check_json("empty.firefox.json", Format::Firefox, &Profile::new(), &empty_facts());
}

#[test]
fn chrome_trace() {
    check_json("everything.trace.json", Format::ChromeTrace, &profile(), &facts());
    check_json("empty.trace.json", Format::ChromeTrace, &Profile::new(), &empty_facts());
}

/// What is in it is compared by its own client, in `tests/clients`.
#[test]
fn pprof_is_the_same_each_time() {
    let (profile, facts) = (profile(), facts());
    let timeline = timeline(&profile);
    let shown =
        ShownProfile { stacks: &profile, timeline: Some(&timeline), facts: &facts, sources: None, is_inverted: false };
    let [one, other] = [(); 2].map(|()| written(Format::Pprof, &shown, LabelOptions::default()));
    assert!(one == other);
}

#[test]
fn a_format_of_samples_is_not_made_of_sums() {
    let (profile, facts) = (profile(), facts());
    let shown = ShownProfile { stacks: &profile, timeline: None, facts: &facts, sources: None, is_inverted: false };
    for format in Format::ALL {
        let result = write(format, &shown, &LabelOptions::default(), &mut Vec::new());
        assert_eq!(result.is_err(), format.needs_samples(), "{format}");
    }
}
