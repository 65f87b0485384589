//! Pages with frames beside a thread's stack that its last stacks led to, and the next one may lead to again.
//!
//! Does: remember a few of them for a few captures. A generator's frame is on the heap: a thread that works in one now and then has it in
//! one stack and not in the next, and a page that is copied in vain costs a tenth of a copy that is made for it alone.
//! Does not: read, or keep what a deep chain of generators was spread over.

use crate::capture::range::Range;
use crate::target::memory::PAGE;

/// A page is copied with so many captures that did not need it.
const KEPT_FOR: u8 = 4;
/// So many ranges are kept at most, each of so many bytes.
const MOST_KEPT: usize = 4;
const LARGEST_KEPT: usize = 2 * PAGE as usize;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct KeptPages {
    /// The oldest first, each with the captures that it is kept for.
    kept: Vec<(Range, u8)>,
}

impl KeptPages {
    /// Takes note of the pages of a stack. Returns those that were needed lately, and not by this one.
    pub(super) fn after(&mut self, used: &[Range]) -> impl Iterator<Item = Range> + '_ {
        self.kept.retain_mut(|(range, left)| {
            let is_used = used.iter().any(|used| used.start.0 < range.end() && range.start.0 < used.end());
            *left -= 1;
            !is_used && *left > 0
        });
        let others = self.kept.len();
        // What is used now is kept from the next capture on.
        let small = used.iter().filter(|used| used.len <= LARGEST_KEPT).take(MOST_KEPT);
        self.kept.extend(small.map(|used| (*used, KEPT_FOR + 1)));
        let forgotten = self.kept.len().saturating_sub(MOST_KEPT);
        self.kept.drain(..forgotten);
        self.kept.iter().take(others.saturating_sub(forgotten)).map(|(range, _)| *range)
    }

    /// Forgets all: the thread does something else.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Addr;

    fn page(number: u64) -> Range {
        Range { start: Addr(number * PAGE), len: PAGE as usize }
    }

    fn after(pages: &mut KeptPages, used: &[Range]) -> Vec<Range> {
        pages.after(used).collect()
    }

    #[test]
    fn a_page_is_kept_for_a_few_captures_that_do_not_need_it() {
        let mut pages = KeptPages::default();
        assert!(after(&mut pages, &[page(7)]).is_empty(), "it is needed anyway");
        for _ in 0..KEPT_FOR {
            assert_eq!(after(&mut pages, &[]), [page(7)]);
        }
        assert!(after(&mut pages, &[]).is_empty());
    }

    #[test]
    fn one_that_is_needed_again_is_kept_anew() {
        let mut pages = KeptPages::default();
        after(&mut pages, &[page(7)]);
        after(&mut pages, &[page(9)]);
        let around = Range { start: Addr(6 * PAGE), len: LARGEST_KEPT };
        assert_eq!(after(&mut pages, &[around]), [page(9)], "as a part of another range, too");
        assert_eq!(after(&mut pages, &[]), [page(9), around]);
    }

    #[test]
    fn few_are_kept_and_no_large_ones() {
        let mut pages = KeptPages::default();
        after(&mut pages, &[Range { start: Addr(0), len: LARGEST_KEPT + 1 }]);
        assert!(after(&mut pages, &[]).is_empty());
        for number in 0..20 {
            assert!(after(&mut pages, &[page(2 * number)]).len() < MOST_KEPT);
        }
        after(&mut pages, &[page(7)]);
        pages.clear();
        assert!(after(&mut pages, &[]).is_empty());
    }
}
