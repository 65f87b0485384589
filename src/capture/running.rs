//! Capturing a thread that runs: the shortest stop, and a tracer for no longer than that.
//!
//! Does: attach, stop, read the registers, copy memory, detach.
//! Does not: keep anything attached between two samples, or look at what was copied except through the plan.

use std::time::{Duration, Instant};

use super::captured::Captured;
use super::native;
use super::ptrace::{Stop, StopError, Wait};
use super::read::{Plan, fill};
use crate::target::process_memory::ProcessMemory;
use crate::target::threads::Thread;
use crate::types::Nanos;

/// How long to spin for a stop on another CPU before sleeping. A stop there takes some 5 µs; twenty bound what is
/// wasted when the thread has moved to our own CPU meanwhile.
const SPIN: Duration = Duration::from_micros(20);

/// Stops the thread for as long as copying takes, and fills `captured`.
///
/// # Errors
/// When the thread cannot be stopped or was killed while it was.
pub fn capture(
    thread: &mut Thread,
    memory: &ProcessMemory,
    plan: &mut dyn Plan,
    captured: &mut Captured,
) -> Result<(), StopError> {
    captured.reset();
    let shares_our_cpu = nix::sched::sched_getcpu().ok().is_some_and(|cpu| thread.last_cpu() == Some(cpu));
    let wait = if shares_our_cpu { Wait::Sleep } else { Wait::SpinFor(SPIN) };
    let asked = Instant::now();
    let stop = Stop::new(memory.pid(), thread.tid, wait)?;
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer)?;
    captured.registers = native::decode(set).ok_or(StopError::Gone)?;
    fill(captured, memory, plan);
    if let Some(status) = stop.resume() {
        return Err(StopError::Exited(status));
    }
    captured.stood_still = Some(Nanos(asked.elapsed().as_nanos() as u64));
    Ok(())
}
