//! Python programs to record: they say a line when they are ready, and end with their standard input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::interpreters::{self, TestInterpreter};
use crate::patience::eventually;
use crate::processes;

/// Two functions that work without end, as a literal: `outer` calls `inner`.
macro_rules! outer_and_inner {
    () => {
        "def inner():
    n = 0
    for i in range(20000): n += i
    return n
def outer():
    while True: inner()
"
    };
}
pub(crate) use outer_and_inner;

/// Two functions that work for as long as the program runs.
pub const BUSY: &str = concat!(
    "
import os, threading
def wait_for_the_end():
    os.read(0, 1)
    os._exit(0)
",
    outer_and_inner!(),
    "threading.Thread(target=wait_for_the_end, daemon=True, name='waiter').start()
print('ready', flush=True)
outer()
"
);

/// A function that waits for standard input to end.
pub const IDLE: &str = "
import os
def wait():
    print('ready', flush=True)
    os.read(0, 1)
wait()
";

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// The newest interpreter: static, stripped, run by chroot.
pub fn newest() -> TestInterpreter {
    interpreters::named("sid 3.15")
}

/// An interpreter without frame pointers in a shared library, that sees the same files as we do.
pub fn shared() -> TestInterpreter {
    interpreters::named("pyenv 3.13")
}

impl Program {
    /// Runs `code`, and waits until it has said its first line.
    pub fn start(interpreter: &TestInterpreter, code: &str) -> Program {
        Program::start_command(interpreter.command(), code)
    }

    /// The same with a command that runs any interpreter.
    pub fn start_command(mut command: Command, code: &str) -> Program {
        command.args(["-c", code]);
        let mut program = Program::spawn(command);
        assert_eq!(program.line(), "ready", "{code}");
        program
    }

    /// Runs `code`, and waits until it reads its standard input: a program that has said a line may still be on its way there.
    pub fn start_reading(interpreter: &TestInterpreter, code: &str) -> Program {
        let program = Program::start(interpreter, code);
        let (path, read) = (format!("/proc/{}/syscall", program.pid()), format!("{} 0x0 ", libc::SYS_read));
        eventually("it reads its standard input", || {
            std::fs::read_to_string(&path).is_ok_and(|call| call.starts_with(&read))
        });
        program
    }

    /// Runs any command with its standard input and output in our hands.
    pub fn spawn(mut command: Command) -> Program {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it can be started");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Program { child, stdin, stdout }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The pid as an argument.
    pub fn pid_text(&self) -> String {
        self.pid().to_string()
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it says UTF-8");
        line.trim_end().to_owned()
    }

    /// Says something to it.
    pub fn say(&mut self, text: &str) {
        self.stdin.as_mut().expect("it is open").write_all(text.as_bytes()).expect("the program reads");
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        processes::send(self.pid(), signal);
    }

    /// Ends its standard input and waits for its end.
    pub fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
