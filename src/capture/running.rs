//! Capturing a thread that runs: the shortest stop, and a tracer for no longer than that.
//!
//! Does: read once in vain, so that the caches are warm; look whether it still runs; attach, stop, read the registers,
//! copy memory, detach; tell whether a system call has noticed.
//! Does not: keep anything attached between two samples, or look at what was copied except through the plan.

use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::captured::Captured;
use super::native;
use super::ptrace::{self, Stop, StopError, Wait};
use super::read::{Plan, copy_ahead, fill, warm_up};
use crate::target::memory::BulkMemory;
use crate::target::registers::Registers;
use crate::target::threads::{Activity, Thread};
use crate::types::{Addr, Nanos};

/// Spinning for a stop on another CPU is given up after twice the time that stops take there, which depends on the
/// machine (5 µs, 40 in some virtual machines), within these bounds: a thread that waits for a CPU takes much longer.
const SPIN: RangeInclusive<Duration> = Duration::from_micros(20)..=Duration::from_micros(100);

/// A tracer that has run for longer than this asks for its turn anew before it stops a thread: what it is taken off its CPU for
/// in between, when its time slice is used up (`sampler/time_slice.rs`), is added to the stop, and that is milliseconds.
const MAX_TURN: Duration = Duration::from_micros(25);

/// Why a running thread was not captured.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// It is blocked, and is to be read without a stop.
    #[error("the thread is blocked")]
    Blocked,
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
    /// Those that run.
    IfRunning,
    /// Blocked ones, too, which a program can notice: for programs of one's own.
    InAnyState,
}

/// Stops threads, and knows how long that takes on this machine.
#[derive(Debug, Default)]
pub struct Stopper {
    /// How long it took the last threads on other CPUs to stand still: a moving average.
    latency: Duration,
    /// Which bits of the process's return addresses are their signature, once the kernel was asked.
    signature_mask: Option<u64>,
    /// Since when the calling thread has surely had its CPU.
    turn_began: Option<Instant>,
}

impl Stopper {
    /// Tells that the calling thread has just been given its CPU: it has slept.
    pub fn begin_turn(&mut self) {
        self.turn_began = Some(Instant::now());
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
        if self.turn_began.is_none_or(|began| began.elapsed() > MAX_TURN) {
            std::thread::yield_now();
            self.begin_turn();
        }
        warm_up(captured, memory, plan);
        let shares_our_cpu = nix::sched::sched_getcpu().ok().is_some_and(|cpu| thread.last_cpu() == Some(cpu));
        let spin = (self.latency * 2).clamp(*SPIN.start(), *SPIN.end());
        let wait = if shares_our_cpu { Wait::Sleep } else { Wait::SpinFor(spin) };
        // The last look before the stop decides, and nothing comes between: a system call in which a thread waits can
        // return EINTR or short when the thread is stopped (ptrace(2), BUGS; signal(7)).
        if stopping == Stopping::IfRunning && thread.activity()? != Activity::Running {
            return Err(RunningError::Blocked);
        }
        let stopped_after = stop_and_copy(thread, wait, (memory, plan, captured), &mut self.signature_mask)?;
        if !shares_our_cpu {
            self.latency = (self.latency * 7 + stopped_after.min(*SPIN.end())) / 8;
        }
        Ok(())
    }

    /// Which bits of the process's return addresses are their signature, found out without stopping one of its threads:
    /// until one was stopped, the kernel is asked about a child of our own, of which it says the same.
    pub fn signature_mask(&mut self) -> u64 {
        match native::SIGNATURE_SET {
            None => 0,
            Some(_) => *self
                .signature_mask
                .get_or_insert_with(|| ptrace::ask_of_a_child(|stop| Some(signature_mask(stop))).unwrap_or(0)),
        }
    }
}

/// The kernel's mask; 0 where the processor signs nothing (EINVAL).
fn signature_mask(stop: &Stop) -> u64 {
    let mut buffer = [0; 16];
    let set = native::SIGNATURE_SET.and_then(|number| stop.register_set(number, &mut buffer).ok());
    set.map_or(0, native::decode_signature_mask)
}

/// The thread pointer where it is a register set of its own.
fn thread_pointer(stop: &Stop) -> Option<Addr> {
    let mut buffer = [0; 8];
    stop.register_set(native::THREAD_POINTER_SET?, &mut buffer).ok().filter(|set| set.len() == 8)?;
    Some(Addr(u64::from_le_bytes(buffer)))
}

/// All registers of a stopped thread, of which `set` are the general ones; the signatures' mask is asked for once a process.
///
/// # Errors
/// When the kernel lays the registers out as no kernel does.
pub fn registers(stop: &Stop, set: &[u8], known_mask: &mut Option<u64>) -> Result<Registers, StopError> {
    let mut registers = native::decode(set).ok_or(StopError::Gone)?;
    registers.thread_pointer = registers.thread_pointer.or_else(|| thread_pointer(stop));
    registers.signature_mask = *known_mask.get_or_insert_with(|| signature_mask(stop));
    Ok(registers)
}

/// Returns how long it took the thread to stand still.
fn stop_and_copy(
    thread: &Thread,
    wait: Wait,
    (memory, plan, captured): (&dyn BulkMemory, &mut dyn Plan, &mut Captured),
    known_mask: &mut Option<u64>,
) -> Result<Duration, RunningError> {
    let asked = Instant::now();
    let stop = Stop::new(thread.live_process().ok_or(StopError::Gone)?, thread.tid, wait)?;
    let stopped_after = asked.elapsed();
    copy_ahead(captured, memory, plan);
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer)?;
    captured.registers = registers(&stop, set, known_mask)?;
    let holds_signal = stop.holds_signal();
    fill(captured, memory, plan);
    if let Some(status) = stop.resume() {
        return Err(StopError::Exited(status).into());
    }
    captured.stood_still = Some(Nanos(asked.elapsed().as_nanos() as u64));
    // Code does not change: what is in front of the program counter can be read while the thread runs.
    let pc = captured.registers.get(native::PC);
    let before_pc = || memory.read_u32(Addr(pc?.checked_sub(4)?)).ok();
    captured.disturbed = !holds_signal && native::interrupted_call(set, before_pc);
    Ok(stopped_after)
}
