//! What of a recording fits into memory.
//!
//! Does: estimate what a record unfolds to, ask for it, and tell which records can be left out so that the rest still is a recording.
//! Does not: know how much memory there is.

use super::gathered::Gathered;
use crate::types::room::Room;

/// Why a recording ends before its end where not even what is small fits.
pub(super) const NO_ROOM: &str = "the rest would take more memory than --max-memory allows";

/// What a number of samples unfolds to in bytes: 8 in a list that has twice the room it needs, and a fifth of a sample of 40 in two such
/// lists for a moment.
const OF_A_SAMPLE: u64 = 40;
/// What a number of stacks unfolds to: 4 in such a list, and half of a stack of 8 with its depth.
const OF_A_STACK: u64 = 20;
/// What an element of any other list unfolds to beside its text: a name that is `null` is 32 bytes in two such lists.
const OF_AN_ELEMENT: u64 = 128;
/// How often a text is in memory at once.
const TEXTS: u64 = 3;

/// What reading a record takes, at most. Elements are told by commas: there are no fewer of these, and those in texts do no harm.
fn unfolded(line: &[u8]) -> u64 {
    let elements = line.iter().filter(|byte| **byte == b',').count() as u64 + 1;
    match kind(line) {
        Some(b"samples") => elements.saturating_mul(OF_A_SAMPLE),
        Some(b"stacks") => elements.saturating_mul(OF_A_STACK),
        _ => elements.saturating_mul(OF_AN_ELEMENT).saturating_add((line.len() as u64).saturating_mul(TEXTS)),
    }
}

/// What a record is: its first member's name.
fn kind(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"{\"")?.split(|byte| *byte == b'"').next()
}

/// What may be taken for what is read.
pub struct ReadingRoom<'a> {
    /// For samples, and what they refer to.
    pub samples: &'a mut dyn Room,
    /// For names and facts, once there is none for samples any more.
    pub rest: &'a mut dyn Room,
}

impl ReadingRoom<'_> {
    /// Whether a record is to be read; it is left out where there is no room for more samples and it is of no use without.
    ///
    /// # Errors
    /// That there is no room for what cannot be left out.
    pub(super) fn has_for(&mut self, line: &[u8], gathered: &Gathered) -> Result<bool, &'static str> {
        let unfolded = unfolded(line);
        let is_full = gathered.left_out.is_some();
        match is_left_out(line) {
            true => Ok(!is_full && self.samples.take(unfolded)),
            false if self.rest.take(unfolded) => Ok(true),
            false => Err(NO_ROOM),
        }
    }
}

/// Whether a record only adds to what is sampled.
fn is_left_out(line: &[u8]) -> bool {
    let kinds = ["samples", "stacks", "frames", "functions", "threads", "renamed", "states", "modules"];
    kind(line).is_some_and(|name| kinds.iter().any(|kind| name == kind.as_bytes()))
}

/// How many samples a record has that is left out, by its list of times.
fn samples_in_list(list: &[u8]) -> u64 {
    let list = list.split(|byte| *byte == b']').next().unwrap_or_default();
    if list.is_empty() { 0 } else { list.iter().filter(|byte| **byte == b',').count() as u64 + 1 }
}

/// How many samples a record has.
pub(super) fn samples_in(line: &[u8]) -> u64 {
    const TIMES: &[u8] = b"\"after\":[";
    let at =
        line.starts_with(b"{\"samples\"").then(|| line.windows(TIMES.len()).position(|part| part == TIMES)).flatten();
    at.and_then(|at| line.get(at + TIMES.len()..)).map_or(0, samples_in_list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted_without_being_read() {
        assert_eq!(samples_in(br#"{"samples":{"program":0,"after":[1,22,3],"thread":[0,0,0]}}"#), 3);
        assert_eq!(samples_in(br#"{"samples":{"program":0,"after":[7]}}"#), 1);
        for none in [&br#"{"samples":{"after":[]}}"#[..], br#"{"samples":{}}"#, br#"{"stacks":{"after":[1,2]}}"#, b""] {
            assert_eq!(samples_in(none), 0);
        }
    }
}
