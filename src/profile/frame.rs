//! A frame that has its names: what every output shows.
//!
//! Does: hold one frame's kind, name and place. Does not: find names, or decide how an output writes them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sampler::run_state::RunState;
use crate::types::Tid;

/// What kind of code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FrameKind {
    /// Python code of the project itself, or without a file.
    UserCode,
    /// Python code that comes with CPython.
    StandardLibrary,
    /// Python code in `site-packages` or `dist-packages`.
    InstalledPackage,
    /// Native code of extension modules and of the libraries they bring along.
    NativeExtension,
    /// CPython's own native code.
    Interpreter,
    /// The C library, the loader, the vDSO, the kernel and the system's libraries.
    System,
    /// Native code made at run time.
    Jit,
    /// Not code: the process that the frames inside it belong to.
    Process,
    /// Not code: the thread that the frames inside it belong to.
    Thread,
    /// Not code: what the thread did.
    RunState,
    /// Not code: frames are missing here.
    Gap,
}

impl FrameKind {
    /// Whether it is a kind of Python function.
    pub fn is_python(self) -> bool {
        matches!(self, FrameKind::UserCode | FrameKind::StandardLibrary | FrameKind::InstalledPackage)
    }

    /// All kinds.
    pub const ALL: [FrameKind; 11] = [
        FrameKind::UserCode,
        FrameKind::StandardLibrary,
        FrameKind::InstalledPackage,
        FrameKind::NativeExtension,
        FrameKind::Interpreter,
        FrameKind::System,
        FrameKind::Jit,
        FrameKind::Process,
        FrameKind::Thread,
        FrameKind::RunState,
        FrameKind::Gap,
    ];

    /// What programs call it, in JSON.
    pub fn id(self) -> &'static str {
        match self {
            FrameKind::UserCode => "user",
            FrameKind::StandardLibrary => "standard_library",
            FrameKind::InstalledPackage => "installed_package",
            FrameKind::NativeExtension => "native_extension",
            FrameKind::Interpreter => "interpreter",
            FrameKind::System => "system",
            FrameKind::Jit => "jit",
            FrameKind::Process => "process",
            FrameKind::Thread => "thread",
            FrameKind::RunState => "state",
            FrameKind::Gap => "gap",
        }
    }

    /// What a reader calls it.
    pub fn description(self) -> &'static str {
        match self {
            FrameKind::UserCode => "your code",
            FrameKind::StandardLibrary => "standard library",
            FrameKind::InstalledPackage => "installed packages",
            FrameKind::NativeExtension => "native extensions",
            FrameKind::Interpreter => "interpreter",
            FrameKind::System => "libc and system",
            FrameKind::Jit => "JIT code",
            FrameKind::Process => "process",
            FrameKind::Thread => "thread",
            FrameKind::RunState => "what the thread does",
            FrameKind::Gap => "missing frames",
        }
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceLine {
    /// The file, shortened for display (see `paths`).
    pub file: Arc<str>,
    /// The line that is executing, counted from 1; absent where it is not known.
    pub line: Option<u32>,
    /// The line where the function begins, counted from 1; absent where it is not known.
    pub first_line: Option<u32>,
}

/// What is behind a module's name where that stands for all of its functions without names.
const WITHOUT_NAMES: &str = " [without names]";

/// One named frame. Text in it may hold anything that the target's names hold: outputs clean it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// What kind of code it is.
    pub kind: FrameKind,
    /// The function's name (qualified, demangled), or the text that stands for the frame.
    pub name: Arc<str>,
    /// Where in its source it is; absent where that is not known.
    pub source: Option<SourceLine>,
    /// The file name of the native module; absent for Python frames and for code without a module.
    pub module: Option<Arc<str>>,
    /// Whether the compiler has inlined the function into the one outside it.
    pub is_inlined: bool,
    /// Whether the name is from a table of methods, by which Python finds a function that has no symbol.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_from_method_table: bool,
    /// Whether it is a stub by which calls lead to a function of another file: `write@plt`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stub: bool,
}

impl Frame {
    fn new(kind: FrameKind, name: &str) -> Frame {
        Frame {
            kind,
            name: name.into(),
            source: None,
            module: None,
            is_inlined: false,
            is_from_method_table: false,
            is_stub: false,
        }
    }

    /// A Python function, by its qualified name.
    pub fn python(kind: FrameKind, qualified_name: &str, source: SourceLine) -> Frame {
        Frame { source: Some(source), ..Frame::new(kind, qualified_name) }
    }

    /// A native function in a module (its file name).
    pub fn native(kind: FrameKind, function: &str, module: Option<&str>) -> Frame {
        Frame { module: module.map(Arc::from), ..Frame::new(kind, function) }
    }

    /// Of a native function without a name what it is called by, behind the name of its module: `+0x1234`.
    pub fn nameless(&self) -> Option<&str> {
        let rest = self.name.strip_prefix(self.module.as_deref().filter(|module| !module.is_empty())?)?;
        (rest.starts_with('+') || rest == WITHOUT_NAMES).then_some(rest)
    }

    /// The frame; or, of a function without a name, the one that stands for all of them in its module: to a reader, they differ by addresses only.
    pub fn without_address(&self) -> Cow<'_, Frame> {
        match (self.nameless(), &self.module) {
            (Some(_), Some(module)) => {
                Cow::Owned(Frame::native(self.kind, &format!("{module}{WITHOUT_NAMES}"), Some(module)))
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// The frame, with the line of its source.
    pub fn at(self, source: SourceLine) -> Frame {
        Frame { source: Some(source), ..self }
    }

    /// The frame, as one that was inlined into the frame outside it.
    pub fn inlined(self) -> Frame {
        Frame { is_inlined: true, ..self }
    }

    /// The root frame of a process.
    pub fn process(name: &str) -> Frame {
        Frame::new(FrameKind::Process, name)
    }

    /// The frame, as one whose name is from a table of methods.
    pub fn from_method_table(self) -> Frame {
        Frame { is_from_method_table: true, ..self }
    }

    /// The frame, as a stub.
    pub fn as_stub(self) -> Frame {
        Frame { is_stub: true, ..self }
    }

    /// The root frame of a thread; its name is absent where it has none.
    pub fn thread(tid: Tid, name: Option<&str>) -> Frame {
        match name {
            Some(name) => Frame::new(FrameKind::Thread, &format!("thread {tid} ({name})")),
            None => Frame::new(FrameKind::Thread, &format!("thread {tid} (unnamed)")),
        }
    }

    /// What a thread did, as the innermost frame of its stack.
    pub fn run_state(state: &RunState) -> Frame {
        Frame::new(FrameKind::RunState, &format!("[{state}]"))
    }

    /// The place of time of which there is no sample.
    pub fn not_sampled() -> Frame {
        Frame::new(FrameKind::Gap, "[not sampled]")
    }

    /// A place where frames are missing, with the reason in a few words.
    pub fn gap(reason: &str) -> Frame {
        Frame::new(FrameKind::Gap, &format!("[stack incomplete: {reason}]"))
    }
}
