//! A flame graph, or a flame chart over time: an SVG for any browser, with search and zoom.
//!
//! Does: have inferno draw the stacks, callers above their callees, then add what inferno does not have (`decorate`:
//! legend, dark mode, description). Does not: write malformed XML for any name, or fail for an empty profile
//! (`empty`).

mod chart;
mod decorate;
mod difference;
mod empty;
mod legend;
mod shares;

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Direction, Options, TextTruncateDirection};

use super::colors::{self, Rgb};
use super::label::LabelOptions;
use super::labelled::{Labelled, LabelledStacks, NARROW, NO_FRAMES, Narrow};
use super::{SampledProfile, ShownProfile};
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::FrameKind;
use crate::profile::nameless::without_addresses;
use crate::profile::samples::Weights;

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
    /// The colour of each text in them.
    palette: PaletteMap,
    /// What the colours mean, and what is not in them.
    legend: legend::Legend,
    /// What the lines' numbers are.
    amount: Amount,
}

/// What the numbers of a picture are, as inferno words them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Amount {
    name: &'static str,
    /// By what a weight is multiplied.
    factor: f64,
}

/// So much time in all, in microseconds, is told in milliseconds: inferno makes whole numbers of it, and shares of those.
const LONG: u64 = 10_000_000;

impl Amount {
    fn of(facts: &RecordingFacts, total: u64) -> Amount {
        match (facts.weights, total) {
            (Weights::Ticks, _) => Amount { name: "samples", factor: 1.0 },
            (Weights::Time, ..LONG) => Amount { name: "µs", factor: 1.0 },
            (Weights::Time, LONG..) => Amount { name: "ms", factor: 1e-3 },
        }
    }
}

/// The texts around the frames.
struct Captions {
    title: String,
    subtitle: String,
    description: String,
    /// How to read the picture.
    hint: String,
    /// How many effective samples shares are estimated from, where that is known and they have an error.
    samples: Option<f64>,
}

/// How a picture is to be read.
const CALLEES_BELOW: &str =
    "Width: share of the {}. Callers stand above what they call. Click a frame to zoom, Ctrl-F to search.";
const CALLERS_BELOW: &str = "Width: share of the {}. The top row is where samples were taken; callers stand below what \
     they call. Click a frame to zoom, Ctrl-F to search.";
const OVER_TIME: &str = "From left to right: samples in the order of time, thread by thread. Callers stand above what they \
     call. Click a frame to zoom, Ctrl-F to search.";

/// Writes a profile as a flame graph; an empty one as a picture that says why it is empty.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(shown: &ShownProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    if shown.stacks.total() == 0 {
        return empty::write(shown.facts, out);
    }
    let stacks = LabelledStacks::new(&without_addresses(shown.stacks), options);
    let narrow = stacks.narrowest_of(MAX_FRAMES);
    let drawing =
        Drawing::by_kind(stacks.lines(narrow.below), stacks.frames(), (narrow, shown.facts, shown.stacks.total()));
    let hint = if shown.is_inverted { CALLERS_BELOW } else { CALLEES_BELOW };
    draw(drawing, captions(shown.facts, hint), out)
}

/// Writes a flame chart: each thread's stacks over time.
///
/// # Errors
/// Those of the writer.
pub(super) fn write_chart(sampled: SampledProfile<'_>, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    if sampled.stacks.total() == 0 {
        return empty::write(sampled.facts, out);
    }
    // How long a frame stayed is seen, not estimated.
    let captions = Captions { samples: None, ..captions(sampled.facts, OVER_TIME) };
    draw(chart::drawing(sampled, options, MAX_FRAMES), captions, out)
}

pub(super) use difference::write as write_difference;

impl Drawing {
    /// Frames in the colours of their kinds.
    fn by_kind(
        lines: Vec<String>,
        frames: &[Labelled],
        (narrow, facts, total): (Narrow, &RecordingFacts, u64),
    ) -> Drawing {
        let legend = legend::Legend::of_kinds(frames.iter().map(|frame| frame.kind), (narrow, facts));
        let colors = frames.iter().map(|frame| (&*frame.text, colors::frame_color(frame.kind, &frame.text)));
        Drawing { lines, palette: palette(colors), legend, amount: Amount::of(facts, total) }
    }
}

fn captions(facts: &RecordingFacts, hint: &'static str) -> Captions {
    let hint = hint.replace("{}", facts.whole());
    Captions {
        title: facts.title(),
        subtitle: facts.subtitle(),
        description: facts.summary_lines().join("\n"),
        hint,
        samples: facts.effective_samples,
    }
}

fn draw(mut drawing: Drawing, captions: Captions, out: &mut dyn Write) -> io::Result<()> {
    let drawn = inferno(&mut drawing, &captions)?;
    decorate::decorate(&drawn, &drawing.legend, &captions, out)?;
    out.flush()
}

/// inferno's SVG.
fn inferno(drawing: &mut Drawing, captions: &Captions) -> io::Result<Vec<u8>> {
    let mut options = Options::default();
    options.title = captions.title.clone();
    options.subtitle = Some(captions.subtitle.clone());
    // `--` from a command line would make this comment malformed: the facts are in the description instead.
    options.notes = NOTES.to_owned();
    options.direction = Direction::Inverted;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.font_size = FONT_SIZE;
    options.min_width = 0.0;
    options.count_name = drawing.amount.name.to_owned();
    options.factor = drawing.amount.factor;
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 236, g: 236, b: 239 }));
    options.palette_map = Some(&mut drawing.palette);
    // The only way to keep the order of lines without them being sorted as text, which separates lines of one caller
    // by others whose label begins like the caller's: a flame chart. It draws lines from the last to the first.
    options.flame_chart = true;
    let mut drawn = Vec::new();
    flamegraph::from_lines(&mut options, drawing.lines.iter().rev().map(String::as_str), &mut drawn)?;
    Ok(drawn)
}

/// The colours of texts, and of the lines that stand for no frame.
fn palette<'a>(colors: impl Iterator<Item = (&'a str, Rgb)>) -> PaletteMap {
    let mut palette = PaletteMap::default();
    // The frame of all samples that inferno adds has no text.
    let others = [("", FrameKind::Process), (NARROW, FrameKind::Process), (NO_FRAMES, FrameKind::Gap)];
    let others = others.map(|(text, kind)| (text, colors::frame_color(kind, text)));
    for (text, Rgb { r, g, b }) in colors.chain(others) {
        palette.insert(text, Color { r, g, b });
    }
    palette
}
