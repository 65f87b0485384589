//! Trace events, which Perfetto and chrome://tracing show as tracks of threads ("Trace Event Format", the JSON object form).
//!
//! Does: write a slice for as long as a function was seen on its thread's stack, sample after sample, with the samples of the
//! samples that saw it. Does not: tell what happened between two samples; between samples that are far apart there is no slice.

use std::io::{self, Write};

use serde::Serialize;

use super::SampledProfile;
use super::frame_table::{FrameTable, Row};
use super::label::LabelOptions;
use crate::profile::clean::one_line;
use crate::profile::facts::RecordingFacts;
use crate::profile::processes::ShownProcess;
use crate::profile::samples::TimedSample;
use crate::profile::timeline::with_ends;

/// How the document begins, by which it can be told to be fpprof's.
pub(super) const BEGINNING: &str = "{\"otherData\":{\"recorded_by\":\"fpprof ";

/// What is known of the recording, as the format has room for it.
#[derive(Serialize)]
struct OtherData {
    recorded_by: String,
    facts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_samples: Option<&'static str>,
}

/// An event. Times are in microseconds.
#[derive(Serialize)]
struct Event<'a, A> {
    name: &'a str,
    cat: &'static str,
    ph: &'static str,
    pid: i32,
    tid: i32,
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    args: A,
}

/// The name of a process or a thread.
#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Seen<'a> {
    /// The samples in which it was seen.
    samples: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a str>,
}

/// Ids of processes are lower (`PID_MAX_LIMIT` in the kernel's include/linux/threads.h).
const MOST_PIDS: i32 = 1 << 22;

/// A frame for as long as it was seen. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    row: usize,
    depth: usize,
    start: u64,
    end: u64,
    samples: u64,
}

/// Writes the document. Without samples it has the names of the process only, and the reason.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let SampledProfile { stacks, timeline, facts } = sampled;
    let table = FrameTable::new(stacks, &[], options);
    let mut events = Events { facts, out };
    let first = timeline.process_with(facts.pid).map(|process| one_line(&process.name()).into_owned());
    events.begin(timeline.is_empty(), first)?;
    for process in timeline.processes().iter().filter(|_| timeline.processes().len() > 1) {
        let pid = track_of(process, facts);
        if pid != facts.pid.0 {
            events.name("process_name", (pid, pid), &one_line(&process.name()))?;
        }
    }
    for (thread, samples) in timeline.by_thread() {
        let name = thread.name.as_deref().map_or("unnamed".into(), one_line);
        let pid = timeline.process_of(thread).map_or(facts.pid.0, |process| track_of(process, facts));
        let track = (pid, thread.tid);
        events.name("thread_name", track, &name)?;
        let sampled = samples.iter().filter(TimedSample::was_taken);
        for slice in slices(sampled, facts, |stack| table.stack(stacks, stack)) {
            if let Some(row) = table.rows.get(slice.row) {
                events.slice(track, slice, row)?;
            }
        }
    }
    events.end()
}

/// The id that a process has in the document: viewers show as one what has one id. Of the second and third one that had an id, one beyond
/// all that Linux gives.
fn track_of(process: &ShownProcess, facts: &RecordingFacts) -> i32 {
    let beyond = i32::try_from(process.again).unwrap_or(i32::MAX).saturating_mul(MOST_PIDS);
    process.pid.unwrap_or(facts.pid).0.saturating_add(beyond)
}

/// The slices of one thread, in the order of time, callers before what they call.
fn slices(
    samples: impl IntoIterator<Item = TimedSample>,
    facts: &RecordingFacts,
    stack: impl Fn(u32) -> Vec<usize>,
) -> Vec<Slice> {
    let mut done: Vec<Slice> = Vec::new();
    let mut open: Vec<Slice> = Vec::new();
    for (sample, end) in with_ends(samples, facts.period()) {
        let count = facts.samples_in(&sample);
        let rows = stack(sample.stack);
        let is_continued = open.first().is_some_and(|slice| slice.end == sample.time);
        let shared = open.iter().zip(&rows).take_while(|(slice, row)| is_continued && slice.row == **row).count();
        done.extend(open.drain(shared..));
        for slice in &mut open {
            slice.end = end;
            slice.samples = slice.samples.saturating_add(count);
        }
        let new = rows.iter().enumerate().skip(shared);
        open.extend(new.map(|(depth, row)| Slice { row: *row, depth, start: sample.time, end, samples: count }));
    }
    done.append(&mut open);
    done.sort_by_key(|slice| (slice.start, slice.depth));
    done
}

/// A document that is being written.
struct Events<'a> {
    facts: &'a RecordingFacts,
    out: &'a mut dyn Write,
}

impl Events<'_> {
    /// `first` is what the first of several processes is called.
    fn begin(&mut self, is_empty: bool, first: Option<String>) -> io::Result<()> {
        let data = OtherData {
            recorded_by: format!("fpprof {}", one_line(&self.facts.fpprof_version)),
            facts: self.facts.summary_lines().join("\n"),
            no_samples: is_empty.then(|| self.facts.why_empty()),
        };
        self.out.write_all(b"{\"otherData\":")?;
        serde_json::to_writer(&mut *self.out, &data)?;
        self.out.write_all(b",\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        let title = match is_empty {
            true => format!("{} [no samples: {}]", self.facts.title(), self.facts.why_empty()),
            false => first.unwrap_or_else(|| self.facts.title()),
        };
        let (pid, args) = (self.facts.pid.0, Name { name: &title });
        let event = Event { name: "process_name", cat: "__metadata", ph: "M", pid, tid: pid, ts: 0, dur: None, args };
        serde_json::to_writer(&mut *self.out, &event).map_err(io::Error::from)
    }

    fn add<A: Serialize>(&mut self, event: &Event<'_, A>) -> io::Result<()> {
        self.out.write_all(b",\n")?;
        serde_json::to_writer(&mut *self.out, event).map_err(io::Error::from)
    }

    fn name(&mut self, what: &str, (pid, tid): (i32, i32), name: &str) -> io::Result<()> {
        let args = Name { name };
        self.add(&Event { name: what, cat: "__metadata", ph: "M", pid, tid, ts: 0, dur: None, args })
    }

    fn slice(&mut self, (pid, tid): (i32, i32), slice: Slice, row: &Row) -> io::Result<()> {
        // Whole microseconds: the end of a caller and of what it calls are the same number.
        let (start, end) = (slice.start / 1000, slice.end / 1000);
        let args =
            Seen { samples: slice.samples, file: row.file.as_deref(), line: row.line, module: row.module.as_deref() };
        let dur = Some(end.saturating_sub(start));
        let name = &*row.name;
        self.add(&Event { name, cat: row.kind.id(), ph: "X", pid, tid, ts: start, dur, args })
    }

    fn end(self) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::mode::Mode;
    use crate::types::Pid;

    fn sample(time: u64, stack: u32) -> TimedSample {
        TimedSample { time, thread: 0, state: 0, stack, ticks: 1, weight: 1 }
    }

    #[test]
    fn a_slice_lasts_as_long_as_its_function_is_seen() {
        let stacks = [vec![], vec![7, 8], vec![7, 9]];
        let samples = [sample(0, 1), sample(10, 1), sample(20, 2), sample(1000, 2)];
        // A tick stands for 10 ns.
        let facts = RecordingFacts::of_nothing(Pid(1), Mode::Wall, 1e8);
        let slices = slices(samples, &facts, |stack| stacks[stack as usize].clone());
        let expected = [(7, 0, 30, 3), (8, 0, 20, 2), (9, 20, 30, 1), (7, 1000, 1010, 1), (9, 1000, 1010, 1)];
        let slices: Vec<_> = slices.iter().map(|s| (s.row, s.start, s.end, s.samples)).collect();
        assert_eq!(slices, expected, "a long pause is no slice");
    }
}
