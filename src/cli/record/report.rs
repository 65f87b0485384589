//! What a recording was worth: names for its stacks, facts for its outputs, words for its user.
//!
//! Does: turn what was recorded into what is shown. Does not: record, or write files.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::output_file::OutputFile;
use crate::cli::output_kind::OutputKind;
use crate::profile::Profile;
use crate::profile::facts::activity::{GilUse, ThreadActivity};
use crate::profile::facts::{ExceededLimit, RecordingFacts, SampledThreads, StopFacts};
use crate::profile::named::Named;
use crate::profile::steps::Steps;
use crate::python::layout::Support;
use crate::record::origin::with_origin;
use crate::record::program::Program;
use crate::record::recorder::{Ended, Plan, Recording, own_cpu};
use crate::sampler::budget::Exceeded;
use crate::sampler::clock::Intervals;
use crate::sampler::run_state::RunState;
use crate::sampler::sample::SampleFrame;
use crate::sampler::session::{Mode, Session};
use crate::sampler::statistics::{GilLooks, Statistics, Stops};
use crate::symbolize::names::{self, Counted, NativeFrames};
use crate::types::Pid;

/// How frames are shown.
#[derive(Debug, Clone)]
pub struct View {
    /// Which native frames.
    pub native: NativeFrames,
    /// Whether paths are left as long as they are.
    pub full_filenames: bool,
    /// What tells how far naming is.
    pub steps: Arc<Steps>,
}

/// Says before the recording what may make it worth less.
pub fn warn(session: &Session) {
    let interpreter = &session.reader.found.interpreter;
    let version = interpreter.version;
    match interpreter.support {
        Support::Known => {}
        Support::Untested if interpreter.layout.free_threaded => {
            eprintln!(
                "fpprof: warning: free-threaded builds of CPython, as this {version}, are not tested on every release"
            );
        }
        Support::Untested => eprintln!(
            "fpprof: warning: CPython {version} is newer than this fpprof: its debug offsets are used as those of the newest \
             known version"
        ),
    }
}

/// Names the stacks of a recording, and gathers the facts about it.
pub fn finish(recording: &Recording, first: RecordingFacts, view: View) -> (Profile, RecordingFacts) {
    let mut stacks = Profile::new();
    for program in &recording.programs {
        for (stack, weight) in name(program, &view).stacks() {
            stacks.add(stack, weight);
        }
    }
    (stacks, facts(recording, first))
}

/// Names the native frames of a recording that has been written, and ends it. Gives the facts about it.
///
/// # Errors
/// When it could not be written.
pub fn finish_stream(mut recording: Recording, first: RecordingFacts, view: View) -> io::Result<RecordingFacts> {
    let facts = facts(&recording, first);
    let Some(stream) = recording.stream.take() else { return Ok(facts) };
    let names: Vec<_> = recording.programs.iter().map(|program| native_names(program, &view)).collect();
    stream.finish(&names, &facts)?;
    Ok(facts)
}

/// A name for each frame that has none in the recording: of native code.
fn native_names(program: &Program, view: &View) -> Vec<Option<Named>> {
    let is_native =
        |counted: &&Counted| !matches!(counted, Counted::Frame(SampleFrame::Python { .. } | SampleFrame::Missing(_)));
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        let frames = program.stacks.frames();
        let mut names = names::name_frames(frames.iter().filter(is_native), origin, &symbolizer.telling(&view.steps));
        frames.iter().map(|frame| names.remove(frame)).collect()
    })
}

fn name(program: &Program, view: &View) -> Profile {
    with_origin(&program.session, &program.thread_names, view.full_filenames, |origin, symbolizer| {
        names::name(&program.stacks, origin, &symbolizer.telling(&view.steps), view.native)
    })
}

fn stop_facts(stops: &Stops) -> Option<StopFacts> {
    let at = |fraction| stops.durations.percentile(fraction);
    Some(StopFacts { median: at(0.5)?, p99: at(0.99)?, disturbed_calls: stops.disturbed_calls })
}

fn limit(exceeded: Exceeded) -> ExceededLimit {
    match exceeded {
        Exceeded::Target => ExceededLimit::TargetTime,
        Exceeded::Own => ExceededLimit::OwnCpu,
    }
}

/// What is known of a recording when it begins.
pub fn first_facts(session: &Session, plan: &Plan, started: SystemTime) -> RecordingFacts {
    RecordingFacts {
        command: session.process().command_line.join(" "),
        pid: session.process().pid,
        python_version: Some(session.reader.found.interpreter.version.to_string()),
        threads: match plan.mode {
            Mode::Cpu => SampledThreads::Running,
            Mode::Wall => SampledThreads::All,
            Mode::Gil => SampledThreads::GilHolder,
        },
        rate_hz: plan.rate,
        fixed_intervals: plan.intervals == Intervals::Fixed,
        started: Some(started),
        duration: Duration::ZERO,
        samples_wanted: 0,
        samples_taken: 0,
        samples_late: 0,
        samples_failed: 0,
        samples_left_out: 0,
        limit: None,
        failures: std::collections::BTreeMap::new(),
        stacks: 0,
        stacks_complete: 0,
        activity: ThreadActivity::default(),
        stops: None,
        own_cpu: None,
        fpprof_version: env!("CARGO_PKG_VERSION").to_owned(),
        shown_part: None,
    }
}

fn facts(recording: &Recording, first: RecordingFacts) -> RecordingFacts {
    let statistics = &recording.statistics;
    let reasons = statistics.failed.iter().map(|(reason, count)| (reason.reason().to_owned(), *count));
    let gaps = statistics.gaps.iter().map(|(kind, count)| (format!("stack incomplete: {}", kind.reason()), *count));
    RecordingFacts {
        duration: recording.duration,
        samples_wanted: recording.wanted,
        samples_taken: recording.wanted.saturating_sub(recording.late + recording.failed + recording.left_out),
        samples_late: recording.late,
        samples_failed: recording.failed,
        samples_left_out: recording.left_out,
        limit: recording.exceeded.map(limit),
        failures: reasons.chain(gaps).collect(),
        stacks: statistics.taken,
        stacks_complete: statistics.complete,
        activity: activity(statistics),
        stops: stop_facts(&statistics.stops),
        own_cpu: own_cpu(),
        ..first
    }
}

/// What the threads did. The GIL is looked at in wall mode only.
fn activity(statistics: &Statistics) -> ThreadActivity {
    let states = &statistics.run_states;
    let GilLooks { looks, held } = statistics.gil;
    let waiting = states.get(&RunState::Gil).copied().unwrap_or(0);
    ThreadActivity {
        states: states.iter().map(|(state, stacks)| (state.to_string(), *stacks)).collect(),
        gil: (looks > 0).then_some(GilUse { looks, held, waiting }),
    }
}

/// Tells the user where the output is and what it is worth.
pub fn print(ended: &Ended, facts: &RecordingFacts, output: &OutputFile, kind: OutputKind) {
    match ended {
        Ended::TimeOver | Ended::Signal => {}
        Ended::TargetGone => eprintln!("fpprof: the target has ended"),
        Ended::Replaced(program) => {
            let program = program.as_deref().unwrap_or("a program");
            eprintln!("fpprof: the target has replaced itself by {program}, which cannot be recorded");
        }
    }
    if let Some(path) = output.path() {
        eprintln!("fpprof: wrote {}: open it with {}", path.display(), kind.viewer());
    }
    for line in facts.summary_lines() {
        eprintln!("  {line}");
    }
}

/// Says that a program which we have started has not ended with its recording: a target is never ended by its profiler.
pub fn print_runs_on(program: &str, pid: Pid) {
    eprintln!("fpprof: `{program}` runs on as process {pid}: `kill {pid}` ends it");
}
