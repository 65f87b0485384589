//! Values that several commands take.
//!
//! Does: read them, and refuse those that make no sense. Does not: declare switches.

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::sampler::clock::{Intervals, MAX_RATE};
use crate::sampler::mode::Mode;
use crate::symbolize::names::NativeFrames;

/// How long to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingTime {
    /// Until Ctrl-C or the target's end.
    Unlimited,
    /// At most so long.
    AtMost(Duration),
}

/// `--max-overhead`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxOverhead {
    /// This share of the program's time, from 0 to 1.
    Share(f64),
    /// Whatever it takes.
    Unlimited,
}

/// `--clock`.
impl ValueEnum for Intervals {
    fn value_variants<'a>() -> &'a [Intervals] {
        &[Intervals::Poisson, Intervals::Fixed]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Intervals::Poisson => PossibleValue::new("poisson")
                .help("Random moments: a Poisson process, but for the time that a sample takes"),
            Intervals::Fixed => PossibleValue::new("fixed").help("Fixed intervals"),
        })
    }
}

/// `--mode`.
impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Mode] {
        &[Mode::Cpu, Mode::Wall, Mode::Gil]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Mode::Cpu => "Threads that run",
            Mode::Wall => "All threads",
            Mode::Gil => "The thread that holds the GIL",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// `--native`.
impl ValueEnum for NativeFrames {
    fn value_variants<'a>() -> &'a [NativeFrames] {
        &[NativeFrames::Calls, NativeFrames::All, NativeFrames::None]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            NativeFrames::Calls => {
                PossibleValue::new("calls").help("What Python code calls, without the interpreter's own call plumbing and the stubs of calls into other files")
            }
            NativeFrames::All => PossibleValue::new("all").help("Every frame, down to the thread's entry"),
            NativeFrames::None => PossibleValue::new("none").help("Python frames only"),
        })
    }
}

/// Decimal, or hexadecimal with `0x`, as py-spy takes it.
pub(super) fn parse_pid(text: &str) -> Result<i32, String> {
    let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| i32::from_str_radix(hex, 16));
    match number {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err("a process id is a number from 1 on".to_owned()),
    }
}

pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if !rate.is_finite() || rate <= 0.0 {
        return Err("a rate is more than 0 samples a second".to_owned());
    }
    if rate > MAX_RATE {
        return Err(format!("a rate is at most {MAX_RATE} samples a second; 100 is enough for most programs"));
    }
    Ok(rate)
}

pub(super) fn parse_overhead(text: &str) -> Result<MaxOverhead, String> {
    if text == "none" {
        return Ok(MaxOverhead::Unlimited);
    }
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(MaxOverhead::Share(percent / 100.0)),
        _ => Err("write percent, more than 0 and at most 100, or `none`".to_owned()),
    }
}

pub(super) fn parse_duration(text: &str) -> Result<RecordingTime, String> {
    if text == "unlimited" {
        return Ok(RecordingTime::Unlimited);
    }
    let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write seconds, or a number with ms, s, m or h: 30, 90s, 5m".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "write seconds, or a number with ms, s, m or h: 30, 90s, 5m")?;
    match Duration::try_from_secs_f64(number * factor) {
        Ok(duration) if !duration.is_zero() => Ok(RecordingTime::AtMost(duration)),
        Ok(_) => Err("a recording takes more than no time".to_owned()),
        Err(_) => Err("that is longer than can be counted".to_owned()),
    }
}
