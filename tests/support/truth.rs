//! What a live target says of its own stacks, parsed from its line of JSON.
//!
//! Does: hold the frames as the interpreter itself gives them, and which of them C code called.
//! Does not: run the target (`target`) or know its native frames (`gdb`).

use serde::Deserialize;

/// A target's word on itself, printed by `tests/targets/live/truth.py`.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// Its process id.
    pub pid: u32,
    /// CPython's major and minor version.
    pub version: (u8, u8),
    /// The main thread first.
    pub threads: Vec<ThreadTruth>,
    /// For running targets: the pairs (caller, callee) of qualified names that can be next to each other in a stack.
    #[serde(default)]
    pub calls: Vec<(String, String)>,
}

/// One thread's Python frames.
#[derive(Debug, Clone, Deserialize)]
pub struct ThreadTruth {
    /// The kernel's thread id.
    pub native_id: i32,
    /// The thread's name in Python.
    pub name: String,
    /// Innermost first; none where the target runs and has no one stack.
    pub frames: Vec<FrameTruth>,
}

/// One Python frame.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FrameTruth {
    /// The code object's qualified name.
    pub qualname: String,
    /// The code object's file.
    pub filename: String,
    /// The line that is executing.
    pub line: u32,
    /// The code object's first line.
    pub first_line: u32,
    /// Whether C code called it, so that it is the outermost frame of its evaluation.
    pub from_c: bool,
}

impl ThreadTruth {
    /// The frames by evaluation of bytecode, innermost first: each slice ends with the frame that C code called.
    pub fn evaluations(&self) -> Vec<&[FrameTruth]> {
        self.frames.split_inclusive(|frame| frame.from_c).collect()
    }
}
