//! The processes of a recording: who finds them while they come and go.
//!
//! Does: on a thread of its own, so that no sample waits for it: look many times a second for processes that are chosen, get those ready
//! to be sampled that run Python, and hand them over. Does not: sample, or stop a thread.

mod candidate;
mod found;
mod roster;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};

use super::mode::Mode;
use crate::process::binaries::Binaries;
use crate::sampler::session::Session;
use crate::target::process_table::ProcessEntry;
use crate::target::selection::Selection;
use crate::target::view::Identity;
use crate::types::Pid;
pub use found::{Followed, Found, Refused, Which};
use roster::Roster;

/// So many looks find what is there, also what is just starting.
const LOOKS_NOW: u32 = 3;
/// How often to look: what comes is to be found within 50 ms.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So many looks after the last process has ended there is none that was overlooked.
const LOOKS_AFTER_THE_LAST: u64 = 3;

/// A look into one process takes some milliseconds, on a full machine a second: one that takes as long as this is held up.
const STUCK: Duration = Duration::from_secs(5);
/// For so long the end waits for the process that is being looked into.
const END_LIMIT: Duration = Duration::from_millis(500);

/// What the follower is told.
enum Told {
    /// The process has another program, or may have.
    LookAgain(Which),
    /// The process is sampled no more.
    Ended(Which),
}

/// What it tells of itself.
#[derive(Debug, Default)]
struct Shared {
    /// The process that is looked into, by its id.
    looking_into: AtomicI32,
    /// What became of processes, as far as that is settled.
    settled: Mutex<Followed>,
    /// Whether any of the chosen processes lives that is sampled or may be soon.
    lives: AtomicBool,
    /// How often it has looked.
    looks: AtomicU64,
    stop: AtomicBool,
}

/// The processes that are chosen and run Python now, by their ids, and what became of the others.
///
/// # Errors
/// When there can be no thread.
pub fn find_now(selection: &Selection, mode: Mode) -> io::Result<(Vec<Session>, Followed)> {
    let mut follower = Follower::start(selection.clone(), mode, Arc::default(), &[], false)?;
    let mut sessions = Vec::new();
    // As long as it gets on.
    let mut moved_at = (0, Instant::now());
    while !follower.has_looked() && moved_at.1.elapsed() < STUCK {
        let looking_into = follower.shared.looking_into.load(Ordering::Relaxed);
        if looking_into != moved_at.0 {
            moved_at = (looking_into, Instant::now());
        }
        sessions.extend(follower.wait(LOOK_EVERY).map(|found| found.session));
    }
    let followed = follower.end();
    sessions.extend(std::iter::from_fn(|| follower.found()).map(|found| found.session));
    sessions.sort_by_key(|session| session.identity().pid);
    Ok((sessions, followed))
}

/// Follows processes. Dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    found: Receiver<Box<Found>>,
    tell: Option<Sender<Told>>,
    shared: Arc<Shared>,
    end: Receiver<Followed>,
    thread: Option<JoinHandle<()>>,
    /// Whether what is chosen may come at any time.
    waits: bool,
    /// How often it had looked when there was nothing to sample any more.
    idle_at: Option<u64>,
}

impl Follower {
    /// Follows the processes that are chosen; those in `open` are being sampled already. `waits`: also while there are none.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        selection: Selection,
        mode: Mode,
        binaries: Arc<Binaries>,
        open: &[&Identity],
        waits: bool,
    ) -> io::Result<Follower> {
        let ((hand, found), (tell, told), (tell_end, end)) = (channel(), channel(), channel());
        let shared = Arc::new(Shared::default());
        let (of_thread, mut roster) = (Arc::clone(&shared), Roster::new(selection, mode, binaries, open));
        let follow = move || {
            loop {
                let is_about = |pid: Option<Pid>| {
                    of_thread.looking_into.store(pid.map_or(0, |pid| pid.0), Ordering::Relaxed);
                    !of_thread.stop.load(Ordering::Relaxed)
                };
                roster.look(&is_about, &mut |found| {
                    // Who sampled it may be gone; then this ends, too.
                    let _ = hand.send(Box::new(found));
                });
                of_thread.settled.lock().unwrap_or_else(PoisonError::into_inner).clone_from(roster.settled());
                of_thread.lives.store(roster.lives(), Ordering::Relaxed);
                of_thread.looks.fetch_add(1, Ordering::Release);
                match told.recv_timeout(LOOK_EVERY) {
                    Ok(Told::LookAgain(which)) => roster.look_again(which),
                    Ok(Told::Ended(which)) => roster.ended(which),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if of_thread.stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            // Who wanted to know may have given up.
            let _ = tell_end.send(roster.followed());
        };
        // Signals are for others; SIGCONT above all: a watchdog has one pending, which no thread may take.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let thread = thread::Builder::new().name("follower".into()).spawn(follow);
        if let Ok(before) = before {
            // The mask was valid a moment ago.
            let _ = before.thread_set_mask();
        }
        let thread = thread?;
        Ok(Follower { found, tell: Some(tell), end, shared, thread: Some(thread), waits, idle_at: None })
    }

    /// A process that has been found since; `None` when there is none just now.
    pub fn found(&mut self) -> Option<Found> {
        let found = self.found.try_recv().ok()?;
        self.idle_at = None;
        Some(*found)
    }

    /// The same, but waits for one.
    pub fn wait(&mut self, limit: Duration) -> Option<Found> {
        self.found.recv_timeout(limit).ok().map(|found| *found)
    }

    /// Looks into a process again, which has another program now.
    pub fn look_again(&self, which: Which) {
        self.tell(Told::LookAgain(which));
    }

    /// Takes note that a process is not sampled any more.
    pub fn ended(&self, which: Which) {
        self.tell(Told::Ended(which));
    }

    fn tell(&self, told: Told) {
        if let Some(tell) = &self.tell {
            // A thread that has ended by a panic finds nothing more; that is told when it is joined.
            let _ = tell.send(told);
        }
    }

    /// Whether it has looked often enough to have found what was there.
    pub fn has_looked(&self) -> bool {
        self.shared.looks.load(Ordering::Acquire) >= u64::from(LOOKS_NOW)
    }

    /// Whether more may come now that nothing is sampled: a chosen process lives that may start Python, or one may be started at any
    /// time.
    pub fn may_find_more(&mut self) -> bool {
        let looks = self.shared.looks.load(Ordering::Acquire);
        let since = *self.idle_at.get_or_insert(looks);
        let has_looked = looks.saturating_sub(since) >= LOOKS_AFTER_THE_LAST;
        let is_over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        !is_over && (self.waits || !has_looked || self.shared.lives.load(Ordering::Relaxed))
    }

    /// Ends it. Returns what became of the processes. Where it is held up by one, whose memory can take as long to answer as that one likes,
    /// it is left alone: it ends with fpprof.
    pub fn end(&mut self) -> Followed {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.tell = None;
        let Some(thread) = self.thread.take() else { return Followed::default() };
        match self.end.recv_timeout(END_LIMIT) {
            Ok(followed) => followed,
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => Followed::default(),
            },
            Err(RecvTimeoutError::Timeout) => {
                let mut followed = self.shared.settled.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // None while the table of processes is read: that holds up nobody for good.
                let pid = Pid(self.shared.looking_into.load(Ordering::Relaxed));
                if pid != Pid(0) {
                    let name = ProcessEntry::of(pid).map_or_else(String::new, |entry| entry.name);
                    followed.refuse(Refused { pid, name, reason: "its memory does not answer".to_owned() });
                }
                followed
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Not waited for: it ends by itself.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}
