//! A flame graph, or a flame chart over time: an SVG for any browser, with search and zoom.
//!
//! Does: have inferno draw the stacks, callers above their callees, then add what inferno does not have (`decorate`:
//! legend, dark mode, description). Does not: write malformed XML for any name, or fail for an empty profile
//! (`empty`).

mod chart;
mod decorate;
mod empty;
mod legend;

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Direction, Options, TextTruncateDirection};

use super::colors::{self, Rgb};
use super::label::LabelOptions;
use super::labelled::{Labelled, LabelledStacks, NARROW, NO_FRAMES, Narrow};
use super::{Sampled, Shown};
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::FrameKind;

/// The most frames that are drawn, the widest ones: a browser shows this many within a second.
const MAX_FRAMES: usize = 20_000;
/// The size of letters, in pixels. inferno computes all vertical positions of its texts from it.
const FONT_SIZE: usize = 12;
/// A comment near the beginning of each picture, by which it can be told to be fpprof's.
pub(super) const NOTES: &str = "drawn by inferno for fpprof; the desc element describes the recording";

/// What inferno is to draw.
struct Drawing {
    /// Collapsed stacks, in the order in which they are drawn from the left to the right.
    lines: Vec<String>,
    /// The distinct frames in them.
    frames: Vec<Labelled>,
    /// What is not in them.
    narrow: Narrow,
}

/// How a picture is to be read.
const CALLEES_BELOW: &str =
    "Width: share of the samples. Callers stand above what they call. Click a frame to zoom, Ctrl-F to search.";
const CALLERS_BELOW: &str = "Width: share of the samples. The top row is where samples were taken; callers stand below what \
     they call. Click a frame to zoom, Ctrl-F to search.";
const OVER_TIME: &str = "From left to right: samples in the order of time, thread by thread. Callers stand above what they \
     call. Click a frame to zoom, Ctrl-F to search.";

/// Writes a profile as a flame graph; an empty one as a picture that says why it is empty.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(shown: &Shown<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    if shown.stacks.total() == 0 {
        return empty::write(shown.facts, out);
    }
    let stacks = LabelledStacks::new(shown.stacks, options);
    let narrow = stacks.narrowest_of(MAX_FRAMES);
    let mut lines = Vec::new();
    stacks.for_each_line(narrow.below, |line| {
        lines.push(line.to_owned());
        io::Result::Ok(())
    })?;
    let drawing = Drawing { lines, frames: stacks.frames().to_vec(), narrow };
    let hint = if shown.is_inverted { CALLERS_BELOW } else { CALLEES_BELOW };
    draw(&drawing, shown.facts, hint, out)
}

/// Writes a flame chart: each thread's stacks over time.
///
/// # Errors
/// Those of the writer.
pub(super) fn write_chart(sampled: Sampled<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    if sampled.stacks.total() == 0 {
        return empty::write(sampled.facts, out);
    }
    draw(&chart::drawing(sampled, options, MAX_FRAMES), sampled.facts, OVER_TIME, out)
}

fn draw(drawing: &Drawing, facts: &RecordingFacts, hint: &'static str, out: &mut dyn Write) -> io::Result<()> {
    let drawn = inferno(drawing, facts)?;
    let decoration = decorate::Decoration {
        title: facts.title(),
        description: facts.summary_lines().join("\n"),
        legend: legend::Legend::new(drawing.frames.iter().map(|frame| frame.kind), drawing.narrow),
        hint,
    };
    decorate::decorate(&drawn, &decoration, out)?;
    out.flush()
}

/// inferno's SVG.
fn inferno(drawing: &Drawing, facts: &RecordingFacts) -> io::Result<Vec<u8>> {
    let mut palette = palette(&drawing.frames);
    let mut options = Options::default();
    options.title = facts.title();
    options.subtitle = Some(facts.subtitle());
    // `--` from a command line would make this comment malformed: the facts are in the description instead.
    options.notes = NOTES.to_owned();
    options.direction = Direction::Inverted;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.font_size = FONT_SIZE;
    options.min_width = 0.0;
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 236, g: 236, b: 239 }));
    options.palette_map = Some(&mut palette);
    // The only way to keep the order of lines without them being sorted as text, which separates lines of one caller
    // by others whose label begins like the caller's: a flame chart. It draws lines from the last to the first.
    options.flame_chart = true;
    let mut drawn = Vec::new();
    flamegraph::from_lines(&mut options, drawing.lines.iter().rev().map(String::as_str), &mut drawn)?;
    Ok(drawn)
}

fn palette(frames: &[Labelled]) -> PaletteMap {
    let mut palette = PaletteMap::default();
    let mut insert = |name: &str, kind| {
        let Rgb { r, g, b } = colors::frame_color(kind, name);
        palette.insert(name, Color { r, g, b });
    };
    for frame in frames {
        insert(&frame.text, frame.kind);
    }
    // The frame of all samples that inferno adds, and lines that stand for no frame.
    insert("", FrameKind::Process);
    insert(NARROW, FrameKind::Process);
    insert(NO_FRAMES, FrameKind::Gap);
    palette
}
