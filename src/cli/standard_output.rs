//! What commands say on standard output.
//!
//! Does: write a text, or what is made piece by piece, and wrap JSON in what all documents begin with. Does not: lay anything out.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::failure::Failure;
use super::style::Style;
use crate::output::neutral::{Neutral, Text};
use crate::profile::clean::{neutral_colored, neutral_json, neutral_text};

#[derive(Serialize)]
struct Document<'a, T> {
    format: &'static str,
    version: u32,
    fpprof: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// A JSON document for programs, and a line end: what its format is called and the version of its schema, then `content`.
pub fn document(format: &'static str, version: u32, content: &impl Serialize) -> String {
    let document = Document { format, version, fpprof: env!("CARGO_PKG_VERSION"), content };
    // Nothing in it can fail to be written: no map with other keys than text, no number that is not finite.
    neutral_json(&serde_json::to_string_pretty(&document).unwrap_or_default()).into_owned() + "\n"
}

/// Writes such a document while it is made: all of it never is in memory.
///
/// # Errors
/// Those of the writer.
pub fn write_document(
    (format, version): (&'static str, u32),
    content: &impl Serialize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let document = Document { format, version, fpprof: env!("CARGO_PKG_VERSION"), content };
    let mut out = Neutral::new(out, Text::Json);
    serde_json::to_writer_pretty(&mut out, &document)?;
    out.write_all(b"\n")
}

/// Writes what is made piece by piece; each piece is to be cleaned by who makes it.
///
/// # Errors
/// As of [`print`].
pub fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    // What it still holds after a failure is not to be tried again.
    let _ = out.into_parts();
    judge(written)
}

/// Writes a text that was set in this style, with nothing else in it that a terminal obeys.
///
/// # Errors
/// When it cannot be written; a reader that has had enough (`… | head`) is none.
pub fn print(text: &str, style: Style) -> Result<(), Failure> {
    print_with(|out| out.write_all(set(text, style).as_bytes()))
}

fn judge(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(format_args!("standard output cannot be written: {error}"))
            .with_hint("Is there space left where it goes?")),
        Ok(()) => Ok(()),
    }
}

/// A text that was set in this style, without what a terminal would obey beside the style's own colours.
pub fn set(text: &str, style: Style) -> Cow<'_, str> {
    if style.has_colors() { neutral_colored(text).into() } else { neutral_text(text) }
}
