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

/// Entries, a power of two: 16,384 of 16 bytes, of which a walk touches the lines it needs. A program's call sites are
/// some thousands; two that are in use and share a place cost a lookup in the tables (a microsecond) each time.
const ENTRIES: usize = 1 << BITS;
const BITS: u32 = 14;

/// An address and what it leads to: a quarter of a cache line.
type Entry<R> = (u64, CodeRule<R>);

const _: () = assert!(size_of::<Entry<<X86_64 as Architecture>::Rule>>() == 16);
const _: () = assert!(size_of::<Entry<<Aarch64 as Architecture>::Rule>>() == 16);

/// A direct-mapped cache. An address has one place; a newer one takes it.
#[derive(Debug)]
pub struct RuleCache<R> {
    entries: Box<[Entry<R>; ENTRIES]>,
}

/// An empty place answers for address 0 what is true of it: nothing is mapped there.
const fn empty<R>() -> Entry<R> {
    (0, CodeRule::Unmapped)
}

impl<R: Copy> Default for RuleCache<R> {
    fn default() -> Self {
        RuleCache { entries: Box::new([empty(); ENTRIES]) }
    }
}

impl<R: Copy> RuleCache<R> {
    /// Forgets everything: what was mapped has changed.
    pub fn clear(&mut self) {
        self.entries.fill(empty());
    }

    /// What is known of `address`.
    #[inline]
    pub fn get(&self, address: u64) -> Option<&CodeRule<R>> {
        let (key, rule) = &self.entries[place(address)];
        (*key == address).then_some(rule)
    }

    /// Remembers `rule` for `address`.
    pub fn insert(&mut self, address: u64, rule: CodeRule<R>) {
        self.entries[place(address)] = (address, rule);
    }
}

/// Fibonacci hashing: the top bits of the product with 2^64 / golden ratio. Always below `ENTRIES`.
#[inline]
fn place(address: u64) -> usize {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS)) as usize
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
