//! A flame graph of one of two profiles, with what has become of each function beside its name, and in its colour.
//!
//! Does: colour functions by how their total time has changed, grey where sampling alone explains it. Does not: compare.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::legend::{Entry, Legend};
use super::{Amount, Captions, Drawing, MAX_FRAMES, draw, palette};
use crate::output::Difference;
use crate::output::colors::Rgb;
use crate::output::label::foldable_name;
use crate::output::labelled::{Labelled, LabelledStacks};
use crate::profile::comparison::{FunctionChange, FunctionKey};
use crate::profile::nameless::without_addresses;

/// What has not changed.
const SAME: Rgb = Rgb { r: 205, g: 205, b: 211 };
/// What has grown most, and what has shrunk most: apart for colour-blind readers, and black text reads well on both.
const GREW: Rgb = Rgb { r: 246, g: 112, b: 92 };
const SHRANK: Rgb = Rgb { r: 98, g: 170, b: 244 };
/// The smallest change has so much of its colour.
const LEAST: f64 = 0.25;

const HINT: &str =
    "Width: {}. Colour and number: the change of the function's total time. Click a frame to zoom, Ctrl-F to search.";

/// Writes the picture.
///
/// # Errors
/// Those of the writer.
pub(in crate::output) fn write(difference: &Difference<'_>, out: &mut dyn Write) -> io::Result<()> {
    let by_key: FxHashMap<&FunctionKey, &FunctionChange> =
        difference.changes.iter().map(|change| (&change.key, change)).collect();
    let largest = difference.changes.iter().filter(|change| !change.total.is_noise());
    let largest = largest.map(|change| change.total.difference().abs()).fold(f64::MIN_POSITIVE, f64::max);
    let mut colors: FxHashMap<std::rc::Rc<str>, Rgb> = FxHashMap::default();
    let tree = without_addresses(difference.stacks).expand(|frame| {
        let key = FunctionKey::of(frame);
        let change = by_key.get(&key);
        let text: std::rc::Rc<str> = label(&key, change.map(|change| change.total.in_words(difference.unit))).into();
        colors.insert(text.clone(), change.map_or(SAME, |change| color(change, largest)));
        vec![Labelled { text, kind: frame.kind }]
    });
    let stacks = LabelledStacks::of(tree);
    let narrow = stacks.narrowest_of(MAX_FRAMES);
    let drawing = Drawing {
        lines: stacks.lines(narrow.below),
        palette: palette(colors.iter().map(|(text, color)| (&**text, *color))),
        legend: Legend::new(legend().into(), (narrow, difference.facts)),
        amount: Amount::of(difference.facts, difference.stacks.total()),
    };
    let captions = Captions {
        title: difference.title.clone(),
        subtitle: difference.subtitle.clone(),
        description: difference.description.clone(),
        hint: HINT.replace("{}", difference.facts.whole()),
        // What has changed has its error in the comparison itself.
        samples: None,
    };
    draw(drawing, captions, out)
}

fn legend() -> [Entry; 3] {
    let entry = |color, text: &str, explanation| Entry { color: Some(color), text: text.to_owned(), explanation };
    [
        entry(GREW, "grew", "the stronger the colour, the larger the change"),
        entry(SHRANK, "shrank", "the stronger the colour, the larger the change"),
        entry(SAME, "no more change than sampling explains", "3.5 standard errors"),
    ]
}

/// A function's label. Numbers that have changed a lot are worth reading without a pointer.
fn label(key: &FunctionKey, change: Option<String>) -> String {
    let place = key.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let change = change.map(|change| format!(": {change}")).unwrap_or_default();
    foldable_name(&format!("{}{place}{change}", key.name))
}

fn color(change: &FunctionChange, largest: f64) -> Rgb {
    let difference = change.total.difference();
    if change.total.is_noise() {
        return SAME;
    }
    let full = if difference > 0.0 { GREW } else { SHRANK };
    let part = LEAST + (1.0 - LEAST) * (difference.abs() / largest).clamp(0.0, 1.0);
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
    Rgb { r: mix(SAME.r, full.r), g: mix(SAME.g, full.g), b: mix(SAME.b, full.b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::comparison::{Change, Estimate};
    use crate::profile::frame::FrameKind;

    fn change(before: f64, after: f64) -> FunctionChange {
        let [before, after] = [before, after].map(|value| Estimate { value, error: 0.01 });
        let own = Change { before, after };
        let key = FunctionKey { name: "f".into(), place: None };
        FunctionChange { key, kind: FrameKind::UserCode, own, total: own }
    }

    #[test]
    fn colours_tell_the_direction_and_how_much() {
        assert_eq!(color(&change(0.1, 0.4), 0.3), GREW);
        assert_eq!(color(&change(0.4, 0.1), 0.3), SHRANK);
        assert_eq!(color(&change(0.10, 0.11), 0.3), SAME);
        let little = color(&change(0.1, 0.2), 0.3);
        assert!(little.b < SAME.b && little.b > GREW.b, "{little:?}");
    }

    #[test]
    fn labels_fold() {
        let key = FunctionKey { name: "a;b\n".into(), place: Some("x.py".into()) };
        assert_eq!(label(&key, Some("+1.0 ±0.2 %".into())), "a:b (x.py): +1.0 ±0.2 %");
    }
}
