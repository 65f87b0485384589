//! A stop that does not come: nobody waits for it, and the thread goes on when it can.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::patience::patience;
use crate::processes;
use crate::python::{self, Program};
use crate::run::{Scratch, start};

/// Works, and starts a program again and again whose standard input is a FIFO. Until that has a writer the new process cannot open it,
/// and until it has become the program its parent waits as after vfork(2), where no stop comes.
fn starting_programs(fifo: &Path) -> Program {
    let code = format!(
        "
import os, time
def work(until):
    while time.monotonic() < until: pass
fifo = {fifo:?}
print('ready', flush=True)
while os.path.exists(fifo):
    work(time.monotonic() + 0.0005)
    child = os.posix_spawn('/bin/true', ['true'], {{}}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)])
    os.waitpid(child, 0)"
    );
    // One that sees the same files.
    Program::start(&python::shared(), &code)
}

/// Lets the new process go on, if there is one.
fn let_go(fifo: &Path) {
    drop(OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(fifo));
}

#[test]
fn a_stop_that_never_comes_holds_up_neither_a_recording_nor_its_end_nor_the_thread() {
    let scratch = Scratch::new();
    let fifo = scratch.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO can be made");
    let target = starting_programs(&fifo);
    let running = start(&["-r", "5000", "--max-overhead", "none", "-o", "o.txt", "-p", &target.pid_text()]);
    running.wait_until_sampling(target.pid());
    let is_held = || processes::tracer(target.pid()) != 0 && processes::state(target.pid()) == 'D';
    let deadline = Instant::now() + patience();
    loop {
        // Between two looks it is let go if it was only on its way.
        if is_held() {
            std::thread::sleep(Duration::from_millis(20));
            if is_held() {
                break;
            }
        }
        let_go(&fifo);
        assert!(Instant::now() < deadline, "no stop was asked for that cannot come");
    }
    running.signal(Signal::SIGTERM);
    // Only now may the stop come.
    let ended = running.wait();
    assert!(ended.recorded().contains("work (<string>:4)"), "{ended:?}");
    assert!(ended.stderr.contains("thread did not come to its stop"), "{ended:?}");
    assert_eq!((processes::tracer(target.pid()), processes::state(target.pid())), (0, 'D'), "{ended:?}");
    // From here on none of its children waits.
    let writer = OpenOptions::new().write(true).open(&fifo).expect("a child waits for it");
    std::fs::remove_file(&fifo).expect("it is there");
    assert!(target.end().success());
    drop(writer);
}
