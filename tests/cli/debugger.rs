//! A debugger that comes while fpprof records, and goes: at most one program traces a thread (ptrace(2)).

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::patience::{eventually, samples};
use crate::processes::{assert_runs_on, cpu_time, tracer};
use crate::python::{self, BUSY, Program};
use crate::run::{Scratch, start};

/// A gdb that holds a target until it is let go.
struct Debugger {
    child: Child,
    scratch: Scratch,
}

impl Debugger {
    /// Attaches gdb to a process and has it execute `command` there. The process stands still, unless `command` lets it run.
    fn attach(pid: i32, command: &str) -> Debugger {
        // A debugger that attaches while fpprof stops the thread is refused, and tries again: on a busy machine the thread
        // may have to wait for a CPU before it can be stopped.
        for _ in 0..20 {
            let debugger = Debugger::start(pid, command);
            eventually("gdb has attached, or has ended", || {
                debugger.said().contains("attached now") || crate::processes::state(debugger.child.id() as i32) == 'Z'
            });
            if debugger.said().contains("attached now") {
                return debugger;
            }
        }
        panic!("gdb never attaches");
    }

    fn start(pid: i32, command: &str) -> Debugger {
        let scratch = Scratch::new();
        mkfifo(&scratch.path().join("go"), Mode::S_IRWXU).expect("the folder can be written");
        let said = File::create(scratch.path().join("said")).expect("the folder can be written");
        // A file of commands ends at the first that fails: nothing is said of a target that was not attached to.
        let commands = format!("attach {pid}\n{command}\nshell echo attached now; read word <go\ndetach\n");
        fs::write(scratch.path().join("commands"), commands).expect("the folder can be written");
        let mut gdb = Command::new("gdb");
        gdb.args(["--batch", "--nx", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]);
        gdb.args(["-iex", "set auto-solib-add off", "-x", "commands"]);
        gdb.current_dir(scratch.path()).stdin(Stdio::null());
        gdb.stdout(said.try_clone().expect("it is open")).stderr(said);
        Debugger { child: gdb.spawn().expect("tests/setup installs gdb"), scratch }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.scratch.path().join("said")).expect("it is there")
    }

    /// Lets it go on to its end, and gives all that it said.
    fn let_go(mut self) -> String {
        let mut go = File::options().write(true).open(self.scratch.path().join("go")).expect("gdb's shell reads it");
        go.write_all(b"go\n").expect("gdb's shell reads it");
        drop(go);
        let mut status = None;
        eventually("gdb ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        let said = self.said();
        assert!(status.is_some_and(|status| status.success()), "{said}");
        said
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_debugger_comes_and_goes_while_fpprof_records() {
    let target = Program::start(&python::newest(), BUSY);
    // Where a stop takes long, a higher rate would leave gdb no moment to attach.
    let rate = samples(500, 1).to_string();
    // In gdb's first visit the target stands still; in the second it runs on, and is traced.
    for command in ["backtrace 1", "continue &"] {
        let running = start(&["-r", &rate, "-o", "o.txt", "--max-overhead", "none", "-p", &target.pid_text()]);
        running.wait_until_sampling(target.pid());
        // fpprof has come to its next samples when it has used some CPU time.
        let sampled = || {
            let before = cpu_time(running.pid());
            eventually("fpprof goes on", || cpu_time(running.pid()) > before + 10_000_000);
        };
        sampled();
        let gdb = Debugger::attach(target.pid(), command);
        assert_eq!(tracer(target.pid()), gdb.child.id() as i32, "fpprof {}: {}", running.pid(), gdb.said());
        sampled();
        let said = gdb.let_go();
        assert!(command != "backtrace 1" || said.contains("#0 "), "gdb sees a stack: {said}");
        let before = cpu_time(target.pid());
        eventually("the target gets on", || cpu_time(target.pid()) > before + 100_000_000);
        sampled();
        running.signal(Signal::SIGINT);
        let ended = running.wait();
        assert!(ended.recorded().contains(";inner (<string>:"), "{ended:?}");
        let is_counted = ended.stderr.contains("thread traced by another program");
        assert!(is_counted || command == "backtrace 1", "each sample that gdb prevents is counted: {ended:?}");
        assert_runs_on(target.pid());
    }
}
