//! Names for what was recorded, while the target's files are at hand.
//!
//! Does: name the stacks of a recording, or the frames of one that has been written, and end that. Does not: record, or
//! lay anything out.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::facts::facts;
use super::origin::with_origin;
use super::program::Program;
use super::recorder::Recording;
use crate::profile::Profile;
use crate::profile::bounded::BoundedProfile;
use crate::profile::counted::Counted;
use crate::profile::facts::RecordingFacts;
use crate::profile::named::NamedFrame;
use crate::profile::steps::Steps;
use crate::stack::frame::SampleFrame;
use crate::symbolize::names::{self, NativeFrames};
use crate::symbolize::{Answers, Questions, Symbolizer};
use crate::target::memory_budget::{self, Meter, Share};
use crate::target::root::RootIdentity;

/// How frames are shown.
#[derive(Debug, Clone)]
pub struct NamingOptions {
    /// Which native frames.
    pub native: NativeFrames,
    /// Whether paths are left as long as they are.
    pub full_filenames: bool,
    /// What tells how far naming is.
    pub steps: Arc<Steps>,
}

/// Names the stacks of a recording, and gathers the facts about it.
pub fn finish(recording: &Recording, first: RecordingFacts, view: NamingOptions) -> (Profile, RecordingFacts) {
    let answers = answers(&recording.programs, &view);
    let mut room = Meter::new(Share::Making);
    let mut all = BoundedProfile::new(&mut room, usize::MAX);
    for program in &recording.programs {
        for (stack, weight) in name(program, &view, &answers).stacks() {
            all.add(&stack, weight);
        }
    }
    let BoundedProfile { profile, cut, .. } = all;
    cut.tell();
    (profile, RecordingFacts { left_out: memory_budget::left_out(), ..facts(recording, first) })
}

/// Names the native frames of a recording that has been written, and ends it. Returns the facts about it.
///
/// # Errors
/// When it could not be written.
pub fn finish_stream(
    mut recording: Recording,
    first: RecordingFacts,
    view: NamingOptions,
) -> io::Result<RecordingFacts> {
    let facts = facts(&recording, first);
    let Some(stream) = recording.stream.take() else { return Ok(facts) };
    // Of a file, all frames are named.
    let view = NamingOptions { native: NativeFrames::All, ..view };
    let answers = answers(&recording.programs, &view);
    let names: Vec<_> = recording.programs.iter().map(|program| native_names(program, &view, &answers)).collect();
    let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts };
    stream.finish(&names, &facts)?;
    Ok(facts)
}

/// What the programs of a recording ask of the binaries that they share. One alone asks while it is named.
fn answers(programs: &[Program], view: &NamingOptions) -> Arc<Answers> {
    let mut answers = Answers::default();
    if programs.len() < 2 || view.native == NativeFrames::None {
        return Arc::new(answers);
    }
    let mut by_root: FxHashMap<Option<RootIdentity>, Vec<&Program>> = FxHashMap::default();
    for program in programs {
        by_root.entry(program.session.reader.root().identity()).or_default().push(program);
    }
    for (root, programs) in by_root {
        let mut questions = Questions::about(root);
        for program in &programs {
            with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, _| {
                names::ask(program.stacks.frames().iter(), origin, &mut questions);
            });
        }
        if let Some(program) = programs.first() {
            answers.extend(questions.answer(&Symbolizer::new(program.session.reader.root()).telling(&view.steps)));
        }
    }
    Arc::new(answers)
}

/// What names the frames of a program. What has been answered already is no step any more.
fn knowing(symbolizer: Symbolizer, view: &NamingOptions, answers: &Arc<Answers>) -> Symbolizer {
    if answers.is_empty() { symbolizer.telling(&view.steps) } else { symbolizer.knowing(answers) }
}

/// A name for each frame that has none in the recording: of native code.
fn native_names(program: &Program, view: &NamingOptions, answers: &Arc<Answers>) -> Vec<Option<NamedFrame>> {
    let is_native =
        |counted: &&Counted| !matches!(counted, Counted::Frame(SampleFrame::Python { .. } | SampleFrame::Missing(_)));
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        let frames = program.stacks.frames();
        let mut names =
            names::name_frames(frames.iter().filter(is_native), origin, &knowing(symbolizer, view, answers));
        frames.iter().map(|frame| names.remove(frame)).collect()
    })
}

fn name(program: &Program, view: &NamingOptions, answers: &Arc<Answers>) -> Profile {
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        names::name(&program.stacks, origin, &knowing(symbolizer, view, answers), view.native)
    })
}
