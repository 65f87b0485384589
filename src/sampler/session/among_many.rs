//! A session among many.
//!
//! Does: share what one at a time needs, and give back what none needs any more. Does not: know the others.

use super::Session;
use crate::capture::captured::Captured;
use crate::target::process_table::ProcessEntry;
use crate::target::view::Identity;

impl Session {
    /// Takes the buffers in which captures are made, and gives those that it had: of many sessions one is sampled at a time.
    pub fn swap_buffers(&mut self, buffers: &mut Captured) {
        std::mem::swap(&mut self.reader.captured, buffers);
    }

    /// Takes note that the id of the process, which has ended, is another's.
    pub fn lose_id(&mut self) {
        self.has_lost_id = true;
    }

    /// Whether the id of the process is known to be, or to have been, another's: what is called by it may be of that one.
    pub fn has_lost_id(&self) -> bool {
        let Identity { pid, start_time, .. } = self.identity();
        let has_another = || ProcessEntry::of(*pid).is_some_and(|now| Some(now.start_time) != *start_time);
        self.has_lost_id || start_time.is_some() && has_another()
    }

    /// Lets go of the files of threads: of a process that has ended nothing is kept open.
    pub fn close_threads(&mut self) {
        self.threads = Vec::new();
    }
}
