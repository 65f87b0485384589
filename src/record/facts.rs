//! The facts about a recording that has just been made.
//!
//! Does: turn counts into what outputs carry. Does not: word them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use super::plan::{Plan, Recording};
use super::program::Program;
use crate::process::durations::DurationHistogram;
use crate::process::stops::Stops;
use crate::profile::facts::activity::{GilUse, ThreadActivity};
use crate::profile::facts::processes::{ProcessFacts, ProcessesFacts};
use crate::profile::facts::{ArrivalFacts, ExceededLimit, RecordingFacts, StopFacts};
use crate::profile::role::role;
use crate::profile::samples::Weights;
use crate::sampler::budget::Exceeded;
use crate::sampler::clock::Intervals;
use crate::sampler::follower::{Followed, Refused};
use crate::sampler::run_state::RunState;
use crate::sampler::session::Session;
use crate::sampler::statistics::GilLooks;
use crate::target::own;
use crate::types::Pid;

/// So many processes are listed one by one, those that have used the most.
const MAX_PROCESSES: usize = 1_000;

fn stop_facts(stops: &Stops) -> Option<StopFacts> {
    let median_and_p99 = |histogram: &DurationHistogram| histogram.percentile(0.5).zip(histogram.percentile(0.99));
    let (median, p99) = median_and_p99(&stops.durations)?;
    let arrivals = median_and_p99(&stops.arrivals).map(|(median, p99)| ArrivalFacts { median, p99 });
    let Stops { disturbed_calls, of_sleepers, .. } = *stops;
    Some(StopFacts { median, p99, disturbed_calls, of_sleepers, arrivals })
}

fn limit(exceeded: Exceeded) -> ExceededLimit {
    match exceeded {
        Exceeded::Target => ExceededLimit::TargetTime,
        Exceeded::Own => ExceededLimit::OwnCpu,
        Exceeded::Quota(quota) => ExceededLimit::OwnQuota(quota),
    }
}

/// What is known of a recording when it begins.
pub fn first_facts(session: &Session, plan: &Plan, started: SystemTime) -> RecordingFacts {
    RecordingFacts {
        command: session.identity().command_line.join(" "),
        python_version: Some(session.reader.found.interpreter.version.to_string()),
        fixed_intervals: plan.intervals == Intervals::Fixed,
        started: Some(started),
        fpprof_version: env!("CARGO_PKG_VERSION").to_owned(),
        weights: Weights::Time,
        ..RecordingFacts::of_nothing(session.identity().pid, plan.mode, plan.rate)
    }
}

/// The facts about all of it; `first` are those that were known when it began.
pub fn facts(recording: &Recording, first: RecordingFacts) -> RecordingFacts {
    let statistics = &recording.statistics;
    let reasons = statistics.failed.iter().map(|(reason, count)| (reason.reason().to_owned(), *count));
    let cpu = recording.programs.iter().map(Program::cpu);
    let (cpu, left) = cpu.fold((0, 0), |(cpu, left), (of_one, left_of_one)| (cpu + of_one.0, left + left_of_one.0));
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
        effective_samples: statistics.tick_weights.effective(),
        target_cpu: (cpu > 0).then(|| Duration::from_nanos(cpu)),
        not_sampled: (left > 0).then(|| Duration::from_nanos(left)),
        stacks: statistics.taken,
        stacks_complete: statistics.complete,
        activity: activity(recording),
        stops: stop_facts(&statistics.stops),
        throttling: recording.throttling,
        processes: processes(recording),
        children: recording.children.filter(|children| children.matter(Duration::from_nanos(cpu))),
        own_cpu: own::cpu_time().map(|time| Duration::from_nanos(time.0)),
        ..first
    }
}

/// The processes, where there may be several.
fn processes(recording: &Recording) -> Option<ProcessesFacts> {
    let Followed { not_python, too_short, too_many, refused, refused_in_all } = recording.followed.as_ref()?;
    let mut processes: Vec<ProcessFacts> = Vec::new();
    let mut places: FxHashMap<(Pid, u32, String), usize> = FxHashMap::default();
    for program in &recording.programs {
        let identity = program.session.identity();
        let (pid, again) = (identity.pid, program.again);
        let role = role(&identity.command_line.join(" "));
        let place = *places.entry((pid, again, role.clone())).or_insert_with(|| {
            processes.push(ProcessFacts { pid, again, role, cpu: Duration::ZERO, stacks: 0 });
            processes.len() - 1
        });
        if let Some(process) = processes.get_mut(place) {
            process.cpu = process.cpu.saturating_add(Duration::from_nanos(program.cpu().0.0));
            process.stacks = process.stacks.saturating_add(program.taken);
        }
    }
    processes.sort_by_key(|process| std::cmp::Reverse(process.cpu));
    let more = processes.len().saturating_sub(MAX_PROCESSES) as u64;
    processes.truncate(MAX_PROCESSES);
    let name = |refused: &Refused| format!("process {} ({}): {}", refused.pid, refused.name, refused.reason);
    let refused = refused.iter().map(name).collect();
    Some(ProcessesFacts {
        recorded: processes,
        more,
        not_python: *not_python,
        too_short: *too_short,
        too_many: *too_many,
        refused,
        refused_in_all: *refused_in_all,
    })
}

/// What the threads did. The GIL is looked at in wall mode only.
fn activity(recording: &Recording) -> ThreadActivity {
    let mut states = BTreeMap::new();
    for (state, time) in recording.programs.iter().flat_map(|program| &program.time_in_states) {
        *states.entry(state.clone()).or_default() += time;
    }
    let GilLooks { looks, held } = recording.statistics.gil;
    let waiting = states.get(&RunState::Gil).copied().unwrap_or(0);
    ThreadActivity { states, gil: (looks > 0).then_some(GilUse { looks, held, waiting }) }
}
