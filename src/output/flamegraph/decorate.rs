//! Adds to inferno's SVG what inferno cannot draw.
//!
//! Does: copy the SVG, event by event, and make room below the subtitle for a legend; add a document title, a
//! description, styles for dark browsers, and the errors of shares. Does not: move a frame, or touch the script that does.
//!
//! What is changed is found by element, `id` and attribute, and all of it must be found: a later inferno that draws
//! otherwise is an error in the tests, not a picture with overlapping texts.

use std::io::{self, Write};

use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::legend::Legend;
use super::{Captions, FONT_SIZE, shares};

/// Below inferno's subtitle (its baseline is at four letters' size).
const LEGEND_TOP: usize = FONT_SIZE * 4 + 16;
/// How many elements of inferno's are changed.
const CHANGED_ELEMENTS: usize = 7;
/// inferno hides the search control almost completely. Frames keep their light colours and black texts in dark
/// browsers; all else is inverted.
const STYLE: &str = "
#search { opacity:0.7; }
#subtitle, #legend text { fill:#404040; }
#legend rect { stroke:#808080; stroke-width:0.5; }
@media (prefers-color-scheme: dark) {
  #background stop { stop-color:#1c1c1e; }
  #title, #subtitle, #details, #matched, #search, #unzoom, #legend text { fill:#e8e8e8; }
}
";

/// Writes inferno's SVG with the legend and what is told beside the picture: the title is also what a browser calls its tab, and the
/// hint stands where the name of the frame under the pointer will, as long as none was pointed at.
pub(super) fn decorate(svg: &[u8], legend: &Legend, captions: &Captions, out: &mut dyn Write) -> io::Result<()> {
    let room = legend.height() + FONT_SIZE;
    let mut reader = Reader::from_reader(svg);
    let mut writer = Writer::new(out);
    let mut changed = 0;
    let mut depth = 0usize;
    let (mut in_details, mut in_title) = (false, false);
    loop {
        let event = reader.read_event().map_err(io::Error::other)?;
        match event {
            Event::Eof => break,
            Event::Start(element) => {
                let moved = moved(&element, depth, room)?;
                changed += usize::from(moved.is_some());
                in_details = attribute(&element, "id").as_deref() == Some("details");
                in_title = element.name().as_ref() == b"title";
                writer.write_event(Event::Start(moved.unwrap_or(element)))?;
                if depth == 0 {
                    write_text_element(&mut writer, "title", &captions.title)?;
                    write_text_element(&mut writer, "desc", &captions.description)?;
                }
                depth += 1;
            }
            Event::Empty(element) if attribute(&element, "fill").as_deref() == Some("url(#background)") => {
                changed += 1;
                writer.write_event(Event::Empty(with_pixels_added(&element, "height", room)?))?;
                writer.get_mut().write_all(legend.svg(LEGEND_TOP).as_bytes())?;
            }
            // The script replaces this text.
            Event::Text(_) if in_details => {
                changed += 1;
                in_details = false;
                writer.write_event(Event::Text(BytesText::new(&captions.hint)))?;
            }
            // The share is behind the last entity of the name.
            Event::Text(text) if in_title => {
                let changed = captions.samples.and_then(|samples| shares::with_error(&text.decode().ok()?, samples));
                writer.write_event(Event::Text(changed.as_deref().map_or(text, BytesText::new)))?;
            }
            Event::End(element) => {
                in_title = false;
                if element.name().as_ref() == b"style" {
                    changed += 1;
                    writer.write_event(Event::Text(BytesText::from_escaped(STYLE)))?;
                }
                depth = depth.saturating_sub(1);
                writer.write_event(Event::End(element))?;
            }
            other => writer.write_event(other)?,
        }
    }
    if changed == CHANGED_ELEMENTS {
        return Ok(());
    }
    Err(io::Error::other(format!("inferno's drawing has {changed} of the {CHANGED_ELEMENTS} elements to decorate")))
}

fn write_text_element<W: Write>(writer: &mut Writer<W>, name: &str, text: &str) -> io::Result<()> {
    writer.create_element(name).write_text_content(BytesText::new(text))?;
    Ok(())
}

/// An element as it is with `room` pixels more above the frames; `None` when it stays as it is.
fn moved(element: &BytesStart, depth: usize, room: usize) -> io::Result<Option<BytesStart<'static>>> {
    let is_svg = element.name().as_ref() == b"svg";
    let id = attribute(element, "id");
    let moved = match id.as_deref() {
        _ if is_svg && depth == 0 => {
            let taller = with_pixels_added(element, "height", room)?;
            let width = attribute(&taller, "width").unwrap_or_default();
            let height = attribute(&taller, "height").unwrap_or_default();
            with(&taller, "viewBox", &format!("0 0 {width} {height}"))
        }
        Some("frames") if is_svg => with(element, "y", &room.to_string()),
        // The line that names the frame under the pointer stands above the frames; what a search has matched stands
        // at its end, not below a picture that may be higher than any window.
        Some("details" | "matched") => {
            let line = LEGEND_TOP + room;
            with(element, "y", &line.to_string())
        }
        _ => return Ok(None),
    };
    Ok(Some(moved))
}

fn attribute(element: &BytesStart, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    String::from_utf8(attribute.value.into_owned()).ok()
}

/// The element with an attribute set.
fn with(element: &BytesStart, name: &str, value: &str) -> BytesStart<'static> {
    let mut changed = BytesStart::new(String::from_utf8_lossy(element.name().as_ref()).into_owned());
    let others = element.attributes().flatten().filter(|attribute| attribute.key.as_ref() != name.as_bytes());
    changed.extend_attributes(others);
    changed.push_attribute((name, value));
    changed
}

/// The element with pixels added to a number.
fn with_pixels_added(element: &BytesStart, name: &str, pixels: usize) -> io::Result<BytesStart<'static>> {
    let value = attribute(element, name).and_then(|value| value.parse::<usize>().ok());
    let value = value.ok_or_else(|| io::Error::other(format!("inferno's drawing has no {name} in pixels")))?;
    Ok(with(element, name, &value.saturating_add(pixels).to_string()))
}
