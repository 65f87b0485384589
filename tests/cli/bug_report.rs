//! `fpprof bug-report`: one file with what is needed to mend a bug, and without what is nobody's business.

use std::fs;
use std::process::Command;

use fpprof::snapshot::Snapshot;
use serde_json::Value;

use crate::processes::assert_untouched;
use crate::python::{self, Program};
use crate::run::{Ended, FPPROF, Scratch, fpprof, start_command};

/// What must not leave the machine: in an argument, in the environment, in a variable, and in the frame of a C function, where
/// libffi copies a struct that is passed by value. The file that the code says it is in stands in somebody's home folder.
const SECRET: &str = "hunter2-hunter2-hunter2";
const SECRETIVE: &str = "
import ctypes, os, sys
source = '''
class Struct(ctypes.Structure):
    _fields_ = [('text', ctypes.c_char * 64)]
def called_by_c(struct):
    password = sys.argv[1]
    print('ready', flush=True)
    os.read(0, 1)
    return 0
callback = ctypes.CFUNCTYPE(ctypes.c_int, Struct)(called_by_c)
callback(Struct(sys.argv[1].encode()))
'''
exec(compile(source, '/home/alice/app.py', 'exec'))
";

fn secretive() -> Program {
    let mut command = python::shared().command();
    command.args(["-c", SECRETIVE, SECRET]).env("PASSWORD", SECRET);
    let mut program = Program::spawn(command);
    assert_eq!(program.line(), "ready");
    program
}

/// Runs `fpprof bug-report` with these arguments, to a file of its own.
fn reported(arguments: &[&str]) -> (Ended, String) {
    let scratch = Scratch::new();
    let path = scratch.path().join("report.json").to_string_lossy().into_owned();
    let ended = fpprof(&[&["bug-report", "-o", &path], arguments].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = fs::read_to_string(&path).expect("it was written");
    (ended, text)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All bytes that a snapshot holds of the program's memory.
fn bytes(snapshot: &str) -> Vec<u8> {
    let snapshot = Snapshot::from_json(snapshot.as_bytes()).expect("it is one");
    let registers = (0..40).filter_map(|number| snapshot.registers.get(number)).flat_map(u64::to_le_bytes);
    let memory = snapshot.memory.iter().flat_map(|region| region.bytes.iter().copied());
    snapshot.stack.bytes.iter().copied().chain(memory).chain(registers).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_report_tells_what_is_needed_and_no_secrets() {
    let target = secretive();
    let pid = target.pid_text();
    let (ended, text) = reported(&["--pid", &pid]);
    assert!(ended.stderr.contains("look at it, and attach it to an issue"), "{ended:?}");
    let report = json(&text);
    assert_eq!(report["build"]["version"], env!("CARGO_PKG_VERSION"), "{report:#}");
    assert!(report["host"]["kernel"].is_string() && report["host"]["limits"].is_array(), "{report:#}");
    assert!(
        report["doctor"]["process"]["python"]["version"].as_str().is_some_and(|version| version.starts_with("3.13"))
    );
    assert!(report["doctor"]["modules"].as_array().is_some_and(|modules| modules.len() > 2), "{report:#}");
    assert!(!text.contains(SECRET) && !text.contains("alice"), "{text}");

    let redacted = bytes(&report["snapshot"].to_string());
    assert!(!holds(&redacted, "hunter2-"), "the contents of the stack are in the report");
    assert!(holds(&redacted, "/home/xxxxx/app.py") && !holds(&redacted, "alice"), "a user's name is in the report");
    // The truth that the search finds what is there.
    let whole = Scratch::new();
    let path = whole.path().join("case.json").to_string_lossy().into_owned();
    assert_eq!(fpprof(&["doctor", "--pid", &pid, "--snapshot", &path]).code, 0);
    let whole = bytes(&fs::read_to_string(path).expect("it was written"));
    assert!(holds(&whole, "hunter2-") && holds(&whole, "/home/alice/app.py"));
    assert_untouched(target.pid());
}

#[test]
fn the_stack_in_a_report_is_the_one_of_the_process() {
    let target = secretive();
    let scratch = Scratch::new();
    let path = scratch.path().join("report.json").to_string_lossy().into_owned();
    assert_eq!(fpprof(&["bug-report", "-p", &target.pid_text(), "-o", &path]).code, 0);
    let dump = |arguments: &[&str]| {
        let ended = fpprof(&[&["dump", "--json", "--native", "all"], arguments].concat());
        let places = |thread: &Value| {
            let frames = thread["frames"].as_array().expect("a list").iter();
            frames
                .map(|frame| (frame["module"].clone(), frame["line"].as_u64().filter(|_| frame["module"].is_null())))
                .collect()
        };
        let document = json(&ended.stdout);
        assert_eq!(document["threads"][0]["complete"], true, "{document:#}");
        places(&document["threads"][0])
    };
    let frames: Vec<(Value, Option<u64>)> = dump(&["--from", &path]);
    assert!(frames.len() > 6, "{frames:?}");
    assert_eq!(frames, dump(&["--pid", &target.pid_text()]));
}

#[test]
fn what_cannot_be_read_is_reported_with_the_reason() {
    let report = json(&reported(&["--pid", &i32::MAX.to_string()]).1);
    assert!(
        report["doctor"]["error"]["message"].as_str().is_some_and(|text| text.contains("no process")),
        "{report:#}"
    );
    assert!(report["snapshot"].is_null() && report["no_snapshot"].is_string(), "{report:#}");
    let report = json(&reported(&[]).1);
    assert_eq!((&report["doctor"]["error"], &report["doctor"]["process"]), (&Value::Null, &Value::Null), "{report:#}");
}

#[test]
fn the_report_has_a_name_and_replaces_nothing_of_others() {
    let mut command = Command::new(FPPROF);
    command.arg("bug-report");
    let ended = start_command(command, Scratch::new()).wait();
    assert!(ended.files.len() == 1 && ended.files[0].starts_with("fpprof-bug-report-"), "{ended:?}");
    let ours = Scratch::new();
    let path = ours.path().join("report.json").to_string_lossy().into_owned();
    for _ in 0..2 {
        assert_eq!(fpprof(&["bug-report", "-o", &path]).code, 0, "an earlier report is replaced");
    }
    let theirs = Scratch::new();
    fs::write(theirs.path().join("mine.json"), "mine").expect("it can be written");
    let path = theirs.path().join("mine.json").to_string_lossy().into_owned();
    let ended = fpprof(&["bug-report", "-o", &path]);
    assert!(ended.code == 1 && ended.stderr.contains("--force"), "{ended:?}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
    fpprof(&["bug-report", "-o", "/nowhere/at/all.json"]).assert_refused(&["/nowhere/at/all.json"]);
}
