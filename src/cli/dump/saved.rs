//! A snapshot, looked at as a process is.
//!
//! Does: read the file, run it through the stages of a live process, and name the frames by what the file tells: native functions
//! by their places in their modules. Does not: write for anybody, or open the modules: a snapshot is mostly of another machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::look::{Dump, DumpOptions, DumpedPython, DumpedTarget, FrameNames, ThreadDump, ThreadStack};
use crate::cli::failure::Failure;
use crate::profile::paths::PathRoots;
use crate::sampler::run_state::RunState;
use crate::snapshot::Snapshot;
use crate::snapshot::format::MAX_FILE;
use crate::snapshot::replay::Replay;
use crate::symbolize::names::{FrameOrigin, NativeCode};
use crate::symbolize::{FunctionExtent, ModuleFile, PerfMap, Symbolizer};
use crate::target::elf::ElfError;
use crate::target::modules::ModuleId;
use crate::types::Svma;

/// Looks at a snapshot.
///
/// # Errors
/// Why the file is none that can be shown.
pub fn dump(path: &Path, view: DumpOptions) -> Result<Dump, Failure> {
    let refused = |error: &dyn std::fmt::Display, hint: &str| {
        Failure::new(format_args!("{}: {error}", path.display())).with_hint(hint)
    };
    let bytes = read(path).map_err(|error| refused(&error, "Give the path of a file that can be read."))?;
    let snapshot = Snapshot::from_json(in_bug_report(&bytes).unwrap_or(&bytes)).map_err(|error| {
        refused(
            &error,
            "Give a file that `fpprof doctor --snapshot FILE` or `fpprof bug-report` has written, whole, and an fpprof as new as it.",
        )
    })?;
    let machine = snapshot.machine;
    let replay = Replay::new(snapshot).map_err(|error| {
        refused(&error, "The snapshot is damaged, or this fpprof cannot read its version of CPython: save it again.")
    })?;
    let frames = replay.run(&mut replay.journey());
    let interpreter = &replay.snapshot().runtime.file_name;
    let number = replay.snapshot().modules.iter().position(|module| module.name == *interpreter);
    let origin = FrameOrigin {
        space: &replay,
        interpreter: ModuleId(number.and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)),
        functions: replay.functions(),
        thread_names: &FxHashMap::default(),
        perf_map: &PerfMap::default(),
        roots: &PathRoots { project: None, home: None, full: view.full_filenames },
    };
    let names = FrameNames::of(std::iter::once(&frames), (&origin, &Symbolizer::new(None)), view.native);
    Ok(Dump {
        subject: DumpedTarget::Snapshot(path.to_owned(), machine),
        python: Some(DumpedPython {
            version: replay.interpreter().version.to_string(),
            module: interpreter.clone(),
            free_threaded: replay.interpreter().layout.free_threaded,
        }),
        not_read: None,
        sleepers_stopped: 0,
        threads: vec![ThreadDump {
            identity: None,
            is_python: !replay.snapshot().thread_states.is_empty(),
            stack: Ok(ThreadStack { run_state: RunState::Unknown, frames, locals: None }),
        }],
        names,
    })
}

/// The snapshot in what `fpprof bug-report` has written.
fn in_bug_report(file: &[u8]) -> Option<&[u8]> {
    #[derive(serde::Deserialize)]
    struct BugReport<'a> {
        #[serde(borrow)]
        snapshot: &'a serde_json::value::RawValue,
    }
    let report: BugReport<'_> = serde_json::from_slice(file).ok()?;
    Some(report.snapshot.get().as_bytes())
}

/// The file, or as much of it as shows that it is too long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl NativeCode for Replay {
    fn module(&self, id: ModuleId) -> Option<ModuleFile> {
        let module = self.snapshot().modules.get(id.0 as usize)?;
        Some(ModuleFile { path: PathBuf::from(&module.name), elf: Err(ElfError::Io(io::ErrorKind::NotFound)) })
    }

    fn extent(&self, id: ModuleId, svma: Svma) -> Option<FunctionExtent> {
        self.function_extent(id, svma).map(|(start, end)| FunctionExtent { start, end })
    }
}
