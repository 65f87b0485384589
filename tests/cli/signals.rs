//! Signals: those that end a recording, those that must reach the target, and the ones that stop it.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use crate::patience::{eventually, samples};
use crate::processes::{self, assert_runs_on, assert_untouched, let_work};
use crate::python::{self, BUSY, IDLE, Program};
use crate::run::{Running, record, start};

fn watch(target: &Program, more: &[&str]) -> Running {
    let running = start(&[&["-o", "o.txt", "-p", &target.pid_text()][..], more].concat());
    running.wait_until_sampling(target.pid());
    running
}

#[test]
fn what_ends_a_recording_writes_what_there_is() {
    let target = Program::start(&python::newest(), BUSY);
    for signals in [
        &[Signal::SIGINT][..],
        &[Signal::SIGTERM],
        &[Signal::SIGHUP],
        &[Signal::SIGQUIT],
        &[Signal::SIGINT, Signal::SIGINT],
    ] {
        let running = watch(&target, &["-r", "500"]);
        let_work(target.pid(), 200);
        for signal in signals {
            running.signal(*signal);
        }
        let ended = running.wait();
        assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
        assert_runs_on(target.pid());
    }
}

#[test]
fn what_ends_a_recording_leaves_a_started_program_running() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let program = python::shared().command().get_program().to_string_lossy().into_owned();
        let code = "import os; os.dup2(os.open('/dev/null', os.O_RDWR), 1); os.dup2(1, 2)\n\
            open('begun', 'x').close()\nn = 0\nwhile True: n += 1";
        let running = start(&["-o", "o.txt", "--", &program, "-c", code]);
        let mut child = 0;
        let children = format!("/proc/{0}/task/{0}/children", running.pid());
        eventually("the program is started", || {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            child = text.trim().parse().unwrap_or(0);
            child != 0
        });
        running.wait_until_sampling(child);
        eventually("it has come to its loop", || running.folder().join("begun").exists());
        let_work(child, 100);
        running.signal(signal);
        let ended = running.wait();
        assert!(ended.recorded().contains("<module> (<string>:"), "{ended:?}");
        assert!(ended.stderr.contains(&format!("`{program}` runs on as process {child}")), "{ended:?}");
        assert_runs_on(child);
        processes::send(child, Signal::SIGKILL);
    }
}

/// A perf map as large as one that is read can be, or half of that where all takes longer: to look names up takes seconds.
struct LargePerfMap(std::path::PathBuf);

impl LargePerfMap {
    fn of(pid: i32) -> LargePerfMap {
        let path = std::env::temp_dir().join(format!("perf-{pid}.map"));
        let lines: String =
            (0..samples(1_000_000, 500_000)).map(|n| format!("{:x} 10 function_{n}\n", 0x1000_0000 + 16 * n)).collect();
        std::fs::write(&path, lines).unwrap();
        LargePerfMap(path)
    }
}

impl Drop for LargePerfMap {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_second_interrupt_ends_the_look_up_of_names_and_leaves_no_file() {
    let target = Program::start(&python::shared(), BUSY);
    let _map = LargePerfMap::of(target.pid());
    let running = watch(&target, &[]);
    let_work(target.pid(), 100);
    // Signals that come closely after each other are one: this lets some time pass between them.
    eventually("fpprof ends", || {
        if processes::state(running.pid()) != 'Z' {
            running.signal(Signal::SIGINT);
        }
        let_work(target.pid(), 400);
        processes::state(running.pid()) == 'Z'
    });
    let ended = running.wait();
    ended.assert_refused(&["interrupted again while names were looked up: nothing was written"]);
    assert_eq!(ended.code, 130);
    assert_runs_on(target.pid());
}

#[test]
fn a_second_interrupt_leaves_a_recording_without_names() {
    let target = Program::start(&python::shared(), BUSY);
    let _map = LargePerfMap::of(target.pid());
    let running = start(&["-o", "o.fpprof", "-p", &target.pid_text()]);
    running.wait_until_sampling(target.pid());
    let_work(target.pid(), 100);
    eventually("fpprof ends", || {
        if processes::state(running.pid()) != 'Z' {
            running.signal(Signal::SIGQUIT);
        }
        let_work(target.pid(), 400);
        processes::state(running.pid()) == 'Z'
    });
    let ended = running.wait();
    assert_eq!((ended.code, &ended.files[..]), (130, &["o.fpprof.partial.fpprof".to_owned()][..]), "{ended:?}");
    for words in
        ["the recording has no names", "What was recorded is in o.fpprof.partial.fpprof: `fpprof report` opens it"]
    {
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    assert_runs_on(target.pid());
}

/// The kernel and the shell both send SIGHUP when a terminal is closed, and nobody is there who could have changed his mind.
#[test]
fn a_second_hangup_gives_nothing_up() {
    let target = Program::start(&python::shared(), BUSY);
    let _map = LargePerfMap::of(target.pid());
    let running = watch(&target, &[]);
    let_work(target.pid(), 100);
    eventually("fpprof ends", || {
        if processes::state(running.pid()) != 'Z' {
            running.signal(Signal::SIGHUP);
        }
        let_work(target.pid(), 400);
        processes::state(running.pid()) == 'Z'
    });
    let ended = running.wait();
    assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
    assert_runs_on(target.pid());
}

#[test]
fn a_hangup_that_was_to_be_ignored_is() {
    let target = Program::start(&python::newest(), BUSY);
    let mut command = std::process::Command::new("nohup");
    command.args([crate::run::FPPROF, "record", "--max-overhead", "none", "-o", "o.txt", "-p", &target.pid_text()]);
    let running = crate::run::start_command(command, crate::run::Scratch::new());
    running.wait_until_sampling(target.pid());
    let ignored = processes::field(running.pid(), "SigIgn").expect("the kernel tells");
    assert_eq!(u64::from_str_radix(&ignored, 16).unwrap() & 1, 1, "SIGHUP is the first signal");
    running.signal(Signal::SIGHUP);
    let_work(target.pid(), 200);
    running.signal(Signal::SIGINT);
    assert!(running.wait().recorded().contains(";inner (<string>:"));
}

#[test]
fn a_second_interrupt_ends_the_wait_for_a_reader() {
    let target = Program::start(&python::newest(), BUSY);
    let mut command = std::process::Command::new(crate::run::FPPROF);
    let (reader, writer) = std::io::pipe().unwrap();
    command.args(["record", "-f", "flamegraph", "-o", "-", "-p", &target.pid_text()]);
    let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(command);
    let pid = child.id() as i32;
    let_work(target.pid(), 300);
    processes::send(pid, Signal::SIGINT);
    // Nobody reads: a pipe of one page is full before a flame graph is written.
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    eventually("it writes", || {
        let mut reader = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut reader, PollTimeout::ZERO) == Ok(1)
    });
    let_work(target.pid(), 400);
    processes::send(pid, Signal::SIGINT);
    eventually("it ends", || processes::state(pid) == 'Z');
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("interrupted again while the profile was written"), "{said}");
    assert_eq!(output.status.code(), Some(130));
    assert_runs_on(target.pid());
}

#[test]
fn an_interrupted_start_says_so_and_leaves_nothing() {
    // Stopped before it could start: fpprof waits for it, and is told not to.
    let running = start(&["-o", "o.svg", "--", "sh", "-c", "exec sleep 1000 >/dev/null 2>&1"]);
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let mut child = 0;
    eventually("the program is started", || {
        child = std::fs::read_to_string(&children).unwrap_or_default().trim().parse().unwrap_or(0);
        child != 0 && processes::field(child, "Name").as_deref() == Some("sleep")
    });
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    ended.assert_refused(&["interrupted before Python was seen", "nothing was recorded"]);
    assert_untouched(child);
    processes::send(child, Signal::SIGKILL);
}

#[test]
fn a_killed_fpprof_leaves_the_target_running_and_untraced() {
    let target = Program::start(&python::newest(), BUSY);
    for round in 0..samples(30, 7) as u64 {
        let running = watch(&target, &["-r", "1000"]);
        // At any moment of a sample: each round lets another time go by.
        let_work(target.pid(), 1 + round % 7);
        running.signal(Signal::SIGKILL);
        assert_eq!(running.wait().code, 128 + 9);
        assert_runs_on(target.pid());
    }
}

#[test]
fn no_signal_of_the_target_is_lost() {
    const ROUNDS: usize = 3000;
    let code = format!(
        "
import os, signal
counts = {{}}
def count(number, frame): counts[number] = counts.get(number, 0) + 1
queued = signal.SIGRTMIN + 1
for number in (signal.SIGUSR1, queued): signal.signal(number, count)
def send(sender_round):
    # A handled signal before the next of its kind: SIGUSR1 does not queue.
    for number in (signal.SIGUSR1, queued):
        os.kill(os.getpid(), number)
        while counts.get(number, 0) < sender_round: pass
print('ready', flush=True)
os.read(0, 1)
for n in range({ROUNDS}): send(n + 1)
print(counts[signal.SIGUSR1], counts[queued], flush=True)
os.read(0, 1)"
    );
    let mut target = Program::start(&python::newest(), &code);
    let running = watch(&target, &["-r", "1000"]);
    target.say("g");
    // Were one lost, the target would wait for it for ever.
    assert_eq!(target.line(), format!("{ROUNDS} {ROUNDS}"));
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert!(ended.recorded().contains("send (<string>:"), "{ended:?}");
    assert!(target.end().success());
}

#[test]
fn no_signal_from_outside_is_lost() {
    const SENT: usize = 2000;
    let code = format!(
        "
import os, signal
count = 0
def handler(number, frame):
    global count
    count += 1
signal.signal(signal.SIGRTMIN + 2, handler)
print('ready', flush=True)
while count < {SENT}: pass
print('all', flush=True)"
    );
    let mut target = Program::start(&python::newest(), &code);
    let running = watch(&target, &["-r", "1000"]);
    // A real-time signal is queued each time, but Python's handler runs once for those that are pending together.
    let number = libc::SIGRTMIN() + 2;
    let mut sender = std::process::Command::new("sh");
    sender.args(["-c", &format!("while kill -{number} {} 2>/dev/null; do :; done", target.pid())]);
    let mut sender = sender.stdout(std::process::Stdio::null()).spawn().unwrap();
    assert_eq!(target.line(), "all");
    let ended = running.wait();
    let _ = sender.kill();
    sender.wait().unwrap();
    assert!(ended.recorded().contains("<module> (<string>:"), "{ended:?}");
}

#[test]
fn a_stopped_target_is_recorded_and_stays_stopped() {
    let mut target = Program::start(&python::newest(), BUSY);
    let_work(target.pid(), 20);
    target.signal(Signal::SIGSTOP);
    eventually("it is stopped", || processes::state(target.pid()) == 'T');
    // Its stack and program counters, which nothing that it executes leaves as they are.
    let place = || std::fs::read_to_string(format!("/proc/{}/syscall", target.pid())).unwrap();
    let before = place();
    let ended = record(&["--mode", "wall", "-d", "500ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert!(ended.recorded().contains("<module> (<string>:14);outer (<string>:11)"), "{ended:?}");
    assert_eq!(processes::state(target.pid()), 'T');
    assert_untouched(target.pid());
    assert_eq!(place(), before, "it has not run meanwhile");
    target.signal(Signal::SIGCONT);
    assert_runs_on(target.pid());
    target.say("g");
    assert!(target.end().success());
}

#[test]
fn a_stopped_target_is_attached_to_in_any_mode() {
    let target = Program::start(&python::newest(), IDLE);
    target.signal(Signal::SIGSTOP);
    eventually("it is stopped", || processes::state(target.pid()) == 'T');
    let ended = record(&["-d", "200ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(processes::state(target.pid()), 'T');
    target.signal(Signal::SIGCONT);
    assert!(target.end().success());
}
