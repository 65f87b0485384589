//! The names of a session's threads.
//!
//! Does: tell the name that the program has given a thread, or else the kernel's. Does not: keep them, or sample.

use super::Session;
use crate::sampler::thread_history::ThreadHistory;
use crate::types::Tid;

impl Session {
    /// Takes note that a thread was seen for the first time: its name is read soon.
    pub fn expect_new_names(&mut self) {
        self.names.expect_new();
    }

    /// Reads the names that the program has given its threads, if it is time to: about once a second. No thread is stopped for that, and
    /// none may stand still meanwhile. Returns whether they were read.
    pub fn read_names_if_due(&mut self) -> bool {
        !self.has_pending_stops() && self.names.read_if_due(&self.reader, &self.states)
    }

    /// Reads the names that the program has given its threads now.
    pub fn read_names(&mut self) {
        self.names.read(&self.reader, &self.states);
    }

    /// The name of a thread that has been sampled and still lives: the one that its program has given it, as it was when names were read
    /// last, or else the kernel's, which has 15 bytes at most.
    pub fn thread_name(&self, tid: Tid) -> Option<String> {
        let history = self.threads.get(self.position(tid).ok()?)?;
        self.given_name(history).map(str::to_owned).or_else(|| history.known.thread.name())
    }

    /// The name that its program has given a thread.
    pub fn given_name(&self, history: &ThreadHistory) -> Option<&str> {
        let is_first = history.known.namespace_id == self.identity().namespace_pid;
        self.names.of(&history.known, is_first, &self.states)
    }
}
