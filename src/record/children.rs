//! Python processes that the target starts, and that are not recorded with it: who records the master of a pool sees it wait.
//!
//! Does: look for them seldom, and sum up what they use meanwhile. Does not: record them.

use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use rustc_hash::FxHashMap;

use crate::profile::facts::processes::ChildrenFacts;
use crate::target::process_table::{ProcessEntry, children, program_of};
use crate::types::Pid;

/// The first look is so late, and each pause is as long as all before it: a long recording has a dozen.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// The most processes that are looked at.
const MAX_PROCESSES: usize = 1_000;

/// The processes that one has started.
#[derive(Debug)]
pub struct Children {
    pid: Pid,
    /// When that was started: its id can be another's later.
    start_time: Option<u64>,
    began: Instant,
    next: Duration,
    /// By pid and start: the CPU time, in clock ticks, when they were seen first, unless they have come since, and last.
    used: FxHashMap<(Pid, u64), (u64, u64)>,
    most: usize,
    is_first: bool,
}

impl Children {
    /// Those of a process, from now on.
    pub fn new(pid: Pid) -> Children {
        let (used, most) = (FxHashMap::default(), 0);
        let start_time = ProcessEntry::of(pid).map(|entry| entry.start_time);
        let mut children =
            Children { pid, start_time, began: Instant::now(), next: FIRST_LOOK, used, most, is_first: true };
        children.look_now();
        children
    }

    /// Looks when it is time for it.
    pub fn look(&mut self) {
        if self.began.elapsed() >= self.next {
            self.next = self.began.elapsed() * 2;
            self.look_now();
        }
    }

    fn look_now(&mut self) {
        if ProcessEntry::of(self.pid).map(|entry| entry.start_time) != self.start_time {
            return;
        }
        let (mut open, mut seen, mut python) = (vec![self.pid], 0, 0);
        let own = program_of(self.pid);
        while let Some(pid) = open.pop().filter(|_| seen < MAX_PROCESSES) {
            for child in children(pid).into_iter().take(MAX_PROCESSES - seen) {
                seen += 1;
                open.push(child);
                let Some(entry) = ProcessEntry::of(child) else { continue };
                let program = program_of(child);
                let is_python = program.is_some() && program == own
                    || program.and_then(|p| Some(p.file_name()?.to_string_lossy().starts_with("python"))) == Some(true);
                if is_python {
                    python += 1;
                    let first = if self.is_first { entry.cpu_ticks } else { 0 };
                    self.used.entry((child, entry.start_time)).or_insert((first, first)).1 = entry.cpu_ticks;
                }
            }
        }
        self.is_first = false;
        self.most = self.most.max(python);
    }

    /// What they have used until now; `None` when there were none.
    pub fn until_now(mut self) -> Option<ChildrenFacts> {
        self.look_now();
        let ticks: u64 = self.used.values().map(|(first, last)| last.saturating_sub(*first)).sum();
        let a_second = sysconf(SysconfVar::CLK_TCK).ok()?.and_then(|ticks| u32::try_from(ticks).ok())?;
        let cpu = Duration::from_secs(ticks).checked_div(a_second)?;
        (self.most > 0).then_some(ChildrenFacts { processes: self.most as u64, cpu })
    }
}
