//! A stop that does not come: nobody waits for it, and the thread goes on when it can.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::patience::{eventually, patience};
use crate::processes;
use crate::python::{self, Program};
use crate::run::{Ended, Running, Scratch, start};

/// Works until the FIFO is there, and then starts a program again and again whose standard input that is. Until it has a writer the new
/// process cannot open it, and until it has become the program its parent waits as after vfork(2), where no stop comes.
fn starting_programs(fifo: &Path) -> Program {
    let code = format!(
        "
import os, time
def work(until):
    while time.monotonic() < until: pass
fifo = {fifo:?}
print('ready', flush=True)
while not os.path.exists(fifo):
    work(time.monotonic() + 0.005)
while os.path.exists(fifo):
    work(time.monotonic() + 0.0005)
    # It can be removed after the look.
    try: child = os.posix_spawn('/bin/true', ['true'], {{}}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)])
    except FileNotFoundError: break
    os.waitpid(child, 0)"
    );
    // One that sees the same files.
    Program::start(&python::shared(), &code)
}

/// Lets the new process go on, if there is one.
fn let_go(fifo: &Path) {
    drop(OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(fifo));
}

/// A recording, and its target, which waits where its stop does not come until the FIFO has a writer.
struct Held {
    fifo: PathBuf,
    target: Program,
    recording: Running,
    _scratch: Scratch,
}

impl Held {
    fn new() -> Held {
        Held::with(&[])
    }

    fn with(more: &[&str]) -> Held {
        let scratch = Scratch::new();
        let fifo = scratch.path().join("fifo");
        let target = starting_programs(&fifo);
        let arguments = ["-r", "5000", "--max-overhead", "none", "-o", "o.txt", "-p", &target.pid_text()];
        let recording = start(&[&arguments[..], more].concat());
        recording.wait_until_sampling(target.pid());
        processes::let_work(target.pid(), 200);
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO can be made");
        let held = Held { fifo, target, recording, _scratch: scratch };
        held.wait_until_held();
        held
    }

    /// Lets the target start programs until a stop was asked for that cannot come.
    fn wait_until_held(&self) {
        let deadline = Instant::now() + patience();
        loop {
            // Between two looks it is let go if it was only on its way.
            if self.is_held() {
                std::thread::sleep(Duration::from_millis(20));
                if self.is_held() {
                    return;
                }
            }
            let_go(&self.fifo);
            assert!(Instant::now() < deadline, "no stop was asked for that cannot come");
        }
    }

    fn is_held(&self) -> bool {
        processes::tracer(self.target.pid()) != 0 && processes::state(self.target.pid()) == 'D'
    }

    /// Lets the target go on: none of its children waits from here on.
    fn open(&self) -> File {
        let writer = OpenOptions::new().write(true).open(&self.fifo).expect("a child waits for it");
        std::fs::remove_file(&self.fifo).expect("it is there");
        writer
    }

    /// Waits for the ends of the recording, which has seen the target work, and of the target, which nobody has disturbed.
    fn end(self) -> Ended {
        let ended = self.recording.wait();
        assert!(ended.recorded().contains("work (<string>:4)"), "{ended:?}");
        assert!(self.target.end().success());
        ended
    }
}

#[test]
fn a_stop_that_never_comes_holds_up_neither_a_recording_nor_its_end_nor_the_thread() {
    let held = Held::new();
    held.recording.signal(Signal::SIGTERM);
    let pid = held.target.pid();
    eventually("fpprof ends", || processes::state(held.recording.pid()) == 'Z');
    // Only now may the stop come.
    assert_eq!((processes::tracer(pid), processes::state(pid)), (0, 'D'));
    let writer = held.open();
    let ended = held.end();
    assert!(ended.stderr.contains("thread did not come to its stop"), "{ended:?}");
    drop(writer);
}

#[test]
fn a_recording_that_is_suspended_holds_nothing() {
    let held = Held::new();
    let (pid, recording) = (held.target.pid(), held.recording.pid());
    for signal in [Signal::SIGTSTP, Signal::SIGTTOU] {
        held.recording.signal(signal);
        eventually("fpprof is stopped", || processes::state(recording) == 'T');
        assert_eq!(processes::tracer(pid), 0, "{signal}");
        held.recording.signal(Signal::SIGCONT);
        eventually("fpprof goes on", || processes::state(recording) != 'T');
    }
    let writer = held.open();
    held.recording.signal(Signal::SIGINT);
    held.end();
    drop(writer);
}

#[test]
fn a_recording_that_is_stopped_by_sigstop_lets_go_and_stays_stopped() {
    for more in [&[][..], &["--subprocesses"]] {
        let held = Held::with(more);
        let (pid, recording) = (held.target.pid(), held.recording.pid());
        for _ in 0..3 {
            held.recording.signal(Signal::SIGSTOP);
            eventually("fpprof lets go, and is stopped", || {
                processes::tracer(pid) == 0 && processes::state(recording) == 'T'
            });
            held.recording.signal(Signal::SIGCONT);
            held.wait_until_held();
        }
        let writer = held.open();
        held.recording.signal(Signal::SIGINT);
        held.end();
        drop(writer);
    }
}

#[test]
fn a_thread_that_comes_to_its_stop_while_fpprof_is_stopped_gets_on() {
    let held = Held::new();
    let (pid, recording) = (held.target.pid(), held.recording.pid());
    held.recording.signal(Signal::SIGSTOP);
    // Now its stop can come.
    let writer = held.open();
    eventually("the target gets on to its end", || processes::state(pid) == 'Z');
    eventually("fpprof stays stopped", || processes::state(recording) == 'T');
    held.recording.signal(Signal::SIGCONT);
    held.end();
    drop(writer);
}
