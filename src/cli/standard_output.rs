//! What commands say on standard output.
//!
//! Does: write a text, and wrap JSON in what all documents begin with. Does not: lay anything out.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

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
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Writes a text.
///
/// # Errors
/// When it cannot be written; a reader that has had enough (`… | head`) is none.
pub fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(format_args!("standard output cannot be written: {error}"))
            .with_hint("Is there space left where it goes?")),
        Ok(()) => Ok(()),
    }
}
