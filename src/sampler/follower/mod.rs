//! The processes of a recording: who finds them while they come and go.
//!
//! Does: on a thread of its own, so that no sample waits for it: look many times a second for processes that are chosen, get those ready
//! to be sampled that run Python, and hand them over. Does not: sample, or stop a thread.

mod candidate;
mod found;
mod roster;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::mode::Mode;
use crate::process::binaries::Binaries;
use crate::sampler::session::Session;
use crate::target::selection::Selection;
use crate::target::view::Identity;
pub use found::{Followed, Found, Refused, Which};
use roster::Roster;

/// So many looks find what is there, also what is just starting.
const LOOKS_NOW: u32 = 3;
/// How often to look: what comes is to be found within 50 ms.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So many looks after the last process has ended there is none that was overlooked.
const LOOKS_AFTER_THE_LAST: u64 = 3;

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
    /// Whether any of the chosen processes lives that is sampled or may be soon.
    lives: AtomicBool,
    /// How often it has looked.
    looks: AtomicU64,
    stop: AtomicBool,
}

/// The processes that are chosen and run Python now, by their ids, and what became of the others.
pub fn find_now(selection: &Selection, mode: Mode) -> (Vec<Session>, Followed) {
    let mut sessions = Vec::new();
    let mut roster = Roster::new(selection.clone(), mode, Arc::default(), &[]);
    for look in 0..LOOKS_NOW {
        if look > 0 {
            thread::sleep(LOOK_EVERY);
        }
        roster.look(&mut |found| sessions.push(found.session));
    }
    sessions.sort_by_key(|session| session.identity().pid);
    (sessions, roster.followed())
}

/// Follows processes. Dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    found: Receiver<Box<Found>>,
    tell: Option<Sender<Told>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Followed>>,
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
        let ((hand, found), (tell, told)) = (channel(), channel());
        let shared = Arc::new(Shared::default());
        let (of_thread, mut roster) = (Arc::clone(&shared), Roster::new(selection, mode, binaries, open));
        let follow = move || {
            loop {
                roster.look(&mut |found| {
                    // Who sampled it may be gone; then this ends, too.
                    let _ = hand.send(Box::new(found));
                });
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
            roster.followed()
        };
        // Signals are for others; SIGCONT above all: a watchdog has one pending, which no thread may take.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let thread = thread::Builder::new().name("follower".into()).spawn(follow);
        if let Ok(before) = before {
            // The mask was valid a moment ago.
            let _ = before.thread_set_mask();
        }
        let thread = thread?;
        Ok(Follower { found, tell: Some(tell), shared, thread: Some(thread), waits, idle_at: None })
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

    /// Ends it. Returns what became of the processes.
    pub fn end(&mut self) -> Followed {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.tell = None;
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}
