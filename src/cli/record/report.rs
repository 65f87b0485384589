//! What a recording was worth: names for its stacks, facts for its outputs, words for its user.
//!
//! Does: turn what was recorded into what is shown. Does not: record, or write files.

use std::time::SystemTime;

use super::epoch::Epoch;
use super::output_file::OutputFile;
use super::recorder::{Ended, Plan, Recording, own_cpu};
use crate::output::format::Format;
use crate::profile::Profile;
use crate::profile::facts::activity::{GilUse, ThreadActivity};
use crate::profile::facts::{ExceededLimit, RecordingFacts, SampledThreads, StopFacts};
use crate::profile::paths::PathRoots;
use crate::python::layout::Support;
use crate::sampler::budget::Exceeded;
use crate::sampler::clock::Intervals;
use crate::sampler::run_state::RunState;
use crate::sampler::session::{Mode, Session};
use crate::sampler::statistics::{GilLooks, Statistics, Stops};
use crate::symbolize::names::{self, NativeFrames, Origin};
use crate::symbolize::{PerfMap, Symbolizer};
use crate::types::Pid;

/// How frames are shown.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Which native frames.
    pub native: NativeFrames,
    /// Whether paths are left as long as they are.
    pub full_filenames: bool,
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
pub fn finish(recording: &Recording, plan: &Plan, view: View, started: SystemTime) -> (Profile, RecordingFacts) {
    let mut stacks = Profile::new();
    for epoch in &recording.epochs {
        for (stack, weight) in name(epoch, view).stacks() {
            stacks.add(stack, weight);
        }
    }
    (stacks, facts(recording, plan, started))
}

fn name(epoch: &Epoch, view: View) -> Profile {
    let process = epoch.session.process();
    let reader = &epoch.session.reader;
    let root = reader.root();
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let origin = Origin {
        space: &reader.space,
        interpreter: reader.found.module,
        functions: reader.codes.functions(),
        thread_names: &epoch.thread_names,
        // A process that has no map names nothing by it.
        perf_map: &PerfMap::load(&root, process.namespace_pid).unwrap_or_default(),
        roots: &PathRoots {
            project: process.current_directory.as_deref().map(text),
            home: std::env::var("HOME").ok(),
            full: view.full_filenames,
        },
    };
    names::name(&epoch.stacks, &origin, &Symbolizer::new(root), view.native)
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

fn facts(recording: &Recording, plan: &Plan, started: SystemTime) -> RecordingFacts {
    let statistics = &recording.statistics;
    let first = recording.epochs.first().map(|epoch| &epoch.session);
    let reasons = statistics.failed.iter().map(|(reason, count)| (reason.reason().to_owned(), *count));
    let gaps = statistics.gaps.iter().map(|(kind, count)| (format!("stack incomplete: {}", kind.reason()), *count));
    RecordingFacts {
        command: first.map_or(String::new(), |session| session.process().command_line.join(" ")),
        pid: first.map_or(Pid(0), |session| session.process().pid),
        python_version: first.map(|session| session.reader.found.interpreter.version.to_string()),
        threads: match plan.mode {
            Mode::Cpu => SampledThreads::Running,
            Mode::Wall => SampledThreads::All,
            Mode::Gil => SampledThreads::GilHolder,
        },
        rate_hz: plan.rate,
        fixed_intervals: plan.intervals == Intervals::Fixed,
        started: Some(started),
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
        fpprof_version: env!("CARGO_PKG_VERSION").to_owned(),
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
pub fn print(ended: &Ended, facts: &RecordingFacts, output: &OutputFile, format: Format) {
    match ended {
        Ended::TimeOver | Ended::Signal => {}
        Ended::TargetGone => eprintln!("fpprof: the target has ended"),
        Ended::Replaced(program) => {
            let program = program.as_deref().unwrap_or("a program");
            eprintln!("fpprof: the target has replaced itself by {program}, which cannot be recorded");
        }
    }
    if let Some(path) = output.path() {
        eprintln!("fpprof: wrote {}: open it with {}", path.display(), format.viewer());
    }
    for line in facts.summary_lines() {
        eprintln!("  {line}");
    }
}

/// Says that a program which we have started has not ended with its recording: a target is never ended by its profiler.
pub fn print_runs_on(program: &str, pid: Pid) {
    eprintln!("fpprof: `{program}` runs on as process {pid}: `kill {pid}` ends it");
}
