//! Capturing a thread that runs: the shortest stop, and a tracer for no longer than that.
//!
//! Does: read once in vain, so that the caches are warm, while the stop comes where that takes longer; look whether the thread still
//! runs; attach, stop, read the registers, copy memory, detach; tell whether a system call has noticed. A stop that does not come at once
//! stays pending, and is served when it comes: a thread that waits for a CPU has nothing taken from it until then.
//! Does not: keep a stopped thread between two samples, or look at what was copied except through the plan.

use std::io;
use std::time::{Duration, Instant};

use super::captured::Captured;
use super::last_cpus::LastCpus;
use super::native;
use super::pace::Pace;
use super::pending::{Pending, PendingStops, Seen};
use super::placement::{OwnAccount, Placement, Turn};
use super::ptrace::{self, Asked, Stop, StopError, Wait};
use super::read::{Plan, copy_ahead, fill, warm_up};
use super::{stopped, watchdog};
use crate::target::memory::BulkMemory;
use crate::target::status::TaskState;
use crate::target::threads::{Activity, Thread};
use crate::types::{Addr, Nanos};

/// A tracer that has run for longer than this asks for its turn anew before it stops a thread: what it is taken off its CPU for
/// in between, when its time slice is used up (`sampler/precedence.rs`), is added to the stop, and that is milliseconds.
const MAX_TURN: Duration = Duration::from_micros(25);
/// Who has waited for its turn for less than this after a yield had nobody to yield to.
const GAVE_NOTHING: Duration = Duration::from_micros(2);
/// A thread that shares our CPU comes to its stop as soon as we sleep, unless others have their turns before it.
const OWN_CPU_PATIENCE: Duration = Duration::from_micros(200);
/// A thread that another tracer holds is asked again after these pauses: a profiler holds it for microseconds, a debugger for so long that
/// no more than the first of its threads is asked again.
const ASK_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_micros(100), Duration::from_micros(200), Duration::from_micros(400)];
/// How long a stop that must be had may take to come: that of a thread that is read once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a running thread was not captured.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// It is blocked, and is to be read without a stop.
    #[error("the thread is blocked")]
    Blocked,
    /// Its stop has not come yet: it waits for a CPU, or where nothing wakes it.
    #[error("the thread has not come to its stop")]
    Pending,
    /// It had no CPU at the moment for which it was asked: see [`Placement`].
    #[error("the thread was not on a CPU")]
    NotOnCpu,
    /// It was no fair moment: see [`Placement`].
    #[error("the moment tells nothing of the thread")]
    UnfairMoment,
    /// It cannot be stopped, or was killed while it was.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// It is gone, or may not be looked at.
    #[error("the thread cannot be looked at: {0}")]
    Unreadable(#[from] io::Error),
}

/// Which threads are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// Those that run or wait for a CPU.
    IfRunning,
    /// Those that were on a CPU when they were asked, at a fair moment.
    IfOnCpu,
    /// Blocked ones, too, which a program can notice, where nothing else tells where they are: [`Activity::Asleep`].
    EvenAsleep,
    /// Blocked ones, too: for programs of one's own.
    InAnyState,
}

/// Stops threads, and knows how long that takes on this machine.
#[derive(Debug, Default)]
pub struct Stopper {
    pace: Pace,
    /// Which bits of the process's return addresses are their signature, once the kernel was asked.
    signature_mask: Option<u64>,
    /// The calling thread's turn on its CPU.
    turn: Option<Turn>,
    /// Since when it has surely not run for long without asking for its turn anew.
    fresh_since: Option<Instant>,
    own: OwnAccount,
    cpus: LastCpus,
    pending: PendingStops,
    /// Whether the thread that was asked last was another tracer's, to the end.
    is_refused: bool,
}

/// Why a thread was not asked to stop.
enum NotAsked {
    /// Another tracer holds it, and that looks like this.
    HeldByAnother(RunningError),
    /// Another reason.
    Other(RunningError),
}

impl From<RunningError> for NotAsked {
    fn from(error: RunningError) -> NotAsked {
        NotAsked::Other(error)
    }
}

impl Stopper {
    /// Tells that the calling thread has slept, and was ready to run at `due` at the earliest.
    pub fn begin_turn(&mut self, due: Instant) {
        ptrace::let_go_of_late_ones();
        let now = Instant::now();
        self.fresh_since = Some(now);
        let waited = if self.watches_itself() { self.own.waited() } else { Duration::ZERO };
        // A timer can be late, in a virtual machine above all. Who lost its CPU before we had ours has lost it to another.
        let began = now.checked_sub(self.own.ran_since_sleep()).map_or(due, |at| at.max(due + waited)).min(now);
        self.turn = Some(self.own.turn_after_sleep(waited, began));
        self.pending.look(waited);
    }

    /// Tells whether the calling thread goes before all threads without a priority: see [`OwnAccount::set_goes_first`].
    pub fn set_goes_first(&mut self, goes_first: bool) {
        self.own.set_goes_first(goes_first);
    }

    /// Tells that the calling thread goes to sleep.
    pub fn end_turn(&mut self) {
        if self.watches_itself() {
            // What it has waited until now is not what it will have waited when it wakes.
            self.own.waited();
        }
        self.own.sleeps();
        self.turn = None;
        if self.pending.is_empty() && !ptrace::has_late_ones() {
            watchdog::rest();
        }
    }

    /// Whether it matters how long the calling thread waits for a CPU when it wakes. Who goes first waits for no slice to end, and its
    /// account takes two reads a tick; but of a stop that comes while it sleeps the moment is told by that wait.
    fn watches_itself(&self) -> bool {
        !self.own.goes_first() || !self.pending.is_empty()
    }

    /// Whether the thread that was asked last was another tracer's, however often it was asked.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The stops that have not come yet.
    pub fn pending(&mut self) -> &mut PendingStops {
        &mut self.pending
    }

    /// The turn of the calling thread, for a stop that begins now.
    fn turn(&mut self) -> Turn {
        let before = match self.turn {
            Some(turn) => turn,
            None => {
                let waited = self.own.waited();
                self.own.turn_after(waited, Instant::now())
            }
        };
        // Who goes first has no slice that could be used up.
        if self.own.goes_first() || self.fresh_since.is_some_and(|since| since.elapsed() <= MAX_TURN) {
            return before;
        }
        self.own.waited();
        std::thread::yield_now();
        let now = Instant::now();
        let waited = self.own.waited();
        self.fresh_since = Some(now);
        // Where nobody else has run, whom our turn has pushed off its CPU still waits for it. Who was late stays late: it is another's
        // slice that has ended.
        let renewed = self.own.turn_after(waited, now);
        let began = if waited > GAVE_NOTHING { renewed.began } else { before.began };
        *self.turn.insert(Turn { began, at_once: renewed.at_once && before.at_once, ..renewed })
    }

    /// Captures a thread: stops it for as long as copying takes, and fills `captured`.
    ///
    /// # Errors
    /// See [`RunningError`].
    pub fn capture(
        &mut self,
        thread: &mut Thread,
        memory: &dyn BulkMemory,
        plan: &mut dyn Plan,
        captured: &mut Captured,
        stopping: Stopping,
    ) -> Result<(), RunningError> {
        captured.reset();
        let mut pending = match self.pending.take(thread.tid) {
            Some(pending) => pending,
            None => self.ask(thread, (memory, plan, captured), stopping)?,
        };
        if !pending.asked.has_come() {
            // One that was asked in its sleep comes to its stop when it can be woken.
            let is_blocked = pending.asleep.is_none() && !matches!(thread.activity(), Ok(Activity::Running));
            // A thread that has come to its stop meanwhile does not run either.
            if !is_blocked || !pending.asked.has_come() {
                self.pending.keep(pending);
                return Err(if is_blocked { RunningError::Blocked } else { RunningError::Pending });
            }
        }
        self.copy(thread, pending, (memory, plan, captured), stopping)
    }

    /// Asks a thread to stop, a few times if another tracer holds it.
    fn ask(
        &mut self,
        thread: &mut Thread,
        (memory, plan, captured): (&dyn BulkMemory, &mut dyn Plan, &mut Captured),
        stopping: Stopping,
    ) -> Result<Pending, RunningError> {
        let mut pauses = if self.is_refused { [].iter() } else { ASK_AGAIN_AFTER.iter() };
        loop {
            let error = match self.ask_once(thread, (memory, plan, captured), stopping) {
                Ok(pending) => {
                    self.is_refused = false;
                    return Ok(pending);
                }
                Err(NotAsked::Other(error)) => return Err(error),
                Err(NotAsked::HeldByAnother(error)) => error,
            };
            let Some(pause) = pauses.next() else {
                self.is_refused = true;
                return Err(error);
            };
            self.end_turn();
            let until = Instant::now() + *pause;
            std::thread::sleep(*pause);
            self.begin_turn(until);
        }
    }

    /// Asks a thread to stop, and waits for as long as that usually takes.
    fn ask_once(
        &mut self,
        thread: &mut Thread,
        (memory, plan, captured): (&dyn BulkMemory, &mut dyn Plan, &mut Captured),
        stopping: Stopping,
    ) -> Result<Pending, NotAsked> {
        let turn = self.turn();
        watchdog::put_off();
        let mut shares_our_cpu = self.cpus.share_ours(thread);
        let warms_up_first = shares_our_cpu || !self.pace.has_time_to_warm_up();
        if warms_up_first {
            self.warm_up(memory, plan, captured);
        }
        if shares_our_cpu && self.own.goes_first() {
            // It sleeps next, and this was not asked when it woke.
            self.own.waited();
        }
        let before = thread.schedule();
        // The last look before the stop decides, and nothing comes between: a system call in which a thread waits can
        // return EINTR or short when the thread is stopped (ptrace(2), BUGS; signal(7)).
        let mut asleep = None;
        if stopping != Stopping::InAnyState {
            match thread.activity().map_err(RunningError::from)? {
                Activity::Running => {}
                Activity::Blocked { call: None, .. } | Activity::Asleep if thread.is_in_tracing_stop() => {
                    return Err(NotAsked::HeldByAnother(RunningError::Blocked));
                }
                Activity::Asleep if stopping == Stopping::EvenAsleep => asleep = thread.task_state(),
                _ => return Err(RunningError::Blocked.into()),
            }
        }
        let at = Instant::now();
        let process = thread.live_process().ok_or(RunningError::Stop(StopError::Gone))?;
        let asked = match Asked::new(process, thread.tid) {
            // A thread that is ending cannot be traced any more.
            Err(StopError::Denied) if !thread.has_ended() => {
                return Err(NotAsked::HeldByAnother(StopError::Denied.into()));
            }
            asked => asked.map_err(RunningError::from)?,
        };
        let mut pending = Pending { tid: thread.tid, asked, at, before, turn, asleep, is_late: false, seen: None };
        if !shares_our_cpu {
            if !warms_up_first {
                self.warm_up(memory, plan, captured);
            }
            if !pending.asked.wait(Wait::SpinFor(self.pace.spin())) {
                shares_our_cpu = self.cpus.share_ours_after_all(thread);
                // As above.
                self.own.waited();
            }
            if !shares_our_cpu {
                self.pace.stop_took(at.elapsed());
            }
        }
        if shares_our_cpu {
            let has_come = pending.asked.wait(Wait::SleepFor(OWN_CPU_PATIENCE));
            let now = Instant::now();
            let late_by = self.own.waited();
            pending.seen = has_come.then_some(Seen { at: now, late_by });
            let renewed = self.own.turn_after(late_by, now);
            self.turn = Some(Turn { at_once: renewed.at_once && turn.at_once, ..renewed });
        }
        if stopping == Stopping::InAnyState {
            pending.asked.wait(Wait::SleepFor(PATIENCE));
        }
        Ok(pending)
    }

    /// Reads in vain, and learns how long that takes.
    fn warm_up(&mut self, memory: &dyn BulkMemory, plan: &dyn Plan, captured: &mut Captured) {
        let start = Instant::now();
        warm_up(captured, memory, plan);
        self.pace.warm_up_took(start.elapsed());
    }

    /// Copies what is wanted of a thread that stands still, and lets it go.
    fn copy(
        &mut self,
        thread: &Thread,
        pending: Pending,
        (memory, plan, captured): (&dyn BulkMemory, &mut dyn Plan, &mut Captured),
        stopping: Stopping,
    ) -> Result<(), RunningError> {
        let Pending { asked, at, before, turn, asleep, is_late, seen, .. } = pending;
        // Of a stop that came late it is known now what it was that it had to wait for, and of most that they are not wanted.
        let known = is_late.then(|| thread.schedule());
        let seen = seen.unwrap_or_else(|| Seen { at: Instant::now(), late_by: Duration::ZERO });
        let stop = asked.into_stop()?.ok_or(RunningError::Pending)?;
        let is_wanted = |placement| stopping != Stopping::IfOnCpu || placement == Placement::OnCpu;
        let came_at = seen.at.checked_sub(seen.late_by).unwrap_or(seen.at);
        let placement_by = |after| turn.placement(before, after, came_at);
        let wanted = known.is_none_or(|after| is_wanted(placement_by(after)));
        let copied =
            if wanted { copy_stopped(&stop, (memory, plan, captured), &mut self.signature_mask) } else { Ok(None) };
        let holds_signal = stop.holds_signal();
        let ended = stop.resume();
        let released = Instant::now();
        let after = known.unwrap_or_else(|| thread.schedule());
        captured.placement = placement_by(after);
        captured.came_after = Some(Nanos::from(came_at.saturating_duration_since(at)));
        let has_queued = before.zip(after).is_some_and(|(before, after)| after.waited > before.waited);
        let since = if has_queued || is_late { came_at } else { at };
        captured.stood_still = Some(Nanos::from(released.saturating_duration_since(since)));
        if let Some(status) = ended {
            return Err(StopError::Exited(status).into());
        }
        let set = copied?;
        // Code does not change: what is around the program counter can be read while the thread runs.
        let pc = captured.registers.get(native::PC);
        let code_at = |offset: i64| memory.read_u32(Addr(pc?.checked_add_signed(offset)?)).ok();
        captured.disturbed = !holds_signal && set.is_some_and(|set| native::interrupted_call(&set, || code_at(-4)));
        if let Some(state) = asleep {
            captured.system_call = set.and_then(|set| native::call_slept_in(&set, code_at));
            // One that has left its call was woken before the stop came, and ran.
            captured.asleep = (captured.system_call.is_some() || state != TaskState::Blocked).then_some(state);
        }
        if captured.asleep.is_some() {
            // It queued for a CPU only because it was asked.
            captured.placement = Placement::OnCpu;
        }
        match captured.placement {
            placement if is_wanted(placement) => Ok(()),
            Placement::Unfair => Err(RunningError::UnfairMoment),
            Placement::OnCpu | Placement::Queued => Err(RunningError::NotOnCpu),
        }
    }

    /// Which bits of the process's return addresses are their signature, found out without stopping one of its threads:
    /// until one was stopped, the kernel is asked about a child of our own, of which it says the same.
    pub fn signature_mask(&mut self) -> u64 {
        match native::SIGNATURE_SET {
            None => 0,
            Some(_) => *self
                .signature_mask
                .get_or_insert_with(|| ptrace::ask_of_a_child(|stop| Some(stopped::signature_mask(stop))).unwrap_or(0)),
        }
    }
}

/// Copies the registers and the memory of a stopped thread. Returns the general registers as the kernel lays them out.
fn copy_stopped(
    stop: &Stop,
    (memory, plan, captured): (&dyn BulkMemory, &mut dyn Plan, &mut Captured),
    known_mask: &mut Option<u64>,
) -> Result<Option<[u8; native::REGISTER_SET_SIZE]>, RunningError> {
    copy_ahead(captured, memory, plan);
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer)?;
    captured.registers = stopped::registers(stop, set, known_mask)?;
    fill(captured, memory, plan);
    Ok(Some(buffer))
}
