//! The command line, declared.
//!
//! Does: name the commands. Does not: declare their arguments, or act on them.

use clap::{Parser, Subcommand};

use super::bug_report::args::BugReportArgs;
use super::diff::args::DiffArgs;
use super::doctor::args::DoctorArgs;
use super::dump::args::DumpArgs;
use super::install::args::{CompletionsArgs, ManArgs};
use super::record_args::RecordArgs;
use super::report_args::ReportArgs;
use super::top::args::TopArgs;
use super::version;

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
    /// Show what each thread of a running process does, or did when its core file was written: its stack, its state, and who holds the GIL.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::output_kind::OutputKind;
    use crate::cli::values::{MaxOverhead, RecordingTime, parse_duration};
    use crate::output::format::Format;
    use crate::sampler::mode::Mode;
    use crate::symbolize::names::NativeFrames;

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
            (Some(12), 200.0, true, NativeFrames::Calls)
        );
        assert_eq!(args.duration, Some(RecordingTime::AtMost(Duration::from_secs(30))));
        let args = record(&["-p", "0x1f", "--full-filenames", "-f", "raw"]).unwrap();
        assert_eq!(
            (args.pid, args.shown.full_filenames, args.format),
            (Some(31), true, Some(OutputKind::Shown(Format::Collapsed)))
        );
        assert_eq!(record(&["-n", "python3", "-n"]).unwrap().program, ["python3", "-n"]);
        for (mode, spellings) in [
            (Mode::Cpu, [&[][..], &["--mode", "cpu"], &["--mode=cpu"]]),
            (Mode::Wall, [&["-i"], &["--idle"], &["--mode", "wall"]]),
            (Mode::Gil, [&["-g"], &["--gil"], &["--mode", "gil"]]),
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
            assert_eq!(record(calls).unwrap().shown.native, NativeFrames::Calls, "{calls:?}");
        }
        let args = record(&["--native", "all", "--", "python3", "-F", "x.py"]).unwrap();
        assert_eq!((args.shown.native, args.shown.function, args.program.len()), (NativeFrames::All, false, 3));
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
        for switch in ["--nonblocking", "--capture"] {
            let given = record(&[switch, "-p", "1"]).unwrap().refused.given();
            assert!(given.is_some_and(|(name, instead)| name.starts_with("--") && instead.ends_with('.')), "{switch}");
        }
        assert_eq!(record(&["-p", "1"]).unwrap().refused.given(), None);
    }
}
