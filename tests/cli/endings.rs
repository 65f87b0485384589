//! Targets that end, fork, become another program or unload code while they are watched.

use nix::sys::signal::Signal;

use crate::extension;
use crate::processes::{assert_untouched, eventually};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, Running, Scratch, record, start};

/// Starts a recording of a program until the program's end, and waits until it samples.
fn watch(target: &Program, more: &[&str]) -> Running {
    let running = start(&[&["-r", "500", "-o", "o.txt", "-p", &target.pid_text()][..], more].concat());
    running.wait_until_sampling(target.pid());
    running
}

/// Lets a program see so many of its own milliseconds go by, so that there is something to see for us.
const WORK: &str = "
import os, sys, time
def work(ms):
    t = time.perf_counter() + ms / 1000
    while time.perf_counter() < t: sum(range(999))
print('ready', flush=True)
os.read(0, 1)
work(300)
";

fn ended_by(code: &str) -> Ended {
    let mut target = Program::start(&python::newest(), &format!("{WORK}\n{code}"));
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
        let before = crate::processes::cpu_time(target.pid());
        eventually("it works", || crate::processes::cpu_time(target.pid()) > before + 100_000_000);
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
    let code = "
import sys
second = '''
import time
def after():
    t = time.perf_counter() + 0.6
    while time.perf_counter() < t: sum(range(999))
after()
'''
os.execv(sys.executable, [sys.executable, '-c', second])";
    let ended = ended_by(code);
    assert!(ended.recorded().contains("<module> (<string>:8);work (<string>:5)"), "before: {ended:?}");
    assert!(ended.recorded().contains("<module> (<string>:6);after (<string>:5)"), "after: {ended:?}");
    assert!(ended.stderr.contains("fpprof: the target has ended"), "{ended:?}");
}

#[test]
fn a_target_that_becomes_something_else() {
    let mut target = Program::start(&python::newest(), &format!("{WORK}\nos.execv('/bin/cat', ['cat'])"));
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

/// Spins in a library, unloads it, works on, and loads another where it was.
#[test]
fn a_target_that_unloads_a_library() {
    let scratch = Scratch::new();
    let [first, second] = ["one.so", "two.so"].map(|name| {
        let copy = scratch.path().join(name);
        std::fs::copy(&extension::files()[0], &copy).unwrap();
        copy.to_string_lossy().into_owned()
    });
    let code = format!(
        "
import ctypes, _ctypes
def spin(path, ms):
    library = ctypes.PyDLL(path)
    spin = library.fpext_spin_inner
    spin.argtypes = [ctypes.c_ulong]
    t = time.perf_counter() + ms / 1000
    while time.perf_counter() < t: spin(100000)
    _ctypes.dlclose(library._handle)
def twice():
    spin('{first}', 300)
    work(300)
    spin('{second}', 300)
    work(300)
twice()"
    );
    let mut target = Program::start(&python::shared(), &format!("{WORK}\n{code}"));
    let running = watch(&target, &[]);
    target.say("g");
    let ended = running.wait();
    assert!(ended.recorded().contains("work (<string>:5)"), "{ended:?}");
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
    let arguments = ["record", "-d", "2s", "-r", "5", "--mode", "wall", "-t", "--native", "none", "-o", "o.txt", "-p"];
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
