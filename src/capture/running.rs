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
use super::ptrace::{Stop, StopError, Wait};
use super::read::{Plan, copy_ahead, fill, warm_up};
use crate::target::process_memory::ProcessMemory;
use crate::target::threads::{Activity, Thread};
use crate::types::Nanos;

/// Spinning for a stop on another CPU is given up after twice the time that stops take there, which depends on the
/// machine (5 µs, 40 in some virtual machines), within these bounds: a thread that waits for a CPU takes much longer.
const SPIN: RangeInclusive<Duration> = Duration::from_micros(20)..=Duration::from_micros(100);

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
}

impl Stopper {
    /// Captures a thread: stops it for as long as copying takes, and fills `captured`.
    ///
    /// # Errors
    /// See [`RunningError`].
    pub fn capture(
        &mut self,
        thread: &mut Thread,
        memory: &ProcessMemory,
        plan: &mut dyn Plan,
        captured: &mut Captured,
        stopping: Stopping,
    ) -> Result<(), RunningError> {
        captured.reset();
        warm_up(captured, memory, plan);
        let shares_our_cpu = nix::sched::sched_getcpu().ok().is_some_and(|cpu| thread.last_cpu() == Some(cpu));
        let spin = (self.latency * 2).clamp(*SPIN.start(), *SPIN.end());
        let wait = if shares_our_cpu { Wait::Sleep } else { Wait::SpinFor(spin) };
        // The last look before the stop decides, and nothing comes between: a system call in which a thread waits can
        // return EINTR or short when the thread is stopped (ptrace(2), BUGS; signal(7)).
        if stopping == Stopping::IfRunning && thread.activity()? != Activity::Running {
            return Err(RunningError::Blocked);
        }
        let stopped_after = stop_and_copy(thread, wait, (memory, plan, captured))?;
        if !shares_our_cpu {
            self.latency = (self.latency * 7 + stopped_after.min(*SPIN.end())) / 8;
        }
        Ok(())
    }
}

/// Gives how long it took the thread to stand still.
fn stop_and_copy(
    thread: &Thread,
    wait: Wait,
    (memory, plan, captured): (&ProcessMemory, &mut dyn Plan, &mut Captured),
) -> Result<Duration, RunningError> {
    let asked = Instant::now();
    let stop = Stop::new(memory.pid(), thread.tid, wait)?;
    let stopped_after = asked.elapsed();
    copy_ahead(captured, memory, plan);
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer)?;
    captured.registers = native::decode(set).ok_or(StopError::Gone)?;
    captured.disturbed = !stop.holds_signal() && native::interrupted_call(set);
    fill(captured, memory, plan);
    if let Some(status) = stop.resume() {
        return Err(StopError::Exited(status).into());
    }
    captured.stood_still = Some(Nanos(asked.elapsed().as_nanos() as u64));
    Ok(stopped_after)
}
