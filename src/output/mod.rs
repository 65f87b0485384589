//! A profile as a file: one module per format.
//!
//! Does: write a [`Profile`] and its facts to any writer. Does not: open files, or decide what a frame is called
//! beyond the label options.

pub mod collapsed;
pub mod colors;
pub mod flamegraph;
pub mod format;
pub mod label;
mod labelled;

use std::io::{self, Write};

use crate::profile::Profile;
use crate::profile::facts::RecordingFacts;
use format::Format;
use label::LabelOptions;

/// Writes a profile, also an empty one, in a format.
///
/// # Errors
/// Those of the writer.
pub fn write(
    format: Format,
    profile: &Profile,
    facts: &RecordingFacts,
    options: &LabelOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::FlameGraph => flamegraph::write(profile, facts, options, out),
        Format::Collapsed => collapsed::write(profile, facts, options, out),
    }
}
