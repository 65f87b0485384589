//! Names for what was recorded, while the target's files are at hand.
//!
//! Does: name the stacks of a recording, or the frames of one that has been written, and end that. Does not: record, or
//! lay anything out.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::facts::facts;
use super::origin::with_origin;
use super::plan::Recording;
use super::program::Program;
use super::sources::{KeptSources, SourceReader};
use super::time_spent::TimeSums;
use crate::profile::Profile;
use crate::profile::bounded::BoundedProfile;
use crate::profile::counted::Counted;
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::Frame;
use crate::profile::named::NamedFrame;
use crate::profile::processes::{ProcessLabels, ShownProcess, are_several};
use crate::profile::steps::Steps;
use crate::stack::frame::SampleFrame;
use crate::symbolize::names::{self, FrameOrigin, NativeFrames};
use crate::symbolize::{Answers, Questions, Symbolizer};
use crate::target::memory_budget::{self, Meter, Share};
use crate::target::root::RootIdentity;

/// How frames are shown.
#[derive(Debug, Clone)]
pub struct NamingOptions {
    /// Which native frames.
    pub native: NativeFrames,
    /// With what stacks begin where there are several processes.
    pub processes: ProcessLabels,
    /// Whether paths are left as long as they are.
    pub full_filenames: bool,
    /// What is kept of the files that functions are from, where a recording is written.
    pub sources: KeptSources,
    /// What tells how far naming is.
    pub steps: Arc<Steps>,
}

/// Names the stacks of a recording, and gathers the facts about it.
pub fn finish(recording: &Recording, first: RecordingFacts, view: NamingOptions) -> (Profile, RecordingFacts) {
    let answers = answers(&recording.programs, &view);
    let (mut facts, mut time) = (facts(recording, first), TimeSums::default());
    if let [program] = &recording.programs[..] {
        let profile = name(program, &view, &answers, (&mut facts, &mut time));
        let time_spent = time.finish();
        return (profile, RecordingFacts { time_spent, left_out: memory_budget::left_out(), ..facts });
    }
    let mut room = Meter::new(Share::Sampling);
    let mut all = BoundedProfile::new(&mut room, usize::MAX);
    let are_several = are_several(recording.programs.iter().map(|p| (Some(p.session.identity().pid), p.again)));
    for program in &recording.programs {
        let process = are_several.then(|| shown_process(program).frame(view.processes));
        for (stack, weight) in name(program, &view, &answers, (&mut facts, &mut time)).stacks() {
            let stack: Vec<&Frame> = process.iter().chain(stack).collect();
            all.add(&stack, weight);
        }
    }
    let BoundedProfile { profile, cut, .. } = all;
    cut.tell();
    (profile, RecordingFacts { time_spent: time.finish(), left_out: memory_budget::left_out(), ..facts })
}

/// Names the native frames of a recording that has been written, adds the text of files, and ends it. Returns the facts about it.
///
/// # Errors
/// When it could not be written.
pub fn finish_stream(
    mut recording: Recording,
    first: RecordingFacts,
    view: NamingOptions,
) -> io::Result<RecordingFacts> {
    let (mut facts, mut time) = (facts(&recording, first), TimeSums::default());
    let Some(mut stream) = recording.stream.take() else { return Ok(facts) };
    // Of a file, all frames are named.
    let view = NamingOptions { native: NativeFrames::All, ..view };
    let answers = answers(&recording.programs, &view);
    let names =
        recording.programs.iter().map(|program| native_names(program, &view, &answers, (&mut facts, &mut time)));
    let names: Vec<_> = names.collect();
    let mut sources = SourceReader::new(facts.started);
    for program in recording.programs.iter().filter(|_| view.sources == KeptSources::All) {
        sources.read(program).for_each(|source| stream.add_source(program.number, source));
    }
    let facts = RecordingFacts { time_spent: time.finish(), left_out: memory_budget::left_out(), ..facts };
    stream.finish(&names, &facts)?;
    Ok(facts)
}

/// The process of a program, as it is shown.
pub fn shown_process(program: &Program) -> ShownProcess {
    let identity = program.session.identity();
    ShownProcess::new((Some(identity.pid), program.again), Some(&identity.command_line.join(" ")))
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
fn native_names(
    program: &Program,
    view: &NamingOptions,
    answers: &Arc<Answers>,
    (facts, time): (&mut RecordingFacts, &mut TimeSums),
) -> Vec<Option<NamedFrame>> {
    let is_native =
        |counted: &&Counted| !matches!(counted, Counted::Frame(SampleFrame::Python { .. } | SampleFrame::Missing(_)));
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        note_lack(program, origin, facts);
        let frames = program.stacks.frames();
        let mut names =
            names::name_frames(frames.iter().filter(is_native), origin, &knowing(symbolizer, view, answers));
        time.add(program, origin, &names);
        frames.iter().map(|frame| names.remove(frame)).collect()
    })
}

fn name(
    program: &Program,
    view: &NamingOptions,
    answers: &Arc<Answers>,
    (facts, time): (&mut RecordingFacts, &mut TimeSums),
) -> Profile {
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        note_lack(program, origin, facts);
        let symbolizer = knowing(symbolizer, view, answers);
        let names = names::name_shown(&program.stacks, origin, &symbolizer, view.native);
        time.add(program, origin, &names);
        names::shown(&program.stacks, &names, view.native)
    })
}

/// Notes what the perf map of a program lacks, if its stacks have frames that it would name.
fn note_lack(program: &Program, origin: &FrameOrigin<'_>, facts: &mut RecordingFacts) {
    let lack = origin.perf_map.lack_for(program.stacks.frames().iter());
    // The programs of a process have one.
    facts.not_read.extend(lack.filter(|lack| !facts.not_read.iter().any(|known| known == lack)).map(str::to_owned));
}
