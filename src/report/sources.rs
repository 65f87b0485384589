//! The text of the Python files of a recording, read now.
//!
//! Does: read those that are still what was recorded, within bounds, through the root that the program has or had.
//! Does not: guess: a file that has changed since would show wrong lines.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::naming::path_roots;
use crate::profile::Profile;
use crate::profile::recording::Recording;
use crate::profile::sources::{Source, Sources};
use crate::target::root::TargetRoot;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// How much is read of all together, in bytes.
const MAX_ALL: usize = 16 << 20;

/// Reads the files of the frames in `stacks`, as `root` has them.
pub fn read(recording: &Recording, stacks: &Profile, root: &TargetRoot, full_filenames: bool) -> Sources {
    let python = stacks.frames().iter().filter(|frame| frame.kind.is_python());
    let wanted: BTreeSet<&str> = python.filter_map(|frame| frame.source.as_ref()).map(|source| &*source.file).collect();
    let mut sources = Sources::default();
    let mut left = MAX_ALL;
    for program in &recording.programs {
        let roots = path_roots(program, full_filenames);
        for function in &program.functions {
            let name = roots.python_file(&function.filename);
            if !wanted.contains(&*name) || sources.files.contains_key(&*name) {
                continue;
            }
            let path = Path::new(roots.project.as_deref().unwrap_or("/")).join(&*function.filename);
            let source = match text(&function.filename, &path, recording.facts.started, root) {
                Ok(text) if text.len() > left => Source::Missing("all files together are too large".to_owned()),
                Ok(text) => {
                    left = left.saturating_sub(text.len());
                    Source::Lines(text.lines().map(str::to_owned).collect())
                }
                Err(why) => Source::Missing(why),
            };
            sources.files.insert(Arc::from(&*name), source);
        }
    }
    sources
}

fn text(name: &str, path: &Path, started: Option<SystemTime>, root: &TargetRoot) -> Result<String, String> {
    if name.starts_with('<') {
        return Err("its code is not from a file".to_owned());
    }
    let file = root.open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let metadata = file.metadata().map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let has_changed = started.zip(metadata.modified().ok()).is_some_and(|(started, changed)| changed > started);
    if has_changed {
        return Err(format!("{} has changed since it was recorded", path.display()));
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("{} is larger than {MAX_FILE} bytes", path.display()));
    }
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE).read_to_end(&mut bytes);
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
