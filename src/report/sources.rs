//! The text of the Python files of a recording, for outputs that show it.
//!
//! Does: take what the recording holds, and look for the rest below a folder that the user has named, within bounds.
//! Does not: open anything that only the recording names: whoever hands one over must not choose what is read here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::naming::path_roots;
use super::source_file::{self, NO_FILE};
use crate::profile::Profile;
use crate::profile::recording::{RecordedProgram, RecordedSource, Recording};
use crate::profile::sources::{Source, Sources};
use crate::target::root::TargetRoot;

/// How much is read of all files in the folder together, in bytes.
const MAX_ALL: usize = 16 << 20;

/// What becomes of files whose text a recording does not hold.
#[derive(Debug, Clone, Copy)]
pub enum OtherSources<'a> {
    /// They are looked for below a folder that the user has named, by their whole paths, and by those from the program's current directory
    /// on.
    Below(&'a TargetRoot),
    /// The user is told how they can be had.
    Missing,
    /// The user has left them out.
    LeftOut,
}

/// The files of the frames in `stacks`.
pub fn find(recording: &Recording, stacks: &Profile, others: OtherSources<'_>, full_filenames: bool) -> Sources {
    let python = stacks.frames().iter().filter(|frame| frame.kind.is_python());
    let wanted: BTreeSet<&str> = python.filter_map(|frame| frame.source.as_ref()).map(|source| &*source.file).collect();
    let mut sources = Sources::default();
    let mut left = MAX_ALL;
    for program in &recording.programs {
        let roots = path_roots(program, full_filenames);
        let recorded: FxHashMap<&str, &RecordedSource> =
            program.sources.iter().map(|source| (&*source.file, source)).collect();
        for function in &program.functions {
            let name = roots.python_file(&function.filename);
            if !wanted.contains(&*name) || sources.files.contains_key(&*name) {
                continue;
            }
            let recorded = recorded.get(&*function.filename).copied();
            let source = match recorded.and_then(|source| source.text.as_deref()) {
                Some(text) => lines(text),
                None => {
                    let why = recorded.and_then(|source| source.missing.as_deref());
                    match other(&function.filename, program, recording, others, why) {
                        Ok(text) if text.len() > left => Source::Missing("all files together are too large".to_owned()),
                        Ok(text) => {
                            left = left.saturating_sub(text.len());
                            lines(&text)
                        }
                        Err(why) => Source::Missing(why),
                    }
                }
            };
            sources.files.insert(Arc::from(&*name), source);
        }
    }
    sources
}

fn lines(text: &str) -> Source {
    Source::Lines(text.lines().map(str::to_owned).collect())
}

/// The text of a file that the recording does not hold, for the reason `why` if it says one.
fn other(
    name: &str,
    program: &RecordedProgram,
    recording: &Recording,
    others: OtherSources<'_>,
    why: Option<&str>,
) -> Result<String, String> {
    if name.starts_with(NO_FILE) {
        return Err("its code is not from a file".to_owned());
    }
    let folder = match (others, why) {
        (OtherSources::Below(folder), _) => folder,
        (OtherSources::LeftOut, _) => return Err("it was left out (--no-sources)".to_owned()),
        (OtherSources::Missing, Some(why)) => return Err(why.to_owned()),
        (OtherSources::Missing, None) => {
            let how =
                "the recording does not hold its text: `fpprof report --sources FOLDER` looks for it below a folder";
            return Err(how.to_owned());
        }
    };
    let project = Path::new(program.program.project.as_deref().unwrap_or("/"));
    let whole = project.join(name);
    let started = recording.facts.started;
    source_file::read(folder, &whole, started).or_else(|whole_why| {
        let from_project = whole.strip_prefix(project).map_err(|_| whole_why.clone())?;
        source_file::read(folder, from_project, started).map_err(|_| whole_why)
    })
}

#[cfg(test)]
mod tests;
