//! `fpprof doctor`: it tells interpreters and libraries apart by what is in them, and names the remedy.

use std::process::Command;

use serde_json::Value;

use crate::extension;
use crate::permissions::{as_nobody, run_as};
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::fpprof;

fn examined(arguments: &[&str]) -> Value {
    let ended = fpprof(&[&["doctor", "--json"], arguments].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn module<'a>(report: &'a Value, name: &str) -> &'a Value {
    let modules = report["modules"].as_array().expect("a list");
    let is_it = |module: &&Value| module["name"].as_str().is_some_and(|it| it.starts_with(name));
    modules.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// The ids of the findings that name a module.
fn findings(report: &Value, name: &str) -> Vec<String> {
    let names_it = |finding: &&Value| {
        finding["modules"].as_array().unwrap().iter().any(|module| module.as_str().unwrap().starts_with(name))
    };
    let findings = report["findings"].as_array().expect("a list").iter().filter(names_it);
    findings.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

/// Whether libraries that are built without a word on frame pointers have them: GCC keeps them on AArch64.
const BY_DEFAULT: &str = if cfg!(target_arch = "aarch64") { "yes" } else { "no" };

#[test]
fn an_interpreter_with_frame_pointers_is_told_from_one_without() {
    let (newest, shared) = (Program::start(&python::newest(), IDLE), Program::start(&python::shared(), BUSY));
    let with = examined(&["-p", &newest.pid_text()]);
    let without = examined(&["-p", &shared.pid_text()]);
    assert_eq!(with["modules"][0]["kind"], "interpreter", "the interpreter comes first: {with:#}");
    assert_eq!(with["modules"][0]["frame_pointers"], "yes", "{with:#}");
    assert!(with["modules"][0]["frame_pointer_share"].as_f64().unwrap() > 0.99, "{with:#}");
    assert!(!findings(&with, "python3.15").contains(&"omits_frame_pointers".to_owned()), "{with:#}");
    assert_eq!(without["modules"][0]["frame_pointers"], "no", "{without:#}");
    assert!(without["modules"][0]["frame_pointer_share"].as_f64().unwrap() < 0.01, "{without:#}");
    assert!(findings(&without, "libpython3.13").contains(&"omits_frame_pointers".to_owned()), "{without:#}");
    for report in [&with, &without] {
        let python = &report["process"]["python"];
        let facts = ["free_threaded", "debug", "tested"].map(|fact| python[fact].as_bool());
        assert_eq!(facts, [Some(false), Some(false), Some(true)], "{report:#}");
        assert_eq!(python["layout"], "debug_offsets", "{report:#}");
        assert_eq!(module(report, "libc.so")["frame_pointers"], BY_DEFAULT, "{report:#}");
        assert_eq!(module(report, "libc.so")["unwind_tables"], "searchable", "{report:#}");
    }
    // Debian's has a separate debug file, pyenv's has everything in itself. The arm64 machine has symbol tables only.
    let lines = if cfg!(target_arch = "aarch64") { ["none", "none"] } else { ["debug_file", "own"] };
    let found = [module(&with, "python3.15"), module(&without, "libpython3.13")].map(|module| &module["lines"]);
    assert_eq!(found, lines, "{with:#} {without:#}");
    assert_untouched(newest.pid());
    assert_untouched(shared.pid());
}

#[test]
fn a_layout_from_a_table_is_said_to_be_one() {
    let target = Program::start(&crate::interpreters::named("pyenv 3.12"), IDLE);
    let report = examined(&["-p", &target.pid_text()]);
    assert_eq!(report["process"]["python"]["layout"], "table", "{report:#}");
}

#[test]
fn one_source_built_in_three_ways_is_told_apart() {
    let reports = extension::files().map(|file| examined(&[file.to_str().expect("UTF-8")]));
    let facts = |report: &Value| {
        let module = &report["modules"][0];
        ["frame_pointers", "symbols"].map(|fact| module[fact].as_str().unwrap().to_owned())
    };
    let [with, without, stripped] = &reports;
    assert_eq!(facts(with), ["yes", "own"], "{with:#}");
    assert_eq!(facts(without), ["no", "own"], "{without:#}");
    assert_eq!(facts(stripped), ["no", "exports"], "{stripped:#}");
    assert!(findings(stripped, "fpext_stripped").contains(&"stripped".to_owned()), "{stripped:#}");
    assert!(!findings(with, "fpext_fp").contains(&"stripped".to_owned()), "{with:#}");
    assert_eq!(with["process"], Value::Null);
}

#[test]
fn a_program_that_is_started_is_examined_and_runs_on() {
    let interpreter = python::shared();
    let program = interpreter.command().get_program().to_str().expect("UTF-8").to_owned();
    // It ends when fpprof has. Without `site` it loads its library at once, also where it starts slowly.
    let code = "import _ctypes, os, time; fpprof = os.getppid(); print('begins', flush=True)\n\
        while os.getppid() == fpprof: time.sleep(0.01)\n\
        print('ends', flush=True)";
    let ended = fpprof(&["doctor", "--json", "--", &program, "-S", "-c", code]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("nothing of the program's is in it");
    assert_eq!(module(&report, "_ctypes")["kind"], "native_extension", "{report:#}");
    for words in ["begins\n", "the program runs on as process ", "ends\n"] {
        assert!(ended.stderr.contains(words), "{words:?} is missing in {ended:?}");
    }
}

#[test]
fn the_text_fits_in_80_columns_and_names_the_remedy() {
    let target = Program::start(&python::shared(), BUSY);
    let ended = fpprof(&["doctor", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = &ended.stdout;
    for words in ["CPython 3.13", "debug offsets", "libpython3.13.so.1.0", "-fno-omit-frame-pointer", "Weak links"] {
        assert!(text.contains(words), "{words:?} is missing in {text}");
    }
    // A single word, a path, can be longer than that; it stands alone on its line.
    let is_word = |line: &&str| !line.trim().contains(' ');
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80 && !is_word(line)).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn the_process_of_another_user_is_refused_with_the_remedy() {
    let target = Program::start(&python::newest(), IDLE);
    let pid = target.pid_text();
    let remedy = ["it belongs to user 0", "fpprof runs as user 65534", "sudo fpprof"];
    run_as(&as_nobody(), &["doctor", "-p", &pid]).assert_refused(&remedy);
    let ended = run_as(&as_nobody(), &["doctor", "--json", "-p", &pid]);
    ended.assert_refused(&remedy);
    let document: Value = serde_json::from_str(&ended.stdout).expect("JSON also when it is refused");
    assert!(document["error"]["hint"].as_str().unwrap().contains("sudo fpprof"), "{document:#}");
    assert_untouched(target.pid());
}

#[test]
fn what_cannot_be_examined_is_refused() {
    fpprof(&["doctor", "/etc/passwd"]).assert_refused(&["/etc/passwd cannot be examined: not an ELF file"]);
    fpprof(&["doctor", "/no/such/file"]).assert_refused(&["/no/such/file cannot be examined"]);
    fpprof(&["doctor", "/"]).assert_refused(&["not an ELF file"]);
    fpprof(&["doctor", "--", "/no/such/program"]).assert_refused(&["cannot be started"]);
    let other = Program::spawn(Command::new("cat"));
    fpprof(&["doctor", "-p", &other.pid_text()]).assert_refused(&["no CPython runtime was recognised"]);
    for wrong in [&["doctor"][..], &["doctor", "-p", "1", "/bin/true"], &["doctor", "-p", "0"]] {
        assert_eq!(fpprof(wrong).code, 2, "{wrong:?}");
    }
}
