//! The recording itself: the clock ticks, threads are sampled, stacks are counted.
//!
//! Does: run until the time is over, a signal arrives or the target ends; follow a target that replaces its program.
//! Does not: parse arguments, name frames or write files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::progress::Progress;
use crate::profile::tree::StackTree;
use crate::sampler::clock::{Clock, Tick, now};
use crate::sampler::session::{Mode, Session};
use crate::sampler::statistics::Statistics;
use crate::symbolize::names::Counted;
use crate::target::launch::Launched;
use crate::target::process::{Process, ProcessError};
use crate::types::{Nanos, Pid, Tid};

/// How often to look whether the target still lives and still runs the same program.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to record.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Samples a second.
    pub rate: f64,
    /// At most so long.
    pub duration: Option<Duration>,
    /// Which threads.
    pub mode: Mode,
    /// Whether stacks begin with their thread.
    pub threads: bool,
    /// Whether stacks end with what their thread did.
    pub states: bool,
}

/// Why a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    TimeOver,
    /// The user or the system asked for it.
    Signal,
    /// The target ended.
    TargetGone,
    /// The target replaced its program by one that cannot be read; its name, if that could be had.
    Replaced(Option<String>),
}

/// One program of the target, from its start or ours to its end or ours.
#[derive(Debug)]
pub struct Epoch {
    /// The program under observation.
    pub session: Session,
    /// Its stacks, outermost first.
    pub stacks: StackTree<Counted>,
    /// The names of its threads.
    pub thread_names: FxHashMap<Tid, String>,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recording {
    /// The target's programs; more than one when it has replaced itself.
    pub epochs: Vec<Epoch>,
    /// Why it ended.
    pub ended: Ended,
    /// How long it took.
    pub duration: Duration,
    /// Ticks that were due.
    pub wanted: u64,
    /// Ticks that passed while an earlier one was served.
    pub late: u64,
    /// Ticks at which no stack could be had though one was wanted.
    pub failed: u64,
    /// What was counted, in all epochs together.
    pub statistics: Statistics,
}

/// Records a session.
#[derive(Debug)]
pub struct Recorder<'a> {
    plan: Plan,
    clock: Clock,
    stop: &'a AtomicBool,
    failed: u64,
    statistics: Statistics,
}

impl<'a> Recorder<'a> {
    /// A recorder that ends when `stop` becomes true.
    pub fn new(plan: Plan, stop: &'a AtomicBool) -> Recorder<'a> {
        // Any seed will do that is not the same each time.
        let seed = now().0 ^ (u64::from(std::process::id()) << 32);
        Recorder { plan, clock: Clock::new(plan.rate, seed), stop, failed: 0, statistics: Statistics::default() }
    }

    /// Records until the end. A program that we have started is waited for through `launched`.
    pub fn run(mut self, session: Session, launched: &mut Option<Launched>, progress: &mut Progress) -> Recording {
        let started = Instant::now();
        let limit = self.plan.duration.map(|duration| Nanos(now().0.saturating_add(duration.as_nanos() as u64)));
        let mut epochs = vec![Epoch::new(session)];
        let ended = loop {
            let Some(epoch) = epochs.last_mut() else { break Ended::TargetGone };
            match self.record(epoch, limit, launched, progress, started) {
                Pause::Ended(ended) => break ended,
                Pause::Replaced(pid) => match super::open::replaced(pid, self.plan.mode, self.stop) {
                    Some(session) => epochs.push(Epoch::new(session)),
                    None => break after_replacement(pid),
                },
            }
        };
        for epoch in &mut epochs {
            self.statistics.add(std::mem::take(&mut epoch.session.statistics));
        }
        Recording {
            epochs,
            ended,
            duration: started.elapsed(),
            wanted: self.clock.wanted(),
            late: self.clock.late(),
            failed: self.failed,
            statistics: self.statistics,
        }
    }

    fn record(
        &mut self,
        epoch: &mut Epoch,
        limit: Option<Nanos>,
        launched: &mut Option<Launched>,
        progress: &mut Progress,
        started: Instant,
    ) -> Pause {
        let mut looked = Instant::now();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Pause::Ended(Ended::Signal);
            }
            if limit.is_some_and(|limit| now() >= limit) {
                return Pause::Ended(Ended::TimeOver);
            }
            let next_look = Nanos(now().0.saturating_add(LOOK_EVERY.as_nanos() as u64));
            if self.clock.wait(Some(limit.map_or(next_look, |limit| limit.min(next_look)))) == Tick::Due {
                self.sample(epoch, launched);
                self.clock.skip_missed();
            }
            if looked.elapsed() >= LOOK_EVERY || !epoch.session.has_threads() {
                looked = Instant::now();
                let errors = self.statistics.failures() + epoch.session.statistics.failures();
                progress.show(started.elapsed(), self.clock.wanted() - self.clock.late(), errors);
                if launched.as_mut().is_some_and(|l| l.status().is_some()) || !epoch.session.process().is_alive() {
                    return Pause::Ended(Ended::TargetGone);
                }
                let process = epoch.session.process();
                if process.replaced().is_some() {
                    return Pause::Replaced(process.pid);
                }
            }
        }
    }

    fn sample(&mut self, epoch: &mut Epoch, launched: &mut Option<Launched>) {
        let Epoch { session, stacks, thread_names } = epoch;
        let failures = session.statistics.failures();
        let mut taken = false;
        let mut new_threads = Vec::new();
        let Plan { threads: by_thread, states: with_states, .. } = self.plan;
        let status = session.tick(&mut |sample| {
            taken = true;
            let thread = by_thread.then_some(Counted::Thread(sample.tid));
            let frames = sample.frames.iter().rev().map(|frame| Counted::Frame(*frame));
            let state = with_states.then_some(Counted::RunState(sample.run_state));
            let stack: Vec<Counted> = thread.into_iter().chain(frames).chain(state).collect();
            stacks.add(&stack, 1);
            if by_thread && !thread_names.contains_key(&sample.tid) {
                new_threads.push(sample.tid);
            }
        });
        for tid in new_threads {
            if let Some(name) = session.thread_name(tid) {
                thread_names.insert(tid, name);
            }
        }
        self.failed += u64::from(!taken && session.statistics.failures() > failures);
        if let (Some(status), Some(launched)) = (status, launched) {
            launched.ended_with(status);
        }
    }
}

/// What a process has become whose new program is not recorded.
fn after_replacement(pid: Pid) -> Ended {
    match Process::open(pid) {
        Ok(process) => Ended::Replaced(Some(process.program_name())),
        Err(ProcessError::NotFound(_) | ProcessError::Zombie(_)) => Ended::TargetGone,
        Err(_) => Ended::Replaced(None),
    }
}

/// Why sampling one program pauses.
enum Pause {
    Ended(Ended),
    /// The process has another program now.
    Replaced(Pid),
}

impl Epoch {
    fn new(session: Session) -> Epoch {
        Epoch { session, stacks: StackTree::new(), thread_names: FxHashMap::default() }
    }
}
