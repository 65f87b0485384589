//! The loop: the clock ticks, samples are taken, as many as the limits allow.
//!
//! Does: run until the time is over, a signal arrives or the last process ends; take up processes that come, and let go of those that
//! have ended; follow one that replaces its program. One clock and one budget are for all of them.
//! Does not: look for processes, count stacks, name frames or write files.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::children::Children;
use super::endings::{after_replacement, took};
use super::given_ids::GivenIds;
use super::plan::{Counts, Ended, Observer, Plan, Recording};
use super::program::Program;
use super::requests::Requests;
use super::stream::Stream;
use super::throttling::TargetThrottling;
use crate::capture::pending::sleep_until_any_comes;
use crate::capture::{ptrace, watchdog};
use crate::sampler::budget::{Budget, Spent};
use crate::sampler::clock::{Clock, Tick, now};
use crate::sampler::follower::{Follower, Found};
use crate::sampler::open;
use crate::sampler::own_quota::OwnQuota;
use crate::sampler::session::{Session, SharedBySessions};
use crate::sampler::statistics::Statistics;
use crate::target::cgroup::CpuGroups;
use crate::target::launch::Launched;
use crate::target::own;
use crate::types::Nanos;

/// How often to look whether the targets still live and still run the same programs.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So much later for each program beside the first: a look takes some microseconds of each.
const AND_FOR_EACH: Duration = Duration::from_millis(5);
/// And how often whether processes have been found that are to be sampled, too.
const TAKE_UP_EVERY: Duration = Duration::from_millis(10);

/// A recording that is made.
#[derive(Debug)]
pub struct SamplingLoop<'a> {
    plan: Plan,
    clock: Clock,
    budget: Budget,
    quota: OwnQuota,
    throttling: TargetThrottling,
    requests: Requests<'a>,
    follower: Option<Follower>,
    /// What the one target has started, where nobody follows that.
    children: Option<Children>,
    /// What is sampled.
    active: Vec<Program>,
    /// What is not sampled any more.
    done: Vec<Program>,
    /// Of all of them.
    ids: GivenIds,
    /// What they have together.
    shared: SharedBySessions,
    /// With which of the programs the next tick begins: the first to be looked at is looked at most in time.
    first: usize,
    failed: u64,
    /// Ticks at which there was nothing to sample.
    idle: u64,
    statistics: Statistics,
    stream: Option<Stream>,
    started: Nanos,
    limit: Option<Nanos>,
}

/// Why a program is not sampled any more.
enum End {
    Gone,
    Replaced,
}

impl<'a> SamplingLoop<'a> {
    /// A recording that begins with one session.
    pub fn new(
        plan: Plan,
        requests: Requests<'a>,
        stream: Option<Stream>,
        (session, follower): (Session, Option<Follower>),
    ) -> SamplingLoop<'a> {
        let started = now();
        // Any seed will do that is not the same each time.
        let seed = started.0 ^ (u64::from(std::process::id()) << 32);
        let (groups, pid) = (CpuGroups::here(), session.identity().pid);
        let mut sampling = SamplingLoop {
            plan,
            clock: Clock::resting(plan.rate, plan.intervals, seed),
            budget: Budget::new(plan.limits),
            quota: OwnQuota::new(groups.clone(), pid),
            throttling: TargetThrottling::new(groups, pid),
            requests,
            children: follower.is_none().then(|| Children::new(pid)),
            follower,
            active: Vec::new(),
            done: Vec::new(),
            ids: GivenIds::default(),
            shared: SharedBySessions::default(),
            first: 0,
            failed: 0,
            idle: 0,
            statistics: Statistics::default(),
            stream,
            started,
            limit: plan.duration.map(|duration| Nanos(started.0.saturating_add(Nanos::from(duration).0))),
        };
        sampling.add_program(session);
        sampling
    }

    fn add_program(&mut self, session: Session) {
        let period = Nanos((1e9 / self.plan.rate) as u64);
        let (number, keep) = (self.active.len() + self.done.len(), self.stream.is_some());
        let again = self.ids.give(session.identity(), &mut self.done);
        let program = Program::new((number, again), session, keep, (self.plan.labels, period));
        if let Some(stream) = &mut self.stream {
            stream.begin(&program);
        }
        self.active.push(program);
    }

    /// Takes up what the follower has found.
    fn take_up_found(&mut self) {
        while let Some(Found { session, is_born }) = self.follower.as_mut().and_then(Follower::found) {
            self.take_up(session, is_born);
        }
    }

    /// Samples one more program from now on.
    fn take_up(&mut self, session: Session, is_born: bool) {
        self.add_program(session);
        let (time, goes_first) = (self.time(), self.clock.goes_first());
        if let Some(program) = self.active.last_mut() {
            program.begin(time, goes_first, is_born);
        }
    }

    /// Records until the end, or until it is to be suspended: `None`.
    pub fn go_on(&mut self, launched: &mut Option<Launched>, observer: &mut dyn Observer) -> Option<Ended> {
        self.clock.begin();
        self.quota.set_applies(!self.clock.goes_first());
        let (time, goes_first) = (self.time(), self.clock.goes_first());
        self.active.iter_mut().for_each(|program| program.begin(time, goes_first, false));
        let ended = self.run(launched, observer);
        let time = self.time();
        for program in &mut self.active {
            took(program.settle(time), program, launched);
            if ended.is_some() {
                program.finish(time);
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.write(&mut self.active);
        }
        self.clock.rest();
        ended
    }

    /// What was recorded, which ended so.
    pub fn finish(mut self, ended: Ended) -> Recording {
        let duration = Duration::from_nanos(self.time().0);
        self.done.append(&mut self.active);
        self.done.sort_by_key(|program| program.number);
        for program in &mut self.done {
            self.statistics.add(std::mem::take(&mut program.session.statistics));
        }
        Recording {
            duration,
            programs: self.done,
            ended,
            wanted: self.clock.wanted() - self.idle,
            late: self.clock.late(),
            failed: self.failed,
            left_out: self.budget.left_out(),
            exceeded: self.budget.exceeded(),
            throttling: self.throttling.until_now(),
            statistics: self.statistics,
            children: self.children.and_then(Children::until_now),
            followed: self.follower.map(|mut follower| follower.end()),
            stream: self.stream,
        }
    }

    fn run(&mut self, launched: &mut Option<Launched>, observer: &mut dyn Observer) -> Option<Ended> {
        let mut looked = Instant::now();
        let mut has_sampled = false;
        loop {
            if self.requests.stop.load(Ordering::Relaxed) {
                return Some(Ended::Signal);
            }
            if self.requests.wants_suspension() || watchdog::has_continued_us() {
                return None;
            }
            if self.limit.is_some_and(|limit| now() >= limit) {
                return Some(Ended::TimeOver);
            }
            match self.wait() {
                Tick::Due => {
                    has_sampled |= self.sample(launched);
                    self.clock.skip_missed();
                }
                Tick::Interrupted => self.serve(launched),
            }
            self.take_up_found();
            let is_one_empty = has_sampled && self.active.iter().any(|program| !program.session.has_threads());
            if looked.elapsed() >= self.look_every() || is_one_empty {
                looked = Instant::now();
                if let Some(ended) = self.look(launched, observer) {
                    return Some(ended);
                }
            }
        }
    }

    /// How often to look, with so many programs.
    fn look_every(&self) -> Duration {
        let others = u32::try_from(self.active.len()).unwrap_or(u32::MAX).saturating_sub(1);
        LOOK_EVERY.saturating_add(AND_FOR_EACH.saturating_mul(others))
    }

    /// Waits for the next tick, and not beyond the next look.
    fn wait(&mut self) -> Tick {
        let look_every = if self.follower.is_some() { TAKE_UP_EVERY } else { LOOK_EVERY };
        let next_look = Nanos(now().0.saturating_add(Nanos::from(look_every).0));
        let until = Some(self.limit.map_or(next_look, |limit| limit.min(next_look)));
        let mut pending: Vec<_> = self.active.iter_mut().filter_map(|p| p.session.pending_stops()).collect();
        match pending.is_empty() {
            true => self.clock.wait(until),
            false => self.clock.wait_with(until, |limit| sleep_until_any_comes(&mut pending, limit)),
        }
    }

    /// Serves the pending stops that have come.
    fn serve(&mut self, launched: &mut Option<Launched>) {
        let time = self.time();
        let is_pending = |program: &mut Program| program.session.has_pending_stops();
        if !self.active.iter_mut().any(is_pending) {
            return;
        }
        self.quota.begin_serving();
        for program in &mut self.active {
            if program.session.has_pending_stops() {
                program.session.swap_buffers(&mut self.shared);
                took(program.serve(time), program, launched);
                program.session.swap_buffers(&mut self.shared);
            }
        }
        self.quota.end_tick();
    }

    /// Looks what has become of the targets. Returns why the recording has ended, if it has.
    fn look(&mut self, launched: &mut Option<Launched>, observer: &mut dyn Observer) -> Option<Ended> {
        ptrace::let_go_of_late_ones();
        self.quota.look();
        self.throttling.look();
        self.children.as_mut().map(Children::look);
        observer.progress(self.counts());
        let time = self.time();
        let ended_child = launched.as_mut().and_then(|l| l.status().map(|_| l.pid()));
        let mut ends = Vec::new();
        for program in &mut self.active {
            let target = program.session.target();
            if ended_child == Some(target.identity().pid) || !target.is_alive() {
                ends.push((program.number, End::Gone));
                continue;
            }
            program.close_window_if_due(time);
            if program.session.target().is_replaced() {
                ends.push((program.number, End::Replaced));
            }
        }
        if self.stream.as_mut().is_some_and(|stream| !stream.write_if_due(&mut self.active)) {
            // The error is told when the recording is finished.
            return Some(Ended::TimeOver);
        }
        let mut last = None;
        for (number, end) in ends {
            last = self.end_program(number, &end, launched);
        }
        // A launcher that has ended may have left its Python behind.
        let is_recorded = |pid| self.done.iter().chain(&self.active).any(|p| p.session.identity().pid == pid);
        if ended_child.is_some_and(|child| self.follower.is_some() || is_recorded(child)) {
            return Some(Ended::TargetGone);
        }
        let is_over = self.active.is_empty() && !self.follower.as_mut().is_some_and(Follower::may_find_more);
        is_over.then(|| last.unwrap_or(Ended::TargetGone))
    }

    /// Samples a program no more; the one that its process has become is sampled instead, if that can be. Returns why not.
    fn end_program(&mut self, number: usize, end: &End, launched: &mut Option<Launched>) -> Option<Ended> {
        let index = self.active.iter().position(|program| program.number == number)?;
        let time = self.time();
        let mut program = self.active.remove(index);
        took(program.settle(time), &program, launched);
        program.finish(time);
        if let Some(stream) = &mut self.stream {
            stream.write(std::slice::from_mut(&mut program));
        }
        let identity = program.session.identity();
        let which = (identity.pid, identity.start_time);
        let mut next = None;
        let ended = match (end, &self.follower) {
            (End::Gone, follower) => {
                follower.as_ref().inspect(|follower| follower.ended(which));
                Some(Ended::TargetGone)
            }
            (End::Replaced, Some(follower)) => {
                follower.look_again(which);
                None
            }
            (End::Replaced, None) => {
                next = open::replaced(&program.session, self.requests.stop);
                next.is_none().then(|| after_replacement(identity))
            }
        };
        program.session.let_go(&mut self.shared);
        self.statistics.add(std::mem::take(&mut program.session.statistics));
        self.done.push(program);
        if let Some(session) = next {
            self.take_up(session, false);
        }
        ended
    }

    fn counts(&self) -> Counts {
        let errors = self.active.iter().map(|program| program.session.statistics.failures()).sum::<u64>();
        let sleepers = self.active.iter().map(|program| program.session.statistics.stops.of_sleepers).sum::<u64>();
        let (late, left_out) = (self.clock.late(), self.budget.left_out());
        Counts {
            elapsed: Duration::from_nanos(self.time().0),
            taken: self.clock.wanted() - late - left_out - self.idle,
            late,
            left_out,
            errors: self.statistics.failures() + errors,
            sleepers_stopped: self.statistics.stops.of_sleepers + sleepers,
            processes: self.active.len(),
        }
    }

    /// The time since the beginning.
    fn time(&self) -> Nanos {
        Nanos(now().0.saturating_sub(self.started.0))
    }

    /// Serves a tick, if the limits allow it. Returns whether they did.
    fn sample(&mut self, launched: &mut Option<Launched>) -> bool {
        if self.active.is_empty() {
            self.idle += 1;
            return false;
        }
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
        self.sample_all(weight, launched);
        self.quota.end_tick();
        let at = now();
        if self.budget.is_review_due(at) {
            let running = self.active.iter().map(|program| &program.session.statistics.stops);
            let (stops, stopped) = running
                .chain([&self.statistics.stops])
                .fold((0, 0), |(stops, stopped), all| (stops + all.durations.count(), stopped + all.total.0));
            // Sampling less often saves nothing of what other threads do: those have limits of their own.
            let own_cpu = own::thread_cpu_time().unwrap_or_default();
            self.budget.review(Spent { at, stops, stopped: Nanos(stopped), own_cpu });
        }
        true
    }

    /// Samples each program at this tick, which stands for so many.
    fn sample_all(&mut self, weight: u64, launched: &mut Option<Launched>) {
        let (time, due) = (self.time(), self.clock.due_at());
        let (mut has_failed, mut has_taken, mut told_nothing) = (false, false, false);
        self.first = self.first.checked_rem(self.active.len()).unwrap_or(0);
        let (before, from) = self.active.split_at_mut(self.first);
        for program in from.iter_mut().chain(before) {
            program.session.was_due(due);
            program.session.swap_buffers(&mut self.shared);
            let outcome = program.sample(time, weight);
            program.session.swap_buffers(&mut self.shared);
            has_failed |= outcome.failed;
            has_taken |= outcome.taken;
            told_nothing |= outcome.told_nothing;
            took(outcome, program, launched);
        }
        self.first += 1;
        self.failed += u64::from(has_failed && !has_taken);
        if told_nothing && !has_taken {
            self.budget.told_nothing();
        }
    }
}
