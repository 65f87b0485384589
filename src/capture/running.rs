//! Capturing a thread that runs: the shortest stop, and a tracer for no longer than that.
//!
//! Does: read once in vain, so that the caches are warm; look whether it still runs; attach, stop, read the registers,
//! copy memory, detach; tell whether a system call has noticed.
//! Does not: keep anything attached between two samples, or look at what was copied except through the plan.

use std::io;
use std::time::{Duration, Instant};

use super::captured::Captured;
use super::native;
use super::ptrace::{Stop, StopError, Wait};
use super::read::{Plan, fill, warm_up};
use crate::target::process_memory::ProcessMemory;
use crate::target::threads::{Activity, Thread};
use crate::types::Nanos;

/// How long to spin for a stop on another CPU before sleeping. A stop there takes some 5 µs; twenty bound what is
/// wasted when the thread has moved to our own CPU meanwhile.
const SPIN: Duration = Duration::from_micros(20);

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

/// Captures a thread if it runs: stops it for as long as copying takes, and fills `captured`.
///
/// # Errors
/// See [`RunningError`].
pub fn capture(
    thread: &mut Thread,
    memory: &ProcessMemory,
    plan: &mut dyn Plan,
    captured: &mut Captured,
) -> Result<(), RunningError> {
    captured.reset();
    warm_up(captured, memory, plan);
    let shares_our_cpu = nix::sched::sched_getcpu().ok().is_some_and(|cpu| thread.last_cpu() == Some(cpu));
    let wait = if shares_our_cpu { Wait::Sleep } else { Wait::SpinFor(SPIN) };
    // The last look before the stop decides, and nothing comes between: a system call in which a thread waits can
    // return EINTR or short when the thread is stopped (ptrace(2), BUGS; signal(7)).
    if thread.activity()? != Activity::Running {
        return Err(RunningError::Blocked);
    }
    stop_and_copy(thread, wait, (memory, plan, captured))
}

/// Captures a thread whether it runs or not: for programs of one's own, whose system calls may be disturbed.
///
/// # Errors
/// See [`RunningError`].
pub fn capture_in_any_state(
    thread: &mut Thread,
    memory: &ProcessMemory,
    plan: &mut dyn Plan,
    captured: &mut Captured,
) -> Result<(), RunningError> {
    captured.reset();
    stop_and_copy(thread, Wait::Sleep, (memory, plan, captured))
}

fn stop_and_copy(
    thread: &Thread,
    wait: Wait,
    (memory, plan, captured): (&ProcessMemory, &mut dyn Plan, &mut Captured),
) -> Result<(), RunningError> {
    let asked = Instant::now();
    let stop = Stop::new(memory.pid(), thread.tid, wait)?;
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer)?;
    captured.registers = native::decode(set).ok_or(StopError::Gone)?;
    captured.disturbed = !stop.holds_signal() && native::interrupted_call(set);
    fill(captured, memory, plan);
    if let Some(status) = stop.resume() {
        return Err(StopError::Exited(status).into());
    }
    captured.stood_still = Some(Nanos(asked.elapsed().as_nanos() as u64));
    Ok(())
}
