//! Trees of thousands of processes, of which a few run Python.

use crate::patience::emulated_or;
use crate::processes;
use crate::python::{self, Program};
use crate::run::start;

/// Starts so many programs that sleep, then some workers, and ends all with its standard input.
const CROWD: &str = "
import os, signal, sys, time
def work():
    while True:
        n = 0
        for i in range(20000): n += i
others = [os.posix_spawn('/bin/sleep', ['sleep', '100000'], os.environ) for _ in range(SLEEPERS)]
workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0: work()
    workers.append(pid)
print('ready', flush=True)
print(*workers, flush=True)
os.read(0, 1)
for pid in others + workers: os.kill(pid, signal.SIGKILL)
for pid in others + workers: os.waitpid(pid, 0)
";

/// Looking at thousands again and again would use up what samples may take.
#[test]
fn workers_among_thousands_of_other_children_are_sampled_within_the_budget() {
    let sleepers = emulated_or(2_000, 300);
    let code = CROWD.replace("SLEEPERS", &sleepers.to_string());
    let mut master = Program::start(&python::shared(), &code);
    let workers: Vec<i32> = master.line().split(' ').map(|pid| pid.parse().expect("an id")).collect();
    let running = start(&["-s", "--max-overhead", "20%", "-o", "o.txt", "-p", &master.pid_text()]);
    for worker in &workers {
        running.wait_until_sampling(*worker);
        processes::let_work(*worker, 1_000);
    }
    running.signal(nix::sys::signal::Signal::SIGINT);
    let ended = running.wait();
    for worker in &workers {
        let is_of_it = |stack: &&str| stack.contains(&format!("({worker});")) && stack.contains(";work (");
        assert!(ended.stacks().iter().any(is_of_it), "{worker}: {ended:?}");
    }
    let others = format!("{},{:03} that ran no Python", sleepers / 1000, sleepers % 1000);
    let others = if sleepers < 1000 { format!("{sleepers} that ran no Python") } else { others };
    assert!(ended.stderr.contains(&others), "{ended:?}");
    assert!(master.end().success());
}
