//! The picture of a recording without any stack.
//!
//! Does: say why there is nothing to see, with the recording's facts. Does not: draw a flame graph; inferno refuses
//! to draw nothing.

use std::io::{self, Write};

use quick_xml::escape::escape;

use super::NOTES;
use crate::profile::facts::RecordingFacts;

/// The picture's width: inferno's, in pixels.
const WIDTH: usize = 1200;
/// From one line of text to the next, in pixels.
const LINE: usize = 20;
/// Where the first line of facts stands, in pixels from the top.
const FACTS_TOP: usize = 110;

const STYLE: &str = "
svg { background:#ececef; }
text { font-family:monospace; font-size:12px; fill:#000000; }
#title { font-size:17px; }
#reason { font-size:15px; }
@media (prefers-color-scheme: dark) {
  svg { background:#1c1c1e; }
  text { fill:#e8e8e8; }
}
";

/// Writes the picture.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(facts: &RecordingFacts, out: &mut dyn Write) -> io::Result<()> {
    let lines = facts.summary_lines();
    let height = FACTS_TOP + LINE * lines.len();
    let title = facts.title();
    let title = escape(title.as_str());
    writeln!(out, "<?xml version=\"1.0\" standalone=\"no\"?>")?;
    writeln!(
        out,
        "<svg version=\"1.1\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\">"
    )?;
    writeln!(out, "<!--NOTES: {NOTES}-->")?;
    writeln!(out, "<title>{title}</title>")?;
    writeln!(out, "<style type=\"text/css\">{STYLE}</style>")?;
    writeln!(out, "<text id=\"title\" x=\"10\" y=\"30\">{title}</text>")?;
    writeln!(out, "<text id=\"reason\" x=\"10\" y=\"65\">No samples: {}</text>", escape(facts.why_empty()))?;
    for (index, line) in lines.iter().enumerate() {
        let y = FACTS_TOP + LINE * index;
        writeln!(out, "<text class=\"fact\" x=\"10\" y=\"{y}\">{}</text>", escape(line.as_str()))?;
    }
    writeln!(out, "</svg>")?;
    out.flush()
}
