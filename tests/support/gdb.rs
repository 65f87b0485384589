//! The native truth: stopped targets' frames as gdb unwinds them.
//!
//! Does: run gdb with `gdb_stack.py` and parse what it prints. Does not: use any of fpprof's own code.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::extension;

/// Whether a call leaves the return address in a register.
const HAS_LINK_REGISTER: bool = cfg!(target_arch = "aarch64");

/// One thread as gdb sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct GdbThread {
    /// The kernel's thread id.
    pub tid: i32,
    /// Innermost first, virtual frames included.
    pub frames: Vec<GdbFrame>,
    /// Why there is no frame after the last; `outermost` when the thread's entry is reached.
    pub end: String,
}

/// One of gdb's frames.
#[derive(Debug, Clone, Deserialize)]
pub struct GdbFrame {
    /// The program counter; in all but the innermost frame a return address.
    pub pc: u64,
    /// The stack pointer in this frame.
    pub sp: u64,
    /// The canonical frame address.
    pub cfa: u64,
    /// The function's name where gdb knows one.
    pub function: Option<String>,
    /// Whether it has no stack of its own: gdb worked out from the debug information that the function was inlined into
    /// the frame after it, or left the stack by a tail call.
    pub is_virtual: bool,
    /// Whether the program counter is in a file's code, or the vDSO's.
    #[serde(skip)]
    pub is_in_file: bool,
}

impl GdbThread {
    /// The frames that are on the stack: without the virtual ones.
    pub fn frames_on_stack(&self) -> Vec<&GdbFrame> {
        self.frames.iter().filter(|frame| !frame.is_virtual).collect()
    }

    /// Whether the stack goes to the thread's entry, by rules all the way.
    ///
    /// Where gdb finds no unwind rule (in the JIT code of CPython 3.14; 3.15 tells it of its own) it guesses, word by
    /// word, that each word is a return address.
    pub fn is_complete(&self) -> bool {
        let frames = self.frames_on_stack();
        let joined = frames.windows(2).all(|pair| pair[0].cfa == pair[1].sp);
        // The innermost function needs no frame where calls leave the return address in a register.
        let upwards = frames.windows(2).enumerate().all(|(index, pair)| {
            pair[0].sp < pair[0].cfa || index == 0 && HAS_LINK_REGISTER && pair[0].sp == pair[0].cfa
        });
        // Where musl's tables say nothing of the code that begins a thread, its name tells that it is that.
        let begins_thread = |frame: &&&GdbFrame| matches!(frame.function.as_deref(), Some("_start" | "__clone"));
        let ends = self.end == "outermost" || frames.last().filter(begins_thread).is_some();
        ends && joined && upwards && frames.iter().all(|frame| frame.is_known())
    }
}

impl GdbFrame {
    /// Whether gdb has rules for its code: a file's, the vDSO's, or what it knows by name.
    fn is_known(&self) -> bool {
        self.is_in_file || self.function.is_some()
    }

    /// The program counters at which the kernel may show a waiting thread that gdb saw at `pc` in its innermost frame.
    ///
    /// On AArch64 a stop puts a thread that is to begin its call again back in front of the call's instruction before a
    /// tracer sees it (`do_signal` in arch/arm64/kernel/signal.c), on x86-64 after that.
    pub fn waits_at(&self) -> [u64; 2] {
        [self.pc, self.pc + if cfg!(target_arch = "aarch64") { 4 } else { 0 }]
    }

    /// Whether it is the interpreter's evaluation of bytecode, or the `.cold` part of it.
    pub fn is_evaluation(&self) -> bool {
        let function = self.function.as_deref().unwrap_or_default();
        function.split('.').next() == Some("_PyEval_EvalFrameDefault")
    }
}

/// A gdb for as many processes as a test has, and for the next test that wants one: it takes longer to start than to unwind, and
/// what it has read of a file for one process it does not read again for the next.
pub struct Gdb {
    /// `None` when it has been given back.
    process: Option<GdbProcess>,
}

/// Those that no test has at the moment. They end when their standard input closes, with the tests' own process.
static IDLE: Mutex<Vec<GdbProcess>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<GdbProcess>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gdb {
    /// One that is idle, or else a new one.
    ///
    /// # Panics
    /// When there is no gdb.
    pub fn start() -> Gdb {
        let process = idle().pop();
        Gdb { process: Some(process.unwrap_or_else(GdbProcess::start)) }
    }

    /// Stops the process for a moment and unwinds all its threads.
    ///
    /// # Panics
    /// When gdb fails.
    pub fn stacks(&mut self, pid: u32) -> Vec<GdbThread> {
        self.process.as_mut().expect("it is given back when this is dropped").stacks(pid)
    }
}

impl Drop for Gdb {
    fn drop(&mut self) {
        // One that a test has failed with may be in the middle of an answer.
        if !std::thread::panicking() {
            idle().extend(self.process.take());
        }
    }
}

/// A running gdb, and what it is asked and says.
struct GdbProcess {
    child: Child,
    /// `None` once gdb has been told to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl GdbProcess {
    fn start() -> GdbProcess {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/gdb_stack.py");
        let mut gdb = Command::new("gdb");
        gdb.args(["-batch", "-nx", "-q"]);
        for setting in ["auto-load off", "debuginfod enabled off", "pagination off", "confirm off"] {
            gdb.args(["-iex", &format!("set {setting}")]);
        }
        for setting in ["backtrace limit unlimited", "backtrace past-main on"] {
            gdb.args(["-ex", &format!("set {setting}")]);
        }
        gdb.arg("-x").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = gdb.spawn().expect("gdb is installed: run tests/setup");
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        GdbProcess { child, requests, answers }
    }

    /// Attaches gdb, and reads its answer.
    ///
    /// gdb needs three things to be right about an interpreter that runs by chroot: the executable as a path from outside
    /// (it would look for it inside the sysroot twice), the root as its sysroot for the libraries, and the symbol tables
    /// that the stripped executable lacks. The frames themselves come from the files' own `.eh_frame`.
    fn stacks(&mut self, pid: u32) -> Vec<GdbThread> {
        let requests = self.requests.as_mut().expect("it has not been told to end");
        writeln!(requests, "{}", attachment(pid)).expect("gdb reads its standard input");
        let line = self.answer();
        let mut threads: Vec<GdbThread> =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("gdb said {line:?}: {error}"));
        let code = code_of_files(pid);
        for frame in threads.iter_mut().flat_map(|thread| &mut thread.frames) {
            frame.is_in_file = code.iter().any(|range| range.contains(&frame.pc));
        }
        threads
    }

    /// The next answer, without its mark. gdb says other things before it.
    fn answer(&mut self) -> String {
        let mut said = String::new();
        loop {
            let start = said.len();
            let length = self.answers.read_line(&mut said).expect("gdb writes UTF-8");
            assert!(length > 0, "gdb has ended; it said: {said}");
            if let Some(answer) = said[start..].strip_prefix("fpprof-stacks: ") {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for GdbProcess {
    /// Without requests it ends, and leaves what it is attached to.
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.wait();
    }
}

/// What `gdb_stack.py` has to know of a process to attach to it.
fn attachment(pid: u32) -> serde_json::Value {
    let link = |name| fs::read_link(format!("/proc/{pid}/{name}")).expect("the target runs");
    let (root, executable) = (link("root"), link("exe"));
    let own_root = (root != Path::new("/")).then(|| (root, extension::symbols()));
    let (sysroot, symbols) = own_root.unzip();
    // The tables of an interpreter's libc that has none of its own are beside it.
    let beside = executable.parent().and_then(Path::parent).map(|home| home.join("debug"));
    let symbols = symbols.or(beside.filter(|folder| folder.join(".build-id").exists()));
    serde_json::json!({ "pid": pid, "executable": executable, "sysroot": sysroot, "symbols": symbols })
}

/// The executable mappings of files, and the vDSO.
fn code_of_files(pid: u32) -> Vec<Range<u64>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the target runs");
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let is_code = fields.next()?.contains('x');
        let name = fields.nth(3)?;
        let parse = |number| u64::from_str_radix(number, 16).ok();
        (is_code && (name.starts_with('/') || name == "[vdso]")).then_some(parse(start)?..parse(end)?)
    };
    maps.lines().filter_map(range).collect()
}
