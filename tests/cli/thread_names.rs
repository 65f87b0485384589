//! The names of threads, in what the commands say.

use crate::interpreters;
use crate::patience::eventually;
use crate::processes;
use crate::python::{self, Program};
use crate::run::{Ended, Scratch, fpprof, record};

const LONG: &str = "kafka-reader of the orders";

/// A thread that works and whose name is longer than the kernel's; and one that is renamed when a line comes.
const PROGRAM: &str = "
import os, threading, _thread
from concurrent.futures import ThreadPoolExecutor
def work():
    while True: sum(range(999))
def renamed():
    thread = threading.current_thread()
    os.read(0, 1)
    thread.name = 'after'
    print('renamed', flush=True)
    work()
threading.Thread(target=work, daemon=True, name='kafka-reader of the orders').start()
threading.Thread(target=renamed, daemon=True, name='before').start()
ThreadPoolExecutor(1, thread_name_prefix='orders').submit(work)
print('ready', flush=True)
work()
";

#[test]
fn they_are_whole_in_every_command() {
    let program = Program::start(&python::shared(), PROGRAM);
    let dump = fpprof(&["dump", "--pid", &program.pid_text()]);
    for name in ["\"MainThread\" (main)", "\"kafka-reader of the orders\"", "\"before\"", "\"orders_0\""] {
        assert!(dump.stdout.contains(name), "{name}: {dump:?}");
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("run.fpprof").to_string_lossy().into_owned();
    let recorded = record(&["-d", "1", "--mode", "wall", "-o", &path, "-p", &program.pid_text()]);
    assert_eq!(recorded.code, 0, "{recorded:?}");
    let stacks = |thread: &str| fpprof(&["report", &path, "-t", "-f", "collapsed", "-o", "-", "--thread", thread]);
    let all_are = |ended: &Ended, name: &str| {
        let mut lines = ended.stdout.lines().filter(|line| !line.starts_with('#')).peekable();
        lines.peek().is_some() && lines.all(|line| line.contains(name))
    };
    for (pattern, name) in [(LONG, "(kafka-reader of the orders);"), ("orders_", "(orders_0);")] {
        let shown = stacks(pattern);
        assert!(all_are(&shown, name), "{shown:?}");
    }
    let none = stacks("nobody");
    assert!(none.stderr.contains("MainThread (") && none.stderr.contains("kafka-reader of the orders ("), "{none:?}");
}

#[test]
fn the_last_one_is_shown() {
    let mut program = Program::start(&python::newest(), PROGRAM);
    let scratch = Scratch::new();
    let path = scratch.path().join("run.fpprof").to_string_lossy().into_owned();
    let running = crate::run::start(&["--mode", "wall", "-r", "50", "-o", &path, "-p", &program.pid_text()]);
    running.wait_until_sampling(program.pid());
    let partial = format!("{path}.partial.fpprof");
    let shown = |path: &str| fpprof(&["report", path, "-t", "-f", "collapsed", "-o", "-"]).stdout;
    eventually("its first name has been written", || shown(&partial).contains("(before);"));
    program.say("g");
    assert_eq!(program.line(), "renamed");
    eventually("its second name has been written", || shown(&partial).contains("(after);"));
    running.signal(nix::sys::signal::Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let shown = shown(&path);
    assert!(shown.contains("(after);") && !shown.contains("(before);"), "{shown}");
}

/// CPython before 3.13 leaves the parent's number in the `Thread` that has forked.
#[test]
fn a_thread_that_has_forked_keeps_its_name_in_the_child() {
    const FORKS: &str = "
import os, threading, ctypes
def fork():
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, 9)
        print(os.getpid(), flush=True)
        os.read(os.eventfd(0), 8)
    os.waitpid(pid, 0)
print('ready', flush=True)
thread = threading.Thread(target=fork, name='it forks and goes on')
thread.start()
thread.join()
";
    for interpreter in ["pyenv 3.11", "pyenv 3.12", "sid 3.15"].map(interpreters::named) {
        let mut program = Program::start(&interpreter, FORKS);
        let pid = program.line();
        let child = pid.parse().expect("it is a number");
        eventually("the child waits", || processes::is_in_call(child, child, libc::SYS_read));
        let dump = fpprof(&["dump", "--pid", &pid]);
        assert!(dump.stdout.contains("\"it forks and goes on\" (main)"), "{}: {dump:?}", interpreter.name);
    }
}
