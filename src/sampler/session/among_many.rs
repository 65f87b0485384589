//! A session among many.
//!
//! Does: share what one at a time needs, and give back what none needs any more. Does not: know the others.

use super::Session;
use crate::capture::captured::Captured;

impl Session {
    /// Takes the buffers in which captures are made, and gives those that it had: of many sessions one is sampled at a time.
    pub fn swap_buffers(&mut self, buffers: &mut Captured) {
        std::mem::swap(&mut self.reader.captured, buffers);
    }

    /// Lets go of the files of threads: of a process that has ended nothing is kept open.
    pub fn close_threads(&mut self) {
        self.threads = Vec::new();
    }
}
