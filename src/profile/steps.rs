//! How far long work is: two counters, which the work moves and somebody else shows.
//!
//! Does: count. Does not: show, or know what the steps are.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far long work is. What is counted (bytes, addresses) is the work's own affair.
#[derive(Debug, Default)]
pub struct Steps {
    done: AtomicU64,
    expected: AtomicU64,
}

impl Steps {
    /// There will be `count` more steps.
    pub fn expect(&self, count: usize) {
        self.expected.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// `count` steps have been done.
    pub fn advance(&self, count: usize) {
        self.done.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The share that is done, in percent; `None` as long as nobody knows how much there is.
    pub fn percent(&self) -> Option<u64> {
        let (done, expected) = (self.done.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed));
        done.min(expected).saturating_mul(100).checked_div(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_needs_a_whole() {
        let steps = Steps::default();
        assert_eq!(steps.percent(), None);
        steps.expect(8);
        assert_eq!(steps.percent(), Some(0));
        steps.advance(3);
        assert_eq!(steps.percent(), Some(37));
        steps.advance(30);
        assert_eq!(steps.percent(), Some(100), "never more than all");
    }
}
