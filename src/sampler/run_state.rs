//! What a thread does at the moment of a sample: runs, or waits, and for what.
//!
//! Does: decide it from what is known of the thread, and word it. "Thread state" means CPython's `PyThreadState` in this
//! project: this is the thread's *run state*.
//! Does not: look at the thread (that is `observe`), or guess: what is not known is [`RunState::Unknown`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::stack::frame::SampleFrame;
use crate::target::descriptors::FileKind;
use crate::target::modules::ModuleId;
use crate::target::status::TaskState;
use crate::target::system_calls::Wait;
use crate::types::Addr;

mod written;

/// What is known of a state for all threads that are in it.
struct Known {
    id: &'static str,
    is_on_cpu: bool,
    words: &'static str,
}

/// Whether a thread that is in a state has a CPU.
const ON_CPU: bool = true;
const OFF_CPU: bool = false;

/// Makes the states of the table below, and those that have more to them.
macro_rules! run_states {
    ($($(#[$doc:meta])+ $name:ident: $id:literal, $on_cpu:ident, $words:literal;)+) => {
        /// What a thread does.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RunState {
            $($(#[$doc])+ $name,)+
            /// It waits for a file, or for one of several.
            Io {
                /// The system call.
                call: Cow<'static, str>,
                /// What kind of file the call's descriptor is; absent for a call without one, or where it could not be told.
                file: Option<FileKind>,
            },
            /// What only a recording has that another version of fpprof has written: this one does not know the state.
            Other {
                /// What is written of it.
                words: Arc<str>,
                /// Whether it has a CPU.
                is_on_cpu: bool,
            },
        }

        impl RunState {
            /// The states that have nothing more to them than their names.
            pub const PLAIN: &[RunState] = &[$(RunState::$name),+];

            fn known(&self) -> Option<Known> {
                match self {
                    $(RunState::$name => Some(Known { id: $id, is_on_cpu: $on_cpu, words: $words }),)+
                    RunState::Io { .. } | RunState::Other { .. } => None,
                }
            }
        }
    };
}

// A state is one entry: its name, its identifier in files and documents, which never changes, whether its thread is on a CPU,
// and its words, which nothing reads.
run_states! {
    /// It runs in Python: in bytecode, or in the interpreter's own code that bytecode has called.
    Python: "cpu_python", ON_CPU, "on CPU: Python";
    /// It runs in other native code, or without any Python.
    Native: "cpu_native", ON_CPU, "on CPU: native";
    /// It runs, and collects garbage.
    GarbageCollection: "cpu_gc", ON_CPU, "on CPU: garbage collection";
    /// It runs, and it is not known where: it was on a CPU at no moment at which it was looked at.
    NotSampled: "not_sampled", ON_CPU, "on CPU: not sampled";
    /// It is ready to run, and has no CPU: it was woken or has lost it, and others have them.
    WaitingForCpu: "waiting_for_cpu", OFF_CPU, "waiting for a CPU";
    /// It waits for the GIL.
    Gil: "gil", OFF_CPU, "waiting for the GIL";
    /// It waits for a lock of the interpreter or of the Python program.
    Lock: "lock", OFF_CPU, "waiting for a lock";
    /// It waits for a futex of other native code: a pool's idle thread, a mutex in C.
    Futex: "futex", OFF_CPU, "waiting for a futex of native code";
    /// It lets time pass.
    Sleeping: "sleeping", OFF_CPU, "sleeping";
    /// It waits for a child process.
    Child: "child", OFF_CPU, "waiting for a child process";
    /// It waits for a signal.
    Signal: "signal", OFF_CPU, "waiting for a signal";
    /// It is stopped, by a signal or by a debugger.
    Stopped: "stopped", OFF_CPU, "stopped";
    /// It waits where no signal wakes it, outside of any system call that is known: for a page of memory, mostly.
    Uninterruptible: "uninterruptible", OFF_CPU, "uninterruptible";
    /// It is blocked, and it is not known for what.
    Unknown: "unknown", OFF_CPU, "unknown";
}

impl RunState {
    /// What programs call it, in files and documents: it never changes.
    pub fn id(&self) -> &'static str {
        match self {
            RunState::Io { .. } => "io",
            RunState::Other { .. } => "other",
            plain => plain.known().map_or("other", |known| known.id),
        }
    }

    /// Whether the thread has a CPU.
    pub fn is_on_cpu(&self) -> bool {
        match self {
            RunState::Other { is_on_cpu, .. } => *is_on_cpu,
            known => known.known().is_some_and(|known| known.is_on_cpu),
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunState::Io { call, file: Some(file) } => write!(f, "I/O: {call} {file}"),
            RunState::Io { call, file: None } => write!(f, "I/O: {call}"),
            RunState::Other { words, .. } => f.write_str(words),
            plain => f.write_str(plain.known().map_or("", |known| known.words)),
        }
    }
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
            Some(Wait::File { call, .. }) => RunState::Io { call: call.into(), file: blocked.file },
            Some(Wait::Files { call }) => RunState::Io { call: call.into(), file: None },
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

#[cfg(test)]
mod tests;
