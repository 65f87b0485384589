//! Rules by program counter: the same few thousand call sites make up nearly all samples.
//!
//! Does: remember what each address led to in one address space. Does not: look anything up, or count.

use super::aarch64::Aarch64;
use super::architecture::Architecture;
use super::x86_64::X86_64;

/// What an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeRule<R> {
    /// A module's tables describe it.
    Rule(R),
    /// Code without a file whose maker keeps frame pointers: each record is verified.
    Anonymous,
    /// Code that no table describes.
    NoRule,
    /// No code.
    Unmapped,
}

/// Entries at most, as a power of two: 16,384 of 16 bytes, of which a walk touches the lines it needs. A program's call sites are
/// some thousands; two that are in use and share a place cost a lookup in the tables (a microsecond) each time.
const MOST_BITS: u32 = 14;
/// And at first: of dozens of workers most do little.
const FIRST_BITS: u32 = 9;
/// It grows so many bits at a time, when one in so many places has been taken.
const GROW_BITS: u32 = 2;
const FULL_AT: usize = 4;

/// An address and what it leads to: a quarter of a cache line.
type Entry<R> = (u64, CodeRule<R>);

const _: () = assert!(size_of::<Entry<<X86_64 as Architecture>::Rule>>() == 16);
const _: () = assert!(size_of::<Entry<<Aarch64 as Architecture>::Rule>>() == 16);

/// A direct-mapped cache. An address has one place; a newer one takes it.
#[derive(Debug)]
pub struct RuleCache<R> {
    entries: Box<[Entry<R>]>,
    bits: u32,
    taken: usize,
}

/// An empty place answers for address 0 what is true of it: nothing is mapped there.
const fn empty<R>() -> Entry<R> {
    (0, CodeRule::Unmapped)
}

impl<R: Copy> Default for RuleCache<R> {
    fn default() -> Self {
        RuleCache::with_bits(FIRST_BITS)
    }
}

impl<R: Copy> RuleCache<R> {
    fn with_bits(bits: u32) -> RuleCache<R> {
        RuleCache { entries: vec![empty(); 1 << bits].into_boxed_slice(), bits, taken: 0 }
    }

    /// Forgets everything: what was mapped has changed.
    pub fn clear(&mut self) {
        self.entries.fill(empty());
        self.taken = 0;
    }

    /// What is known of `address`.
    #[inline]
    pub fn get(&self, address: u64) -> Option<&CodeRule<R>> {
        let (key, rule) = self.entries.get(place(address, self.bits))?;
        (*key == address).then_some(rule)
    }

    /// Remembers `rule` for `address`.
    pub fn insert(&mut self, address: u64, rule: CodeRule<R>) {
        if self.taken >= self.entries.len() / FULL_AT && self.bits < MOST_BITS {
            let mut larger = RuleCache::with_bits((self.bits + GROW_BITS).min(MOST_BITS));
            for (address, rule) in self.entries.iter().filter(|(address, _)| *address != 0) {
                larger.put(*address, *rule);
            }
            *self = larger;
        }
        self.put(address, rule);
    }

    fn put(&mut self, address: u64, rule: CodeRule<R>) {
        if let Some(entry) = self.entries.get_mut(place(address, self.bits)) {
            self.taken += usize::from(entry.0 == 0);
            *entry = (address, rule);
        }
    }
}

/// Fibonacci hashing: the top bits of the product with 2^64 / golden ratio. Always below 2^bits.
#[inline]
fn place(address: u64, bits: u32) -> usize {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::x86_64::rule::UnwindRule;
    use proptest::prelude::*;

    #[test]
    fn knows_what_was_inserted_until_cleared() {
        let mut cache = RuleCache::default();
        assert_eq!(cache.get(0x1000), None);
        cache.insert(0x1000, CodeRule::Rule(UnwindRule::FrameRecord));
        assert_eq!(cache.get(0x1000), Some(&CodeRule::Rule(UnwindRule::FrameRecord)));
        cache.clear();
        assert_eq!(cache.get(0x1000), None);
    }

    #[test]
    fn it_grows_and_keeps_what_it_knows() {
        let mut cache = RuleCache::<UnwindRule>::default();
        for address in 1..=2_000_u64 {
            cache.insert(address * 16, CodeRule::NoRule);
        }
        assert_eq!(cache.bits, 13);
        let known = (1..=2_000_u64).filter(|address| cache.get(address * 16).is_some()).count();
        assert!(known > 1_700, "{known}: few share a place");
        (1..=100_000_u64).for_each(|address| cache.insert(address * 16, CodeRule::NoRule));
        assert_eq!(cache.bits, MOST_BITS);
    }

    proptest! {
        /// Two addresses in one place never answer for each other.
        #[test]
        fn never_answers_for_another_address(a in 1u64.., b in 1u64..) {
            prop_assume!(a != b);
            let mut cache = RuleCache::<UnwindRule>::default();
            cache.insert(a, CodeRule::NoRule);
            prop_assert_eq!(cache.get(b), None);
            cache.insert(b, CodeRule::Anonymous);
            prop_assert_ne!(cache.get(a), Some(&CodeRule::Anonymous));
        }
    }
}
