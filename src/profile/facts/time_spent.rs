//! Where the time of a recording went: by what it went to, and by Python function.
//!
//! Does: hold the sums, and word them in a few lines. Does not: decide what a stack is of; `profile::time_kind` does.

use serde::{Deserialize, Serialize};

use super::shares::share_with_error;
use super::wording::percent;
use crate::profile::clean::{one_line, shortened};
use crate::profile::time_kind::TimeKind;
use crate::sampler::mode::Mode;

/// The most kinds that have a line of their own.
const MAX_KINDS: usize = 6;
/// The most functions that have a line.
const MAX_FUNCTIONS: usize = 5;
/// The longest name of a function in a line, and of its file.
const MAX_NAME: usize = 60;
/// A function with less than one part in so many is not worth a line.
const LEAST_PART: u64 = 100;

/// What the time of a recording went to, in what its samples weigh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpent {
    /// Kinds by their ids (`TimeKind::id`), the largest first. They sum to all.
    pub kinds: Vec<(String, u64)>,
    /// The Python functions in which most time on a CPU went, in native code that they have called, too, the largest first.
    pub functions: Vec<FunctionTime>,
}

/// A Python function that is the innermost one of some stacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTime {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The time on a CPU with it as the innermost Python function.
    pub time: u64,
    /// How much of that was in native code that it has called.
    pub native: u64,
}

impl TimeSpent {
    /// What was summed up, with the functions that are worth to be told.
    pub fn new(kinds: impl IntoIterator<Item = (TimeKind, u64)>, mut functions: Vec<FunctionTime>) -> TimeSpent {
        let mut kinds: Vec<(TimeKind, u64)> = kinds.into_iter().filter(|(_, time)| *time > 0).collect();
        kinds.sort_by_key(|(kind, time)| (std::cmp::Reverse(*time), *kind));
        let all = kinds.iter().fold(0, |sum: u64, (_, time)| sum.saturating_add(*time));
        functions.retain(|function| function.time > 0 && function.time >= all / LEAST_PART);
        functions.sort_by(|a, b| (b.time, &a.name, &a.file).cmp(&(a.time, &b.name, &b.file)));
        functions.truncate(MAX_FUNCTIONS);
        TimeSpent { kinds: kinds.into_iter().map(|(kind, time)| (kind.id().to_owned(), time)).collect(), functions }
    }

    /// A line for each of the largest kinds, and for each function: `time: 41 ± 2 % your code`. At most 12. `samples`: as many samples of
    /// equal weight tell as much of shares, where that is known.
    pub fn lines(&self, mode: Mode, samples: Option<f64>) -> Vec<String> {
        let all = self.kinds.iter().fold(0, |sum: u64, (_, time)| sum.saturating_add(*time));
        let share = |time: u64| match samples {
            Some(samples) if time < all => share_with_error(time as f64 / all.max(1) as f64, samples),
            _ => percent(time, all),
        };
        let words = |id: &str| {
            let kind = TimeKind::ALL.into_iter().find(|kind| kind.id() == id);
            kind.map_or("other".into(), TimeKind::description)
        };
        // One more than there is room for would be summed up alone.
        let own = if self.kinds.len() == MAX_KINDS + 1 { MAX_KINDS + 1 } else { self.kinds.len().min(MAX_KINDS) };
        let (own, rest) = self.kinds.split_at(own);
        let rest = rest.iter().fold(0, |sum: u64, (_, time)| sum.saturating_add(*time));
        let kinds = own.iter().map(|(id, time)| format!("time: {} {}", share(*time), words(id)));
        let rest = (rest > 0).then(|| format!("time: {} other", share(rest)));
        let on_cpu = if mode == Mode::Wall { " on a CPU" } else { "" };
        let function = |function: &FunctionTime| {
            let FunctionTime { name, file, time, native } = function;
            let name = one_line(name);
            let name = shortened(&name, MAX_NAME);
            let place =
                if file.is_empty() { String::new() } else { format!(" ({})", shortened(&one_line(file), MAX_NAME)) };
            let native = match native {
                0 => String::new(),
                native if native == time => ", all of it in native code".to_owned(),
                native => format!(", {} of it in native code", whole_percent(*native, *time)),
            };
            format!("function: {}{on_cpu} in {name}{place}{native}", share(*time))
        };
        // What is read from a file can have any number of them.
        kinds.chain(rest).chain(self.functions.iter().take(MAX_FUNCTIONS).map(function)).collect()
    }
}

/// A part of some time, without an error of its own: in whole percent.
fn whole_percent(part: u64, whole: u64) -> String {
    match 100.0 * part as f64 / whole.max(1) as f64 {
        ..1.0 => "less than 1 %".to_owned(),
        percent @ ..99.0 => format!("{percent:.0} %"),
        _ => "more than 99 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, file: &str, time: u64, native: u64) -> FunctionTime {
        FunctionTime { name: name.into(), file: file.into(), time, native }
    }

    #[test]
    fn shares_are_of_all_time_and_have_their_errors() {
        let kinds = [(TimeKind::YourCode, 600), (TimeKind::NativeExtensions, 300), (TimeKind::WaitingForGil, 100)];
        let functions =
            vec![function("f", "a.py", 200, 0), function("Shop.price", "shop.py", 700, 280), function("g", "", 9, 9)];
        let time = TimeSpent::new(kinds, functions);
        assert_eq!(
            time.lines(Mode::Wall, Some(1000.0)),
            [
                "time: 60 ± 3 % your code",
                "time: 30 ± 3 % native extensions",
                "time: 10 ± 2 % waiting for the GIL",
                "function: 70 ± 3 % on a CPU in Shop.price (shop.py), 40 % of it in native code",
                "function: 20 ± 2 % on a CPU in f (a.py)",
            ]
        );
        let cpu = time.lines(Mode::Cpu, None);
        assert_eq!((&*cpu[0], &*cpu[4]), ("time: 60 % your code", "function: 20 % in f (a.py)"));
    }

    #[test]
    fn all_is_told_without_an_error_and_nothing_at_all() {
        let time = TimeSpent::new([(TimeKind::YourCode, 5), (TimeKind::Jit, 0)], vec![function("f", "", 5, 5)]);
        let lines = ["time: 100 % your code", "function: 100 % in f, all of it in native code"];
        assert_eq!(time.lines(Mode::Gil, Some(10.0)), lines);
        assert_eq!(TimeSpent::default().lines(Mode::Cpu, Some(10.0)), [""; 0]);
    }

    #[test]
    fn there_are_never_more_than_twelve_lines() {
        let functions = |n: u64| (0..n).map(|i| function(&format!("f{i}"), "a.py", 100 + i, 0)).collect::<Vec<_>>();
        for kinds in 0..=TimeKind::ALL.len() {
            let time = TimeSpent::new(TimeKind::ALL.into_iter().take(kinds).map(|kind| (kind, 100)), functions(20));
            let lines = time.lines(Mode::Wall, Some(400.0));
            assert!(lines.len() <= 12, "{lines:?}");
            let others = lines.iter().filter(|line| line.ends_with(" other")).count();
            assert_eq!(others, usize::from(kinds > MAX_KINDS + 1), "{lines:?}");
        }
    }

    #[test]
    fn kinds_of_a_later_fpprof_are_told_as_others() {
        let time = TimeSpent { kinds: vec![("quantum".into(), 3), ("user".into(), 1)], functions: Vec::new() };
        assert_eq!(time.lines(Mode::Cpu, None), ["time: 75 % other", "time: 25 % your code"]);
    }

    #[test]
    fn what_a_file_says_is_bounded() {
        let functions = (0..100).map(|n| function(&"f".repeat(500), &"a".repeat(500), n, u64::MAX)).collect();
        let time = TimeSpent { kinds: vec![("user".into(), u64::MAX); 50], functions };
        let lines = time.lines(Mode::Wall, Some(f64::NAN));
        assert!(lines.len() <= 12 && lines.iter().all(|line| line.chars().count() < 250), "{lines:?}");
    }
}
