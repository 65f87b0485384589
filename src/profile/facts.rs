//! What is known about a recording as a whole: whose it is, and how good it is.
//!
//! Does: hold what was counted and measured, and word it, once for all outputs and for the terminal. A number that was
//! not measured is absent, and said to be. Does not: measure, or print.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::profile::clean::{one_line, shortened};
use crate::profile::samples::{TimedSample, Weights};
use crate::sampler::mode::Mode;
use crate::target::cpu_quota::CpuQuota;
use crate::types::{Nanos, Pid};

pub mod activity;
mod left_out;
pub mod processes;
pub mod shares;
pub mod stops;
pub mod throttling;
pub mod time_spent;
mod wording;

use activity::ThreadActivity;
use processes::{ChildrenFacts, ProcessesFacts};
pub use stops::{ArrivalFacts, StopFacts};
use throttling::ThrottlingFacts;
use time_spent::TimeSpent;
use wording::{count, date_and_time, error_of_a_half, microseconds, percent, plural, rate, seconds};

/// The longest command line in a title: with the 17 px letters of a flame graph's title, 700 px.
const MAX_TITLE_COMMAND: usize = 55;
/// With fewer samples a share is off by ten points and more.
const FEW_SAMPLES: f64 = 96.0;
/// The longest command line in a summary.
const MAX_SUMMARY_COMMAND: usize = 300;

/// The facts of one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingFacts {
    /// The target's command line, its arguments separated by spaces; empty when it could not be read.
    pub command: String,
    /// The target.
    pub pid: Pid,
    /// CPython's version (`3.13.0`); absent when it could not be read.
    pub python_version: Option<String>,
    /// Which threads were sampled.
    pub threads: Mode,
    /// The rate that was asked for, in samples a second.
    pub rate_hz: f64,
    /// Whether samples were wanted at fixed intervals, rather than at random moments.
    pub fixed_intervals: bool,
    /// When the recording began.
    pub started: Option<SystemTime>,
    /// From the first wanted sample to the end.
    pub duration: Duration,
    /// Samples for which the clock ticked: taken, late and failed ones.
    pub samples_wanted: u64,
    /// Samples that were taken.
    pub samples_taken: u64,
    /// Samples that were left out, because the one before was not done.
    pub samples_late: u64,
    /// Samples of which nothing could be had.
    pub samples_failed: u64,
    /// Samples that were left out because they would have cost more than was allowed: each sample that was taken stands
    /// for those that were left out before it, too.
    pub samples_left_out: u64,
    /// What would have cost too much.
    pub limit: Option<ExceededLimit>,
    /// How many threads' stacks could not be had, by reason.
    pub failures: BTreeMap<String, u64>,
    /// How many samples of equal weight tell as much of shares as those that were had; absent when it was not recorded, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_samples: Option<f64>,
    /// What the weights of its samples are.
    #[serde(default, skip_serializing_if = "Weights::are_ticks")]
    pub weights: Weights,
    /// The CPU time that all threads of the target have used meanwhile, by the kernel's account; absent where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cpu: Option<Duration>,
    /// How much of that is of threads that were on no CPU whenever they were looked at; absent where it is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_sampled: Option<Duration>,
    /// Stacks that were counted: one for each sampled thread in each sample.
    pub stacks: u64,
    /// Those of them that are complete.
    pub stacks_complete: u64,
    /// What the target names and was not read, or not all of it: which file, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<String>,
    /// What the sampled threads did.
    pub activity: ThreadActivity,
    /// What their time went to; absent where that was not summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_spent: Option<TimeSpent>,
    /// What the stops cost the target; absent when no thread was stopped.
    pub stops: Option<StopFacts>,
    /// How often the kernel stopped the target because of a CPU quota; absent when it did not, or that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttling: Option<ThrottlingFacts>,
    /// The processes, where several could be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<ProcessesFacts>,
    /// Python processes that the target has started and that are not recorded, where they did much of the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<ChildrenFacts>,
    /// The CPU time that fpprof itself has used; absent when it was not measured.
    pub own_cpu: Option<Duration>,
    /// The version of fpprof.
    pub fpprof_version: String,
    /// The part of the recording that is shown, in words; absent when it is all. The other facts are of all of it.
    #[serde(default)]
    pub shown_part: Option<String>,
    /// What is not there because it did not fit into memory, with the reason, a thing a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What a recording would have taken too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExceededLimit {
    /// The target's time.
    TargetTime,
    /// CPU time of fpprof's own.
    OwnCpu,
    /// The CPU quota of fpprof's own control group.
    OwnQuota(CpuQuota),
}

impl RecordingFacts {
    /// Those of a recording in which nothing has happened yet.
    pub fn of_nothing(pid: Pid, threads: Mode, rate_hz: f64) -> RecordingFacts {
        RecordingFacts {
            command: String::new(),
            pid,
            python_version: None,
            threads,
            rate_hz,
            fixed_intervals: false,
            started: None,
            duration: Duration::ZERO,
            samples_wanted: 0,
            samples_taken: 0,
            samples_late: 0,
            samples_failed: 0,
            samples_left_out: 0,
            limit: None,
            failures: BTreeMap::new(),
            effective_samples: None,
            weights: Weights::Ticks,
            target_cpu: None,
            not_sampled: None,
            time_spent: None,
            stacks: 0,
            stacks_complete: 0,
            not_read: Vec::new(),
            activity: ThreadActivity::default(),
            stops: None,
            throttling: None,
            processes: None,
            children: None,
            own_cpu: None,
            fpprof_version: String::new(),
            shown_part: None,
            left_out: Vec::new(),
        }
    }

    /// `COMMAND (pid PID)`, the command shortened: the title of a picture.
    pub fn title(&self) -> String {
        let title = format!("{} (pid {})", shortened(&self.command(), MAX_TITLE_COMMAND), self.pid);
        match self.processes.as_ref().map_or(0, ProcessesFacts::count) {
            0 | 1 => title,
            2 => format!("{title} and one more process"),
            all => format!("{title} and {} more processes", count(all - 1)),
        }
    }

    fn command(&self) -> String {
        let command = one_line(&self.command);
        if command.is_empty() { "unknown command".to_owned() } else { command.into_owned() }
    }

    /// The quality of the recording in one line of some 120 characters.
    pub fn subtitle(&self) -> String {
        let mut parts: Vec<String> = self.few_samples().into_iter().collect();
        parts.extend([
            format!("{} mode at {}", self.threads.name(), self.rate()),
            seconds(self.duration),
            self.samples_taken_of_wanted(),
        ]);
        if self.samples_late > 0 {
            parts.push(format!("{} late", count(self.samples_late)));
        }
        if self.samples_left_out > 0 {
            parts.push(format!("{} left out", count(self.samples_left_out)));
        }
        if self.samples_failed > 0 {
            parts.push(format!("{} failed", count(self.samples_failed)));
        }
        if self.stacks > 0 {
            parts.push(format!("{} of stacks complete", percent(self.stacks_complete, self.stacks)));
        }
        if let Some(stops) = self.stops {
            parts.push(format!("stopped {} a sample (median)", microseconds(stops.median)));
        }
        parts.join(" · ")
    }

    /// The time that one tick of the clock stands for, in nanoseconds: at least one, also where no sensible rate was recorded.
    pub fn period(&self) -> u64 {
        (1e9 / self.rate_hz).clamp(1.0, 1e15) as u64
    }

    /// The time that a weight of one stands for, in nanoseconds: at least one.
    pub fn nanos_per_weight(&self) -> u64 {
        match self.weights {
            Weights::Ticks => self.period(),
            Weights::Time => 1_000,
        }
    }

    /// What widths are shares of.
    pub fn whole(&self) -> &'static str {
        match (self.weights, self.threads) {
            (Weights::Ticks, _) => "samples",
            (Weights::Time, Mode::Cpu) => "CPU time",
            (Weights::Time, Mode::Wall) => "threads' time",
            (Weights::Time, Mode::Gil) => "time with the GIL",
        }
    }

    /// Less than a weight, in words: `fewer than 3 samples`, `less than 2.1 ms`.
    pub fn less_than(&self, weight: u64) -> String {
        match self.weights {
            Weights::Ticks => format!("fewer than {weight} samples"),
            Weights::Time => format!("less than {}", microseconds(Nanos(weight.saturating_mul(1_000)))),
        }
    }

    /// How many samples a sample counts for: itself where its weight is a time, else the ticks that it stands for. What was never sampled
    /// stands for none.
    pub fn samples_in(&self, sample: &TimedSample) -> u64 {
        match self.weights {
            Weights::Ticks => sample.ticks,
            Weights::Time => u64::from(sample.was_taken()),
        }
    }

    fn rate(&self) -> String {
        let intervals = if self.fixed_intervals { " (fixed intervals)" } else { "" };
        format!("{}{intervals}", rate(self.rate_hz))
    }

    fn samples_taken_of_wanted(&self) -> String {
        format!("{} of {} taken", count(self.samples_taken), plural(self.samples_wanted, "sample", "samples"))
    }

    /// What shares are worth, where samples are so few that it shows: `19 samples: shares are ± 22 points`. That is how far a share of a
    /// half may lie beside the truth in one of twenty recordings: 1.96 times the binomial error.
    pub fn few_samples(&self) -> Option<String> {
        let samples = self.effective_samples.filter(|samples| *samples < FEW_SAMPLES)?;
        let points = error_of_a_half(samples);
        Some(format!("{}: shares are ± {points:.0} points", plural(samples.round() as u64, "sample", "samples")))
    }

    /// Everything, a fact a line: `name: value`. The same words everywhere: at the end of a recording, and in files.
    pub fn summary_lines(&self) -> Vec<String> {
        let absent = || "not measured".to_owned();
        let python = self.python_version.as_deref().map_or("unknown version".into(), one_line);
        let stopped = self.stops.map_or_else(absent, |stops| stops.to_string());
        let mut lines = vec![
            format!("command: {} (pid {})", shortened(&self.command(), MAX_SUMMARY_COMMAND), self.pid),
            format!("python: CPython {python}"),
            format!(
                "recording: {} mode at {} for {}, {}",
                self.threads.name(),
                self.rate(),
                seconds(self.duration),
                self.started.and_then(date_and_time).map_or("start unknown".into(), |at| format!("from {at}")),
            ),
            format!(
                "samples: {}, {} late, {} failed",
                self.samples_taken_of_wanted(),
                count(self.samples_late),
                count(self.samples_failed)
            ),
        ];
        lines.extend(self.few_samples());
        lines.extend(self.children.map(|children| children.line()));
        if let Some(part) = &self.shown_part {
            lines.push(format!("shown: a part of them, {}", one_line(part)));
        }
        if self.samples_left_out > 0 {
            lines.push(self.left_out_line());
        }
        lines.extend(self.failure_lines());
        lines.push(match self.stacks {
            0 => "stacks: none".to_owned(),
            stacks => format!(
                "stacks: {} complete of {} ({})",
                count(self.stacks_complete),
                count(stacks),
                percent(self.stacks_complete, stacks)
            ),
        });
        lines.extend(self.not_read.iter().map(|what| format!("names: {}", one_line(what))));
        lines.extend(self.target_cpu.map(|cpu| self.target_cpu_line(cpu)));
        lines.extend(self.processes.iter().flat_map(ProcessesFacts::lines));
        lines.extend(self.activity.lines(self.effective_samples));
        lines.extend(self.time_spent.iter().flat_map(|time| time.lines(self.threads, self.effective_samples)));
        lines.extend(self.left_out.iter().map(|what| format!("left out: {}", one_line(what))));
        lines.push(format!("target stopped: {stopped}"));
        lines.extend(self.throttling.map(|throttling| format!("throttled: {throttling}")));
        lines.push(format!("fpprof's own CPU time: {}", self.own_cpu.map_or_else(absent, seconds)));
        lines.push(format!("recorded by: fpprof {}", one_line(&self.fpprof_version)));
        lines
    }

    fn target_cpu_line(&self, cpu: Duration) -> String {
        let left = self.not_sampled.map_or(0, |left| Nanos::from(left).0);
        let not_sampled = (left > 0).then(|| format!(", {} of it not sampled", percent(left, Nanos::from(cpu).0)));
        format!("target's CPU time: {} by the kernel's account{}", seconds(cpu), not_sampled.unwrap_or_default())
    }

    /// The reasons of failures, the most frequent first: `failed: 12 times, REASON`.
    pub fn failure_lines(&self) -> Vec<String> {
        let mut failures: Vec<_> = self.failures.iter().collect();
        failures.sort_by_key(|(reason, times)| (std::cmp::Reverse(**times), *reason));
        let line = |(reason, times): (&String, &u64)| {
            format!("failed: {}, {}", plural(*times, "time", "times"), one_line(reason))
        };
        failures.into_iter().map(line).collect()
    }

    /// The time that a weight of one stands for, in seconds. Where it is a tick of the clock, late and failed ones have no sample: the
    /// others stand for them, too.
    pub fn seconds_per_weight(&self) -> f64 {
        if self.weights == Weights::Time {
            return 1e-6;
        }
        let ticks = self.samples_wanted.saturating_sub(self.samples_late).saturating_sub(self.samples_failed);
        self.duration.as_secs_f64() / ticks.max(1) as f64
    }

    /// Why there is no stack at all, and what may help.
    pub fn why_empty(&self) -> &'static str {
        if self.shown_part.is_some() && self.stacks > 0 {
            return "nothing that was recorded is what was chosen";
        }
        if !self.failures.is_empty() || self.samples_failed > 0 {
            return "every attempt to read a stack failed";
        }
        if self.samples_wanted == 0 {
            return "the recording ended before its first sample";
        }
        if self.samples_taken == 0 {
            return "no sample could be taken in time: try a lower --rate";
        }
        if self.children.is_some() {
            return "the process waited while those that it has started ran: --subprocesses records them";
        }
        match self.threads {
            Mode::Cpu => "no thread ran when a sample was taken: --mode wall also shows waiting threads",
            Mode::Wall => "the target had no thread with a stack",
            Mode::Gil => "no thread held the GIL when a sample was taken: --mode wall also shows waiting threads",
        }
    }
}

#[cfg(test)]
mod tests;
