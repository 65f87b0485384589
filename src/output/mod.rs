//! A profile as a file: one module per format.
//!
//! Does: write what is [`ShownProfile`] to any writer. Does not: open files, or decide what a frame is called
//! beyond the label options.

mod chrome_trace;
mod collapsed;
pub mod colors;
mod firefox;
mod flamegraph;
pub mod format;
mod frame_table;
mod html;
mod json_lines;
pub mod label;
mod labelled;
pub mod mark;
pub mod needs;
pub(crate) mod neutral;
mod pprof;
mod short_name;
mod speedscope;

use std::io::{self, Write};

use crate::profile::Profile;
use crate::profile::comparison::{FunctionChange, Unit};
use crate::profile::facts::RecordingFacts;
use crate::profile::sources::Sources;
use crate::profile::timeline::Timeline;
use format::Format;
use label::LabelOptions;
use neutral::{Neutral, Text};

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct ShownProfile<'a> {
    /// The stacks, counted.
    pub stacks: &'a Profile,
    /// Their samples one by one; absent where only sums were kept.
    pub timeline: Option<&'a Timeline>,
    /// The text of Python files, for formats that show it.
    pub sources: Option<&'a Sources>,
    /// The facts about the recording.
    pub facts: &'a RecordingFacts,
    /// Whether stacks begin with their innermost frames ([`StackTree::inverted`](crate::profile::tree::StackTree::inverted)).
    pub is_inverted: bool,
}

/// What a format that needs samples is made of.
#[derive(Debug, Clone, Copy)]
struct SampledProfile<'a> {
    stacks: &'a Profile,
    timeline: &'a Timeline,
    facts: &'a RecordingFacts,
}

/// One of two profiles that have been compared, to be drawn as a flame graph.
#[derive(Debug, Clone)]
pub struct Difference<'a> {
    /// The stacks that are drawn.
    pub stacks: &'a Profile,
    /// What has become of each function.
    pub changes: &'a [FunctionChange],
    /// The facts of the recording that they are of.
    pub facts: &'a RecordingFacts,
    /// What the changes are of.
    pub unit: Unit,
    /// What the picture is called.
    pub title: String,
    /// What it is of, in a line.
    pub subtitle: String,
    /// All that is known of both recordings.
    pub description: String,
}

/// Writes what has become of each function as a flame graph.
///
/// # Errors
/// Those of the writer.
pub fn write_difference(difference: &Difference<'_>, out: &mut dyn Write) -> io::Result<()> {
    flamegraph::write_difference(difference, &mut Neutral::new(out, Text::Plain))
}

/// Writes a profile, also an empty one, in a format.
///
/// # Errors
/// Those of the writer; and that a format needs samples where only sums are shown.
pub fn write(format: Format, shown: &ShownProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    let ShownProfile { stacks, timeline, facts, .. } = *shown;
    let sampled = || {
        let timeline =
            timeline.ok_or_else(|| io::Error::other(format!("{format} needs every sample, not only sums")))?;
        io::Result::Ok(SampledProfile { stacks, timeline, facts })
    };
    let mut text = Neutral::new(&mut *out, if format.is_json() { Text::Json } else { Text::Plain });
    match format {
        Format::FlameGraph => flamegraph::write(shown, options, &mut text),
        Format::Collapsed => collapsed::write(stacks, facts, options, &mut text),
        Format::Speedscope => speedscope::write(sampled()?, options, &mut text),
        Format::Pprof => pprof::write(sampled()?, options, out),
        Format::Firefox => firefox::write(sampled()?, options, &mut text),
        Format::ChromeTrace => chrome_trace::write(sampled()?, options, &mut text),
        Format::JsonLines => json_lines::write(sampled()?, options, &mut text),
        Format::Html => html::write(shown, sampled()?, options, &mut text),
        Format::FlameChart => flamegraph::write_chart(sampled()?, options, &mut text),
    }
}
