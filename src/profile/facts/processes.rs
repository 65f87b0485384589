//! The processes of a recording: what each has used, and what became of those that are not in it.
//!
//! Does: hold that, and word it. Does not: find processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wording::{count, percent, plural, seconds};
use crate::profile::clean::one_line;
use crate::profile::processes::ShownProcess;
use crate::types::{Nanos, Pid};

/// So many processes, or roles, have a line of their own: those that used the most.
const MAX_LINES: usize = 12;
/// And so many of those that could not be recorded.
const MAX_REFUSED_LINES: usize = 5;
/// Where the processes that a target has started use less than this share of the time of all of them, nothing is missed.
const WORTH_TELLING: f64 = 0.1;

/// The processes of a recording of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessesFacts {
    /// Those that were recorded, the first ones.
    pub recorded: Vec<ProcessFacts>,
    /// How many more were.
    #[serde(default)]
    pub more: u64,
    /// Processes that were chosen and run no Python that can be read.
    pub not_python: u64,
    /// Those that ended before they could be looked into.
    pub too_short: u64,
    /// Those for which there was no room beside the others.
    pub too_many: u64,
    /// Those that could not be recorded, and why, the first ones.
    pub refused: Vec<String>,
    /// How many that were in all; 0 in older recordings, which tell the first ones only.
    #[serde(default)]
    pub refused_in_all: u64,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Its id.
    pub pid: Pid,
    /// How many other processes of the recording had that before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// What it is to its users.
    pub role: String,
    /// The CPU time that it has used while it was recorded, by the kernel's account.
    pub cpu: Duration,
    /// The stacks that were counted of it.
    pub stacks: u64,
}

/// Python processes that the target has started, and that are not in its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildrenFacts {
    /// How many, at most at one time.
    pub processes: u64,
    /// The CPU time that they have used meanwhile.
    pub cpu: Duration,
}

impl ProcessesFacts {
    /// How many were recorded.
    pub fn count(&self) -> u64 {
        (self.recorded.len() as u64).saturating_add(self.more)
    }

    /// A line for all, and one for each process, or for each role where there are many.
    pub fn lines(&self) -> Vec<String> {
        let all: u64 = self.recorded.iter().map(|process| Nanos::from(process.cpu).0).fold(0, u64::saturating_add);
        let mut lines = vec![self.first_line()];
        let line = |name: &str, cpu: u64, stacks: u64| {
            let stacks = plural(stacks, "stack", "stacks");
            format!(
                "process: {}: {} of CPU time ({}), {stacks}",
                one_line(name),
                seconds(Duration::from_nanos(cpu)),
                percent(cpu, all)
            )
        };
        let mut told: Vec<(String, u64, u64)> = if self.recorded.len() <= MAX_LINES {
            let one = |process: &ProcessFacts| (process.shown().name(), Nanos::from(process.cpu).0, process.stacks);
            self.recorded.iter().map(one).collect()
        } else {
            let mut roles: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
            for process in &self.recorded {
                let (processes, cpu, stacks) = roles.entry(&process.role).or_default();
                *processes += 1;
                *cpu = cpu.saturating_add(Nanos::from(process.cpu).0);
                *stacks = stacks.saturating_add(process.stacks);
            }
            let one = |(role, (processes, cpu, stacks)): (&str, (u64, u64, u64))| {
                (format!("{role}, {}", plural(processes, "process", "processes")), cpu, stacks)
            };
            roles.into_iter().map(one).collect()
        };
        told.sort_by_key(|(_, cpu, _)| std::cmp::Reverse(*cpu));
        lines.extend(told.iter().take(MAX_LINES).map(|(name, cpu, stacks)| line(name, *cpu, *stacks)));
        if told.len() > MAX_LINES {
            lines.push(format!("process: {} more", count((told.len() - MAX_LINES) as u64)));
        }
        lines.extend(self.refused.iter().take(MAX_REFUSED_LINES).map(|one| format!("not recorded: {}", one_line(one))));
        lines
    }

    fn first_line(&self) -> String {
        let others = [
            (self.not_python, "ran no Python that can be read"),
            (self.too_short, "ended before they could be looked into"),
            (self.too_many, "were more than can be recorded side by side"),
            (self.refused_in_all.max(self.refused.len() as u64), "could not be read"),
        ];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others: String = others.map(|(number, what)| format!(", {} that {what}", count(number))).collect();
        format!("processes: {} recorded{others}", count(self.count()))
    }
}

impl ProcessFacts {
    /// As it is shown.
    pub fn shown(&self) -> ShownProcess {
        ShownProcess { pid: Some(self.pid), again: self.again, role: self.role.clone() }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ChildrenFacts {
    /// Whether they matter beside a target that has used so much.
    pub fn matter(&self, target: Duration) -> bool {
        let cpu = self.cpu.as_secs_f64();
        cpu > 0.0 && cpu >= WORTH_TELLING * (cpu + target.as_secs_f64())
    }

    /// What they did, and how they are recorded.
    pub fn line(&self) -> String {
        let processes = plural(self.processes, "Python process", "Python processes");
        let cpu = seconds(self.cpu);
        format!(
            "not recorded: {processes} that it has started used {cpu} of CPU time: add --subprocesses to record them, too"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, role: &str, seconds: u64) -> ProcessFacts {
        ProcessFacts { pid: Pid(pid), again: 0, role: role.into(), cpu: Duration::from_secs(seconds), stacks: 10 }
    }

    #[test]
    fn few_processes_have_a_line_each_and_many_one_for_their_role() {
        let facts = ProcessesFacts {
            recorded: vec![process(7, "web", 1), process(8, "worker", 3)],
            not_python: 2,
            refused: vec!["process 9 (sh): no".into()],
            ..ProcessesFacts::default()
        };
        let expected = [
            "processes: 2 recorded, 2 that ran no Python that can be read, 1 that could not be read",
            "process: worker (8): 3.00 s of CPU time (75 %), 10 stacks",
            "process: web (7): 1.00 s of CPU time (25 %), 10 stacks",
            "not recorded: process 9 (sh): no",
        ];
        assert_eq!(facts.lines(), expected);
        let many = (0..30).map(|pid| process(pid, "worker", 1)).chain([process(50, "master", 0)]).collect();
        let facts = ProcessesFacts { recorded: many, ..ProcessesFacts::default() };
        let lines = facts.lines();
        assert_eq!(lines[0], "processes: 31 recorded");
        assert_eq!(lines[1], "process: worker, 30 processes: 30.00 s of CPU time (100 %), 300 stacks");
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    #[test]
    fn children_matter_when_they_do_much_of_the_work() {
        let children = |millis| ChildrenFacts { processes: 3, cpu: Duration::from_millis(millis) };
        let target = Duration::from_secs(9);
        assert!(children(1_000).matter(target) && children(1).matter(Duration::ZERO));
        assert!(!children(900).matter(target) && !children(0).matter(Duration::ZERO));
        assert!(children(1_500).line().contains("3 Python processes that it has started used 1.50 s of CPU time"));
    }
}
