//! The recording itself: the clock ticks, samples are taken, as many as the limits allow.
//!
//! Does: run until the time is over, a signal arrives or the target ends; follow a target that replaces its program. On a thread of
//! its own, for the kernel lets go of what a thread traces when that ends, whatever became of its stops (ptrace(2)).
//! Does not: count stacks, parse arguments, name frames or write files.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};

use super::program::{Outcome, Program, StackLabels};
use super::requests::Requests;
use super::stream::Stream;
use super::throttling::TargetThrottling;
use crate::capture::watchdog;
use crate::profile::facts::throttling::ThrottlingFacts;
use crate::sampler::budget::{Budget, Exceeded, Limits, Spent};
use crate::sampler::clock::{Clock, Intervals, Tick, now, own_cpu_time};
use crate::sampler::mode::Mode;
use crate::sampler::open;
use crate::sampler::own_quota::OwnQuota;
use crate::sampler::session::Session;
use crate::sampler::statistics::Statistics;
use crate::target::cgroup::CpuGroups;
use crate::target::launch::Launched;
use crate::target::process::{Process, ProcessError};
use crate::types::{Nanos, Pid};

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
    /// When.
    pub intervals: Intervals,
    /// What stacks hold beside their frames.
    pub labels: StackLabels,
    /// What it may cost; anything if there are no limits.
    pub limits: Option<Limits>,
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

/// How far a recording is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Since its beginning.
    pub elapsed: Duration,
    /// Ticks at which samples were taken.
    pub taken: u64,
    /// Ticks that passed while an earlier one was served.
    pub late: u64,
    /// Ticks left out because samples would have cost more than is allowed.
    pub left_out: u64,
    /// Errors.
    pub errors: u64,
    /// Stops of blocked threads, of which nothing else told where they were.
    pub sleepers_stopped: u64,
}

/// Who is told how far a recording is, while it is made.
pub trait Observer: Send {
    /// Takes note of it. Sampling waits meanwhile.
    fn progress(&mut self, counts: Counts);
}

/// What was recorded.
#[derive(Debug)]
pub struct Recording {
    /// Its programs; more than one when it has replaced itself.
    pub programs: Vec<Program>,
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
    /// Ticks at which no sample was taken because of the limits.
    pub left_out: u64,
    /// The limit that was exceeded last.
    pub exceeded: Option<Exceeded>,
    /// How often the kernel stopped the target because of a CPU quota, if it did.
    pub throttling: Option<ThrottlingFacts>,
    /// What was counted, in all programs together.
    pub statistics: Statistics,
    /// Where it is written, if it was written while it was made.
    pub stream: Option<Stream>,
}

/// Records a session until the end, and writes to `stream` meanwhile. A program that we have started is waited for through `launched`.
///
/// # Errors
/// When there can be no thread.
pub fn record(
    plan: Plan,
    requests: Requests<'_>,
    stream: Option<Stream>,
    session: Session,
    launched: &mut Option<Launched>,
    observer: &mut dyn Observer,
) -> io::Result<Recording> {
    let mut recorder = Recorder::new(plan, requests, stream, session);
    let is_watched = requests.suspend.is_some() && watchdog::prepare();
    let mut is_suspended = false;
    loop {
        let ended = on_a_thread_of_its_own(|| {
            if is_watched {
                watchdog::start();
            }
            // Now that the thread before has ended: a thread that this process held while it is stopped would stand still for as long.
            if is_suspended {
                requests.suspend();
            }
            recorder.go_on(launched, observer)
        })?;
        match ended {
            Some(ended) => return Ok(recorder.finish(ended)),
            None => is_suspended = true,
        }
    }
}

fn on_a_thread_of_its_own<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let working = thread::Builder::new().name("recorder".into()).spawn_scoped(scope, work)?;
        // Signals are for who sleeps until they come.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let result = working.join();
        if let Ok(before) = before {
            // The mask was valid a moment ago.
            let _ = before.thread_set_mask();
        }
        result.map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
    })
}

/// A recording that is made.
#[derive(Debug)]
struct Recorder<'a> {
    plan: Plan,
    clock: Clock,
    budget: Budget,
    quota: OwnQuota,
    throttling: TargetThrottling,
    requests: Requests<'a>,
    programs: Vec<Program>,
    failed: u64,
    statistics: Statistics,
    stream: Option<Stream>,
    started: Nanos,
    limit: Option<Nanos>,
}

impl<'a> Recorder<'a> {
    fn new(plan: Plan, requests: Requests<'a>, stream: Option<Stream>, session: Session) -> Recorder<'a> {
        let started = now();
        // Any seed will do that is not the same each time.
        let seed = started.0 ^ (u64::from(std::process::id()) << 32);
        let (groups, pid) = (CpuGroups::here(), session.identity().pid);
        let mut recorder = Recorder {
            plan,
            clock: Clock::resting(plan.rate, plan.intervals, seed),
            budget: Budget::new(plan.limits),
            quota: OwnQuota::new(groups.clone(), pid),
            throttling: TargetThrottling::new(groups, pid),
            requests,
            programs: Vec::new(),
            failed: 0,
            statistics: Statistics::default(),
            stream,
            started,
            limit: plan.duration.map(|duration| Nanos(started.0.saturating_add(Nanos::from(duration).0))),
        };
        recorder.add_program(session);
        recorder
    }

    fn add_program(&mut self, session: Session) {
        let period = Nanos((1e9 / self.plan.rate) as u64);
        let (number, keep) = (self.programs.len(), self.stream.is_some());
        let program = Program::new(number, session, keep, (self.plan.labels, period));
        if let Some(stream) = &mut self.stream {
            stream.begin(&program);
        }
        self.programs.push(program);
    }

    /// Records until the end, or until it is to be suspended: `None`.
    fn go_on(&mut self, launched: &mut Option<Launched>, observer: &mut dyn Observer) -> Option<Ended> {
        self.clock.begin();
        let ended = loop {
            let Some(mut program) = self.programs.pop() else { break Some(Ended::TargetGone) };
            let pause = self.record(&mut program, launched, observer);
            let outcome = program.settle(self.time());
            took(outcome, launched);
            if !matches!(pause, Pause::Suspended) {
                program.finish(self.time());
            }
            if let Some(stream) = &mut self.stream {
                stream.write(&mut program);
            }
            let replaced =
                matches!(pause, Pause::Replaced).then(|| open::replaced(&program.session, self.requests.stop));
            let pid = program.session.identity().pid;
            self.programs.push(program);
            match (pause, replaced.flatten()) {
                (Pause::Ended(ended), _) => break Some(ended),
                (Pause::Suspended, _) => break None,
                (Pause::Replaced, Some(session)) => self.add_program(session),
                (Pause::Replaced, None) => break Some(after_replacement(pid)),
            }
        };
        self.clock.rest();
        ended
    }

    fn finish(mut self, ended: Ended) -> Recording {
        for program in &mut self.programs {
            self.statistics.add(std::mem::take(&mut program.session.statistics));
        }
        Recording {
            duration: Duration::from_nanos(self.time().0),
            programs: self.programs,
            ended,
            wanted: self.clock.wanted(),
            late: self.clock.late(),
            failed: self.failed,
            left_out: self.budget.left_out(),
            exceeded: self.budget.exceeded(),
            throttling: self.throttling.until_now(),
            statistics: self.statistics,
            stream: self.stream,
        }
    }

    fn record(&mut self, program: &mut Program, launched: &mut Option<Launched>, observer: &mut dyn Observer) -> Pause {
        program.session.set_goes_first(self.clock.goes_first());
        program.begin(self.time());
        self.quota.set_applies(!self.clock.goes_first());
        let limit = self.limit;
        let mut looked = Instant::now();
        let mut has_looked = false;
        loop {
            if self.requests.stop.load(Ordering::Relaxed) {
                return Pause::Ended(Ended::Signal);
            }
            if self.requests.wants_suspension() || watchdog::has_continued_us() {
                return Pause::Suspended;
            }
            if limit.is_some_and(|limit| now() >= limit) {
                return Pause::Ended(Ended::TimeOver);
            }
            let next_look = Nanos(now().0.saturating_add(Nanos::from(LOOK_EVERY).0));
            let until = Some(limit.map_or(next_look, |limit| limit.min(next_look)));
            let woke_by = match program.session.has_pending_stops() {
                true => self.clock.wait_with(until, |limit| program.session.sleep(limit)),
                false => self.clock.wait(until),
            };
            match woke_by {
                Tick::Due => {
                    has_looked |= self.sample(program, launched);
                    self.clock.skip_missed();
                }
                Tick::Interrupted if program.session.has_pending_stops() => {
                    self.quota.begin_serving();
                    let outcome = program.serve(self.time());
                    self.quota.end_tick();
                    took(outcome, launched);
                }
                Tick::Interrupted => {}
            }
            if looked.elapsed() >= LOOK_EVERY || has_looked && !program.session.has_threads() {
                looked = Instant::now();
                self.quota.look();
                self.throttling.look();
                let errors = self.statistics.failures() + program.session.statistics.failures();
                let (late, left_out) = (self.clock.late(), self.budget.left_out());
                let taken = self.clock.wanted() - late - left_out;
                let stops = [&self.statistics.stops, &program.session.statistics.stops];
                observer.progress(Counts {
                    elapsed: Duration::from_nanos(self.time().0),
                    taken,
                    late,
                    left_out,
                    errors,
                    sleepers_stopped: stops.iter().map(|stops| stops.of_sleepers).sum(),
                });
                if launched.as_mut().is_some_and(|l| l.status().is_some()) || !program.session.target().is_alive() {
                    return Pause::Ended(Ended::TargetGone);
                }
                program.close_window_if_due(self.time());
                if self.stream.as_mut().is_some_and(|stream| !stream.write_if_due(program)) {
                    // The error is told when the recording is finished.
                    return Pause::Ended(Ended::TimeOver);
                }
                if program.session.target().is_replaced() {
                    return Pause::Replaced;
                }
            }
        }
    }

    /// The time since the beginning.
    fn time(&self) -> Nanos {
        Nanos(now().0.saturating_sub(self.started.0))
    }

    /// Serves a tick, if the limits allow it. Returns whether they did.
    fn sample(&mut self, program: &mut Program, launched: &mut Option<Launched>) -> bool {
        self.quota.look();
        let mut no_room = None;
        let fits = || self.quota.begin_tick().map_err(|error| no_room.insert(error).quota);
        let Some(weight) = self.budget.admit(fits) else {
            if let Some(no_room) = no_room {
                // Waking for ticks that will not fit either would use up what they wait for.
                self.budget.leave_out(self.clock.pass_over(no_room.until));
            }
            return false;
        };
        let time = self.time();
        program.session.was_due(self.clock.due_at());
        let outcome = program.sample(time, weight);
        self.quota.end_tick();
        self.failed += u64::from(outcome.failed);
        if outcome.told_nothing {
            self.budget.told_nothing();
        }
        took(outcome, launched);
        let at = now();
        if self.budget.is_review_due(at) {
            let stops = [&self.statistics.stops, &program.session.statistics.stops];
            self.budget.review(Spent {
                at,
                stops: stops.map(|stops| stops.durations.count()).iter().sum(),
                stopped: Nanos(stops.map(|stops| stops.total.0).iter().sum()),
                own_cpu: own_cpu_time().unwrap_or_default(),
            });
        }
        true
    }
}

/// Takes note of an end that sampling was told of.
fn took(outcome: Outcome, launched: &mut Option<Launched>) {
    if let (Some(status), Some(launched)) = (outcome.status, launched) {
        launched.ended_with(status);
    }
}

/// What a process has become whose new program is not recorded.
fn after_replacement(pid: Pid) -> Ended {
    match Process::open(pid) {
        Ok(process) => Ended::Replaced(Some(process.identity.program_name())),
        Err(ProcessError::NotFound(_) | ProcessError::Zombie(_)) => Ended::TargetGone,
        Err(_) => Ended::Replaced(None),
    }
}

/// Why sampling one program pauses.
enum Pause {
    Ended(Ended),
    /// This process is to be stopped.
    Suspended,
    /// The process has another program now.
    Replaced,
}
