//! The command line, declared.
//!
//! Does: spell every switch as py-spy does where py-spy has it, and refuse values that make no sense.
//! Does not: act on them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::bug_report::args::BugReportArgs;
use super::diff::args::DiffArgs;
use super::doctor::args::DoctorArgs;
use super::dump::args::DumpArgs;
use super::install::{CompletionsArgs, ManArgs};
use super::output_kind::{self, OutputKind};
use super::report_args::ReportArgs;
use super::shown_args::{FilterArgs, ShownArgs};
use super::top::args::TopArgs;
use super::version;
use crate::symbolize::names::NativeFrames;

/// The highest rate that is taken: beyond it a sample would cost more than the interval.
const MAX_RATE: f64 = 100_000.0;

/// A sampling profiler for Python: Python and native code in one true stack.
#[derive(Debug, Parser)]
#[command(version, long_version = version::long(), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a running process, or a program from its start, into a flame graph.
    Record(RecordArgs),
    /// Make a flame graph or another profile of a recording, or of a part of it.
    Report(ReportArgs),
    /// Compare two recordings: which functions take more or less than before, and by how much.
    Diff(DiffArgs),
    /// Show what each thread of a running process does: its stack, its state, and who holds the GIL.
    Dump(DumpArgs),
    /// Show live what a running process, or a program from its start, spends its time with.
    Top(TopArgs),
    /// Tell what fpprof can see of a process, a program or a file, and what would make its stacks or names incomplete.
    Doctor(DoctorArgs),
    /// Put what a bug report needs into one file, without secrets.
    BugReport(BugReportArgs),
    /// Print a script that completes fpprof's commands and switches in a shell.
    Completions(CompletionsArgs),
    /// Write the man pages.
    Man(ManArgs),
}

/// `fpprof record`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fpprof record --pid 1234 --duration 30s --output profile.svg\n  \
    fpprof record -- python3 script.py --its-own-option")]
#[command(group(clap::ArgGroup::new("target").required(true).args(["pid", "program"])))]
pub struct RecordArgs {
    /// The process to record.
    #[arg(short, long, value_name = "PID", value_parser = parse_pid)]
    pub pid: Option<i32>,

    /// The program to start and record, with its arguments. What follows it is the program's own.
    #[arg(trailing_var_arg = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,

    /// Where the profile goes; `-` is standard output, and a program's own output then goes to standard error.
    /// [default: made of the program, the pid and the time]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The kind of profile: `flamegraph` or `flamechart` (SVG), `html` (one page with everything), `collapsed` (text), `speedscope`, `pprof`, `firefox`,
    /// `chrometrace`, `jsonl` (a line of JSON for each sample), or `fpprof` (every sample, for `fpprof
    /// report`). [default: by the extension of the output, else flamegraph]
    #[arg(short, long, value_parser = output_kind::parse)]
    pub format: Option<OutputKind>,

    /// How many samples a second to take, on average.
    #[arg(short, long, value_name = "HZ", default_value = "100", value_parser = parse_rate)]
    pub rate: f64,

    /// When to take samples: at random moments, so that no period of the program can lock onto the clock, or at fixed
    /// intervals.
    #[arg(long, value_enum, default_value_t = ClockArg::Poisson)]
    pub clock: ClockArg,

    /// The most that recording may take, in percent of the program's time (of that of each thread); of one CPU, fpprof
    /// itself takes at most five times that. Fewer samples are taken when it would be more. `none` lifts the limit.
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_overhead)]
    pub max_overhead: MaxOverhead,

    /// How long to record: seconds, or 90s, 5m, 1h; `unlimited`. [default: until Ctrl-C or the target's end]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<RecordingTime>,

    /// Which threads to sample.
    #[arg(long, value_enum, default_value_t = ModeArg::Cpu)]
    pub mode: ModeArg,

    /// Sample threads that are idle, too: the same as `--mode wall`.
    #[arg(short, long, action = ArgAction::SetTrue, conflicts_with_all = ["mode", "gil"])]
    pub idle: bool,

    /// Sample only the thread that holds the GIL: the same as `--mode gil`.
    #[arg(short, long, action = ArgAction::SetTrue, conflicts_with_all = ["mode", "idle"])]
    pub gil: bool,

    /// Replace the output also where fpprof has not written what is there.
    #[arg(long)]
    pub force: bool,

    /// Show no live line.
    #[arg(long)]
    pub hideprogress: bool,

    /// Which samples.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How frames are shown.
    #[command(flatten)]
    pub shown: ShownArgs,

    /// Switches of py-spy that are refused.
    #[command(flatten)]
    pub refused: Refused,
}

/// Switches that users of py-spy may type, and that this program has no use for.
#[derive(Debug, Args)]
pub struct Refused {
    #[arg(short, long, hide = true)]
    subprocesses: bool,
    #[arg(long, hide = true)]
    nonblocking: bool,
    #[arg(long, hide = true)]
    capture: bool,
}

impl Refused {
    /// The switch that was given, and what to do instead.
    pub fn given(&self) -> Option<(&'static str, &'static str)> {
        let switches = [
            (
                self.subprocesses,
                "--subprocesses",
                "One process is recorded at a time: start one fpprof for each `--pid`.",
            ),
            (
                self.nonblocking,
                "--nonblocking",
                "Leave it out: blocked threads are never stopped, and running ones for tens of microseconds, without \
                 which stacks are wrong.",
            ),
            (self.capture, "--capture", "Leave it out: the program's output goes where fpprof's own would go."),
        ];
        switches.into_iter().find(|(given, ..)| *given).map(|(_, switch, instead)| (switch, instead))
    }
}

impl RecordArgs {
    /// The mode, whichever way it was given.
    pub fn mode(&self) -> ModeArg {
        match (self.idle, self.gil) {
            (true, _) => ModeArg::Wall,
            (_, true) => ModeArg::Gil,
            _ => self.mode,
        }
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// Random moments: a Poisson process, but for the time that a sample takes.
    Poisson,
    /// Fixed intervals.
    Fixed,
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Threads that run.
    Cpu,
    /// All threads.
    Wall,
    /// The thread that holds the GIL.
    Gil,
}

/// `--native`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NativeArg {
    /// What Python code calls, without the interpreter's own call plumbing.
    Calls,
    /// Every frame, down to the thread's entry.
    All,
    /// Python frames only.
    None,
}

impl NativeArg {
    /// Which native frames are shown.
    pub fn frames(self) -> NativeFrames {
        match self {
            NativeArg::Calls => NativeFrames::Calls,
            NativeArg::All => NativeFrames::All,
            NativeArg::None => NativeFrames::None,
        }
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

fn parse_duration(text: &str) -> Result<RecordingTime, String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::format::Format;

    fn record(arguments: &[&str]) -> Result<RecordArgs, clap::Error> {
        match Cli::try_parse_from([&["fpprof", "record"], arguments].concat())?.command {
            Command::Record(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_declaration_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_users_of_py_spy_type_works() {
        let args = record(&["-o", "x.svg", "-d", "30", "-r", "200", "-t", "-n", "-p", "12"]).unwrap();
        assert_eq!(
            (args.pid, args.rate, args.shown.threads, args.shown.native),
            (Some(12), 200.0, true, NativeArg::Calls)
        );
        assert_eq!(args.duration, Some(RecordingTime::AtMost(Duration::from_secs(30))));
        let args = record(&["-p", "0x1f", "--full-filenames", "-f", "raw"]).unwrap();
        assert_eq!(
            (args.pid, args.shown.full_filenames, args.format),
            (Some(31), true, Some(OutputKind::Shown(Format::Collapsed)))
        );
        assert_eq!(record(&["-n", "python3", "-n"]).unwrap().program, ["python3", "-n"]);
        for (mode, spellings) in [
            (ModeArg::Cpu, [&[][..], &["--mode", "cpu"], &["--mode=cpu"]]),
            (ModeArg::Wall, [&["-i"], &["--idle"], &["--mode", "wall"]]),
            (ModeArg::Gil, [&["-g"], &["--gil"], &["--mode", "gil"]]),
        ] {
            for spelling in spellings {
                assert_eq!(record(&[spelling, &["-p", "1"]].concat()).unwrap().mode(), mode, "{spelling:?}");
            }
        }
        for function in ["-F", "--function"] {
            assert!(record(&[function, "-p", "1"]).unwrap().shown.function);
        }
        for calls in [
            &["-p", "1"][..],
            &["-p", "1", "--native"],
            &["--native", "calls", "-p", "1"],
            &["--native=calls", "-p", "1"],
        ] {
            assert_eq!(record(calls).unwrap().shown.native, NativeArg::Calls, "{calls:?}");
        }
        let args = record(&["--native", "all", "--", "python3", "-F", "x.py"]).unwrap();
        assert_eq!((args.shown.native, args.shown.function, args.program.len()), (NativeArg::All, false, 3));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for bad in [
            &["-p", "1", "-r", "0"][..],
            &["-p", "1", "-r=-5"],
            &["-p", "1", "-r", "1e9"],
            &["-p", "1", "-r", "NaN"],
            &["-p", "1", "-d", "0"],
            &["-p", "1", "-d", "5x"],
            &["-p", "1", "-d", "1e400h"],
            &["-p", "0"],
            &["-p", "-3"],
            &["-p", "0x"],
            &["-p", "99999999999"],
            &["-p", "1", "--idle", "--gil"],
            &["-p", "1", "--", "python3"],
            &[],
        ] {
            assert!(record(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn overhead_is_in_percent() {
        assert_eq!(record(&["-p", "1"]).unwrap().max_overhead, MaxOverhead::Share(0.01));
        assert_eq!(record(&["-p", "1", "--max-overhead", "0.5%"]).unwrap().max_overhead, MaxOverhead::Share(0.005));
        assert_eq!(record(&["-p", "1", "--max-overhead", "none"]).unwrap().max_overhead, MaxOverhead::Unlimited);
        for bad in ["0", "-1", "101", "NaN", "", "%"] {
            assert!(record(&["-p", "1", &format!("--max-overhead={bad}")]).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_units() {
        let time = |text| parse_duration(text).unwrap();
        assert_eq!(time("90s"), RecordingTime::AtMost(Duration::from_secs(90)));
        assert_eq!(time("5m"), RecordingTime::AtMost(Duration::from_secs(300)));
        assert_eq!(time("1.5"), RecordingTime::AtMost(Duration::from_millis(1500)));
        assert_eq!(time("250ms"), RecordingTime::AtMost(Duration::from_millis(250)));
        assert_eq!(time("unlimited"), RecordingTime::Unlimited);
    }

    #[test]
    fn what_is_not_offered_is_refused_with_what_to_do_instead() {
        for switch in ["-s", "--subprocesses", "--nonblocking", "--capture"] {
            let given = record(&[switch, "-p", "1"]).unwrap().refused.given();
            assert!(given.is_some_and(|(name, instead)| name.starts_with("--") && instead.ends_with('.')), "{switch}");
        }
        assert_eq!(record(&["-p", "1"]).unwrap().refused.given(), None);
    }
}
