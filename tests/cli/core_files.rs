//! `fpprof dump CORE`: what a core file shows is what the live process had shown a moment before, and gdb of the same core.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cores::{by_gdb, core_of, crashing, damage, frames_by_gdb, text};
use crate::interpreters::{self, TestInterpreter};
use crate::patience::eventually;
use crate::processes::{self, assert_untouched};
use crate::python::{self, Program};
use crate::run::{Ended, Scratch, fpprof};
use crate::target::{Mode, Target};

/// Everything that a dump shows.
const ALL: [&str; 5] = ["dump", "--json", "--locals", "--native", "all"];

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let ended = fpprof(&[&ALL, arguments].concat());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The threads, without what a core does not tell: which file a call waits for, and what other threads than the first are called,
/// if it is told of that one.
fn threads(mut document: Value, has_name: bool) -> Vec<Value> {
    let threads = document["threads"].as_array_mut().expect("a list");
    for thread in threads.iter_mut() {
        if let Some(call) = thread["state_text"].as_str().unwrap_or_default().strip_prefix("I/O: ") {
            thread["state_text"] = Value::from(call.split(' ').next());
        }
        if !(has_name && thread["main"] == true) {
            thread["name"] = Value::Null;
        }
    }
    threads.clone()
}

/// What a core shows is what its process has shown.
#[track_caller]
fn assert_same(live: &Value, core: &Value, has_name: bool, about: &str) {
    let (before, after) = (threads(live.clone(), has_name), threads(core.clone(), has_name));
    assert_eq!(before.len(), after.len(), "{about}");
    assert!(before.len() > 1, "{about}: {live:#}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "{about}");
        assert_eq!(after["complete"], true, "{about}: {after:#}");
    }
    assert_eq!(core["core"]["missing"], Value::Array(Vec::new()), "{about}");
    assert_eq!((&live["python"]["version"], &core["core"]["no_python"]), (&core["python"]["version"], &Value::Null));
    for field in ["pid", "command_line"] {
        assert_eq!(live["process"][field], core["process"][field], "{about}");
    }
}

/// The arguments that show a core of a process of this interpreter: the paths in it are those that the process saw.
fn shown<'a>(interpreter: &TestInterpreter, core: &'a str, root: &'a mut String) -> Vec<&'a str> {
    let (outside, inside) = interpreter.scratch();
    *root = text(&outside).strip_suffix(text(&inside)).filter(|root| !root.is_empty()).unwrap_or("/").to_owned();
    vec![core, "--modules", root]
}

#[test]
fn a_core_of_gdb_s_shows_what_the_live_process_showed() {
    for interpreter in interpreters::all() {
        let target = Target::spawn(&interpreter, "threads", Mode::Park, &[]);
        let live = json(&["--pid", &target.pid().to_string()]);
        let scratch = Scratch::new();
        let path = scratch.path().join("core");
        by_gdb(target.pid() as i32, &path);
        assert_untouched(target.pid() as i32);
        assert!(target.release().success());
        // gdb sees the files of a root as below it.
        let core = json(&shown(&interpreter, text(&path), &mut String::new()));
        // gdb leaves out the threads' stacks of glibc 2.42 and later: it says that it cannot read them.
        match core["core"]["missing"].as_array().unwrap().len() {
            1 if !interpreter.name.starts_with("pyenv") => assert_only_first_stack(&live, &core, &interpreter.name),
            _ => assert_same(&live, &core, false, &interpreter.name),
        }
        assert_eq!(core["core"]["signal"], Value::Null, "{}: gdb has ended nothing", interpreter.name);
    }
}

/// What a core shows of which only the first thread's stack is there: no frame that was not, and what is missing is said.
#[track_caller]
fn assert_only_first_stack(live: &Value, core: &Value, about: &str) {
    let missing = core["core"]["missing"][0].as_str().unwrap();
    let (before, after) = (threads(live.clone(), false), threads(core.clone(), false));
    assert!(missing.starts_with(&format!("the stacks of {} threads", before.len() - 1)), "{about}: {missing}");
    assert_eq!(before.len(), after.len(), "{about}");
    assert_eq!(before[0], after[0], "{about}");
    for (before, after) in before.iter().zip(&after).skip(1) {
        assert!(is_in_order(&python_frames(after), &python_frames(before)), "{about}: {after:#}");
        assert_eq!(after["complete"], false, "{about}: {after:#}");
    }
}

#[test]
fn a_core_of_the_kernel_s_shows_what_the_live_process_showed_and_the_signal() {
    for interpreter in interpreters::all() {
        let Some((program, folder)) = crashing(&interpreter) else { return };
        let live = json(&["--pid", &program.pid_text()]);
        program.signal(Signal::SIGABRT);
        let path = core_of(&program, &folder);
        let mut root = String::new();
        let core = json(&shown(&interpreter, text(&path), &mut root));
        assert_same(&live, &core, true, &interpreter.name);
        let signal = &core["core"]["signal"];
        assert_eq!((&signal["name"], &signal["tid"]), (&"SIGABRT".into(), &program.pid().into()), "{signal:#}");
        assert_eq!(signal["sender_pid"], std::process::id(), "{signal:#}");
        assert_eq!(signal["address"], Value::Null, "{signal:#}");
        let schema = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dump.md")).unwrap();
        for key in [&core, &core["core"], signal].into_iter().flat_map(|object| object.as_object().unwrap().keys()) {
            assert!(schema.contains(&format!("| `{key}` |")), "docs/dump.md says nothing of {key}");
        }
        let lines = fpprof(&[&["dump"], &shown(&interpreter, text(&path), &mut root)[..]].concat()).stdout;
        let cause =
            format!("Ended by SIGABRT in thread {0}, sent by process {1} of user", program.pid(), std::process::id());
        assert!(lines.lines().nth(1).is_some_and(|line| line.starts_with(&cause)), "{lines}");
    }
}

#[test]
fn a_thread_that_crashes_is_shown_where_it_did_with_the_address() {
    let Some((mut program, folder)) = crashing(&python::shared()) else { return };
    program.say("x");
    let core = core_of(&program, &folder);
    let document = json(&[text(&core)]);
    let signal = &document["core"]["signal"];
    assert_eq!((&signal["name"], &signal["address"]), (&"SIGSEGV".into(), &0x8000.into()), "{signal:#}");
    let thread = &document["threads"][0];
    assert_eq!((&thread["tid"], &thread["tid"]), (&program.pid().into(), &signal["tid"]));
    assert_eq!((&thread["complete"], &thread["main"]), (&true.into(), &true.into()), "{thread:#}");
    let frames = thread["frames"].as_array().expect("a list");
    let python: Vec<&str> =
        frames.iter().filter(|f| f["module"].is_null()).filter_map(|f| f["name"].as_str()).collect();
    assert_eq!(python, ["string_at", "crash", "main", "<module>"]);
    assert_eq!(frames[0]["kind"], "system", "it is in strlen: {thread:#}");
    let locals = frames.iter().find(|frame| frame["name"] == "crash").map(|frame| &frame["locals"][0]);
    assert_eq!(locals, Some(&serde_json::json!({ "name": "address", "value": "32768" })));
    // It calls C code that has given the GIL up, or keeps it: PyDLL keeps it.
    let holders = document["threads"].as_array().unwrap().iter().filter(|thread| thread["holds_gil"] == true);
    assert!(holders.count() <= 1);
    assert_eq!(frames_by_gdb(&core, &document), native_frames(&document));
}

/// The names of each thread's native frames, innermost first, those of the system's libraries without their names: these have several.
fn native_frames(document: &Value) -> Vec<(i64, Vec<Option<String>>)> {
    let name = |frame: &Value| match frame["kind"].as_str() {
        Some("system") => Some(None),
        Some("interpreter" | "native_extension") => Some(frame["name"].as_str().map(str::to_owned)),
        _ => None,
    };
    let thread = |thread: &Value| {
        (thread["tid"].as_i64().unwrap(), thread["frames"].as_array().unwrap().iter().filter_map(name).collect())
    };
    let mut threads: Vec<_> = document["threads"].as_array().unwrap().iter().map(thread).collect();
    threads.sort();
    threads
}

#[test]
fn native_frames_are_those_that_gdb_sees_in_the_same_core() {
    let target = Target::spawn(&python::shared(), "threads", Mode::Park, &[]);
    let scratch = Scratch::new();
    let path = scratch.path().join("core");
    by_gdb(target.pid() as i32, &path);
    let document = json(&[text(&path)]);
    assert_eq!(frames_by_gdb(&path, &document), native_frames(&document));
}

/// The Python frames of a thread.
fn python_frames(thread: &Value) -> Vec<(Value, Value, Value)> {
    let frames = thread["frames"].as_array().expect("a list").iter();
    let python = frames.filter(|frame| frame["module"].is_null() && frame["kind"] != "gap" && frame["kind"] != "jit");
    python.map(|frame| (frame["name"].clone(), frame["file"].clone(), frame["line"].clone())).collect()
}

fn is_in_order<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|one| whole.any(|other| other == one))
}

#[track_caller]
fn assert_sound(ended: &Ended) -> Option<Value> {
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    if ended.code == 1 {
        ended.assert_refused(&[]);
        return None;
    }
    assert_eq!(ended.code, 0, "{ended:?}");
    Some(serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}")))
}

#[test]
fn a_core_that_is_cut_or_damaged_shows_what_is_there_and_nothing_else() {
    let Some((program, folder)) = crashing(&python::shared()) else { return };
    program.signal(Signal::SIGQUIT);
    let path = core_of(&program, &folder);
    let whole = json(&[text(&path)]);
    let len = fs::metadata(&path).unwrap().len();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let dump = || fpprof(&[&ALL[..], &[text(&path)]].concat());
    damage(&file, len, || drop(assert_sound(&dump())));
    assert_eq!(json(&[text(&path)]), whole, "it is as it was");
    let mut shown = 0;
    for cut in [len - 1, len - 4096, len / 10 * 9, len / 2, len / 5, len / 20, 0x4000, 0x1000, 64, 0] {
        file.set_len(cut).unwrap();
        let Some(document) = assert_sound(&dump()) else { continue };
        shown += 1;
        let missing = document["core"]["missing"][0].as_str().unwrap_or_default();
        assert!(missing.contains("the file ends too early"), "cut at {cut} of {len}: {document:#}");
        for thread in document["threads"].as_array().unwrap() {
            let before = whole["threads"].as_array().unwrap().iter().find(|before| before["tid"] == thread["tid"]);
            let before = python_frames(before.unwrap_or_else(|| panic!("cut at {cut}: {thread:#}")));
            assert!(is_in_order(&python_frames(thread), &before), "cut at {cut}: {thread:#}");
        }
    }
    assert!(shown >= 5, "{shown}");
}

#[test]
fn a_program_that_is_not_the_core_s_is_refused_with_what_was_expected() {
    let target = Program::start_reading(&python::shared(), python::IDLE);
    let scratch = Scratch::new();
    let path = scratch.path().join("core");
    by_gdb(target.pid(), &path);
    let program = fs::read_link(format!("/proc/{}/exe", target.pid())).unwrap();
    let wrong = fpprof(&["dump", text(&path), "/bin/sh"]);
    wrong.assert_refused(&["/bin/sh is not the program of the core", text(&program), "build-id"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""));
    let copy = scratch.path().join("copy");
    fs::copy(&program, &copy).unwrap();
    assert_eq!(json(&[text(&path), text(&copy)]), json(&[text(&path)]));
    // Its files are not below this folder: what was in them is missing, and that is said.
    let elsewhere = json(&[text(&path), "--modules", text(scratch.path())]);
    let missing = elsewhere["core"]["missing"].as_array().unwrap();
    assert!(missing.contains(&format!("{}: it is not there", text(&program)).into()), "{elsewhere:#}");
    assert!(missing.iter().any(|file| file.as_str().unwrap().contains("libc.so")), "{elsewhere:#}");
    // AArch64's frames can be followed by their records, without a table.
    if cfg!(target_arch = "x86_64") {
        assert_eq!(elsewhere["threads"][0]["complete"], false, "{elsewhere:#}");
    }
    let whole = json(&[text(&path), text(&program)]);
    let [missing, whole] = [elsewhere, whole].map(|core| python_frames(&core["threads"][0]));
    assert!(is_in_order(&missing, &whole), "{missing:?} {whole:?}");
}

#[test]
fn of_a_program_without_python_the_native_stacks_are_shown() {
    let mut sleeper = Command::new("sleep").arg("1000").spawn().expect("it is there");
    let pid = sleeper.id() as i32;
    eventually("it sleeps", || processes::is_in_call(pid, pid, libc::SYS_clock_nanosleep));
    let scratch = Scratch::new();
    let path = scratch.path().join("core");
    by_gdb(pid, &path);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let document = json(&[text(&path)]);
    assert_eq!(document["python"], Value::Null);
    assert_eq!(document["core"]["no_python"], "no CPython runtime was recognised");
    let thread = &document["threads"][0];
    assert_eq!((&thread["state"], &thread["complete"]), (&"sleeping".into(), &true.into()), "{thread:#}");
    let outermost = thread["frames"].as_array().unwrap().last().unwrap();
    assert_eq!(outermost["module"], "sleep", "{thread:#}");
    // Another build's file in its place.
    let root = scratch.path().join("root");
    let program = root.join(document["process"]["executable"].as_str().unwrap().trim_start_matches('/'));
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy("/bin/sh", &program).unwrap();
    let other = json(&[text(&path), "--modules", text(&root)]);
    assert!(
        other["core"]["missing"][0].as_str().unwrap().contains("sleep: it is another build: build-id "),
        "{other:#}"
    );
    fs::remove_dir_all(root).unwrap();
    // systemd-coredump's cores: told by their first bytes, whatever they are called.
    let bytes = fs::read(&path).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(bytes.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&bytes).unwrap();
    for compressed in [zstd, lz4.finish().unwrap()] {
        fs::write(&path, compressed).unwrap();
        assert_eq!(json(&[text(&path)]), document);
    }
    assert_eq!(scratch.files(), ["core"]);
}

#[test]
fn what_is_no_core_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("x");
    fs::write(&path, "no core").unwrap();
    fpprof(&["dump", text(&path)]).assert_refused(&["it is no core file", "gcore"]);
    fpprof(&["dump", "/bin/sh"]).assert_refused(&["no core file"]);
    fpprof(&["dump", "1234"]).assert_refused(&["--pid"]);
    fpprof(&["dump", text(scratch.path())]).assert_refused(&["no regular file"]);
    fpprof(&["dump", "/dev/null"]).assert_refused(&["no regular file"]);
}
