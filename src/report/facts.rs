//! The facts about a recording that has been read.
//!
//! Does: take those that were recorded; of a recording without its end, count what is there.
//! Does not: invent what was not written.

use super::options::ReportOptions;
use crate::profile::facts::RecordingFacts;
use crate::profile::packed_samples::Merged;
use crate::profile::recording::{RecordedFrame, RecordedProgram, Recording};
use std::time::Duration;

/// The facts to show.
pub fn of(recording: &Recording, choice: &ReportOptions) -> RecordingFacts {
    let mut facts = recording.facts.clone();
    if let Some(why) = &recording.cut_off {
        count(recording, &mut facts);
        facts.failures.insert(format!("the recording was cut off, {why}: late and failed samples are not known"), 1);
    }
    facts.shown_part = choice.in_words();
    facts
}

/// Counts what can be counted.
fn count(recording: &Recording, facts: &mut RecordingFacts) {
    let mut last = None;
    let (mut ticks, mut taken) = (0u64, 0u64);
    for (time, of_tick) in moments(recording) {
        if last != Some(time) {
            last = Some(time);
            taken = taken.saturating_add(1);
            ticks = ticks.saturating_add(of_tick);
        }
    }
    for program in &recording.programs {
        let complete = complete(program);
        for sample in &program.samples {
            facts.stacks = facts.stacks.saturating_add(1);
            let is_complete = sample.stack == 0 || complete.get(sample.stack as usize - 1) == Some(&true);
            facts.stacks_complete = facts.stacks_complete.saturating_add(u64::from(is_complete));
            if let Some(state) = program.states.get(sample.state as usize) {
                let stacks = facts.activity.states.entry(state.clone()).or_default();
                *stacks = stacks.saturating_add(sample.weight);
            }
        }
    }
    facts.samples_wanted = ticks;
    facts.samples_taken = taken;
    // A sample stands for those left out before it.
    facts.samples_left_out = ticks.saturating_sub(taken);
    facts.duration = Duration::from_nanos(last.unwrap_or(0));
}

/// The times and ticks of all samples in the order of time. The samples of each program are in it.
fn moments(recording: &Recording) -> impl Iterator<Item = (u64, u64)> {
    Merged::of(recording.programs.iter().map(|program| &program.samples)).map(|sample| (sample.time, sample.ticks))
}

/// Whether each stack from number 1 on has no missing frame.
fn complete(program: &RecordedProgram) -> Vec<bool> {
    let mut complete: Vec<bool> = Vec::with_capacity(program.stacks.len());
    for stack in &program.stacks {
        let callers = match (stack.caller as usize).checked_sub(1) {
            Some(index) => complete.get(index).copied().unwrap_or(false),
            None => true,
        };
        let frame = program.frames.get(stack.frame as usize);
        complete.push(callers && !matches!(frame, Some(RecordedFrame::Missing(_))));
    }
    complete
}
