//! How much time each sample stands for: what its thread has used by the kernel's account, over a window, divided among its samples.
//!
//! Does: hold the samples of a window, compare accounts, divide. Samples only say where time went; how much it was, the scheduler knows
//! better than any number of ticks: on a full machine, under a quota, and where ticks were late or left out.
//! Does not: read an account, or count stacks.

use rustc_hash::FxHashMap;

use crate::profile::tree::NodeId;
use crate::sampler::accounts::Accounts;
use crate::sampler::mode::Mode;
use crate::sampler::run_state::RunState;
use crate::types::{Nanos, Tid};

/// With fewer ticks the time that one stands for is the clock's period: what has passed is too little to tell.
const ENOUGH_TICKS: u64 = 10;

/// A sample in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// When it was taken, since the recording began.
    pub time: Nanos,
    /// Its thread.
    pub tid: Tid,
    /// What that did.
    pub run_state: RunState,
    /// Its stack.
    pub node: NodeId,
    /// The ticks of the clock that it stands for.
    pub ticks: u64,
}

/// What a thread can have spent time on that its account tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    OnCpu,
    InQueue,
    Blocked,
}

const USES: [Use; 3] = [Use::OnCpu, Use::InQueue, Use::Blocked];

/// A thread's account when it was compared last, and the time of each use, in nanoseconds, of which no sample has been seen since.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    on_cpu: u64,
    waited: u64,
    left: [u64; 3],
}

/// The samples since accounts were compared last.
#[derive(Debug)]
pub struct Window {
    mode: Mode,
    period: u64,
    began: Nanos,
    ticks: u64,
    /// Each with no time yet.
    held: Vec<(Held, u64)>,
    accounts: FxHashMap<Tid, Account>,
    process: Option<u64>,
    /// The process's CPU time when that was looked at last, and when that was: all that is known of one that has ended since.
    latest: Option<(Nanos, u64)>,
    /// CPU time of threads that have ended and of those that were never listed, in nanoseconds, that was given to no sample. Below zero
    /// for a while where a thread's account was read later than its process's.
    of_ended: i64,
    cpu: u64,
    /// The last sample of each living thread that was on a CPU, and the time that it stood for, in nanoseconds.
    last: FxHashMap<Tid, (Held, u64)>,
}

impl Window {
    /// The first window of a recording in this mode, a tick of whose clock stands for `period`.
    pub fn new(mode: Mode, period: Nanos) -> Window {
        Window {
            mode,
            period: period.0,
            began: Nanos(0),
            ticks: 0,
            held: Vec::new(),
            accounts: FxHashMap::default(),
            process: None,
            latest: None,
            of_ended: 0,
            cpu: 0,
            last: FxHashMap::default(),
        }
    }

    /// Begins, or goes on after a pause: what was used until now is nothing to do with it.
    pub fn begin(&mut self, now: Nanos, accounts: &Accounts) {
        (self.began, self.ticks) = (now, 0);
        for (tid, schedule) in &accounts.threads {
            let account = self.accounts.entry(*tid).or_default();
            (account.on_cpu, account.waited) = (schedule.on_cpu.0, schedule.waited.0);
        }
        self.process = accounts.cpu.map(|cpu| cpu.0);
        self.latest = None;
    }

    /// Begins with a process that was started a moment ago: what it has used until now belongs to it.
    pub fn begin_at_birth(&mut self, now: Nanos) {
        self.begin(now, &Accounts { cpu: Some(Nanos(0)), ..Accounts::default() });
    }

    /// Takes note of the CPU time of the process, between two windows: it may end before the next.
    pub fn note(&mut self, now: Nanos, cpu: Nanos) {
        self.latest = Some((now, cpu.0));
    }

    /// When it began, since the recording did.
    pub fn began(&self) -> Nanos {
        self.began
    }

    /// Takes note that so many ticks have passed.
    pub fn tick(&mut self, ticks: u64) {
        self.ticks = self.ticks.saturating_add(ticks);
    }

    /// Holds a sample.
    pub fn add(&mut self, sample: Held) {
        self.held.push((sample, 0));
    }

    /// Ends the window and begins the next one. Returns its samples, each with its time in microseconds.
    pub fn close(&mut self, now: Nanos, accounts: &Accounts) -> Vec<(Held, u64)> {
        let tick = self.time_of_a_tick(now);
        let mut held = std::mem::take(&mut self.held);
        if self.mode == Mode::Gil {
            // The kernel keeps no account of who holds it.
            held.iter_mut().for_each(|(held, weight)| *weight = held.ticks.saturating_mul(tick) / 1_000);
        } else {
            self.apportion(tick, accounts, &mut held);
            let mode = self.mode;
            for (sample, _) in held.iter().filter(|(sample, _)| use_of(mode, sample) == Use::OnCpu) {
                let stood_for = sample.ticks.max(1).saturating_mul(tick);
                self.last.insert(sample.tid, (sample.clone(), stood_for));
            }
            self.last.retain(|tid, _| self.accounts.contains_key(tid));
        }
        (self.began, self.ticks) = (now, 0);
        held
    }

    /// Ends the last window: what threads have used since their last samples, each as much as two samples stand for at most, is given to
    /// these. Returns them with that time, in microseconds: it is no sample's of its own.
    pub fn finish(&mut self) -> Vec<(Held, u64)> {
        let mut given = Vec::new();
        for (tid, (sample, stood_for)) in self.last.drain() {
            let Some(account) = self.accounts.get_mut(&tid) else { continue };
            let left = &mut account.left[Use::OnCpu as usize];
            let micros = *left / 1_000;
            if *left <= stood_for.saturating_mul(2) && micros > 0 {
                *left -= micros * 1_000;
                given.push((Held { ticks: 0, ..sample }, micros));
            }
        }
        given
    }

    /// The CPU time so far, and how much of it no sample was given.
    pub fn cpu(&self) -> (Nanos, Nanos) {
        let left: u64 = self.accounts.values().map(|account| account.left[Use::OnCpu as usize]).sum();
        (Nanos(self.cpu), Nanos(left.saturating_add_signed(self.of_ended.max(0))))
    }

    fn apportion(&mut self, tick: u64, accounts: &Accounts, held: &mut [(Held, u64)]) {
        let mut of_threads: FxHashMap<Tid, Vec<usize>> = FxHashMap::default();
        for (index, (held, _)) in held.iter().enumerate() {
            of_threads.entry(held.tid).or_default().push(index);
        }
        let before = std::mem::take(&mut self.accounts);
        let mut used = 0_u64;
        for (tid, schedule) in &accounts.threads {
            // One that was not there before has used all that it has since then.
            let mut account = before.get(tid).copied().unwrap_or_default();
            let indices = of_threads.remove(tid).unwrap_or_default();
            let on_cpu = schedule.on_cpu.0.saturating_sub(account.on_cpu);
            let waited = schedule.waited.0.saturating_sub(account.waited);
            let ticks: u64 = indices.iter().filter_map(|index| held.get(*index)).map(|(held, _)| held.ticks).sum();
            let blocked = ticks.saturating_mul(tick).saturating_sub(on_cpu.saturating_add(waited));
            used = used.saturating_add(on_cpu);
            (account.on_cpu, account.waited) = (schedule.on_cpu.0, schedule.waited.0);
            for (what, time) in USES.into_iter().zip([on_cpu, waited, blocked]) {
                let left = &mut account.left[what as usize];
                *left = left.saturating_add(time);
                *left -= self.divide(what, *left, &indices, held);
            }
            self.accounts.insert(*tid, account);
        }
        let has_ended = |(tid, account): (&Tid, &Account)| match self.accounts.contains_key(tid) {
            true => 0,
            false => account.left[Use::OnCpu as usize],
        };
        self.of_ended = self.of_ended.saturating_add_unsigned(before.iter().map(has_ended).sum());
        let ended: Vec<usize> = of_threads.into_values().flatten().collect();
        let cpu = self.cpu_of_ended(tick, (accounts, used), ended.iter().filter_map(|index| held.get(*index)));
        self.cpu = self.cpu.saturating_add(used).saturating_add_signed(cpu);
        self.of_ended = self.of_ended.saturating_add(cpu);
        (self.process, self.latest) = (accounts.cpu.map(|cpu| cpu.0), None);
        for what in USES {
            if what == Use::OnCpu {
                let given = self.divide(what, self.of_ended.max(0).unsigned_abs(), &ended, held);
                self.of_ended = self.of_ended.saturating_sub_unsigned(given);
            } else {
                let is_it = |(sample, _): &&(Held, u64)| use_of(self.mode, sample) == what;
                let ticks: u64 =
                    ended.iter().filter_map(|index| held.get(*index)).filter(is_it).map(|(h, _)| h.ticks).sum();
                self.divide(what, ticks.saturating_mul(tick), &ended, held);
            }
        }
    }

    /// The CPU time of threads that have ended or were never listed, in nanoseconds: what is the process's, and not `used` by those that
    /// live. Where the kernel does not tell, or not any more, what it told last, and since then what the ticks of their samples say.
    fn cpu_of_ended<'a>(
        &self,
        tick: u64,
        (accounts, used): (&Accounts, u64),
        samples: impl Iterator<Item = &'a (Held, u64)>,
    ) -> i64 {
        let (known, until) = match (self.process, accounts.cpu, self.latest) {
            (Some(before), Some(after), _) => {
                return 0_i64.saturating_add_unsigned(after.0.saturating_sub(before)).saturating_sub_unsigned(used);
            }
            (Some(before), None, Some((until, latest))) => {
                (latest.saturating_sub(before).saturating_sub(used), Some(until))
            }
            _ => (0, None),
        };
        let is_later = |(sample, _): &&(Held, u64)| {
            until.is_none_or(|until| sample.time > until) && use_of(self.mode, sample) == Use::OnCpu
        };
        let ticks: u64 = samples.filter(is_later).map(|(sample, _)| sample.ticks).sum();
        i64::try_from(known.saturating_add(ticks.saturating_mul(tick))).unwrap_or(i64::MAX)
    }

    /// Divides a time, in nanoseconds, among those of the samples that are of this use. Returns how much was given: none where there is
    /// no such sample, else all whole microseconds.
    fn divide(&self, what: Use, time: u64, indices: &[usize], held: &mut [(Held, u64)]) -> u64 {
        let is_it =
            |held: &[(Held, u64)], index: usize| held.get(index).is_some_and(|(h, _)| use_of(self.mode, h) == what);
        let mine: Vec<usize> = indices.iter().copied().filter(|index| is_it(held, *index)).collect();
        let micros = time / 1_000;
        // What has no ticks of its own stands for the moment alone.
        let ticks_of =
            |held: &[(Held, u64)], index: usize| held.get(index).map_or(0, |(held, _)| u128::from(held.ticks.max(1)));
        let all: u128 = mine.iter().map(|index| ticks_of(held, *index)).sum();
        let (mut so_far, mut given) = (0_u128, 0_u64);
        for index in mine {
            so_far += ticks_of(held, index);
            // What has been given until here is exact to a microsecond, and so is all of it.
            let until_here = u64::try_from(u128::from(micros) * so_far / all.max(1)).unwrap_or(u64::MAX);
            if let Some((_, weight)) = held.get_mut(index) {
                *weight = until_here.saturating_sub(given);
            }
            given = until_here;
        }
        given.saturating_mul(1_000)
    }

    /// The time that a tick stands for: late ones have no sample, and the others stand for them, too.
    fn time_of_a_tick(&self, now: Nanos) -> u64 {
        match self.ticks >= ENOUGH_TICKS {
            true => now.0.saturating_sub(self.began.0) / self.ticks,
            false => self.period,
        }
    }
}

fn use_of(mode: Mode, held: &Held) -> Use {
    match &held.run_state {
        // What was sampled because it ran has run, also where it had just begun to wait.
        _ if mode == Mode::Cpu => Use::OnCpu,
        state if state.is_on_cpu() => Use::OnCpu,
        RunState::WaitingForCpu => Use::InQueue,
        _ => Use::Blocked,
    }
}

#[cfg(test)]
mod tests;
