//! The stops of a session that do not come at once.
//!
//! Does: sleep until they come, and sample their threads then, which stand still until that is done.
//! Does not: ask for them.

use std::time::{Duration, Instant};

use super::Session;
use crate::capture::pending::PendingStops;
use crate::sampler::sample::Sample;

impl Session {
    /// Whether stops were asked for that have not come yet.
    pub fn has_pending_stops(&mut self) -> bool {
        !self.reader.stopper().pending().is_empty()
    }

    /// The stops that were asked for and have not come yet; `None` when there are none.
    pub fn pending_stops(&mut self) -> Option<&mut PendingStops> {
        Some(self.reader.stopper().pending()).filter(|pending| !pending.is_empty())
    }

    /// Sleeps until a pending stop comes, a signal arrives or the time is over, and not for longer than some milliseconds.
    pub fn sleep(&mut self, limit: Duration) {
        self.reader.stopper().pending().sleep(limit);
    }

    /// Samples the threads whose pending stops have come: they stand still until then. Returns what [`tick`](Self::tick) does.
    pub fn serve(&mut self, take: &mut dyn FnMut(Sample)) -> Option<i32> {
        let come = self.reader.stopper().pending().come();
        if come.is_empty() {
            return None;
        }
        self.reader.stopper().begin_turn(Instant::now());
        let mut ended = None;
        for tid in come {
            match self.position(tid) {
                Ok(position) => {
                    let mut history = self.threads.remove(position);
                    if self.look_at(&mut history, 0, &mut ended, take) {
                        self.threads.insert(position, history);
                    }
                }
                // It has left the list.
                Err(_) => {
                    let status = self.reader.stopper().pending().give_up(tid);
                    ended = ended.or(self.of_process(tid, status));
                }
            }
        }
        self.reader.stopper().end_turn();
        ended
    }

    /// Serves pending stops until there are none, or this time is over. Returns what [`tick`](Self::tick) does.
    pub fn serve_within(&mut self, limit: Duration, take: &mut dyn FnMut(Sample)) -> Option<i32> {
        let start = Instant::now();
        let mut ended = None;
        while self.has_pending_stops() && start.elapsed() < limit {
            self.sleep(limit.saturating_sub(start.elapsed()));
            ended = self.serve(take).or(ended);
        }
        ended
    }
}
