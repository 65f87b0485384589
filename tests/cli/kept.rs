//! What becomes of an output when something ends fpprof, or its disk: the one from before stays until the new one is whole, and what was recorded can be read.

use std::fs;
use std::path::Path;
use std::process::Command;

use fpprof::profile::recording;
use nix::sys::signal::Signal;

use crate::patience::{eventually, samples};
use crate::processes::{self, assert_runs_on, assert_untouched, let_work};
use crate::python::{self, BUSY, Program};
use crate::run::{Ended, FPPROF, Running, Scratch, record, start, start_command};

/// How often fpprof is killed at any moment; more often where this variable says so.
const KILLS: &str = "FPPROF_TESTS_KILLS";

/// Whether there is a recording that can be read with samples in it.
fn has_samples(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let read = recording::read(&bytes[..], bytes.len() as u64);
    read.is_ok_and(|recording| recording.programs.iter().any(|program| !program.samples.is_empty()))
}

/// Runs a shell script in mounts of its own.
fn in_own_mounts(script: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, FPPROF]).args(arguments);
    start_command(command, Scratch::new()).wait()
}

fn report(path: &Path) -> Ended {
    let mut command = Command::new(FPPROF);
    command.arg("report").arg(path).args(["-f", "collapsed", "-o", "-"]);
    start_command(command, Scratch::new()).wait()
}

fn recording_to(target: &Program, output: &str, more: &[&str]) -> Running {
    let running = start(&[&["-r", "500", "-o", output, "-p", &target.pid_text()], more].concat());
    running.wait_until_sampling(target.pid());
    running
}

#[test]
fn sigkill_leaves_a_recording_of_every_format_that_says_where_it_is() {
    let target = Program::start(&python::newest(), BUSY);
    for (output, labels) in
        [("o.svg", &["--native", "none"][..]), ("o.txt", &["-t", "--states"]), ("o.pb.gz", &[]), ("o.html", &[])]
    {
        let running = recording_to(&target, output, labels);
        let partial = running.folder().join(format!("{output}.partial.fpprof"));
        eventually("samples are kept", || has_samples(&partial));
        running.signal(Signal::SIGKILL);
        eventually("fpprof has ended", || processes::state(running.pid()) == 'Z');
        let shown = report(&partial);
        assert!(shown.stdout.contains(";outer (<string>:"), "{output}: {shown:?}");
        assert!(!shown.stdout.contains("unplaced"), "labels are in no stack: {shown:?}");
        assert!(shown.stderr.contains("the recording was cut off"), "{output}: {shown:?}");
        let ended = running.wait();
        assert_eq!(ended.files, [format!("{output}.partial.fpprof")], "{ended:?}");
        let said = format!("fpprof: what is recorded is kept in {output}.partial.fpprof until {output} is whole");
        assert!(ended.stderr.contains(&said), "{ended:?}");
        assert_untouched(target.pid());
    }
}

#[test]
fn sums_that_are_kept_have_the_samples_of_the_recording() {
    let target = Program::start(&python::newest(), BUSY);
    let running = recording_to(&target, "o.txt", &["-t", "--states", "--mode", "wall", "--native", "none"]);
    let partial = running.folder().join("o.txt.partial.fpprof");
    eventually("samples are kept", || has_samples(&partial));
    let (kept, folder) = (fs::read(&partial).unwrap(), running.folder().to_owned());
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let stacks = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').map_or(line, |(stack, _)| stack).to_owned()).collect()
    };
    let of_output = stacks(ended.recorded());
    fs::create_dir(&folder).unwrap();
    let path = folder.join("kept.fpprof");
    fs::write(&path, kept).unwrap();
    let mut command = Command::new(FPPROF);
    command.arg("report").arg(&path).args(["-f", "collapsed", "-o", "-", "-t", "--states", "--native", "none"]);
    let shown = start_command(command, Scratch::new()).wait();
    fs::remove_dir_all(&folder).unwrap();
    let of_kept = stacks(&shown.stdout);
    assert!(!of_kept.is_empty() && of_kept.iter().all(|stack| of_output.contains(stack)), "{of_kept:?}\n{of_output:?}");
}

#[test]
fn what_was_there_stays_until_the_new_one_is_whole() {
    let target = Program::start(&python::newest(), BUSY);
    let kept = Scratch::new();
    for name in ["run.fpprof", "run.svg"] {
        let path = kept.path().join(name);
        let text = path.to_string_lossy();
        let first = record(&["-d", "300ms", "-o", &text, "-p", &target.pid_text()]);
        assert_eq!(first.code, 0, "{first:?}");
        let before = fs::read(&path).unwrap();
        let running = recording_to(&target, &text, &[]);
        let partial = kept.path().join(format!("{name}.partial.fpprof"));
        eventually("the new one is made", || has_samples(&partial));
        assert_eq!(fs::read(&path).unwrap(), before);
        running.signal(Signal::SIGINT);
        assert_eq!(running.wait().code, 0);
        assert_ne!(fs::read(&path).unwrap(), before);
        assert!(!partial.exists());
    }
}

/// Some rounds of what must never happen; the measure of it is `FPPROF_TESTS_KILLS=300`.
#[test]
fn sigkill_at_any_moment_leaves_nothing_that_does_not_open_and_no_thread_stopped() {
    let target = Program::start(&python::newest(), BUSY);
    let rounds = std::env::var(KILLS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(samples(12, 4));
    // Any moments will do that are not the same each time (Knuth, MMIX).
    let mut random = u64::from(std::process::id());
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let output = ["o.svg", "o.fpprof", "o.jsonl"][round % 3];
        let running = start(&["-r", "1000", "-o", output, "-p", &target.pid_text()]);
        std::thread::sleep(std::time::Duration::from_millis((random >> 33) % samples(1500, 100) as u64));
        running.signal(Signal::SIGKILL);
        let folder = running.folder().to_owned();
        eventually("fpprof has ended", || processes::state(running.pid()) == 'Z');
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let read = recording::read(&bytes[..], bytes.len() as u64);
            assert!(read.is_ok(), "round {round}: {path:?}: {read:?}");
            assert!(path.ends_with(format!("{output}.partial.fpprof")), "{path:?}");
        }
        assert_runs_on(target.pid());
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "an emulated CPU takes too few samples to fill anything in time")]
fn a_limit_of_the_size_of_files_is_an_error_and_what_was_recorded_before_is_kept() {
    let target = Program::start(&python::newest(), BUSY);
    // In units of 512 bytes: what a second takes is less, and what some seconds take is more. Sums take less than samples, and a
    // recording in sums goes on without its file.
    for (output, format, limit, time) in
        [("o.svg", "flamegraph", 8, "8s"), ("o.jsonl", "jsonl", 24, "600s"), ("o.fpprof", "fpprof", 24, "600s")]
    {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -f {limit}; exec \"$0\" \"$@\""),
            FPPROF,
            "record",
            "--max-overhead",
            "none",
            "-r",
            "1000",
        ]);
        command.args(["-d", time, "-f", format, "-o", output, "-p", &target.pid_text()]);
        let running = start_command(command, Scratch::new());
        let partial = running.folder().join(format!("{output}.partial.fpprof"));
        eventually("fpprof has ended", || processes::state(running.pid()) == 'Z');
        let shown = report(&partial);
        assert!(shown.stdout.contains(";outer (<string>:"), "{output}: {shown:?}");
        let ended = running.wait();
        assert_eq!((ended.code, &ended.files[..]), (1, &[format!("{output}.partial.fpprof")][..]), "{ended:?}");
        for words in [
            "the output cannot be written: File too large",
            "`ulimit -f`",
            &format!("{output}.partial.fpprof: `fpprof report`"),
        ] {
            assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        }
    }
    assert_untouched(target.pid());
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "an emulated CPU takes too few samples to fill anything in time")]
fn a_full_disk_is_an_error_and_what_was_recorded_before_is_kept() {
    let target = Program::start(&python::newest(), BUSY);
    let script = "mkdir d && mount -t tmpfs -o size=16k none d && \"$0\" record --max-overhead none -r 1000 -d 8s -f \"$1\" -o d/o.out -p \"$2\"; \
        code=$?; ls d; \"$0\" report d/o.out.partial.fpprof -f collapsed -o -; exit $code";
    for format in ["flamegraph", "jsonl", "fpprof", "pprof"] {
        let ended = in_own_mounts(script, &[format, &target.pid_text()]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(ended.stdout.lines().next(), Some("o.out.partial.fpprof"), "{ended:?}");
        assert!(ended.stdout.contains(";outer (<string>:"), "{ended:?}");
        for words in
            ["the output cannot be written: No space left", "`df`", "What was recorded is in d/o.out.partial.fpprof"]
        {
            assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        }
    }
    assert_untouched(target.pid());
}

#[test]
fn a_full_folder_for_temporary_files_is_named() {
    let target = Program::start(&python::newest(), BUSY);
    let script = "mkdir d && mount -t tmpfs -o size=8k none d && \
        TMPDIR=d exec \"$0\" record --max-overhead none -r 1000 -d 8s -f jsonl -o - -p \"$1\"";
    let ended = in_own_mounts(script, &[&target.pid_text()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    for words in ["cannot be kept in a temporary file: No space left", "TMPDIR", "`--output FILE`"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    assert_untouched(target.pid());
}

#[test]
fn standard_output_takes_every_format_where_nothing_can_be_written() {
    let target = Program::start(&python::newest(), BUSY);
    // Of the folders that a file could be made in none is left.
    let script = "mount -t tmpfs -o ro none /tmp && cd /proc && exec \"$0\" record -d 300ms --native none --max-overhead none -f \"$1\" -o - -p \"$2\"";
    for format in [
        "flamegraph",
        "flamechart",
        "html",
        "collapsed",
        "speedscope",
        "pprof",
        "firefox",
        "chrometrace",
        "jsonl",
        "fpprof",
    ] {
        let ended = in_own_mounts(script, &[format, &target.pid_text()]);
        assert_eq!(ended.code, 0, "{format}: {ended:?}");
        assert!(!ended.stdout.is_empty() && ended.files.is_empty(), "{format}: {ended:?}");
    }
    let ended = in_own_mounts(script, &["fpprof", "2147483647"]);
    ended.assert_refused(&["there is no process"]);
    assert_untouched(target.pid());
}

#[test]
fn a_recording_that_nothing_came_of_leaves_no_file() {
    let target = Program::start(&python::newest(), BUSY);
    let running = recording_to(&target, "o.svg", &["--native", "none"]);
    let_work(target.pid(), 50);
    running.signal(Signal::SIGTERM);
    let ended = running.wait();
    assert_eq!(
        (ended.code, &ended.files[..]),
        (0, &["o.svg".to_owned()][..]),
        "the recording goes when the picture is there"
    );
}
