//! The functions of a profile, with what they took themselves and with all that they called.
//!
//! Does: count. Does not: sort for a reader; the page does.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::kinds::kind_number;
use crate::profile::Profile;
use crate::profile::clean::one_line;
use crate::profile::comparison::FunctionKey;

/// A function.
#[derive(Debug, Serialize)]
pub(super) struct FunctionRow {
    name: String,
    place: Option<String>,
    kind: usize,
    /// Samples with it innermost.
    own: u64,
    /// Samples with it anywhere.
    total: u64,
    /// Samples with it as the innermost function of Python: native functions that it has called are in it.
    inside: u64,
}

/// The most functions that are listed, those with the most samples: a reader does not get further.
const MAX_FUNCTIONS: usize = 20_000;

/// All functions.
pub(super) fn functions(stacks: &Profile) -> Vec<FunctionRow> {
    let mut keys: FxHashMap<FunctionKey, usize> = FxHashMap::default();
    let mut rows: Vec<FunctionRow> = Vec::new();
    let mut by_frame: Vec<usize> = Vec::with_capacity(stacks.frames().len());
    for frame in stacks.frames() {
        let key = FunctionKey::of(frame);
        let number = *keys.entry(key).or_insert_with_key(|key| {
            let (name, place) = (one_line(&key.name).into_owned(), key.place.as_deref());
            let place = place.map(|place| one_line(place).into_owned());
            rows.push(FunctionRow { name, place, kind: kind_number(frame.kind), own: 0, total: 0, inside: 0 });
            rows.len() - 1
        });
        by_frame.push(number);
    }
    for (stack, weight) in paths(stacks) {
        let mut numbers: Vec<usize> = stack.iter().filter_map(|frame| by_frame.get(*frame).copied()).collect();
        if let Some(row) = numbers.last().and_then(|innermost| rows.get_mut(*innermost)) {
            row.own = row.own.saturating_add(weight);
        }
        let is_python = |frame: &&usize| stacks.frames().get(**frame).is_some_and(|frame| frame.kind.is_python());
        let innermost = stack.iter().rev().find(is_python).and_then(|frame| by_frame.get(*frame));
        if let Some(row) = innermost.and_then(|number| rows.get_mut(*number)) {
            row.inside = row.inside.saturating_add(weight);
        }
        // One that calls itself is in the stack once.
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            if let Some(row) = rows.get_mut(number) {
                row.total = row.total.saturating_add(weight);
            }
        }
    }
    // By either way in which the table shows them.
    rows.sort_by(|a, b| {
        let of = |row: &FunctionRow| (row.own.max(row.inside), row.total);
        of(b).cmp(&of(a)).then_with(|| (&a.name, &a.place).cmp(&(&b.name, &b.place)))
    });
    rows.truncate(MAX_FUNCTIONS);
    rows
}

/// The samples of stacks without any function of Python.
pub(super) fn without_python(stacks: &Profile) -> u64 {
    let has_python = |stack: &[usize]| {
        stack.iter().any(|frame| stacks.frames().get(*frame).is_some_and(|frame| frame.kind.is_python()))
    };
    paths(stacks).filter(|(stack, _)| !has_python(stack)).fold(0, |sum: u64, (_, weight)| sum.saturating_add(weight))
}

/// Each counted stack as its frames' indices, outermost first, with its weight.
pub(super) fn paths(stacks: &Profile) -> impl Iterator<Item = (Vec<usize>, u64)> {
    let counted = stacks.nodes().iter().enumerate().filter(|(_, node)| node.self_weight > 0);
    counted.map(|(index, node)| (stacks.path(index).iter().map(|frame| frame.index()).collect(), node.self_weight))
}
