//! A flame graph: an SVG for any browser, with search and zoom.
//!
//! Does: have inferno draw the stacks, callers above their callees, then add what inferno does not have (`decorate`:
//! legend, dark mode, description). Does not: write malformed XML for any name, or fail for an empty profile
//! (`empty`).

mod decorate;
mod empty;
mod legend;

use std::io::{self, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Direction, Options, TextTruncateDirection};

use super::colors::{self, Rgb};
use super::label::LabelOptions;
use super::labelled::{LabelledStacks, NARROW, NO_FRAMES, Narrow};
use crate::profile::Profile;
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::FrameKind;

/// The most frames that are drawn, the widest ones: a browser shows this many within a second.
const MAX_FRAMES: usize = 20_000;
/// The size of letters, in pixels. inferno computes all vertical positions of its texts from it.
const FONT_SIZE: usize = 12;

/// Writes a profile as a flame graph; an empty one as a picture that says why it is empty.
///
/// # Errors
/// Those of the writer.
pub fn write(profile: &Profile, facts: &RecordingFacts, options: &LabelOptions, out: &mut dyn Write) -> io::Result<()> {
    if profile.total() == 0 {
        return empty::write(facts, out);
    }
    let stacks = LabelledStacks::new(profile, options);
    let narrow = stacks.narrowest_of(MAX_FRAMES);
    let drawn = draw(&stacks, narrow, facts)?;
    let decoration = decorate::Decoration {
        title: facts.title(),
        description: facts.summary_lines().join("\n"),
        legend: legend::Legend::new(stacks.frames().iter().map(|frame| frame.kind), narrow),
    };
    decorate::decorate(&drawn, &decoration, out)?;
    out.flush()
}

/// inferno's SVG.
fn draw(stacks: &LabelledStacks, narrow: Narrow, facts: &RecordingFacts) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    stacks.for_each_line(narrow.below, |line| {
        lines.push(line.to_owned());
        io::Result::Ok(())
    })?;
    let mut palette = palette(stacks);
    let mut options = Options::default();
    options.title = facts.title();
    options.subtitle = Some(facts.subtitle());
    // `--` from a command line would make this comment malformed: the facts are in the description instead.
    options.notes = "drawn by inferno for fpprof; the desc element describes the recording".to_owned();
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
    flamegraph::from_lines(&mut options, lines.iter().rev().map(String::as_str), &mut drawn)?;
    Ok(drawn)
}

fn palette(stacks: &LabelledStacks) -> PaletteMap {
    let mut palette = PaletteMap::default();
    let mut insert = |name: &str, kind| {
        let Rgb { r, g, b } = colors::frame_color(kind, name);
        palette.insert(name, Color { r, g, b });
    };
    for frame in stacks.frames() {
        insert(&frame.text, frame.kind);
    }
    // The frame of all samples that inferno adds, and lines that stand for no frame.
    insert("", FrameKind::Process);
    insert(NARROW, FrameKind::Process);
    insert(NO_FRAMES, FrameKind::Gap);
    palette
}
