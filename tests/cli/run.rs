//! Runs the `fpprof` binary in an empty folder of its own.
//!
//! Does: start it, wait for its end with a deadline, keep what it printed and what it left behind. Does not: judge it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use crate::patience::eventually;
use crate::processes;

/// The binary under test.
pub const FPPROF: &str = env!("CARGO_BIN_EXE_fpprof");

/// A folder that is removed afterwards.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fpprof-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("the temporary folder can be written");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names of the files in it.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        entries.map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind in a temporary place harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, or 128 + the signal that ended it, as in a shell.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// What it left in its folder.
    pub files: Vec<String>,
    /// The contents of the output `o.txt` or `o.svg`.
    pub output: Option<String>,
}

impl Ended {
    /// Checks what every failure promises, and that the message has all of `words`.
    #[track_caller]
    pub fn assert_refused(&self, words: &[&str]) {
        assert_ne!(self.code, 0, "{self:?}");
        assert!(self.stderr.lines().any(|line| line.starts_with("fpprof: ")), "no message: {self:?}");
        assert!(self.stderr.lines().any(|line| line.starts_with("  ")), "no hint: {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing in {self:?}");
        }
        assert_eq!(self.files, Vec::<String>::new(), "files are left behind: {self:?}");
    }

    /// Checks that all went well, and gives the output's text.
    #[track_caller]
    pub fn recorded(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.output.as_deref().unwrap_or_else(|| panic!("no output: {self:?}"))
    }

    /// The lines of collapsed stacks, without comments, and without the time of which a busy machine has no sample.
    #[track_caller]
    pub fn stacks(&self) -> Vec<&str> {
        self.recorded().lines().filter(|line| !line.starts_with('#') && !line.contains("[not sampled]")).collect()
    }

    /// All but a tenth of the stacks are complete and lead through these functions: a thread can be met on its way to where it works, and
    /// in the middle of linking a frame.
    #[track_caller]
    pub fn assert_leads_through(&self, functions: &[&str]) {
        let (mut all, mut right) = (0, 0);
        for line in self.stacks() {
            let (stack, count) = line.rsplit_once(' ').expect("a count is at the end");
            let count: u64 = count.parse().expect("it is a number");
            all += count;
            if functions.iter().all(|function| stack.contains(function)) && !stack.contains("[stack incomplete") {
                right += count;
            }
        }
        assert!(right > 0 && right * 10 >= all * 9, "{right} of {all}: {self:?}");
    }
}

/// A run that goes on.
pub struct Running {
    child: Child,
    scratch: Scratch,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// Starts `fpprof record` with these arguments.
///
/// Without a budget unless one is given: a debug build on a busy machine would leave most samples out.
pub fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Running {
    let mut command = Command::new(FPPROF);
    command.arg("record");
    if !arguments.iter().any(|argument| argument.as_ref() == "--max-overhead") {
        command.args(["--max-overhead", "none"]);
    }
    command.args(arguments);
    start_command(command, Scratch::new())
}

/// Runs `fpprof` with these arguments to its end.
pub fn fpprof<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    let mut command = Command::new(FPPROF);
    command.args(arguments);
    start_command(command, Scratch::new()).wait()
}

/// Runs `fpprof record` with these arguments to its end.
pub fn record<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    start(arguments).wait()
}

/// Starts any command that runs fpprof in the end, in the given folder.
pub fn start_command(mut command: Command, scratch: Scratch) -> Running {
    command.current_dir(scratch.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be started");
    let stdout = child.stdout.take().map(read_all);
    let stderr = child.stderr.take().map(read_all);
    Running { child, scratch, stdout, stderr }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Waits until it takes samples: then it has the accounts of the target's threads open. Other files of theirs it looks into before.
    pub fn wait_until_sampling(&self, target: i32) {
        let fds = format!("/proc/{}/fd", self.pid());
        let opened = format!("/proc/{target}/task/");
        eventually("fpprof watches its target's threads", || {
            let Ok(entries) = fs::read_dir(&fds) else { return processes::state(self.pid()) == 'Z' };
            let is_account = |to: &str| to.starts_with(&opened) && to.ends_with("/schedstat");
            entries.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| is_account(&to.to_string_lossy())))
        });
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        processes::send(self.pid(), signal);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let mut status = None;
        eventually("fpprof ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        let status = status.expect("it has ended");
        let text =
            |handle: Option<JoinHandle<String>>| handle.map(|h| h.join().expect("the reader ends")).unwrap_or_default();
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        let output = ["o.txt", "o.svg"].iter().find_map(|name| fs::read_to_string(self.scratch.path().join(name)).ok());
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it has ended");
        Ended { code, stdout, stderr, files: self.scratch.files(), output }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
