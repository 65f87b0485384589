//! Colours on a terminal.
//!
//! Does: decide whether there are any (`--color`, `NO_COLOR`, a terminal or not), and mark kinds of frames with the
//! colours that they have in flame graphs. Does not: choose those (`output::colors`).

use std::io::IsTerminal;

use clap::{ArgAction, Args, ValueEnum};
use ratatui::style::Color;

use crate::output::colors::{Rgb, kind_color};
use crate::profile::frame::FrameKind;

/// `--color` and `--no-color`.
#[derive(Debug, Clone, Copy, Args)]
pub struct ColorArg {
    /// Whether to use colours; `auto` does on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = When::Auto)]
    color: When,

    /// The same as `--color never`.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "color")]
    no_color: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// How text for people is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colors: Colors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colors {
    None,
    /// The 256 colours of xterm.
    Palette,
    /// Any colour: the terminal says so in `COLORTERM`.
    True,
}

/// The cube of xterm's 256 colours: six levels of each channel, from this number on (xterm's 256colres.h).
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];
const CUBE_START: usize = 16;

impl ColorArg {
    /// As `--color never`.
    #[cfg(test)]
    pub fn never() -> ColorArg {
        ColorArg { color: When::Never, no_color: false }
    }

    /// The style of what is written to standard output.
    pub fn style(self) -> Style {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let wanted = match self.color {
            _ if self.no_color => false,
            When::Never => false,
            When::Always => true,
            // https://no-color.org: any value but the empty one.
            When::Auto => {
                variable("NO_COLOR").is_empty() && variable("TERM") != "dumb" && std::io::stdout().is_terminal()
            }
        };
        let colors = match variable("COLORTERM").as_str() {
            _ if !wanted => Colors::None,
            "truecolor" | "24bit" => Colors::True,
            _ => Colors::Palette,
        };
        Style { colors }
    }
}

impl Style {
    /// Without colours.
    pub const PLAIN: Style = Style { colors: Colors::None };

    /// A change: what has grown in red, what has shrunk in blue.
    pub fn change(self, text: &str, difference: f64) -> String {
        self.with(if difference > 0.0 { "31" } else { "34" }, text)
    }

    /// A mark in the colour of a kind, one column wide; nothing at all without colours. A mark reads on light and on dark
    /// terminals, which coloured text does not.
    pub fn mark(self, kind: FrameKind) -> String {
        let Rgb { r, g, b } = kind_color(kind);
        match self.colors {
            Colors::None => String::new(),
            Colors::True => format!("\x1b[48;2;{r};{g};{b}m \x1b[0m"),
            Colors::Palette => format!("\x1b[48;5;{}m \x1b[0m", nearest(Rgb { r, g, b })),
        }
    }

    /// The colour of a kind, for a screen that is drawn; none without colours.
    pub fn color(self, kind: FrameKind) -> Option<Color> {
        let Rgb { r, g, b } = kind_color(kind);
        match self.colors {
            Colors::None => None,
            Colors::True => Some(Color::Rgb(r, g, b)),
            // 255 is the highest.
            Colors::Palette => Some(Color::Indexed(u8::try_from(nearest(Rgb { r, g, b })).unwrap_or(u8::MAX))),
        }
    }

    /// Text that stands out.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Text that stands back.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Whether there are colours.
    pub fn has_colors(self) -> bool {
        self.colors != Colors::None
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.has_colors() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The number of the colour in xterm's cube that is nearest.
fn nearest(color: Rgb) -> usize {
    let level = |channel: u8| {
        let distance = |(_, level): &(usize, &u8)| level.abs_diff(channel);
        CUBE.iter().enumerate().min_by_key(distance).map_or(0, |(index, _)| index)
    };
    CUBE_START + 36 * level(color.r) + 6 * level(color.g) + level(color.b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_are_no_escapes() {
        let plain = Style { colors: Colors::None };
        let marks = FrameKind::ALL.map(|kind| plain.mark(kind)).concat();
        assert_eq!((marks.as_str(), plain.strong("a").as_str(), plain.faint("b").as_str()), ("", "a", "b"));
    }

    #[test]
    fn the_nearest_colour_of_the_palette_is_taken() {
        assert_eq!(nearest(Rgb { r: 0, g: 0, b: 0 }), 16);
        assert_eq!(nearest(Rgb { r: 255, g: 255, b: 255 }), 231);
        assert_eq!(nearest(Rgb { r: 250, g: 161, b: 1 }), 16 + 36 * 5 + 6 * 3);
    }

    #[test]
    fn kinds_that_are_apart_in_flame_graphs_are_apart_in_the_palette() {
        let palette = Style { colors: Colors::Palette };
        let kinds = FrameKind::ALL.into_iter().filter(|kind| *kind != FrameKind::Process);
        let marks: Vec<String> = kinds.map(|kind| palette.mark(kind)).collect();
        let distinct: std::collections::HashSet<&String> = marks.iter().collect();
        assert_eq!(distinct.len(), marks.len(), "{marks:?}");
    }
}
