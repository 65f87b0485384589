//! What is reported is what was: a short version of `bench/accuracy`, on one interpreter, with the same targets.
//!
//! A target waits until it is sampled, works, logs its own thread CPU time, and waits again: log and profile are of the same
//! time, and no clock lies between them. A share is allowed five standard errors, which are exceeded once in two million
//! tests: too few samples make a test weak, never wrong.

use std::collections::BTreeSet;
use std::ops::Add;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::patience::milliseconds;
use crate::python::{self, Program};
use crate::run::start;

/// The standard errors that a share may be off by.
const LIMIT: f64 = 5.0;

/// What a target has logged, and its samples: the stack of each, outermost frame first, and its time in nanoseconds.
struct Recorded {
    log: Value,
    samples: Vec<(Vec<String>, u64)>,
}

/// How many samples there are of something, and their time.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    samples: u64,
    time: u64,
}

impl Add for Seen {
    type Output = Seen;

    fn add(self, other: Seen) -> Seen {
        Seen { samples: self.samples + other.samples, time: self.time + other.time }
    }
}

impl Recorded {
    /// Lets a program of `bench/accuracy/targets` work for some seconds and records it.
    fn of(program: &str, arguments: &[&str], seconds: u32, switches: &[&str]) -> Recorded {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/accuracy/targets").join(program);
        let mut command = python::shared().command();
        command.arg(path).args(arguments);
        let mut target = Program::spawn(command);
        assert_eq!(target.line(), "ready", "{program}");
        let pid = target.pid_text();
        let always = ["-f", "jsonl", "-o", "o.txt", "--native", "none", "--max-overhead", "none", "-p", &pid];
        let running = start(&[&always, switches].concat());
        running.wait_until_sampling(target.pid());
        target.say(&format!("{seconds}\n"));
        let log = serde_json::from_str(&target.line()).expect("the target logs JSON");
        running.signal(Signal::SIGINT);
        let ended = running.wait();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let frame = |frame: &Value| format!("{} ({}:{})", text(&frame["name"]), text(&frame["file"]), frame["line"]);
        let sample = |line: &str| {
            let sample: Value = serde_json::from_str(line).expect("it is JSON");
            let frames = sample["stack"].as_array().expect("a list").iter().map(frame).collect();
            (frames, sample["weight_ns"].as_u64().expect("a time"))
        };
        Recorded { log, samples: ended.recorded().lines().skip(1).map(sample).collect() }
    }

    /// Samples whose innermost frame begins and ends so.
    fn at(&self, begin: &str, end: &str) -> Seen {
        let is_there =
            |frames: &Vec<String>| frames.last().is_some_and(|leaf| leaf.starts_with(begin) && leaf.ends_with(end));
        let there = self.samples.iter().filter(|(frames, _)| is_there(frames));
        there.map(|(_, time)| Seen { samples: 1, time: *time }).fold(Seen::default(), Seen::add)
    }
}

/// Checks the time of each part of the whole against what was logged of it: it is right but for the error of so many samples.
#[track_caller]
fn assert_shares(parts: &[(Seen, &Value)]) {
    let Seen { samples, time: all } = parts.iter().map(|(seen, _)| *seen).fold(Seen::default(), Seen::add);
    let logged = |value: &Value| value.as_f64().expect("the target logs nanoseconds");
    let time: f64 = parts.iter().map(|(_, value)| logged(value)).sum();
    assert!(samples > 0 && time > 0.0, "{parts:?}");
    for (part, value) in parts {
        let truth = logged(value) / time;
        let error = (truth * (1.0 - truth) / samples as f64).sqrt();
        let told = part.time as f64 / all as f64;
        assert!((told - truth).abs() <= LIMIT * error, "{told} of {samples} samples, {truth} in truth: {parts:?}");
    }
}

#[test]
fn functions_have_the_shares_that_they_log() {
    let recorded = Recorded::of("shares.py", &["10", "60", "30"], 2, &["-r", "2000"]);
    let spent = &recorded.log["spent"];
    let parts = ["first", "second", "third"].map(|name| (recorded.at(&format!("{name} ("), ")"), &spent[name]));
    assert_shares(&parts);
    // All that the target has used is the logged time, that of its readings of the clock, and what it did around its work.
    let logged: f64 = parts.iter().filter_map(|(_, time)| time.as_f64()).sum();
    let all = recorded.samples.iter().map(|(_, time)| *time).sum::<u64>() as f64;
    assert!((0.99 * logged..1.5 * logged).contains(&all), "{all} ns of samples, {logged} ns in the log");
}

#[test]
fn lines_have_the_shares_that_they_log() {
    let recorded = Recorded::of("lines.py", &[], 2, &["-r", "2000"]);
    let lines = recorded.log["lines"].as_object().expect("times by line");
    assert_eq!(lines.len(), 3);
    let at = |line: u32| recorded.at("lines (", &format!(":{line})"));
    // With the next line: the read of the clock that ends each, a system call, before which a thread can be stopped no more.
    let pair = |line: &String| line.parse().map(|line: u32| at(line) + at(line + 1)).expect("a line number");
    let parts: Vec<_> = lines.iter().map(|(line, time)| (pair(line), time)).collect();
    assert_shares(&parts);
}

#[test]
fn a_period_of_the_target_does_not_hide_from_the_clock() {
    // At 100 Hz a clock of fixed intervals meets one millisecond of ten always or never.
    let recorded = Recorded::of("periodic.py", &["10"], 5, &["-r", "100"]);
    let parts = ["operation", "rest"].map(|name| (recorded.at(&format!("{name} ("), ")"), &recorded.log[name]));
    assert_shares(&parts);
}

#[test]
fn no_stack_is_told_that_never_was() {
    let pairs = [("first_caller", "first_callee"), ("second_caller", "second_callee")];
    let generators = [("first_consumer", "first_generator"), ("second_consumer", "second_generator")];
    let seconds = milliseconds(500).div_ceil(1000) as u32;
    let freed = [("caller_0", "made_0"), ("caller_1", "made_1"), ("caller_2", "made_2")];
    for (way, pairs) in [("calls", &pairs[..]), ("generators", &generators), ("freed", &freed)] {
        let recorded = Recorded::of("impossible.py", &[way], seconds, &["-r", "5000", "--nolineno"]);
        let mut met = BTreeSet::new();
        for (frames, _) in &recorded.samples {
            let names: Vec<&str> = frames.iter().filter_map(|frame| frame.split(" (").next()).collect();
            for pair in names.windows(2) {
                let Some((caller, callee)) = pairs.iter().find(|(_, callee)| *callee == pair[1]) else { continue };
                // 3.11 gives a comprehension a frame of its own.
                let own = format!("{caller}.<locals>.");
                assert!(pair[0] == *caller || pair[0].starts_with(&own), "{names:?}");
                met.insert(*callee);
            }
        }
        assert!(!met.is_empty(), "{way}: none of these functions was seen: {:?}", recorded.samples);
    }
}
