//! Recordings that are kept in a file, and what is made of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use fpprof::profile::recording::{self, Recording};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::patience::eventually;
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, FPPROF, Scratch, record, start, start_command};

pub fn report(arguments: &[&str], folder: Scratch) -> Ended {
    let mut command = Command::new(FPPROF);
    command.arg("report").args(arguments);
    start_command(command, folder).wait()
}

pub fn read(path: &Path) -> Recording {
    let bytes = fs::read(path).expect("it was written");
    recording::read(&bytes[..], bytes.len() as u64).expect("it is a recording")
}

/// The sum of the counts of collapsed stacks.
fn total(collapsed: &str) -> u64 {
    let stacks = collapsed.lines().filter(|line| !line.starts_with('#'));
    stacks.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a count")).sum()
}

/// What a page shows.
pub fn page_data(page: &str) -> Value {
    let (_, data) = page.split_once("id=\"data\">").expect("there is data");
    let (data, _) = data.split_once("</script>").expect("it ends");
    serde_json::from_str(data).expect("it is JSON")
}

/// The sum of the times in an output in JSON, in microseconds.
fn micros(format: &str, output: &str) -> u64 {
    let sum = |values: &Value| -> u64 {
        values.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a number")).sum()
    };
    let document = || serde_json::from_str::<Value>(output).expect("it is JSON");
    let list = |name: &str| document()[name].as_array().expect("a list").clone();
    match format {
        "jsonl" => {
            let samples = output.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
            samples.map(|sample| sample["weight_ns"].as_u64().expect("a number")).sum::<u64>() / 1_000
        }
        "speedscope" => list("profiles").iter().map(|profile| sum(&profile["weights"])).sum::<u64>() / 1_000,
        "html" => {
            let page = page_data(output);
            let nodes = page["nodes"].as_array().expect("a list");
            let sum = nodes.iter().map(|node| node[2].as_u64().expect("a number")).sum();
            assert_eq!(page["total"], sum);
            sum
        }
        other => panic!("{other}"),
    }
}

/// How many samples a trace of events tells of.
fn samples_of_trace(output: &str) -> usize {
    let document: Value = serde_json::from_str(output).expect("it is JSON");
    let (mut total, mut end, mut tid) = (0, 0, Value::Null);
    for event in document["traceEvents"].as_array().expect("a list").iter().filter(|event| event["ph"] == "X") {
        let time = |name: &str| event[name].as_u64().expect("a time");
        // What begins later than everything before has ended is the outermost of its stack.
        if event["tid"] != tid || time("ts") >= end {
            total += event["args"]["samples"].as_u64().expect("a number");
            (tid, end) = (event["tid"].clone(), time("ts") + time("dur"));
        }
    }
    usize::try_from(total).expect("it fits")
}

/// The milliseconds of each thread in a profile for Firefox.
fn milliseconds_by_thread(output: &str) -> Vec<u64> {
    let document: Value = serde_json::from_str(output).expect("it is JSON");
    let of_thread = |thread: &Value| {
        assert_eq!(thread["samples"]["weightType"], "tracing-ms");
        let weights = thread["samples"]["weight"].as_array().expect("a list");
        weights.iter().map(|weight| weight.as_u64().expect("a number")).sum()
    };
    document["threads"].as_array().expect("a list").iter().map(of_thread).collect()
}

#[test]
fn inverted_stacks_are_for_formats_that_sum_them_up() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record(&["-f", "pprof", "--inverted", "-p", &target.pid_text()]);
    ended.assert_refused(&["`--inverted` is for flame graphs", "viewers invert"]);
    assert_eq!(ended.code, 2);
    record(&["-f", "fpprof", "--inverted", "-p", &target.pid_text()]).assert_refused(&["`fpprof report`"]);
    let ended = record(&["-d", "300ms", "-o", "o.txt", "--inverted", "--native", "none", "-p", &target.pid_text()]);
    let stacks = ended.stacks();
    let ends_outermost = |line: &&str| line.rsplit(';').next().is_some_and(|frame| frame.starts_with("<module> ("));
    assert!(!stacks.is_empty() && stacks.iter().all(ends_outermost), "{ended:?}");
}

#[test]
fn a_report_has_the_totals_of_its_recording_whatever_it_shows() {
    let target = Program::start(&python::newest(), BUSY);
    let kept = Scratch::new();
    let path = kept.path().join("run.fpprof");
    let path_text = path.to_string_lossy();
    let ended = record(&["-o", &path_text, "-d", "2", "--mode", "wall", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let recording = read(&path);
    assert_eq!(recording.cut_off, None);
    // Two counts that do not know of each other: the samples in the file, and what was counted meanwhile.
    let samples = || recording.programs.iter().flat_map(|program| &program.samples);
    let time: u64 = samples().map(|sample| sample.weight).sum();
    assert_eq!(recording.facts.activity.states.values().sum::<u64>(), time);
    let count = samples().filter(|sample| sample.was_taken()).count();
    assert!(count > 20, "{recording:?}");
    for view in [&[][..], &["--native", "all"], &["--native", "none", "-t"], &["--states", "-F"]] {
        let shown = report(&[&[&*path_text, "-f", "collapsed"], view].concat(), Scratch::new());
        assert_eq!((shown.code, total(&shown.stdout)), (0, time), "{view:?}: {shown:?}");
    }
    let in_format = |format: &str| report(&[&path_text, "-f", format, "-o", "-"], Scratch::new());
    for format in ["jsonl", "speedscope", "html"] {
        let shown = in_format(format);
        assert_eq!((shown.code, micros(format, &shown.stdout)), (0, time), "{format}: {shown:?}");
    }
    assert_eq!(samples_of_trace(&in_format("chrometrace").stdout), count);
    let threads = milliseconds_by_thread(&in_format("firefox").stdout);
    let sum = threads.iter().sum::<u64>();
    // Of each thread whole ones are told.
    assert!((time / 1_000).abs_diff(sum) <= threads.len() as u64, "{sum} ms of {time} µs");
    let part = |arguments: &[&str]| {
        let shown = report(&[&[&*path_text, "-f", "collapsed"], arguments].concat(), Scratch::new());
        assert!(shown.stdout.contains("shown: a part of them"), "{shown:?}");
        total(&shown.stdout)
    };
    assert_eq!(part(&["--to", "1"]) + part(&["--from", "1"]), time);
    assert_eq!(part(&["--focus", "<module>"]) + part(&["--ignore", "<module>"]), time);
    let threads = recording.programs.iter().flat_map(|program| &program.threads);
    assert_eq!(threads.map(|thread| part(&["--thread", &thread.tid.to_string()])).sum::<u64>(), time);
    assert_eq!(part(&["--thread", "no such thread"]), 0);
    // It would be lost.
    let over = report(&[&path_text, "-o", &path_text], Scratch::new());
    over.assert_refused(&["is the recording itself"]);
    assert_eq!(read(&path), recording);
    assert_untouched(target.pid());
}

/// The file is in the root of the program, which is not always ours.
#[test]
fn a_page_shows_the_source_of_the_program_that_was_recorded() {
    const SOURCE: &str = "print('ready', flush=True)\nwhile True:\n    sum(range(10_000))\n";
    for interpreter in [python::shared(), python::newest()] {
        let mut command = interpreter.command();
        let root = match command.get_program().to_str() {
            Some("chroot") => command.get_args().next().map(Path::new).expect("a root").to_owned(),
            _ => Path::new("/").to_owned(),
        };
        let name = format!("fpprof-page-{}.py", std::process::id());
        let script = root.join("tmp").join(&name);
        fs::write(&script, SOURCE).expect("it can be written");
        command.arg(format!("/tmp/{name}"));
        let mut target = Program::spawn(command);
        assert_eq!(target.line(), "ready");
        let ended = record(&["-f", "html", "-o", "-", "-d", "1", "-p", &target.pid_text()]);
        fs::remove_file(&script).expect("it is ours");
        assert_eq!(ended.code, 0, "{ended:?}");
        let page = page_data(&ended.stdout);
        let files = page["files"].as_array().expect("a list");
        let is_it = |file: &&Value| file["name"].as_str().is_some_and(|file| file.ends_with(&name));
        let file = files.iter().find(is_it).unwrap_or_else(|| panic!("{}: {page}", interpreter.name));
        assert_eq!(file["lines"][2], "    sum(range(10_000))", "{}: {file}", interpreter.name);
        let heat = file["heat"].as_array().expect("a list").iter();
        let hottest = heat.max_by_key(|line| line[1].as_u64()).expect("lines were seen");
        assert_eq!(hottest[0], 3, "{}: {file}", interpreter.name);
    }
}

#[test]
fn what_was_recorded_before_sigkill_can_be_read() {
    let target = Program::start(&python::newest(), BUSY);
    let running = start(&["-o", "run.fpprof", "-p", &target.pid_text()]);
    let path = running.folder().join("run.fpprof.partial.fpprof");
    let has_samples = || {
        let bytes = fs::read(&path).unwrap_or_default();
        let read = recording::read(&bytes[..], bytes.len() as u64);
        read.is_ok_and(|recording| recording.programs.iter().any(|program| !program.samples.is_empty()))
    };
    eventually("samples are written while recording", has_samples);
    running.signal(Signal::SIGKILL);
    eventually("fpprof has ended", || crate::processes::state(running.pid()) == 'Z');
    let kept = read(&path);
    assert!(kept.cut_off.is_some());
    let shown = report(&[&path.to_string_lossy(), "-f", "collapsed"], Scratch::new());
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stderr.contains("warning: the recording was cut off"), "{shown:?}");
    let samples: u64 = kept.programs.iter().flat_map(|program| &program.samples).map(|sample| sample.weight).sum();
    assert_eq!(total(&shown.stdout), samples);
    assert!(shown.stdout.contains("<module>"), "{shown:?}");
    assert_untouched(target.pid());
    let ended = running.wait();
    assert_eq!(ended.files, ["run.fpprof.partial.fpprof"], "nothing has the name of the output");
    assert!(ended.stderr.contains("is kept in run.fpprof.partial.fpprof"), "{ended:?}");
}

#[test]
fn files_that_are_no_recordings_are_refused_with_what_to_do() {
    let kept = Scratch::new();
    for (contents, words) in
        [(&b""[..], "is empty"), (b"<svg/>", "no recording of fpprof's"), (b"\x1f\x8b\x08", "no recording")]
    {
        let path = kept.path().join("x.fpprof");
        fs::write(&path, contents).unwrap();
        report(&[&path.to_string_lossy()], Scratch::new()).assert_refused(&[words]);
    }
    report(&["nowhere.fpprof"], Scratch::new()).assert_refused(&["nowhere.fpprof", "cannot be read"]);
}

#[test]
fn a_recording_goes_through_a_pipe_too() {
    let target = Program::start(&python::newest(), BUSY);
    let kept = Scratch::new();
    let path = kept.path().join("run.fpprof");
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" record -f fpprof -o - -d 500ms -p \"$1\" >\"$2\""]);
    command.args([FPPROF, &target.pid_text(), &path.to_string_lossy()]);
    let ended = start_command(command, Scratch::new()).wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let recording = read(&path);
    assert_eq!(recording.cut_off, None);
    assert!(recording.programs.iter().any(|program| !program.samples.is_empty()), "{recording:?}");
}

#[test]
fn switches_that_show_are_said_to_be_for_reports() {
    let target = Program::start(&python::newest(), BUSY);
    let whole = record(&["-o", "run.fpprof", "-d", "200ms", "-t", "-F", "-p", &target.pid_text()]);
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.stderr.contains("give --threads, --function to `fpprof report`"), "{whole:?}");
}
