//! Makes text from a target fit to be shown.
//!
//! Does: take out of names and paths what breaks lines, XML and the reading direction. Does not: shorten paths.

use std::borrow::Cow;

/// The longest text that is shown whole, in characters: names of C++ templates can be far longer.
const MAX_CHARS: usize = 1000;
/// What is shown of a longer one: its beginning and its end, where long names differ.
const HEAD_CHARS: usize = 700;
const TAIL_CHARS: usize = 299;

/// The text on one line, without anything that cannot be seen or that changes how the text around it is read.
///
/// Control characters, line separators, the characters that XML 1.0 (section 2.2) does not allow and the
/// bidirectional controls (UAX #9) become `U+FFFD`; white space becomes single spaces, none at the ends; text of more
/// than 1,000 characters loses its middle.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let is_clean = text.len() <= MAX_CHARS
        && !text.contains(is_unfit)
        && !text.contains("  ")
        && text.trim() == text
        && !text.contains(|c: char| c.is_whitespace() && c != ' ');
    if is_clean {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len().min(4 * MAX_CHARS));
    for word in text.split(char::is_whitespace).filter(|word| !word.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(word.chars().map(|c| if is_unfit(c) { char::REPLACEMENT_CHARACTER } else { c }));
    }
    Cow::Owned(without_middle(clean))
}

/// A line of a message, every character of it in its place: what [`one_line`] marks is `U+FFFD`, and what would begin a line or leave a gap is a space.
pub fn neutral(text: &str) -> Cow<'_, str> {
    neutral_but(text, |_| false)
}

/// Lines of text, or of markup, as [`neutral`]: their ends and tabs stay.
pub fn neutral_text(text: &str) -> Cow<'_, str> {
    neutral_but(text, |c| matches!(c, '\n' | '\t'))
}

/// Lines of text with the colours of a terminal (SGR, ECMA-48), which stay, as [`neutral_text`].
pub fn neutral_colored(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (index, part) in text.split('\x1b').enumerate() {
        let color = part.strip_prefix('[').and_then(|part| part.split_once('m')).map(|(color, _)| color);
        let is_color = color.is_some_and(|color| color.chars().all(|c| c.is_ascii_digit() || c == ';'));
        clean.push_str(match index {
            0 => "",
            _ if is_color => "\x1b",
            _ => "\u{fffd}",
        });
        clean.push_str(&neutral_text(part));
    }
    clean
}

/// JSON in which text has no characters that [`neutral`] would replace: they are told by their numbers.
pub fn neutral_json(text: &str) -> Cow<'_, str> {
    // Control characters of ASCII are between what JSON is made of, and JSON itself tells those in text by their numbers.
    let is_unfit = |c: char| !c.is_ascii_control() && in_a_line(c) != c || c == '\x7f';
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // None of them needs two numbers (RFC 8259, section 7).
            c if is_unfit(c) => clean.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

fn neutral_but(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let shown = |c| if stays(c) { c } else { in_a_line(c) };
    if text.chars().all(|c| shown(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(shown).collect())
}

/// What a character is in a line: itself, unless it cannot be seen or changes how others are read.
fn in_a_line(c: char) -> char {
    match c {
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() && c.is_whitespace() => ' ',
        c if is_unfit(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn is_unfit(c: char) -> bool {
    let is_bidi_control =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // White space is control, too, but is treated as what it is.
    (c.is_control() && !c.is_whitespace()) || is_bidi_control || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn without_middle(text: String) -> String {
    let chars = text.chars().count();
    if chars <= MAX_CHARS {
        return text;
    }
    let head = text.chars().take(HEAD_CHARS);
    let tail = text.chars().skip(chars - TAIL_CHARS);
    head.chain(['…']).chain(tail).collect()
}

/// The beginning of a one-line text: at most `max` characters, the last of them `…` if it is not the whole.
pub fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.chars().count() <= max {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(max.saturating_sub(1)).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["Größe.<locals>.λ", "operator new", "名前", "👩‍🔬"] {
            assert!(matches!(one_line(name), Cow::Borrowed(same) if same == name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_marked() {
        assert_eq!(one_line("a\0b\x1b[31m"), "a\u{fffd}b\u{fffd}[31m");
        assert_eq!(one_line("user\u{202e}nimda"), "user\u{fffd}nimda");
    }

    #[test]
    fn messages_keep_their_characters_in_their_places() {
        assert!(matches!(neutral("a  b <名> "), Cow::Borrowed(_)));
        assert_eq!(neutral("a\n\tb\x1b[2Jc\u{9b}31m\u{202e}\u{85}\u{2028}"), "a  b\u{fffd}[2Jc\u{fffd}31m\u{fffd}  ");
        assert_eq!(neutral_text("a\n\tb\r\x1b"), "a\n\tb \u{fffd}");
        assert_eq!(
            neutral_colored("\x1b[1;31mred\x1b[0m\n\x1b[2J\x1b]0;t\x07\x1b"),
            "\x1b[1;31mred\x1b[0m\n\u{fffd}[2J\u{fffd}]0;t\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn json_tells_the_same_text_by_numbers() {
        let text = "\x1b\x7f\u{9b}\u{85}\u{2028}\u{202e}\u{2066}\u{61c}ä\n\"\\";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let clean = neutral_json(&json);
        assert!(clean.chars().all(|c| c == '\n' || in_a_line(c) == c), "{clean}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&clean).unwrap(), [text]);
    }

    #[test]
    fn white_space_is_one_space() {
        assert_eq!(one_line(" a\r\n\tb\u{2028}\u{a0}c  "), "a b c");
        assert_eq!(one_line("\n"), "");
    }

    #[test]
    fn a_huge_name_keeps_both_ends() {
        let name = format!("begin{}end", "x".repeat(1 << 20));
        let shown = one_line(&name);
        assert_eq!(shown.chars().count(), MAX_CHARS);
        assert!(shown.starts_with("begin") && shown.ends_with("end"));
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
