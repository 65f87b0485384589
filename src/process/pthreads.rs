//! Which `pthread_t` a thread has, by its thread pointer.
//!
//! Does: learn how far the one is from the other, where that is the C library's own affair.
//! Does not: read a thread.
//!
//! On x86-64 they are the same (the ABI wants the thread's control block at `fs_base`). On AArch64 the control block of the
//! ABI is two words at `tpidr_el0`, and the C library has its descriptor of the thread, whose address is the `pthread_t`,
//! below it: by the size of that, which is another in each version.

use crate::types::Addr;

/// The largest descriptor that is believed, in bytes. glibc's has some 2 KB, musl's less.
const MAX_DISTANCE: u64 = 64 << 10;

/// What is known of one process's threads.
#[derive(Debug, Clone, Copy)]
pub struct Pthreads {
    /// In bytes from the `pthread_t` up to the thread pointer.
    distance: Option<u64>,
}

impl Pthreads {
    /// Where the architecture's ABI states the distance, it need not be learned.
    pub fn new(distance: Option<u64>) -> Pthreads {
        Pthreads { distance }
    }

    /// Learns from a thread of which both are known, unless the distance is known already.
    pub fn learn(&mut self, pthread: Addr, thread_pointer: Addr) {
        let distance = thread_pointer.0.checked_sub(pthread.0).filter(|distance| *distance <= MAX_DISTANCE);
        self.distance = self.distance.or(distance);
    }

    /// The `pthread_t` of the thread with this thread pointer, once that can be told.
    pub fn of(&self, thread_pointer: Addr) -> Option<Addr> {
        thread_pointer.0.checked_sub(self.distance?).map(Addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_has_taught_holds_for_the_others_of_its_process() {
        let mut pthreads = Pthreads::new(None);
        assert_eq!(pthreads.of(Addr(0x4a_8740)), None);
        // glibc 2.36: `struct pthread` has 1,856 bytes.
        pthreads.learn(Addr(0x4a_8000), Addr(0x4a_8740));
        assert_eq!(pthreads.of(Addr(0x55_0101_1c60)), Some(Addr(0x55_0101_1520)));
        assert_eq!(pthreads.of(Addr(0x10)), None);
        pthreads.learn(Addr(0x1000), Addr(0x1010));
        assert_eq!(pthreads.of(Addr(0x4a_8740)), Some(Addr(0x4a_8000)));
    }

    #[test]
    fn another_thread_or_nonsense_teaches_nothing() {
        let mut pthreads = Pthreads::new(None);
        pthreads.learn(Addr(0x7000_0000), Addr(0x7100_0000));
        pthreads.learn(Addr(0x7000_0008), Addr(0x7000_0000));
        assert_eq!(pthreads.of(Addr(0x7000_0000)), None);
        let mut stated = Pthreads::new(Some(0));
        stated.learn(Addr(0x1000), Addr(0x2000));
        assert_eq!(stated.of(Addr(0x2000)), Some(Addr(0x2000)));
    }
}
