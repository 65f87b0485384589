//! The writer that all outputs of text go through: whatever a name is, nothing in them is obeyed by a terminal or turns the text around it.
//!
//! Does: replace such characters, or in JSON tell them by their numbers. Does not: change markup or JSON itself, which each format escapes.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::profile::clean::{neutral_json, neutral_text};

/// What text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Lines, or markup.
    Plain,
    /// JSON.
    Json,
}

/// Cleans what is written.
#[derive(Debug)]
pub(crate) struct Neutral<W> {
    out: W,
    text: Text,
    /// The beginning of a character of which the rest has not come yet.
    begun: Vec<u8>,
}

impl<W: Write> Neutral<W> {
    pub(crate) fn new(out: W, text: Text) -> Neutral<W> {
        Neutral { out, text, begun: Vec::new() }
    }

    fn write_clean(&mut self, text: &str) -> io::Result<()> {
        let clean: Cow<'_, str> = match self.text {
            Text::Plain => neutral_text(text),
            Text::Json => neutral_json(text),
        };
        self.out.write_all(clean.as_bytes())
    }
}

impl<W: Write> Write for Neutral<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Most of what is written, in many small pieces.
        if self.begun.is_empty() && bytes.iter().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~')) {
            return self.out.write_all(bytes).map(|()| bytes.len());
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.write_clean(text)?;
                    break;
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    // It is valid as far as that.
                    self.write_clean(&String::from_utf8_lossy(valid))?;
                    let Some(invalid) = error.error_len() else {
                        self.begun = behind.to_vec();
                        break;
                    };
                    // No format writes such bytes.
                    self.write_clean("\u{fffd}")?;
                    rest = behind.get(invalid..).unwrap_or_default();
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: Text, pieces: impl Iterator<Item = Vec<u8>>) -> String {
        let mut out = Vec::new();
        let mut neutral = Neutral::new(&mut out, text);
        pieces.for_each(|piece| neutral.write_all(&piece).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn characters_are_found_wherever_a_write_ends() {
        let text = "{\"a\":\"x\u{9b}\u{202e}ä名👩‍🔬\x7f\u{2066}\"}\n";
        for size in 1..=text.len() {
            let pieces = || text.as_bytes().chunks(size).map(<[u8]>::to_vec);
            assert_eq!(written(Text::Json, pieces()), "{\"a\":\"x\\u009b\\u202eä名👩‍🔬\\u007f\\u2066\"}\n");
            assert_eq!(written(Text::Plain, pieces()), "{\"a\":\"x\u{fffd}\u{fffd}ä名👩‍🔬\u{fffd}\u{fffd}\"}\n");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        assert_eq!(
            written(Text::Plain, [b"a\xffb".to_vec(), b"\x1b\n\tc".to_vec()].into_iter()),
            "a\u{fffd}b\u{fffd}\n\tc"
        );
    }
}
