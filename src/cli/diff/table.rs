//! A comparison as text, for people.
//!
//! Does: lay out what grew and shrank. Does not: compare.

use std::fmt::Write;

use super::{Comparison, Recorded};
use crate::cli::style::Style;
use crate::output::mark::DIFF_BEGINNING;
use crate::profile::clean::one_line;
use crate::profile::comparison::{Change, FunctionChange};

/// The table; with `all` also of functions whose change sampling alone explains.
pub fn text(comparison: &Comparison<'_>, all: bool, style: Style) -> String {
    let Comparison { before, after, unit, changes } = comparison;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{DIFF_BEGINNING}{}; ±: what sampling explains (95 %)", unit.description());
    for (name, recorded) in [("before", before), ("after", after)] {
        let _ = writeln!(text, "# {name}: {}", about(recorded));
    }
    for (title, part) in [("own", PART_OWN), ("total", PART_TOTAL)] {
        section(&mut text, (title, part), comparison, (all, style));
    }
    let noise = changes.iter().filter(|change| change.own.is_noise() && change.total.is_noise()).count();
    let shown = if all { " (marked ~)" } else { "; --all shows them" };
    let functions = if noise == 1 { "function has" } else { "functions have" };
    let _ =
        writeln!(text, "\n{noise} {functions} not changed by more than sampling explains (3.5 standard errors){shown}");
    text
}

type Part = fn(&FunctionChange) -> &Change;
const PART_OWN: Part = |change| &change.own;
const PART_TOTAL: Part = |change| &change.total;

fn about(recorded: &Recorded<'_>) -> String {
    let facts = &recorded.part.facts;
    let path = recorded.path.display().to_string();
    let part = facts.shown_part.as_ref().map(|part| format!(", {part}")).unwrap_or_default();
    let samples = recorded.counts.ticks();
    let seconds = facts.duration.as_secs_f64();
    format!("{}: {samples} samples in {seconds:.1} s{part}; {}", one_line(&path), one_line(&facts.title()))
}

fn section(text: &mut String, (title, part): (&str, Part), comparison: &Comparison<'_>, (all, style): (bool, Style)) {
    let mut rows: Vec<&FunctionChange> =
        comparison.changes.iter().filter(|change| all || !part(change).is_noise()).collect();
    rows.sort_by(|a, b| part(b).difference().abs().total_cmp(&part(a).difference().abs()));
    let _ = writeln!(text);
    if rows.is_empty() {
        let _ = writeln!(text, "No function's {title} time has changed by more than sampling explains.");
        return;
    }
    let head = format!("{:>9} {:>9} {:>16}    {title} time of", "before", "after", "change");
    let _ = writeln!(text, "{}", style.strong(&head));
    for row in rows {
        let change = part(row);
        let unit = comparison.unit;
        let [before, after] = [change.before.value, change.after.value].map(|value| unit.value(value));
        let noise = if change.is_noise() { "~" } else { " " };
        let words = format!("{:>16}", change.in_words(unit));
        let words = if change.is_noise() { style.faint(&words) } else { style.change(&words, change.difference()) };
        let place = row.key.place.as_ref().map(|place| format!(" ({})", one_line(place))).unwrap_or_default();
        let mark = style.mark(row.kind);
        let _ = writeln!(
            text,
            "{before:>9} {after:>9} {words} {noise} {mark}{}{}",
            one_line(&row.key.name),
            style.faint(&place)
        );
    }
}
