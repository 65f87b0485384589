//! Runs a program of `tests/targets/live` and holds it in the shape that it is about.
//!
//! Does: start it in any of the tested interpreters, wait for its word and for its threads to be where it says, end it.
//! Does not: read its stacks (`gdb` does, and fpprof).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::extension;
use super::interpreters::TestInterpreter;
use super::patience::{eventually, patience};
use super::truth::Truth;
use super::waiting_calls;

/// How a target holds still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its main thread is blocked in read(2).
    Park,
    /// Its main thread runs in a loop that calls nothing.
    Spin,
    /// It works all the time: the shape changes.
    Work,
}

/// A running target. It ends when this is dropped.
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kept open: a target whose output is closed would be ended by SIGPIPE.
    stdout: BufReader<ChildStdout>,
    folder: Arc<Folder>,
    truth: Truth,
}

impl Target {
    /// Starts `program` (without `.py`) and waits until it is in its shape.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn spawn(interpreter: &TestInterpreter, program: &str, mode: Mode, arguments: &[&str]) -> Target {
        let folder = Folder::with_programs(interpreter);
        let numpy = if folder.is_in_root() {
            extension::numpy_in_root(interpreter.minor)
        } else {
            extension::numpy(interpreter.minor)
        };
        let mut child = interpreter
            .command()
            // Without `site`, which no program needs, and which takes a third of the time of a start.
            .arg("-S")
            .arg(folder.inside.join(format!("{program}.py")))
            .arg(if mode == Mode::Spin { "spin" } else { "park" })
            .args(arguments)
            .env("PYTHONPATH", numpy)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start ({error}): run tests/setup", interpreter.name));
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        // From here on a panic must not leave the child behind: its standard input closes, which ends it.
        let line = next_line(&mut stdout);
        let truth = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{program} on {} said {line:?}: {error}", interpreter.name));
        let target = Target { child, stdin, stdout, folder, truth };
        target.wait_for_shape(mode);
        target
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said of itself.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The folder in which the interpreter finds the program, as the interpreter sees it.
    pub fn program_folder(&self) -> &Path {
        &self.folder.inside
    }

    /// Lets it go on to its end, and gives the line that it says there.
    ///
    /// # Panics
    /// When it says none, or fails.
    #[allow(dead_code, reason = "each test program uses a part")]
    pub fn last_word(mut self) -> String {
        let mut stdin = self.stdin.take().expect("standard input is open until here");
        stdin.write_all(b"\n").expect("the target reads its standard input");
        let line = next_line(&mut self.stdout);
        assert!(self.wait_for_end().success(), "after {line:?}");
        line
    }

    /// Lets it go on to its end, and waits for that.
    ///
    /// # Panics
    /// When it does not end.
    pub fn release(mut self) -> ExitStatus {
        let mut stdin = self.stdin.take().expect("standard input is open until here");
        stdin.write_all(b"\n").expect("the target reads its standard input");
        self.wait_for_end()
    }

    /// Its standard output is closed when it ends, and not before.
    fn wait_for_end(&mut self) -> ExitStatus {
        while !next_line(&mut self.stdout).is_empty() {}
        self.child.wait().expect("the target is a child of this process")
    }

    /// A thread says its word before it blocks: waits until the kernel shows every parked thread in read(2), and those
    /// that never enter Python in pause(2). One that a debugger has let go is on its way there, too.
    pub fn wait_for_shape(&self, mode: Mode) {
        let told = |tid: i32| self.truth.threads.iter().any(|thread| thread.native_id == tid);
        let native = self.threads().into_iter().filter(|tid| !told(*tid)).map(|tid| (tid, waiting_calls::PAUSE));
        let parked = match mode {
            Mode::Park => &self.truth.threads[..],
            Mode::Spin => &self.truth.threads[1..],
            Mode::Work => return,
        };
        for (tid, calls) in parked.iter().map(|thread| (thread.native_id, &[libc::SYS_read][..])).chain(native) {
            self.wait_for_call(tid, calls);
        }
    }

    fn wait_for_call(&self, tid: i32, calls: &[i64]) {
        let path = format!("/proc/{}/task/{tid}/syscall", self.pid());
        eventually(&format!("thread {tid} waits in a system call of {calls:?}"), || {
            let syscall = fs::read_to_string(&path).expect("a parked thread does not end");
            let call = syscall.split(' ').next().and_then(|number| number.parse().ok());
            call.is_some_and(|call| calls.contains(&call))
        });
    }

    /// The kernel's ids of all its threads.
    fn threads(&self) -> Vec<i32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the target runs");
        let id = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        tasks.filter_map(id).collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Both fail only when it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of its output; empty when it has closed that.
fn next_line(stdout: &mut BufReader<ChildStdout>) -> String {
    if stdout.buffer().is_empty() {
        let timeout = PollTimeout::try_from(patience()).expect("it is less than 24 days");
        let ready = poll(&mut [PollFd::new(stdout.get_ref().as_fd(), PollFlags::POLLIN)], timeout);
        assert_eq!(ready, Ok(1), "the target neither says a word nor ends");
    }
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the target writes UTF-8");
    line
}

/// A copy of the programs where interpreters can read it, for all targets that run at the same time and look there: what one has
/// compiled of them the others need not. Removed when dropped.
struct Folder {
    outside: PathBuf,
    inside: PathBuf,
}

impl Folder {
    fn with_programs(interpreter: &TestInterpreter) -> Arc<Folder> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static ALL: Mutex<BTreeMap<PathBuf, Weak<Folder>>> = Mutex::new(BTreeMap::new());
        let (outside, inside) = interpreter.scratch();
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = all.get(&outside).and_then(Weak::upgrade) {
            return folder;
        }
        // A path beyond ASCII: every frame's file name is compared with what the interpreter says.
        let name = format!("fpprof-live-größe-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Arc::new(Folder { outside: outside.join(&name), inside: inside.join(&name) });
        fs::create_dir(&folder.outside).expect("the interpreter's temporary folder can be written");
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/live");
        let programs =
            fs::read_dir(&programs).expect("the programs are there").map(|entry| entry.expect("readable").path());
        let programs = programs.filter(|path| path.extension().is_some_and(|extension| extension == "py"));
        for file in programs.chain(extension::files()) {
            let copy = folder.outside.join(file.file_name().expect("it is a file"));
            fs::copy(&file, copy).expect("the program can be copied");
        }
        all.insert(outside, Arc::downgrade(&folder));
        folder
    }

    fn is_in_root(&self) -> bool {
        self.outside != self.inside
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind in a temporary place harms nobody.
        let _ = fs::remove_dir_all(&self.outside);
    }
}
