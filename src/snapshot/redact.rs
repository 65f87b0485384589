//! A snapshot for strangers: what the program had on its stack is taken out, but for what the walk goes by.
//!
//! Does: keep the words that are addresses, and those that the Python stage reads; zero the others; and be sure that the stack
//! that the snapshot gives stays the same. Does not: hide the names of functions and files: they are what a report is about.

use super::Snapshot;
use super::recorder::Recorder;
use super::replay::Replay;
use crate::stack::journey::walk_python;
use crate::target::memory::Region;
use crate::target::registers::MAX_REGISTERS;
use crate::types::Addr;

/// A word of the stack, in bytes.
const WORD: u64 = 8;

impl Replay {
    /// The snapshot without the contents of the stack and of registers, and without the names of home folders; `None` where it
    /// would not give the same stack.
    pub fn redacted(&self) -> Option<Snapshot> {
        let whole = self.snapshot();
        let frames = Recorder::new(self.memory());
        let _ = walk_python(&self.interpreter().layout, &whole.thread_states, &frames);
        let read = frames.into_regions();
        let mut redacted = whole.clone();
        let is_address = |word: u64| is_address(whole, word);
        redact_stack(&mut redacted.stack, &read, is_address);
        for number in 0..MAX_REGISTERS {
            if redacted.registers.get(number).is_some_and(|value| !is_address(value)) {
                redacted.registers.forget(number);
            }
        }
        for region in &mut redacted.memory {
            hide_home_folders(&mut region.bytes);
        }
        let replay = Replay::new(redacted).ok()?;
        let is_same = replay.run(&mut replay.journey()) == self.run(&mut self.journey());
        is_same.then(|| replay.snapshot().clone())
    }
}

/// Whether a word leads to code, into the stack, or to what was read of other memory.
fn is_address(snapshot: &Snapshot, word: u64) -> bool {
    let addr = Addr(word & !snapshot.registers.signature_mask);
    let is_in = |region: &Region| region.start <= addr && addr.0 - region.start.0 <= region.bytes.len() as u64;
    snapshot.code.iter().any(|code| (code.start..=code.end).contains(&addr))
        || is_in(&snapshot.stack)
        || snapshot.memory.iter().any(is_in)
}

/// Zeroes each word of a stack that is no address and that nothing of `read` is in.
fn redact_stack(stack: &mut Region, read: &[Region], is_address: impl Fn(u64) -> bool) {
    let start = stack.start.0;
    let is_read = |at: u64| {
        read.iter().any(|region| {
            region.start.0 < at.saturating_add(WORD) && at < region.start.0.saturating_add(region.bytes.len() as u64)
        })
    };
    let (words, rest) = stack.bytes.as_chunks_mut::<8>();
    for (word, at) in words.iter_mut().zip((start..).step_by(WORD as usize)) {
        if !is_address(u64::from_le_bytes(*word)) && !is_read(at) {
            *word = [0; 8];
        }
    }
    rest.fill(0);
}

/// Overwrites the NAME of each `/home/NAME`, in strings of one, two and four bytes a character (PEP 393).
pub fn hide_home_folders(bytes: &mut [u8]) {
    for width in [1, 2, 4] {
        let home: Vec<u8> = b"/home/".iter().flat_map(|byte| [*byte, 0, 0, 0].into_iter().take(width)).collect();
        let mut at = 0;
        while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(home.len()).position(|part| part == home))
        {
            at += found + home.len();
            let name = bytes.get_mut(at..).unwrap_or_default().chunks_exact_mut(width);
            for character in name.take_while(|character| is_of_a_name(character)) {
                character.fill(0);
                character[0] = b'x';
                at += width;
            }
        }
    }
}

/// A quotation mark ends a name, and what escapes one in JSON.
fn is_of_a_name(character: &[u8]) -> bool {
    !matches!(character, [0..=b' ' | b'/' | b'"' | b'\\', rest @ ..] if rest.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_what_is_read_stay() {
        let word = |value: u64| value.to_le_bytes();
        let secret = u64::from_le_bytes(*b"password");
        let bytes = [word(0x7000), word(secret), word(secret), word(0x10), *b"tail\0\0\0\0"].concat();
        let mut stack = Region { start: Addr(0x1000), bytes: bytes[..36].to_vec() };
        let read = [Region { start: Addr(0x1014), bytes: vec![0; 1] }];
        redact_stack(&mut stack, &read, |word| word == 0x7000);
        let expected = [word(0x7000), word(0), word(secret), word(0), [0; 8]].concat();
        assert_eq!(stack.bytes, expected[..36]);
    }

    #[test]
    fn names_of_home_folders_are_hidden_at_every_width() {
        let hidden = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            hide_home_folders(&mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(hidden("/home/alice/app.py /home/bob"), "/home/xxxxx/app.py /home/xxx");
        assert_eq!(hidden("/srv/home/x/home/"), "/srv/home/x/home/");
        assert_eq!(hidden("{\"path\": \"/home/eve\"}"), "{\"path\": \"/home/xxx\"}");
        assert_eq!(hidden(r#""/home/a\"b""#), r#""/home/x\"b""#, "it is JSON still");
        for width in [2, 4] {
            let wide =
                |text: &str| text.bytes().flat_map(|b| [b, 0, 0, 0].into_iter().take(width)).collect::<Vec<u8>>();
            let mut bytes = wide("/home/alice/app.py");
            hide_home_folders(&mut bytes);
            assert_eq!(bytes, wide("/home/xxxxx/app.py"));
        }
    }
}
