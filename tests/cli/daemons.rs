//! Processes whose parent has ended, as those of programs that fork twice.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::many_processes::widths;
use crate::processes;
use crate::python::{self, Program};
use crate::run::start;

/// Starts two processes each by one that ends at once: the second of them begins a session of its own.
const MASTER: &str = "
import os, signal
def work():
    while True:
        n = 0
        for i in range(20000): n += i
def orphan(): work()
def daemon():
    os.setsid()
    work()
def start(run):
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        pid = os.fork()
        if pid == 0: run()
        os.write(out, str(pid).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return int(os.read(into, 20))
started = [start(orphan), start(daemon)]
while os.getsid(started[1]) != started[1]: pass
print('ready', flush=True)
print(*started, flush=True)
os.read(0, 1)
for pid in started: os.kill(pid, signal.SIGKILL)
";

#[test]
fn a_process_whose_parent_has_ended_is_known_by_the_session_of_a_recorded_one() {
    let mut command = Command::new("setsid");
    command.arg(python::shared().command().get_program());
    let mut master = Program::start_command(command, MASTER);
    let line = master.line();
    let (orphan, daemon) = line.split_once(' ').expect("two ids");
    let (orphan, daemon): (i32, i32) = (orphan.parse().expect("an id"), daemon.parse().expect("an id"));
    let running = start(&["-s", "-o", "o.txt", "-p", &master.pid_text()]);
    running.wait_until_sampling(orphan);
    processes::let_work(orphan, 300);
    processes::let_work(daemon, 300);
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let seen: Vec<i32> = widths(ended.recorded()).into_keys().collect();
    assert!(seen.contains(&orphan) && !seen.contains(&daemon), "{orphan} {daemon}: {ended:?}");
    assert!(master.end().success());
}
