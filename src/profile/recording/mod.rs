//! A recording that can be kept in a file: every sample with its time, thread, state and stack.
//!
//! Does: define what is in it, and read and write it as a sequence of records (`docs/recording-format.md`).
//! Does not: open files, name native frames, or choose what is shown.

mod follower;
mod gathered;
mod reader;
mod record;
mod room;
mod version_1;
mod writer;

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::facts::RecordingFacts;
use super::named::NamedFrame;
use super::packed_samples::PackedSamples;
use super::processes::ShownProcess;
use crate::sampler::run_state::RunState;
use crate::stack::code_cache::{Function, FunctionId};
use crate::stack::frame::{GapKind, SampleFrame};
use crate::target::modules::ModuleId;
use crate::types::{Addr, Pid, Svma};

pub use follower::Follower;
pub use reader::{ReadError, read, read_within};
pub use record::{More, Names, Record, Stacks, VERSION};
pub use room::ReadingRoom;
pub use writer::RecordingWriter;

/// A program of the target: what a process runs from one exec to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its number, by which all that is of it refers to it: programs count from 0.
    pub number: usize,
    /// The process that runs it; absent where that was not recorded.
    pub pid: Option<Pid>,
    /// How many other processes of the recording had that id before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// The command line that it was started with, its arguments separated by spaces; absent where that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The number of the module that holds the interpreter.
    pub interpreter: u32,
    /// The target's current directory.
    pub project: Option<String>,
    /// The home directory of whoever recorded it.
    pub home: Option<String>,
}

impl Program {
    /// Its process, as it is shown.
    pub fn shown_process(&self) -> ShownProcess {
        ShownProcess::new((self.pid, self.again), self.command.as_deref())
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its path as the target names it.
    pub path: String,
    /// Its build-id in hexadecimal digits, if it has one.
    pub build_id: Option<String>,
    /// What the loader added to the file's addresses, modulo 2^64.
    pub bias: u64,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The kernel's thread id.
    pub tid: i32,
    /// Its name.
    pub name: Option<String>,
}

/// Another name of a thread than it had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The thread, by its number in the program.
    pub thread: u32,
    /// Its name from now on.
    pub name: String,
}

/// A file that functions are from, as it was when the recording ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSource {
    /// Its name, as functions have it.
    pub file: String,
    /// Its text; absent where it was not to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A frame, with native code by its address in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedFrame {
    /// A Python function, by its number, and the line that was executing.
    Python(u32, Option<NonZeroU32>),
    /// A module, an address in its file, and the extent `[start, end)` of the function there.
    Native(u32, Svma, Option<(Svma, Svma)>),
    /// The interpreter's evaluation of bytecode: a module, where the function begins, and its extent.
    Evaluation(u32, Svma, Option<(Svma, Svma)>),
    /// Code without a file, by its address in the target.
    Unnamed(Addr),
    /// Frames are missing, for this reason.
    Missing(GapKind),
}

impl RecordedFrame {
    /// A sampled frame; `extent` gives that of the function around a native address.
    pub fn new(frame: &SampleFrame, extent: impl Fn(ModuleId, Svma) -> Option<(Svma, Svma)>) -> RecordedFrame {
        match *frame {
            SampleFrame::Python { function, line } => RecordedFrame::Python(function.0, line),
            SampleFrame::Native { module, svma } => RecordedFrame::Native(module.0, svma, extent(module, svma)),
            SampleFrame::Evaluation { module, function } => {
                RecordedFrame::Evaluation(module.0, function, extent(module, function))
            }
            SampleFrame::Unnamed(addr) => RecordedFrame::Unnamed(addr),
            SampleFrame::Missing(gap) => RecordedFrame::Missing(gap),
        }
    }

    /// The sampled frame.
    pub fn sampled(&self) -> SampleFrame {
        match *self {
            RecordedFrame::Python(function, line) => SampleFrame::Python { function: FunctionId(function), line },
            RecordedFrame::Native(module, svma, _) => SampleFrame::Native { module: ModuleId(module), svma },
            RecordedFrame::Evaluation(module, function, _) => {
                SampleFrame::Evaluation { module: ModuleId(module), function }
            }
            RecordedFrame::Unnamed(addr) => SampleFrame::Unnamed(addr),
            RecordedFrame::Missing(gap) => SampleFrame::Missing(gap),
        }
    }
}

/// A stack: the stack of its callers, and its innermost frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedStack {
    /// The callers: a lower number, 0 for none.
    pub caller: u32,
    /// The innermost frame.
    pub frame: u32,
}

/// One program's part of a recording. All numbers in it have been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedProgram {
    /// The program.
    pub program: Program,
    /// Its modules.
    pub modules: Vec<Module>,
    /// Its functions.
    pub functions: Vec<Function>,
    /// Its threads.
    pub threads: Vec<Thread>,
    /// The states that they are in.
    pub states: Vec<RunState>,
    /// Its frames.
    pub frames: Vec<RecordedFrame>,
    /// Its stacks from number 1 on.
    pub stacks: Vec<RecordedStack>,
    /// Its samples.
    pub samples: PackedSamples,
    /// The names of its native frames, by frame; shorter than the frames, or without some, when the recording has no end.
    pub names: Vec<Option<NamedFrame>>,
    /// The text of its files; of none where it was left out, or the recording has no end.
    pub sources: Vec<RecordedSource>,
}

impl RecordedProgram {
    /// A program of which nothing is known yet.
    pub fn new(program: Program) -> RecordedProgram {
        RecordedProgram {
            program,
            modules: Vec::new(),
            functions: Vec::new(),
            threads: Vec::new(),
            states: Vec::new(),
            frames: Vec::new(),
            stacks: Vec::new(),
            samples: PackedSamples::default(),
            names: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Whether native frames have no names: the recording was cut off before.
    pub fn lacks_names(&self) -> bool {
        let native = self.frames.iter().skip(self.names.len());
        native.into_iter().any(|frame| matches!(frame, RecordedFrame::Native(..)))
    }

    /// The frames of a stack, outermost first, by number.
    pub fn stack(&self, number: u32) -> Vec<usize> {
        let mut frames = Vec::new();
        let mut next = number;
        // A caller's number is lower: the reader has checked it.
        while let Some(stack) = (next as usize).checked_sub(1).and_then(|index| self.stacks.get(index)) {
            frames.push(stack.frame as usize);
            next = stack.caller;
        }
        frames.reverse();
        frames
    }
}

/// What was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its programs.
    pub programs: Vec<RecordedProgram>,
    /// What is known of it; of a recording without its end, what was known when it began.
    pub facts: RecordingFacts,
    /// Why it has no end, if it has none.
    pub cut_off: Option<String>,
    /// How many samples were not read because there was no room in memory for them: the last ones.
    pub samples_left_out: u64,
}

#[cfg(test)]
mod tests;
