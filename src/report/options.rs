//! Which part of a recording is shown.
//!
//! Does: decide it for a sample and for a named stack. Does not: read or name.

use std::sync::Arc;

use crate::profile::frame::Frame;
use crate::profile::processes::ProcessLabels;
use crate::profile::recording::Thread;
use crate::profile::samples::TimedSample;
use crate::symbolize::names::NativeFrames;
use crate::target::root::TargetRoot;
use crate::types::Pid;
use crate::types::pattern::is_like;

/// So many threads are listed where none is what was asked for.
const MAX_LISTED: usize = 30;

/// A part of a recording's time, in nanoseconds since it began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Its beginning; that of the recording unless there is one.
    pub from: Option<u64>,
    /// What is not in it any more; the end of the recording unless there is one.
    pub to: Option<u64>,
}

/// Which samples. A pattern is a part of a name; `*` in it stands for any text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only processes with such an id; all when empty.
    pub pids: Vec<i32>,
    /// Only threads with such a name or id; all when empty.
    pub thread: Vec<String>,
    /// Only stacks in which a frame has such a name, file or module; all when empty.
    pub focus: Vec<String>,
    /// No stacks in which a frame has such a name, file or module.
    pub ignore: Vec<String>,
}

/// What is shown, and how.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// What part of the time.
    pub span: Span,
    /// Which samples.
    pub filter: Filter,
    /// Which native frames.
    pub native: NativeFrames,
    /// With what stacks begin where there are several processes.
    pub processes: ProcessLabels,
    /// Stacks begin with their threads.
    pub with_thread: bool,
    /// Stacks end with what their threads did.
    pub with_state: bool,
    /// Paths are left as long as they are.
    pub full_filenames: bool,
    /// Stacks begin with their innermost frames.
    pub inverted: bool,
    /// Below which folder the files of modules are whose functions have no names in the recording; those of none are opened without it.
    pub modules: Option<Arc<TargetRoot>>,
}

impl Default for ReportOptions {
    /// Everything, with the native frames that Python code calls.
    fn default() -> ReportOptions {
        ReportOptions {
            span: Span::default(),
            filter: Filter::default(),
            native: NativeFrames::Calls,
            processes: ProcessLabels::Each,
            with_thread: false,
            with_state: false,
            full_filenames: false,
            inverted: false,
            modules: None,
        }
    }
}

impl ReportOptions {
    /// What is chosen, in words; `None` when it is everything.
    pub fn in_words(&self) -> Option<String> {
        let seconds = |(name, time): (&str, Option<u64>)| Some(format!("{name} {} s", time? as f64 / 1e9));
        let times = [("from", self.span.from), ("to", self.span.to)].into_iter().filter_map(seconds);
        let Filter { pids, thread, focus, ignore } = &self.filter;
        let pids: &Vec<String> = &pids.iter().map(i32::to_string).collect();
        let patterns = [("process", pids), ("thread", thread), ("with", focus), ("without", ignore)];
        let words = patterns.into_iter().filter(|(_, patterns)| !patterns.is_empty());
        let words = words.map(|(name, patterns)| format!("{name} {}", patterns.join(" or ")));
        let all: Vec<String> = times.chain(words).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Whether a sample is of the chosen time.
    pub fn has_time(&self, sample: &TimedSample) -> bool {
        self.span.from.is_none_or(|from| sample.time >= from) && self.span.to.is_none_or(|to| sample.time < to)
    }

    /// Whether a thread is chosen.
    pub fn has_thread(&self, thread: &Thread) -> bool {
        let is_it = |pattern: &String| {
            let name = thread.name.as_deref().unwrap_or_default();
            *pattern == thread.tid.to_string() || is_like(pattern, name)
        };
        self.filter.thread.is_empty() || self.filter.thread.iter().any(is_it)
    }

    /// Whether a process is chosen.
    pub fn has_process(&self, pid: Option<Pid>) -> bool {
        self.filter.pids.is_empty() || pid.is_some_and(|pid| self.filter.pids.contains(&pid.0))
    }

    /// Where threads are chosen and none of these is one: which ones they are, in words.
    pub fn other_threads<'t>(&self, threads: impl Iterator<Item = &'t Thread>) -> Option<String> {
        let mut others: Vec<&Thread> = Vec::new();
        for thread in threads {
            if self.has_thread(thread) {
                return None;
            }
            others.push(thread);
        }
        others.sort_by(|a, b| (&a.name, a.tid).cmp(&(&b.name, b.tid)));
        others.dedup();
        let words = others.iter().take(MAX_LISTED).map(|thread| match &thread.name {
            Some(name) => format!("{name} ({})", thread.tid),
            None => thread.tid.to_string(),
        });
        let mut words = words.collect::<Vec<_>>().join(", ");
        if let Some(more) = others.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            words.push_str(&format!(" and {more} more"));
        }
        (!words.is_empty()).then_some(words)
    }

    /// Whether a stack is chosen.
    pub fn has_stack(&self, stack: &[&Frame]) -> bool {
        let Filter { focus, ignore, .. } = &self.filter;
        let has =
            |patterns: &[String]| patterns.iter().any(|pattern| stack.iter().any(|frame| is_named(frame, pattern)));
        (focus.is_empty() || has(focus)) && !has(ignore)
    }
}

/// Whether a frame's name, file or module is like a pattern.
fn is_named(frame: &Frame, pattern: &str) -> bool {
    let file = frame.source.as_ref().map(|source| &source.file);
    [Some(&frame.name), file, frame.module.as_ref()].into_iter().flatten().any(|text| is_like(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_thread_is_chosen_those_that_there_are_are_listed() {
        let thread = |tid, name: Option<&str>| Thread { tid, name: name.map(str::to_owned) };
        let threads = [thread(8, Some("orders_0")), thread(7, Some("MainThread")), thread(9, None)];
        let choosing = |pattern: &str| {
            let filter = Filter { thread: vec![pattern.to_owned()], ..Filter::default() };
            ReportOptions { filter, ..ReportOptions::default() }.other_threads(threads.iter())
        };
        assert_eq!(choosing("kafka").as_deref(), Some("9, MainThread (7), orders_0 (8)"));
        assert_eq!((choosing("orders"), choosing("9")), (None, None));
        let many: Vec<Thread> = (0..40).map(|tid| thread(tid, Some("t"))).collect();
        let filter = Filter { thread: vec!["x".to_owned()], ..Filter::default() };
        let listed = ReportOptions { filter, ..ReportOptions::default() }.other_threads(many.iter()).unwrap();
        assert!(listed.ends_with("t (29) and 10 more"), "{listed}");
        assert_eq!(ReportOptions::default().other_threads(many.iter()), None);
    }
}
