//! Snapshots for bug reports: `fpprof doctor --snapshot` saves a thread, `fpprof dump --from` shows what the process had shown.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::interpreters;
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::{Ended, FPPROF, Scratch, fpprof, start_command};
use crate::target::{Mode, Target};

fn doctor(arguments: &[&str], folder: Scratch) -> Ended {
    let mut command = Command::new(FPPROF);
    command.arg("doctor").args(arguments);
    start_command(command, folder).wait()
}

/// The frames of the thread in a dump: native ones by their module only, for a snapshot has no names of functions.
fn frames(arguments: &[&str], tid: Option<i32>) -> Vec<(Value, Value, Value)> {
    let ended = fpprof(&[&["dump", "--json", "--native", "all"], arguments].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let document: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let threads = document["threads"].as_array().expect("a list");
    let thread = threads.iter().find(|thread| tid.is_none_or(|tid| thread["tid"] == tid)).expect("the thread is shown");
    assert_eq!((&thread["complete"], &thread["python"]), (&true.into(), &true.into()), "{document:#}");
    let named = |frame: &Value| match frame["module"].is_null() {
        true => (frame["name"].clone(), frame["file"].clone(), frame["line"].clone()),
        false => (frame["module"].clone(), Value::Null, Value::Null),
    };
    thread["frames"].as_array().expect("a list").iter().map(named).collect()
}

#[test]
fn a_snapshot_shows_what_the_process_showed() {
    for interpreter in ["pyenv 3.11", "sid 3.14 jit", "sid 3.15"].map(interpreters::named) {
        let target = Target::spawn(&interpreter, "threads", Mode::Park, &[]);
        // The main thread, and one of the three that are alike.
        for truth in &target.truth().threads[..2] {
            let scratch = Scratch::new();
            let path = scratch.path().join("case.json").to_string_lossy().into_owned();
            let (pid, tid) = (target.pid().to_string(), truth.native_id.to_string());
            let ended = fpprof(&["doctor", "--pid", &pid, "--snapshot", &path, "--thread", &tid]);
            assert_eq!(ended.code, 0, "{}: {ended:?}", interpreter.name);
            assert!(ended.stderr.contains(&format!("case.json: thread {tid}, ")), "{ended:?}");
            assert!(ended.stderr.contains("no values of Python variables"), "{ended:?}");
            let saved = frames(&["--from", &path], None);
            assert_eq!(saved, frames(&["--pid", &pid], Some(truth.native_id)), "{}", interpreter.name);
        }
        assert_untouched(target.pid() as i32);
        assert!(target.release().success(), "{}", interpreter.name);
    }
}

#[test]
fn a_running_thread_is_saved_and_the_report_is_what_it_was() {
    let target = Program::start(&python::newest(), BUSY);
    let pid = target.pid_text();
    let plain = doctor(&["--pid", &pid, "--json"], Scratch::new());
    let ended = doctor(&["--pid", &pid, "--json", "--snapshot", "case.json"], Scratch::new());
    assert_eq!((ended.code, &ended.files), (0, &vec!["case.json".to_owned()]), "{ended:?}");
    assert_eq!(ended.stdout, plain.stdout);
    assert!(ended.stderr.contains(&format!("thread {pid}, ")), "the main thread: {}", ended.stderr);
    assert_untouched(target.pid());
}

#[test]
fn what_cannot_be_saved_leaves_nothing_behind() {
    let target = Program::start(&python::newest(), IDLE);
    let pid = target.pid_text();
    let save = |more: &[&str], folder| doctor(&[&["--pid", &pid, "--snapshot", "case.json"], more].concat(), folder);
    save(&["--thread", "1"], Scratch::new()).assert_refused(&["there is no thread 1", "--thread TID"]);
    doctor(&["--pid", &i32::MAX.to_string(), "--snapshot", "case.json"], Scratch::new())
        .assert_refused(&["no process"]);
    for wrong in [&["--thread", "7"][..], &["/usr/bin/env", "--snapshot", "case.json"]] {
        assert_eq!(doctor(wrong, Scratch::new()).code, 2, "{wrong:?}");
    }
    let theirs = Scratch::new();
    fs::write(theirs.path().join("case.json"), "mine").expect("it can be written");
    let ended = save(&[], theirs);
    assert!(ended.code == 1 && ended.stderr.contains("fpprof has not written it"), "{ended:?}");
    let theirs = Scratch::new();
    fs::write(theirs.path().join("case.json"), "mine").expect("it can be written");
    assert_eq!(save(&["--force"], theirs).code, 0);
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("case.json");
    let refused = |bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).expect("it can be written");
        fpprof(&["dump", "--from", &path.to_string_lossy()]).assert_refused(words);
    };
    refused(b"", &["not a snapshot", "fpprof doctor --snapshot"]);
    refused(b"{\"what\": 1}", &["not a snapshot"]);
    let case = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/sid-3.14-jit.json");
    let text = fs::read_to_string(case).expect("it is there");
    refused(&text.as_bytes()[..text.len() / 2], &["not a snapshot", "whole"]);
    refused(text.replacen("\"version\": 1", "\"version\": 9", 1).as_bytes(), &["format version 9", "as new as it"]);
    fpprof(&["dump", "--from", "/nowhere.json"]).assert_refused(&["No such file", "can be read"]);
    assert_eq!(fpprof(&["dump", "--from", case, "--pid", "1"]).code, 2);
}
