//! The recording itself, on a thread of its own.
//!
//! Does: run the sampling until its end, with pauses in which this process is stopped. On a thread of its own, for the kernel lets go of
//! what a thread traces when that ends, whatever became of its stops (ptrace(2)).
//! Does not: sample (`sampling_loop` does), parse arguments, name frames or write files.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::plan::{Observer, Plan, Recording};
use super::requests::Requests;
use super::sampling_loop::SamplingLoop;
use super::stream::Stream;
use crate::capture::watchdog;
use crate::sampler::follower::Follower;
use crate::sampler::session::Session;
use crate::target::launch::Launched;

/// Records a session until the end, and the processes that `follower` finds meanwhile, and writes to `stream`. A program that we have
/// started is waited for through `launched`.
///
/// # Errors
/// When there can be no thread.
pub fn record(
    plan: Plan,
    requests: Requests<'_>,
    stream: Option<Stream>,
    (session, follower): (Session, Option<Follower>),
    launched: &mut Option<Launched>,
    observer: &mut dyn Observer,
) -> io::Result<Recording> {
    let mut sampling = SamplingLoop::new(plan, requests, stream, (session, follower));
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
            sampling.go_on(launched, observer)
        })?;
        match ended {
            Some(ended) => return Ok(sampling.finish(ended)),
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
