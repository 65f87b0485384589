//! The legend of a flame graph: which colour is what kind of code.
//!
//! Does: lay the kinds that occur out in rows. Does not: choose colours (`output::colors`).

use std::collections::BTreeSet;

use crate::output::colors::{Rgb, kind_color};
use crate::output::labelled::Narrow;
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::FrameKind;

/// Where inferno's frames begin, and so the legend, in pixels from the left.
const LEFT: usize = 10;
/// The longest row: also narrow windows show it whole. In pixels.
const ROW_WIDTH: usize = 770;
/// From one row to the next, in pixels.
const ROW_HEIGHT: usize = 20;
/// The side of a swatch, in pixels.
const SWATCH: usize = 12;
/// From a swatch to its text, and from a text to the next swatch, in pixels.
const GAPS: usize = 6 + 18;
/// The width of a monospaced letter, in hundredths of a pixel, at 12 pixels' size, generously.
const LETTER: usize = 730;

/// A legend.
#[derive(Debug)]
pub(super) struct Legend {
    entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// The colour that it explains.
    pub color: Option<Rgb>,
    /// What it stands for; needs no escaping.
    pub text: String,
    /// What the pointer shows on it.
    pub explanation: &'static str,
}

impl Legend {
    /// The legend of the kinds that occur, and of what was left out.
    pub(super) fn of_kinds(kinds: impl Iterator<Item = FrameKind>, narrow: (Narrow, &RecordingFacts)) -> Legend {
        let kinds: BTreeSet<FrameKind> = kinds.collect();
        let entry = |kind: FrameKind| Entry {
            color: Some(kind_color(kind)),
            text: kind.description().to_owned(),
            explanation: explanation(kind),
        };
        Legend::new(kinds.into_iter().map(entry).collect(), narrow)
    }

    /// A legend of these, and of what was left out.
    pub(super) fn new(mut entries: Vec<Entry>, (narrow, facts): (Narrow, &RecordingFacts)) -> Legend {
        if narrow.frames > 0 {
            entries.push(Entry {
                color: None,
                text: format!("not drawn: {} frames with {}", narrow.frames, facts.less_than(narrow.below)),
                explanation: "The collapsed format has them all: -f collapsed",
            });
        }
        Legend { entries }
    }

    /// How high it is, in pixels.
    pub(super) fn height(&self) -> usize {
        self.positions().last().map_or(0, |(_, row)| (row + 1) * ROW_HEIGHT)
    }

    /// The column (in pixels from the left) and the row of each entry.
    fn positions(&self) -> Vec<(usize, usize)> {
        let (mut x, mut row) = (LEFT, 0);
        let mut positions = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let width = SWATCH + GAPS + entry.text.chars().count() * LETTER / 100;
            if x > LEFT && x + width > LEFT + ROW_WIDTH {
                (x, row) = (LEFT, row + 1);
            }
            positions.push((x, row));
            x += width;
        }
        positions
    }

    /// The legend as SVG, its upper edge `top` pixels from the picture's. All texts in it are this project's own and
    /// need no escaping.
    pub(super) fn svg(&self, top: usize) -> String {
        let mut svg = "<g id=\"legend\">".to_owned();
        for (entry, (x, row)) in self.entries.iter().zip(self.positions()) {
            let y = top + row * ROW_HEIGHT;
            svg += &format!("<g><title>{}</title>", entry.explanation);
            let text_x = match entry.color {
                Some(Rgb { r, g, b }) => {
                    svg += &format!(
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{SWATCH}\" height=\"{SWATCH}\" rx=\"2\" fill=\"rgb({r},{g},{b})\"/>"
                    );
                    x + SWATCH + 6
                }
                None => x,
            };
            svg += &format!("<text x=\"{text_x}\" y=\"{}\">{}</text></g>", y + 10, entry.text);
        }
        svg + "</g>"
    }
}

/// What the pointer shows on an entry.
fn explanation(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::UserCode => "Python code of the project, or without a file",
        FrameKind::StandardLibrary => "Python code that comes with CPython",
        FrameKind::InstalledPackage => "Python code in site-packages or dist-packages",
        FrameKind::NativeExtension => "native code of extension modules and the libraries they bring along",
        FrameKind::Interpreter => "native code of CPython itself",
        FrameKind::System => "the C library, the loader, the kernel and libraries of the system",
        FrameKind::Jit => "native code made while the program runs",
        FrameKind::Process => "a process",
        FrameKind::Thread => "a thread",
        FrameKind::RunState => "whether the thread ran or waited, and for what",
        FrameKind::Gap => "frames that could not be read, with the reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::mode::Mode;
    use crate::types::Pid;

    fn facts() -> RecordingFacts {
        RecordingFacts::of_nothing(Pid(1), Mode::Cpu, 100.0)
    }

    const ALL_DRAWN: Narrow = Narrow { frames: 0, below: 0 };

    #[test]
    fn only_kinds_that_occur_are_listed_once() {
        let kinds = [FrameKind::System, FrameKind::UserCode, FrameKind::System];
        let svg = Legend::of_kinds(kinds.into_iter(), (ALL_DRAWN, &facts())).svg(0);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.find("your code") < svg.find("libc and system"));
    }

    #[test]
    fn many_kinds_take_several_rows() {
        let one = Legend::of_kinds([FrameKind::UserCode].into_iter(), (ALL_DRAWN, &facts()));
        let all = Legend::of_kinds(FrameKind::ALL.into_iter(), (Narrow { frames: 7, below: 3 }, &facts()));
        assert_eq!(one.height(), ROW_HEIGHT);
        assert!(all.height() > one.height());
        assert!(all.positions().iter().all(|(x, _)| *x < ROW_WIDTH));
        assert!(all.svg(0).contains("not drawn: 7 frames with fewer than 3 samples"));
    }
}
