//! `fpprof dump`: what it shows is what the target says of itself, for people and for programs.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;
use serde_json::Value;

use crate::interpreters;
use crate::processes::{assert_runs_on, assert_untouched};
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::{FPPROF, fpprof};
use crate::target::{Mode, Target};
use crate::truth::ThreadTruth;

/// The document that fpprof writes of a process.
#[track_caller]
fn json(pid: &str, more: &[&str]) -> Value {
    let ended = fpprof(&[&["dump", "--json", "--pid", pid], more].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn thread(document: &Value, tid: i32) -> &Value {
    let threads = document["threads"].as_array().expect("a list");
    threads.iter().find(|thread| thread["tid"] == tid).unwrap_or_else(|| panic!("no thread {tid} in {document:#}"))
}

/// The Python frames of a thread as it tells them itself.
fn told(truth: &ThreadTruth) -> Vec<(String, String, u32, u32)> {
    truth.frames.iter().map(|f| (f.qualname.clone(), f.filename.clone(), f.line, f.first_line)).collect()
}

/// The Python frames of a thread as the dump has them.
fn shown(thread: &Value) -> Vec<(String, String, u32, u32)> {
    let python = ["user", "standard_library", "installed_package"];
    let frames = thread["frames"].as_array().expect("a list");
    let frames = frames.iter().filter(|frame| python.contains(&frame["kind"].as_str().expect("text")));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let number = |value: &Value| value.as_u64().expect("a number") as u32;
    frames.map(|f| (text(&f["name"]), text(&f["file"]), number(&f["line"]), number(&f["first_line"]))).collect()
}

/// A method is told with its class: that which defines it, within which it is nested.
#[test]
fn methods_are_named_with_their_classes() {
    const CODE: &str = "
import os
class Base:
    def run(self): self.serve()
class Shop(Base):
    class Till:
        @staticmethod
        def open(): Shop.Till.count()
        @classmethod
        def count(cls): type(cls).__call__(Key)
    def serve(self): Shop.Till.open()
class Key:
    def __init__(self): [self.name for _ in '1']
    @property
    def name(self):
        print('ready', flush=True)
        os.read(0, 1)
Shop().run()
";
    for interpreter in interpreters::all() {
        let target = Program::start_reading(&interpreter, CODE);
        let document = json(&target.pid_text(), &["--native", "none"]);
        let frames = document["threads"][0]["frames"].as_array().expect("a list");
        let names: Vec<&str> = frames.iter().filter_map(|frame| frame["name"].as_str()).collect();
        // From 3.12 on a comprehension is no function of its own (PEP 709).
        let names: Vec<&str> = names.into_iter().filter(|name| !name.ends_with("<listcomp>")).collect();
        let expected =
            ["Key.name", "Key.__init__", "Shop.Till.count", "Shop.Till.open", "Shop.serve", "Base.run", "<module>"];
        assert_eq!(names, expected, "{}", interpreter.name);
    }
}

#[test]
fn every_interpreters_threads_are_where_they_say() {
    for interpreter in interpreters::without_jit() {
        for program in ["threads", "asyncio_task"] {
            let target = Target::spawn(&interpreter, program, Mode::Park, &[]);
            for native in ["none", "calls", "all"] {
                let document = json(&target.pid().to_string(), &["--native", native]);
                let what = format!("{program} on {}, --native {native}", interpreter.name);
                assert_eq!(document["threads"].as_array().unwrap().len(), target.truth().threads.len(), "{what}");
                for truth in &target.truth().threads {
                    let thread = thread(&document, truth.native_id);
                    assert_eq!(shown(thread), told(truth), "{what}: {thread:#}");
                    assert_eq!((&thread["complete"], &thread["python"]), (&true.into(), &true.into()), "{what}");
                    assert_eq!(thread["state"], "io", "{what}: {thread:#}");
                    assert_eq!(thread["holds_gil"], false, "{what}: {thread:#}");
                    let has_native = thread["frames"][0]["kind"] == "system";
                    assert_eq!(has_native, native != "none", "{what}: {thread:#}");
                    let outermost = thread["frames"].as_array().unwrap().last().unwrap();
                    assert_eq!(outermost["kind"] == "user" || outermost["kind"] == "standard_library", native != "all");
                }
            }
            assert_untouched(target.pid() as i32);
            assert!(target.release().success(), "{program} on {}", interpreter.name);
        }
    }
}

#[test]
fn the_document_has_the_fields_of_its_schema() {
    let target = Program::start(&python::shared(), BUSY);
    let document = json(&target.pid_text(), &[]);
    assert_eq!((&document["format"], &document["version"]), (&"fpprof dump".into(), &1.into()));
    assert!(document["time"].as_f64().is_some_and(|time| time > 1.6e9), "{document:#}");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    // `docs/dump.md` names each of them.
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dump.md")).unwrap();
    let thread = thread(&document, target.pid());
    let all = [&document, &document["process"], &document["python"], thread, &thread["frames"][0]];
    for key in all.into_iter().flat_map(keys) {
        assert!(schema.contains(&format!("| `{key}` |")), "docs/dump.md says nothing of {key}");
    }
    assert_eq!(document["process"]["pid"], target.pid());
    assert!(document["python"]["version"].as_str().unwrap().starts_with("3.13."), "{document:#}");
    assert!(document["python"]["module"].as_str().unwrap().contains("libpython3.13"), "{document:#}");
}

#[test]
fn the_thread_that_holds_the_gil_is_named() {
    let target = Program::start(&python::newest(), BUSY);
    let document = json(&target.pid_text(), &[]);
    // The other thread waits for its standard input, and nothing asks the first one for the GIL.
    for thread in document["threads"].as_array().unwrap() {
        assert_eq!(thread["holds_gil"], thread["main"], "{document:#}");
        // Where others have the CPUs it waits for one.
        let works = ["cpu_python", "waiting_for_cpu"].map(|state| thread["state"] == state).contains(&true);
        assert!(if thread["main"] == true { works } else { thread["state"] == "io" }, "{document:#}");
    }
    let text = fpprof(&["dump", "-p", &target.pid_text()]).stdout;
    let works = ["on CPU: Python, holds the GIL", "waiting for a CPU, holds the GIL"];
    assert!(text.lines().any(|line| works.iter().any(|works| line.ends_with(works))), "{text}");
    assert!(text.contains("\"waiter\": I/O: read pipe\n"), "{text}");
    assert_runs_on(target.pid());
}

#[test]
fn people_read_the_innermost_frame_first() {
    let target = Program::start_reading(&python::shared(), IDLE);
    let text = fpprof(&["dump", "-p", &target.pid_text()]).stdout;
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text}"));
    assert!(at("os_read (libpython") < at("wait (<string>:5)"), "{text}");
    assert!(at("wait (<string>:5)") < at("<module> (<string>:6)"), "{text}");
    assert!(text.starts_with(&format!("Process {}: ", target.pid())), "{text}");
    let lines = fpprof(&["dump", "--lines", "-p", &target.pid_text()]).stdout;
    // The arm64 machine has symbol tables only, no lines.
    let innermost = if cfg!(target_arch = "aarch64") { "os_read (" } else { "os_read_impl (Modules/posixmodule.c:" };
    assert!(lines.contains(innermost), "{lines}");
}

/// What fpprof writes to a terminal, with these variables set.
fn on_a_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let pty = openpty(None, None).unwrap();
    let mut command = Command::new(FPPROF);
    command.arg("dump").args(arguments).stdin(Stdio::null()).stdout(File::from(pty.slave));
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = Vec::new();
    // When nobody has the terminal open any more, reading gives EIO.
    let _ = File::from(pty.master).read_to_end(&mut text);
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

#[test]
fn there_are_colours_on_a_terminal_and_where_they_are_asked_for() {
    let target = Program::start(&python::newest(), IDLE);
    let pid = target.pid_text();
    let is_coloured = |text: String| text.contains("\x1b[");
    let plain = |more: &[&str]| fpprof(&[&["dump", "-p", &pid], more].concat()).stdout;
    assert!(!is_coloured(plain(&[])));
    assert!(is_coloured(plain(&["--color", "always"])));
    assert!(!plain(&["--json", "--color", "always"]).contains('\x1b'));
    let terminal = |more: &[&str], variables: &[(&str, &str)]| {
        is_coloured(on_a_terminal(&[&["-p", &pid], more].concat(), variables))
    };
    assert!(terminal(&[], &[]));
    assert!(terminal(&[], &[("NO_COLOR", "")]), "an empty value is none (no-color.org)");
    assert!(!terminal(&[], &[("NO_COLOR", "1")]));
    assert!(terminal(&["--color", "always"], &[("NO_COLOR", "1")]), "what is asked for on the command line wins");
    assert!(!terminal(&["--no-color"], &[]));
    assert!(!terminal(&["--color", "never"], &[]));
    assert!(!terminal(&[], &[("TERM", "dumb")]));
}

#[test]
fn names_of_the_target_cannot_write_escapes() {
    let code = "import os\nname = 'f\\x1b[2J\\nThread 1'\nprint('ready', flush=True)\n\
        exec(compile('os.read(0, 1)', name, 'exec'))";
    let target = Program::start_reading(&python::newest(), code);
    let text = fpprof(&["dump", "-p", &target.pid_text()]).stdout;
    assert!(!text.contains('\x1b') && text.contains("(f\u{fffd}[2J Thread 1:1)"), "{text}");
}

#[test]
fn what_cannot_be_read_is_refused_as_by_record() {
    fpprof(&["dump", "-p", &i32::MAX.to_string()]).assert_refused(&["there is no process 2147483647", "pgrep"]);
    let other = Program::spawn(Command::new("cat"));
    fpprof(&["dump", "-p", &other.pid_text()]).assert_refused(&["no CPython runtime was recognised"]);
    assert_untouched(other.pid());
    assert_eq!(fpprof(&["dump"]).code, 2);
}
