//! What a thread does at the moment of a sample: runs, or waits, and for what.
//!
//! Does: decide it from what is known of the thread, and word it. "Thread state" means CPython's `PyThreadState` in this
//! project: this is the thread's *run state*.
//! Does not: look at the thread (that is `observe`), or guess: what is not known is [`RunState::Unknown`].

use std::fmt;

use crate::stack::frame::SampleFrame;
use crate::target::descriptors::FileKind;
use crate::target::modules::ModuleId;
use crate::target::status::TaskState;
use crate::target::system_calls::Wait;
use crate::types::Addr;

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunState {
    /// It runs, or waits for a CPU, in Python: in bytecode, or in the interpreter's own code that bytecode has called.
    Python,
    /// It runs, or waits for a CPU, in other native code, or without any Python.
    Native,
    /// It runs, or waits for a CPU, while it collects garbage.
    GarbageCollection,
    /// It waits for the GIL.
    Gil,
    /// It waits for a lock of the interpreter or of the Python program.
    Lock,
    /// It waits for a futex of other native code: a pool's idle thread, a mutex in C.
    Futex,
    /// It waits for a file, or for one of several.
    Io {
        /// The system call.
        call: &'static str,
        /// What kind of file the call's descriptor is; absent for a call without one, or where it could not be told.
        file: Option<FileKind>,
    },
    /// It lets time pass.
    Sleeping,
    /// It waits for a child process.
    Child,
    /// It waits for a signal.
    Signal,
    /// It is stopped, by a signal or by a debugger.
    Stopped,
    /// It waits where no signal wakes it, outside of any system call that is known: for a page of memory, mostly.
    Uninterruptible,
    /// It is blocked, and it is not known for what.
    Unknown,
}

/// What is known of a thread that is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// What its system call waits for, if it is in one that is known.
    pub wait: Option<Wait>,
    /// The kernel's word on it, if that could be had.
    pub task: Option<TaskState>,
    /// The kind of file that the call's descriptor is.
    pub file: Option<FileKind>,
}

impl RunState {
    /// The state of a thread that runs, with its frames, innermost first, and whether it collects garbage.
    pub fn of_running(frames: &[SampleFrame], interpreter: ModuleId, collects: bool) -> RunState {
        match collects {
            true => RunState::GarbageCollection,
            false if runs_python(frames, interpreter) => RunState::Python,
            false => RunState::Native,
        }
    }

    /// The state of a thread that is blocked, with its frames, innermost first. `is_gil` tells whether an address is a word
    /// on which threads wait for a GIL.
    pub fn of_blocked(
        blocked: &Blocked,
        frames: &[SampleFrame],
        interpreter: ModuleId,
        is_gil: impl Fn(Addr) -> bool,
    ) -> RunState {
        // The call in which a thread was stopped does not wait: it begins again when the thread goes on.
        if blocked.task == Some(TaskState::Stopped) {
            return RunState::Stopped;
        }
        match blocked.wait {
            Some(Wait::Futex(addr)) if is_gil(addr) => RunState::Gil,
            Some(Wait::Futex(_)) if interpreter_waits(frames, interpreter) => RunState::Lock,
            Some(Wait::Futex(_)) => RunState::Futex,
            Some(Wait::File { call, .. }) => RunState::Io { call, file: blocked.file },
            Some(Wait::Files { call }) => RunState::Io { call, file: None },
            Some(Wait::Time) => RunState::Sleeping,
            Some(Wait::Child) => RunState::Child,
            Some(Wait::Signal) => RunState::Signal,
            None if blocked.task == Some(TaskState::Uninterruptible) => RunState::Uninterruptible,
            None => RunState::Unknown,
        }
    }
}

/// Whether nothing but the interpreter's own code lies inside the innermost Python frame.
fn runs_python(frames: &[SampleFrame], interpreter: ModuleId) -> bool {
    for frame in frames {
        match frame {
            SampleFrame::Python { .. } => return true,
            SampleFrame::Native { module, .. } if *module != interpreter => return false,
            // Code without a file is the interpreter's JIT's unless a module has called it: an extension's own compiler.
            SampleFrame::Native { .. }
            | SampleFrame::Evaluation { .. }
            | SampleFrame::Unnamed(_)
            | SampleFrame::Missing(_) => {}
        }
    }
    false
}

/// Whether the interpreter has called the library that waits: the C library with its locks is one module, of which all
/// innermost frames are.
fn interpreter_waits(frames: &[SampleFrame], interpreter: ModuleId) -> bool {
    let mut library = None;
    for frame in frames {
        match frame {
            SampleFrame::Native { module, .. } if *module == interpreter => return true,
            SampleFrame::Native { module, .. } if *library.get_or_insert(*module) == *module => {}
            SampleFrame::Python { .. } | SampleFrame::Evaluation { .. } => return true,
            SampleFrame::Native { .. } | SampleFrame::Unnamed(_) | SampleFrame::Missing(_) => return false,
        }
    }
    false
}

/// How the words for a thread that runs, or waits for a CPU, begin.
pub const ON_CPU: &str = "on CPU";

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunState::Python => return write!(f, "{ON_CPU}: Python"),
            RunState::Native => return write!(f, "{ON_CPU}: native"),
            RunState::GarbageCollection => return write!(f, "{ON_CPU}: garbage collection"),
            RunState::Gil => "waiting for the GIL",
            RunState::Lock => "waiting for a lock",
            RunState::Futex => "waiting for a futex of native code",
            RunState::Io { call, file: Some(file) } => return write!(f, "I/O: {call} {file}"),
            RunState::Io { call, file: None } => return write!(f, "I/O: {call}"),
            RunState::Sleeping => "sleeping",
            RunState::Child => "waiting for a child process",
            RunState::Signal => "waiting for a signal",
            RunState::Stopped => "stopped",
            RunState::Uninterruptible => "uninterruptible",
            RunState::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests;
