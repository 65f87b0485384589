//! A dump for programs. `docs/dump.md` is its schema: what is there stays, in name and meaning, for as long as `version`
//! does.
//!
//! Does: write it. Does not: clean or shorten anything; JSON can hold every text.

use std::io::{self, Write};
use std::time::UNIX_EPOCH;

use serde::{Serialize, Serializer};

use super::look::{Dump, DumpedCore, DumpedTarget, ShownStack, ThreadDump};
use super::text::signal_name;
use crate::cli::standard_output::write_document;
use crate::profile::frame::Frame;
use crate::python::locals::Local;
use crate::sampler::run_state::RunState;

/// Fields may be added to a version; one that is taken away or changes its meaning makes the next.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Content<'a> {
    time: Option<f64>,
    process: Option<ProcessFacts<'a>>,
    snapshot: Option<SnapshotFacts>,
    core: Option<CoreFacts<'a>>,
    python: Option<PythonFacts<'a>>,
    threads: Threads<'a>,
}

#[derive(Serialize)]
struct ProcessFacts<'a> {
    pid: i32,
    namespace_pid: i32,
    executable: String,
    command_line: &'a [String],
    current_directory: Option<String>,
}

#[derive(Serialize)]
struct SnapshotFacts {
    file: String,
    architecture: &'static str,
}

#[derive(Serialize)]
struct CoreFacts<'a> {
    file: String,
    architecture: &'static str,
    signal: Option<SignalFacts>,
    missing: &'a [String],
    no_python: Option<&'a str>,
}

#[derive(Serialize)]
struct SignalFacts {
    number: i32,
    name: String,
    code: i32,
    tid: i32,
    sender_pid: Option<i32>,
    sender_uid: Option<u32>,
    address: Option<u64>,
}

#[derive(Serialize)]
struct PythonFacts<'a> {
    version: &'a str,
    module: &'a str,
    free_threaded: bool,
}

/// One is made when it is written, and forgotten then.
struct Threads<'a>(&'a Dump);

impl Serialize for Threads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.threads.iter().map(|each| thread(each, self.0)))
    }
}

#[derive(Serialize)]
struct Thread<'a> {
    tid: Option<i32>,
    namespace_tid: Option<i32>,
    name: Option<&'a str>,
    main: Option<bool>,
    python: bool,
    holds_gil: Option<bool>,
    state: &'static str,
    state_text: Option<String>,
    complete: bool,
    error: Option<&'static str>,
    frames: Frames<'a>,
}

struct Frames<'a>(Option<ShownStack<'a>>);

impl Serialize for Frames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().flat_map(ShownStack::frames_and_locals).map(frame))
    }
}

#[derive(Serialize)]
struct FrameFacts<'a> {
    kind: &'static str,
    name: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    first_line: Option<u32>,
    module: Option<&'a str>,
    inlined: bool,
    locals: Option<Vec<LocalFacts<'a>>>,
}

#[derive(Serialize)]
struct LocalFacts<'a> {
    name: &'a str,
    value: &'a str,
}

/// Writes the document, thread by thread.
///
/// # Errors
/// Those of the writer.
pub fn write(dump: &Dump, out: &mut dyn Write) -> io::Result<()> {
    let (process, time) = match &dump.subject {
        DumpedTarget::Process(process, time) => (Some(process), Some(time)),
        DumpedTarget::Core(core) => (Some(&core.process), None),
        DumpedTarget::Snapshot(..) => (None, None),
    };
    let snapshot = match &dump.subject {
        DumpedTarget::Snapshot(file, machine) => {
            Some(SnapshotFacts { file: file.to_string_lossy().into_owned(), architecture: machine.name() })
        }
        DumpedTarget::Process(..) | DumpedTarget::Core(_) => None,
    };
    let core = match &dump.subject {
        DumpedTarget::Core(facts) => Some(core(facts)),
        DumpedTarget::Process(..) | DumpedTarget::Snapshot(..) => None,
    };
    let content = Content {
        time: time.map(|time| time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())),
        process: process.map(|process| ProcessFacts {
            pid: process.pid.0,
            namespace_pid: process.namespace_pid,
            executable: process.executable.to_string_lossy().into_owned(),
            command_line: &process.command_line,
            current_directory: process.current_directory.as_ref().map(|path| path.to_string_lossy().into_owned()),
        }),
        snapshot,
        core,
        python: dump.python.as_ref().map(|python| PythonFacts {
            version: &python.version,
            module: &python.module,
            free_threaded: python.free_threaded,
        }),
        threads: Threads(dump),
    };
    write_document(("fpprof dump", VERSION), &content, out)
}

fn core(core: &DumpedCore) -> CoreFacts<'_> {
    let signal = core.signal.as_ref().map(|signal| SignalFacts {
        number: signal.number,
        name: signal_name(signal.number),
        code: signal.code,
        tid: signal.tid.0,
        sender_pid: signal.sender.map(|(pid, _)| pid.0),
        sender_uid: signal.sender.map(|(_, uid)| uid),
        address: signal.address.map(|address| address.0),
    });
    CoreFacts {
        file: core.file.to_string_lossy().into_owned(),
        architecture: core.machine.name(),
        signal,
        missing: &core.notices,
        no_python: core.no_python.as_deref(),
    }
}

fn thread<'a>(thread: &'a ThreadDump, dump: &'a Dump) -> Thread<'a> {
    let without_gil = dump.python.is_none() || dump.is_free_threaded();
    let stack = thread.stack.as_ref();
    let shown = stack.ok().map(|stack| dump.names.shown(stack));
    let identity = thread.identity.as_ref();
    Thread {
        tid: identity.map(|identity| identity.tid.0),
        namespace_tid: identity.map(|identity| identity.namespace_tid),
        name: identity.and_then(|identity| identity.name.as_deref()),
        main: identity.map(|identity| identity.is_main),
        python: thread.is_python,
        holds_gil: identity.filter(|_| !without_gil && stack.is_ok()).map(|identity| identity.holds_gil),
        state: stack.map_or(RunState::Unknown.id(), |stack| stack.run_state.id()),
        state_text: stack.ok().map(|stack| stack.run_state.to_string()),
        complete: shown.as_ref().is_some_and(ShownStack::is_complete),
        error: stack.err().map(|reason| reason.reason()),
        frames: Frames(shown),
    }
}

fn frame<'a>((frame, locals): (&'a Frame, Option<&'a [Local]>)) -> FrameFacts<'a> {
    let source = frame.source.as_ref();
    FrameFacts {
        kind: frame.kind.id(),
        name: &frame.name,
        file: source.map(|source| &*source.file),
        line: source.and_then(|source| source.line),
        first_line: source.and_then(|source| source.first_line),
        module: frame.module.as_deref(),
        inlined: frame.is_inlined,
        locals: locals
            .map(|locals| locals.iter().map(|local| LocalFacts { name: &local.name, value: &local.value }).collect()),
    }
}
