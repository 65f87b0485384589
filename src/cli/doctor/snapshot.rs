//! `fpprof doctor --snapshot FILE`: what a bug report needs, in a file.
//!
//! Does: choose a thread and a moment, an incomplete stack if there is one; save it, and say what is in the file.
//! Does not: decide what a snapshot holds (`sampler::snapshot`).

use crate::cli::failure::Failure;
use crate::cli::messages::say;
use crate::cli::record::output_file::OutputFile;
use crate::profile::clean::neutral_json;
use crate::sampler::session::Session;
use crate::snapshot::subject::{Saved, ThreadToSave};
use crate::stack::frame::{GapKind, SampleFrame};
use crate::types::Tid;

/// Samples of a thread. The first ones teach where markers lie; of a thread that runs, one of many may be incomplete.
const SAMPLES: u32 = 50;
/// Threads that are sampled.
const MAX_THREADS: usize = 64;

/// Saves a thread: the one that is asked for; else the first that has an incomplete stack; else the main one.
///
/// # Errors
/// When no stack can be saved, or the file not be written.
pub fn save(session: &mut Session, thread: Option<Tid>, output: &mut OutputFile) -> Result<(), Failure> {
    let (tid, saved) = choose(session, thread).map_err(|why_not| {
        Failure::new(format_args!("no stack can be saved: {why_not}"))
            .with_hint("Try again, or another thread: `--thread TID`; `fpprof dump` lists them.")
    })?;
    let json = neutral_json(&saved.json);
    output.write(|writer| writer.write_all(json.as_bytes()))?;
    let path = output.path().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let described = describe(tid, &saved);
    let mut lines = described.lines();
    say(format_args!("fpprof: wrote {path}: {}", lines.next().unwrap_or_default()));
    lines.for_each(say);
    Ok(())
}

/// A stack of the thread that is asked for; else the first incomplete one; else one of the main thread.
///
/// # Errors
/// Why there is none.
pub fn choose(session: &mut Session, thread: Option<Tid>) -> Result<(Tid, Saved), String> {
    let mut found: Option<(Tid, Saved)> = None;
    let mut why_not = "it changed all the time".to_owned();
    for tid in candidates(session, thread) {
        match look(session, tid) {
            Ok(Some(saved)) if is_incomplete(&saved) => {
                found = Some((tid, saved));
                break;
            }
            Ok(saved) => found = found.or(saved.map(|saved| (tid, saved))),
            Err(reason) => why_not = reason,
        }
    }
    found.ok_or(why_not)
}

/// The threads to sample, the main one first.
fn candidates(session: &Session, thread: Option<Tid>) -> Vec<Tid> {
    if let Some(tid) = thread {
        return vec![tid];
    }
    let main = Tid(session.identity().pid.0);
    let python = session.threads().iter().filter(|history| !history.known.states.addresses.is_empty());
    let mut tids: Vec<Tid> = python.map(|history| history.tid()).collect();
    tids.sort_by_key(|tid| (*tid != main, *tid));
    tids.truncate(MAX_THREADS);
    if tids.is_empty() {
        // A first thread that has ended is there and cannot be read.
        let can_be_read = |tid: &Tid| session.target().thread(*tid).is_ok();
        let living = session.target().threads().unwrap_or_default().into_iter().find(can_be_read);
        tids.push(living.unwrap_or(main));
    }
    tids
}

/// The last incomplete stack of a thread, or else its last one.
fn look(session: &mut Session, tid: Tid) -> Result<Option<Saved>, String> {
    let mut subject =
        ThreadToSave::new(&mut session.reader, tid).map_err(|error| format!("there is no thread {tid}: {error}"))?;
    let mut found = None;
    for left in (0..SAMPLES).rev() {
        let sampled = subject.sample().map_err(|failure| failure.to_string())?;
        let Some(reading) = sampled else { continue };
        let incomplete = reading.frames.iter().any(is_gap);
        // An incomplete stack may be one only because nothing had been learned yet.
        let is_wanted = incomplete && left < SAMPLES / 2 || left == 0 && found.is_none();
        if is_wanted && let Ok(saved) = subject.save(&reading) {
            found = Some(saved);
            if incomplete {
                break;
            }
        }
    }
    Ok(found)
}

fn is_gap(frame: &SampleFrame) -> bool {
    matches!(frame, SampleFrame::Missing(_))
}

fn is_incomplete(saved: &Saved) -> bool {
    saved.frames.iter().any(is_gap)
}

/// What is in the file.
fn describe(tid: Tid, saved: &Saved) -> String {
    let gaps = saved.frames.iter().filter_map(|frame| match frame {
        SampleFrame::Missing(gap) => Some(GapKind::reason(*gap)),
        _ => None,
    });
    let gaps: Vec<&str> = gaps.collect();
    let complete = if gaps.is_empty() { "complete".to_owned() } else { format!("incomplete ({})", gaps.join("; ")) };
    let snapshot = saved.replay.snapshot();
    let memory: usize = snapshot.memory.iter().map(|region| region.bytes.len()).sum();
    format!(
        "thread {tid}, {} frames, {complete}; `fpprof dump --from` shows them\n  \
         {} bytes of the thread's C stack are in it, with whatever the program had there, and {memory} bytes of the \
         interpreter's\n  memory: names of functions, paths of their files, line tables; no values of Python variables. See who may read it.",
        saved.frames.len(),
        snapshot.stack.bytes.len(),
    )
}
