//! Where the names of a session's frames come from.
//!
//! Does: put together what naming needs of a process that is being read. Does not: name.

use std::path::Path;

use rustc_hash::FxHashMap;

use crate::profile::paths::PathRoots;
use crate::sampler::session::Session;
use crate::symbolize::names::FrameOrigin;
use crate::symbolize::{PerfMap, Symbolizer};
use crate::types::Tid;

/// Calls `name` with the origin of a session's frames; `full_filenames` leaves paths as long as they are.
pub fn with_origin<T>(
    session: &Session,
    thread_names: &FxHashMap<Tid, String>,
    full_filenames: bool,
    name: impl FnOnce(&FrameOrigin<'_>, Symbolizer) -> T,
) -> T {
    let (process, reader) = (session.identity(), &session.reader);
    let root = reader.root();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let origin = FrameOrigin {
        space: &reader.space,
        interpreter: reader.found.module,
        functions: reader.codes.functions(),
        thread_names,
        // A process that has no map names nothing by it.
        perf_map: &match session.target().is_core() || session.has_lost_id() {
            false => PerfMap::load(&root, process.namespace_pid),
            // The map of that number can be another process's by now.
            true => PerfMap::default(),
        },
        roots: &PathRoots {
            project: process.current_directory.as_deref().map(text),
            home: std::env::var("HOME").ok(),
            full: full_filenames,
        },
    };
    name(&origin, Symbolizer::new(root))
}
