//! A core file, looked at as a process is.
//!
//! Does: open it, unfolded where it is compressed; run its threads through the stages of a live process; say what is missing in it.
//! Does not: write for anybody, or read the file as one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::args::DumpArgs;
use super::look::{
    Dump, DumpOptions, DumpedCore, DumpedTarget, FrameNames, ThreadDump, ThreadIdentity, ThreadStack, sort,
};
use crate::capture::native;
use crate::cli::failure::Failure;
use crate::cli::folder_args;
use crate::cli::live_line::LiveLine;
use crate::process::find::OpenError;
use crate::process::native_reader::NativeReader;
use crate::profile::paths::PathRoots;
use crate::sampler::mode::Mode;
use crate::sampler::open::raise_open_files_limit;
use crate::sampler::run_state::{Blocked, RunState};
use crate::sampler::session::Session;
use crate::sampler::statistics::SampleFailure;
use crate::stack::frame::SampleFrame;
use crate::symbolize::names::FrameOrigin;
use crate::symbolize::{PerfMap, Symbolizer};
use crate::target::core::bytes::CoreBytes;
use crate::target::core::header::HeaderError;
use crate::target::core::segments::Cut;
use crate::target::core::unfold::{Compression, unfold};
use crate::target::core::{CoreError, CoreSources, CoreTarget};
use crate::target::modules::ModuleId;
use crate::target::native_system_calls;
use crate::target::root::TargetRoot;
use crate::target::system_calls;
use crate::target::view::Target;
use crate::types::Pid;
use crate::types::room::MemorySize;

/// More files that are not used are not named.
const MAX_NAMED: usize = 8;
/// Where large temporary files go, unless TMPDIR says otherwise: `/tmp` can be memory (file-hierarchy(7)).
const TEMPORARY: &str = "/var/tmp";

/// Looks at a core file.
///
/// # Errors
/// Why the file is none that can be shown.
pub fn dump(path: &Path, args: &DumpArgs, view: DumpOptions) -> Result<Dump, Failure> {
    raise_open_files_limit();
    let refused = |error: &dyn std::fmt::Display, hint: &str| {
        Failure::new(format_args!("{}: {error}", path.display())).with_hint(hint)
    };
    let opened = open_regular(path)
        .map_err(|error| refused(&error, "Give the path of a core file; a process is named by `--pid PID`."))?;
    let mut notices = Vec::new();
    let file = unfolded(opened, &mut notices).map_err(|error| {
        refused(
            &error,
            "It is unfolded into a temporary file: TMPDIR names a folder with as much room as the process had memory.",
        )
    })?;
    let bytes =
        CoreBytes::of_file(file).map_err(|error| refused(&error, "Give the path of a file that can be read."))?;
    let target = CoreTarget::open(bytes, sources(args)?).map_err(|error| refused(&error, hint(&error)))?;
    if target.machine() != native::MACHINE {
        let what = format!("it is the core of a {} process", target.machine().name());
        return Err(refused(
            &what,
            "A core is looked at on a machine of the architecture that it is from: copy it to one, with the files that it names (`--modules FOLDER`).",
        ));
    }
    notices.extend(missing(&target));
    let target = Arc::new(target);
    let mut core = DumpedCore {
        file: path.to_owned(),
        machine: target.machine(),
        process: target.identity().clone(),
        signal: target.signal().cloned(),
        notices,
        no_python: None,
    };
    let dump = match Session::new(Arc::clone(&target) as Arc<_>, Mode::Wall) {
        Ok(mut session) => {
            if args.locals {
                session.reader.read_locals();
            }
            Dump::take(session, view)
        }
        Err(OpenError::Interpreter(why)) => {
            core.no_python = Some(why.to_string());
            native_only(target, view).map_err(|error| refused(&error, "Is the core file still there?"))?
        }
        Err(error @ OpenError::Denied(_)) => return Err(refused(&error, "Is the core file still there?")),
    };
    Ok(Dump { subject: DumpedTarget::Core(Box::new(core)), ..dump })
}

/// Opens a file, and no FIFO or device: those would wait.
fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(path)
}

/// The core itself, of a file that may be compressed.
fn unfolded(file: File, notices: &mut Vec<String>) -> io::Result<File> {
    let bytes = CoreBytes::of_file(file)?;
    let mut first = [0; 8];
    bytes.read_at(0, &mut first);
    let (CoreBytes::File { file, len }, how) = (bytes, Compression::of(&first)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let Some(how) = how else { return Ok(file) };
    let folder = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from(TEMPORARY), PathBuf::from);
    let line = LiveLine::new(true, "");
    let steps = line.begin("unfolding the core file");
    steps.expect(usize::try_from(len).unwrap_or(usize::MAX));
    let unfolded = unfold(file, how, &folder, &mut |bytes| steps.advance(bytes))?;
    if let Some(why) = unfolded.ended {
        notices.push(format!("the end of the core, for its {} data cannot be unfolded: {why}", how.name()));
    }
    Ok(unfolded.file)
}

fn sources(args: &DumpArgs) -> Result<CoreSources, Failure> {
    let root = match &args.modules {
        // Who has written the core can have seen a container's files as below its root.
        Some(folder) => {
            let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            folder_args::open("--modules", folder)?.seen_at(&whole)
        }
        None => TargetRoot::at(Path::new("/")).map_err(|error| {
            Failure::new(format_args!("`/` cannot be opened: {error}")).with_hint("Name a folder: `--modules FOLDER`.")
        })?,
    };
    let program = args.executable.as_ref().map(|path| {
        let file = open_regular(path).map_err(|error| {
            Failure::new(format_args!("{}: {error}", path.display()))
                .with_hint("Give the program that the core is of, or none.")
        })?;
        Ok((path.clone(), file))
    });
    Ok(CoreSources { root, program: program.transpose()? })
}

/// What is missing in a core, or of what it names, in words.
fn missing(target: &CoreTarget) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(Cut { promised, missing: lost }) = target.cut() {
        let (lost, promised) = (MemorySize(lost), MemorySize(promised));
        missing.push(format!("{lost} of the {promised} of memory that the core should hold: the file ends too early"));
    }
    if target.threads_left_out() > 0 {
        missing.push(format!("{} threads more than can be shown", target.threads_left_out()));
    }
    if target.empty_stacks() > 0 {
        let count = target.empty_stacks();
        missing.push(format!("the stacks of {count} threads, which are nothing but zeros: gdb's `gcore` leaves out what it cannot read whole"));
    }
    let mut not_used = target.not_used();
    missing.extend(not_used.by_ref().take(MAX_NAMED).map(|(path, why)| format!("{}: {why}", path.display())));
    match not_used.count() {
        0 => {}
        more => missing.push(format!("{more} files more that the process had mapped")),
    }
    missing
}

fn hint(error: &CoreError) -> &'static str {
    match error {
        CoreError::Io(_) => "Give the path of a file that can be read.",
        CoreError::Headers(HeaderError::NotElf | HeaderError::NotCore | HeaderError::Malformed)
        | CoreError::NoThreads => {
            "Give a core file of the kernel's, of gdb's `gcore` or of systemd-coredump's (`coredumpctl dump -o FILE`)."
        }
        CoreError::Headers(HeaderError::ForeignClass | HeaderError::ForeignMachine(_)) => {
            "fpprof reads cores of 64-bit programs of x86-64 and aarch64."
        }
        CoreError::WrongProgram { .. } => {
            "Give the very build that ran, or none: fpprof looks at the file that the core names, below `--modules FOLDER` if that is given."
        }
    }
}

/// The native stacks of all threads.
fn native_only(target: Arc<CoreTarget>, view: DumpOptions) -> io::Result<Dump> {
    let mut reader = NativeReader::new(Arc::clone(&target) as Arc<_>)?;
    let Pid(main) = target.identity().pid;
    let mut threads = Vec::new();
    let mut stacks: Vec<Arc<[SampleFrame]>> = Vec::new();
    for tid in target.threads()? {
        let thread = target.thread(tid)?;
        let Ok(reading) = reader.read(&thread) else { continue };
        let wait = reading.call.and_then(|call| system_calls::wait(native_system_calls::NUMBERS, &call));
        let blocked = Blocked { wait, task: None, file: None };
        let run_state = RunState::of_blocked(&blocked, &reading.frames, ModuleId(u32::MAX), |_| false);
        let frames = reading.frames;
        stacks.push(Arc::clone(&frames));
        threads.push(ThreadDump {
            identity: Some(ThreadIdentity {
                tid: thread.tid,
                namespace_tid: thread.namespace_id().unwrap_or(thread.tid.0),
                name: thread.name(),
                is_main: thread.tid.0 == main,
                holds_gil: false,
            }),
            is_python: false,
            stack: Ok::<_, SampleFailure>(ThreadStack { run_state, frames, locals: None }),
        });
    }
    let origin = FrameOrigin {
        space: &reader.space,
        interpreter: ModuleId(u32::MAX),
        functions: &[],
        thread_names: &FxHashMap::default(),
        perf_map: &PerfMap::default(),
        roots: &PathRoots { project: None, home: std::env::var("HOME").ok(), full: view.full_filenames },
    };
    let symbolizer = Symbolizer::new(Some(target.root()));
    let symbolizer = if view.lines { symbolizer } else { symbolizer.without_lines() };
    let names = FrameNames::of(stacks.iter(), (&origin, &symbolizer), view.native);
    sort(&mut threads);
    Ok(Dump {
        subject: DumpedTarget::Snapshot(PathBuf::new(), target.machine()),
        python: None,
        not_read: None,
        sleepers_stopped: 0,
        threads,
        names,
    })
}
