//! Targets that end, fork, become another program or unload code while they are watched.

use nix::sys::signal::Signal;
use object::{Object, ObjectSymbol};

use crate::extension;
use crate::patience::milliseconds;
use crate::processes::{assert_untouched, let_work};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, Running, Scratch, record, start};

/// Starts a recording of a program until the program's end, and waits until it samples.
fn watch(target: &Program, more: &[&str]) -> Running {
    let running = start(&[&["-r", "500", "-o", "o.txt", "-p", &target.pid_text()][..], more].concat());
    running.wait_until_sampling(target.pid());
    running
}

/// Lets a program see so many of its own milliseconds go by, so that there is something to see for us.
fn work() -> String {
    let ms = milliseconds(300);
    format!(
        "
import os, sys, time
def work(ms):
    t = time.perf_counter() + ms / 1000
    while time.perf_counter() < t: sum(range(999))
print('ready', flush=True)
os.read(0, 1)
work({ms})
"
    )
}

fn ended_by(code: &str) -> Ended {
    let mut target = Program::start(&python::newest(), &format!("{}\n{code}", work()));
    let running = watch(&target, &[]);
    target.say("g");
    running.wait()
}

#[test]
fn a_target_that_exits() {
    let ended = ended_by("");
    assert!(ended.recorded().contains("<module> (<string>:8);work (<string>:5)"), "{ended:?}");
    assert!(ended.stderr.contains("fpprof: the target has ended"), "{ended:?}");
}

#[test]
fn a_target_that_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let target = Program::start(&python::newest(), BUSY);
        let running = watch(&target, &[]);
        let_work(target.pid(), 100);
        target.signal(signal);
        let ended = running.wait();
        assert!(ended.recorded().contains(";outer (<string>:11);inner (<string>:"), "{ended:?}");
        assert!(ended.stderr.contains("fpprof: the target has ended"), "{ended:?}");
    }
}

#[test]
fn a_child_of_the_target_is_not_followed_and_the_target_is() {
    let code = "
def child():
    work(400)
def parent():
    work(400)
if os.fork() == 0:
    child()
    os._exit(0)
parent()
os.wait()";
    let ended = ended_by(code);
    assert!(ended.recorded().contains(";parent (<string>:14);work ("), "{ended:?}");
    assert!(!ended.recorded().contains(";child ("), "{ended:?}");
}

#[test]
fn a_target_that_becomes_another_python() {
    let ms = milliseconds(600);
    let code = format!(
        "
import sys
second = '''
import time
def after():
    t = time.perf_counter() + {ms} / 1000
    while time.perf_counter() < t: sum(range(999))
after()
'''
os.execv(sys.executable, [sys.executable, '-c', second])"
    );
    let ended = ended_by(&code);
    assert!(ended.recorded().contains("<module> (<string>:8);work (<string>:5)"), "before: {ended:?}");
    assert!(ended.recorded().contains("<module> (<string>:6);after (<string>:5)"), "after: {ended:?}");
    assert!(ended.stderr.contains("fpprof: the target has ended"), "{ended:?}");
}

#[test]
fn a_target_that_becomes_something_else() {
    let mut target = Program::start(&python::newest(), &format!("{}\nos.execv('/bin/cat', ['cat'])", work()));
    let running = watch(&target, &[]);
    target.say("g");
    let ended = running.wait();
    assert!(ended.recorded().contains("<module> (<string>:8);work (<string>:5)"), "{ended:?}");
    assert!(ended.stderr.contains("the target has replaced itself by cat, which cannot be recorded"), "{ended:?}");
    assert_untouched(target.pid());
    assert!(target.end().success());
}

#[test]
fn a_target_that_becomes_something_else_which_ends() {
    let ended = ended_by("os.execv('/bin/true', ['true'])");
    assert!(ended.recorded().contains("<module> (<string>:8);work (<string>:5)"), "{ended:?}");
    assert!(ended.stderr.contains("the target has "), "{ended:?}");
}

/// Where a function that is not exported is in a library, from the library's first byte in memory.
fn offset_of(function: &str, library: &std::path::Path) -> u64 {
    let bytes = std::fs::read(library).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    file.symbols().find(|symbol| symbol.name() == Ok(function)).expect("it is not stripped").address()
}

/// Spins in a library, unloads it, works on, and loads another where it was.
#[test]
fn a_target_that_unloads_a_library() {
    let scratch = Scratch::new();
    let [first, second] = [(0, "one.so"), (1, "two.so")].map(|(index, name)| {
        let library = &extension::files()[index];
        let copy = scratch.path().join(name);
        std::fs::copy(library, &copy).unwrap();
        format!("'{}', {}", copy.display(), offset_of("fpext_spin_inner", library))
    });
    let ms = milliseconds(300);
    let code = format!(
        "
import ctypes, _ctypes
def base_of(path):
    with open('/proc/self/maps') as maps:
        return next((int(line.split('-')[0], 16) for line in maps if line.rstrip().endswith(path)), None)
def spin(path, offset, ms):
    library = ctypes.PyDLL(path)
    base = base_of(path)
    spin = ctypes.PYFUNCTYPE(None, ctypes.c_ulong)(base + offset)
    t = time.perf_counter() + ms / 1000
    while time.perf_counter() < t: spin(100000)
    _ctypes.dlclose(library._handle)
    assert base_of(path) is None
    return base
def spin_one():
    return spin({first}, {ms})
def spin_two():
    return spin({second}, {ms})
one = spin_one()
work(300)
two = spin_two()
work(300)
print('the same place' if one == two else 'another place', flush=True)
os.read(0, 1)"
    );
    let mut target = Program::start(&python::shared(), &format!("{}\n{code}", work()));
    let running = watch(&target, &[]);
    target.say("g");
    assert_eq!(target.line(), "the same place");
    assert!(target.end().success());
    let ended = running.wait();
    for caller in ["<module> (<string>:28);spin_one (<string>:25);", "<module> (<string>:30);spin_two (<string>:27);"] {
        let spins = |stack: &str| stack.starts_with(caller) && stack.contains(";fpext_spin_inner (");
        assert!(ended.recorded().lines().any(spins), "{caller}: {ended:?}");
    }
    let complete = ended.stderr.lines().find(|line| line.contains("stacks: ")).expect("it says so");
    let share: f64 = complete.rsplit_once('(').and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap();
    assert!(share > 90.0, "{ended:?}");
}

#[test]
fn a_target_that_has_a_thousand_threads() {
    let code = "
import threading, os
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(1000)]
for t in threads: t.start()
print('ready', flush=True)
os.read(0, 1)
stop.set()";
    let target = Program::start(&python::newest(), code);
    let mut command = std::process::Command::new("sh");
    let arguments = ["record", "-d", "2s", "-r", "10", "--mode", "wall", "-t", "--native", "none", "-o", "o.txt", "-p"];
    command
        .args(["-c", "ulimit -S -n 1024; exec \"$@\"", "sh", crate::run::FPPROF])
        .args(arguments)
        .arg(target.pid_text());
    let ended = crate::run::start_command(command, Scratch::new()).wait();
    let threads = ended.recorded().lines().filter(|line| line.starts_with("thread ")).count();
    assert!(threads >= 1001, "{threads} threads: {ended:?}");
    assert_untouched(target.pid());
    assert!(target.end().success());
}

#[test]
fn what_is_gone_before_the_first_sample_is_no_recording() {
    let target = Program::start(&python::newest(), BUSY);
    let pid = target.pid_text();
    drop(target);
    record(&["-o", "o.svg", "-p", &pid]).assert_refused(&["there is no process"]);
}
