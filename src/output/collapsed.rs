//! Collapsed stacks: a text line for each distinct stack, `outermost;…;innermost COUNT`.
//!
//! Does: write them, and the recording's facts before them as comments. Does not: draw.
//!
//! The format has no comments by definition. A line that begins with `# ` is skipped by inferno; speedscope and
//! flamegraph.pl skip lines that do not end in a number, the latter with a warning. So each comment begins with `# `
//! and does not end in a number: all three read the file.

use std::io::{self, Write};

use super::label::LabelOptions;
use super::labelled::LabelledStacks;
use crate::profile::Profile;
use crate::profile::facts::RecordingFacts;
use crate::profile::samples::Weights;

/// Writes a profile as collapsed stacks. An empty one has comments only, with the reason why it is empty.
///
/// # Errors
/// Those of the writer.
pub fn write(profile: &Profile, facts: &RecordingFacts, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    for line in facts.summary_lines() {
        writeln!(out, "{}", comment(&line))?;
    }
    if facts.weights == Weights::Time {
        writeln!(out, "{}", comment(&format!("weights: microseconds of {}", facts.whole())))?;
    }
    if profile.total() == 0 {
        writeln!(out, "{}", comment(&format!("no samples: {}", facts.why_empty())))?;
    }
    LabelledStacks::new(profile, options).for_each_line(0, |line| writeln!(out, "{line}"))?;
    out.flush()
}

/// A line that no reader takes for a stack.
fn comment(text: &str) -> String {
    let ends_in_number = text.ends_with(|c: char| c.is_numeric() || c == '.');
    format!("# {text}{}", if ends_in_number { " #" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_does_not_end_in_a_count() {
        assert_eq!(comment("python: CPython 3.13.0"), "# python: CPython 3.13.0 #");
        assert_eq!(comment("target stopped: not measured"), "# target stopped: not measured");
    }
}
