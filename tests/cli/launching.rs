//! `fpprof record -- program`: the program is what it would be without fpprof, and so is its exit status.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::executables;
use crate::patience::milliseconds;
use crate::processes;
use crate::python;
use crate::run::{Ended, FPPROF, Scratch, record, start_command};

/// Works long enough to be seen, and then does what `end` says.
fn code(end: &str) -> String {
    let ms = milliseconds(300);
    format!(
        "def work():\n import time\n t = time.perf_counter() + {ms} / 1000\n while time.perf_counter() < t: sum(range(999))\nwork()\n{end}"
    )
}

fn python3() -> String {
    python::shared().command().get_program().to_string_lossy().into_owned()
}

/// Launches the shared interpreter with these arguments, into `o.txt`.
fn launch(arguments: &[&str]) -> Ended {
    record(&[&["-o", "o.txt", "--", &python3()][..], arguments].concat())
}

#[test]
fn the_exit_status_is_the_programs() {
    for (end, code_wanted) in [
        ("", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os._exit(255)", 255),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + 15),
    ] {
        let ended = launch(&["-c", &code(end)]);
        assert_eq!(ended.code, code_wanted, "{end}: {ended:?}");
        let output = ended.output.as_deref().expect("what there was is written");
        assert!(output.contains("<module> (<string>:5);work (<string>:4)"), "{ended:?}");
        assert!(ended.stderr.contains("the target has ended") && !ended.stderr.contains("runs on"), "{ended:?}");
    }
}

#[test]
fn the_programs_output_is_its_own() {
    let end = "import sys; print('on stdout'); print('on stderr', file=sys.stderr)";
    let ended = launch(&["-c", &code(end)]);
    assert_eq!(ended.stdout, "on stdout\n", "{ended:?}");
    let (first, rest) = ended.stderr.split_once('\n').expect("it says where the recording is");
    assert!(
        first.starts_with("fpprof: what is recorded is kept in ") && rest.starts_with("on stderr\nfpprof: "),
        "{ended:?}"
    );
    // A profile on standard output has it for itself.
    let ended = record(&["-f", "collapsed", "-o", "-", "--", &python3(), "-c", &code(end)]);
    assert!(ended.stdout.starts_with("# command: ") && !ended.stdout.contains("\non stdout"), "{ended:?}");
    let is_a_stack = |line: &str| line.rsplit_once(' ').is_some_and(|(_, count)| count.parse::<u64>().is_ok());
    assert!(ended.stdout.lines().all(|line| line.starts_with('#') || is_a_stack(line)), "{ended:?}");
    assert!(
        ended.stderr.contains("on stdout\non stderr\n") || ended.stderr.contains("on stderr\non stdout\n"),
        "{ended:?}"
    );
    assert!(ended.files.is_empty());
}

#[test]
fn the_programs_input_is_ours() {
    let scratch = Scratch::new();
    let mut command = Command::new("sh");
    let script = format!("echo hello | \"$0\" record -o o.txt -- {} -c \"$1\"", python3());
    command.args(["-c", &script, FPPROF, &code("print(input())")]);
    let ended = start_command(command, scratch).wait();
    assert_eq!((ended.stdout.as_str(), ended.code), ("hello\n", 0), "{ended:?}");
}

#[test]
fn the_program_gets_its_own_arguments_and_the_limits_that_we_got() {
    let end = "import sys, resource; print(sys.argv[1:], resource.getrlimit(resource.RLIMIT_NOFILE)[0])";
    let mut command = Command::new("sh");
    let script = "ulimit -S -n 99; exec \"$@\"";
    command.args(["-c", script, "sh", FPPROF, "record", "-o", "o.txt", &python3(), "-c", &code(end), "-d", "--pid"]);
    let ended = start_command(command, Scratch::new()).wait();
    assert_eq!((ended.stdout.as_str(), ended.code), ("['-d', '--pid'] 99\n", 0), "{ended:?}");
}

#[test]
fn a_program_that_does_not_exist_or_cannot_be_executed() {
    let ended = record(&["-o", "o.svg", "--", "no-such-program-here"]);
    ended.assert_refused(&["`no-such-program-here` cannot be started", "No such file", "PATH"]);
    assert_eq!(ended.code, 127);
    let ended = record(&["-o", "o.svg", "--", "/etc/passwd"]);
    ended.assert_refused(&["`/etc/passwd` cannot be started", "denied"]);
    assert_eq!(ended.code, 126);
}

#[test]
fn a_program_that_is_no_python_and_ends_at_once() {
    for (script, code, how) in
        [("true", 1, "with status 0"), ("exit 7", 7, "with status 7"), ("kill -9 $$", 137, "by signal 9")]
    {
        let ended = record(&["-o", "o.svg", "--", "sh", "-c", script]);
        ended.assert_refused(&["`sh` ended", how, "nothing was recorded"]);
        assert_eq!(ended.code, code, "{ended:?}");
    }
}

#[test]
fn a_program_that_is_no_python_and_does_not_end() {
    let ended = record(&["-o", "o.svg", "--", "sh", "-c", "echo $$; exec sleep 1000 >/dev/null 2>&1"]);
    let pid: i32 = ended.stdout.trim().parse().unwrap_or_else(|_| panic!("{ended:?}"));
    ended.assert_refused(&["no CPython runtime was recognised", &format!("The program runs on as process {pid}")]);
    processes::assert_untouched(pid);
    processes::send(pid, nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn a_shell_wrapper_that_becomes_python() {
    let scratch = Scratch::new();
    let wrapper = scratch.path().join("wrapper");
    executables::write(&wrapper, format!("#!/bin/sh\necho wrapped\nexec env A=1 {} \"$@\"\n", python3()));
    let ended = record(&["-o", "o.txt", "--", &wrapper.to_string_lossy(), "-c", &code("raise SystemExit(3)")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, "wrapped\n"), "{ended:?}");
    assert!(ended.output.unwrap().contains(";work (<string>:4)"));
}

#[test]
fn a_virtual_environment_and_a_module() {
    let scratch = Scratch::new();
    let bin = scratch.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(python3(), bin.join("python3")).unwrap();
    let home = std::path::PathBuf::from(python3());
    let home = home.parent().unwrap().display();
    std::fs::write(scratch.path().join("pyvenv.cfg"), format!("home = {home}\n")).unwrap();
    let packages = scratch.path().join("lib/python3.13/site-packages/inside");
    std::fs::create_dir_all(&packages).unwrap();
    std::fs::write(packages.join("__init__.py"), "").unwrap();
    std::fs::write(packages.join("__main__.py"), code("import sys; print(sys.prefix)")).unwrap();
    let ended = record(&["-o", "o.txt", "--", &bin.join("python3").to_string_lossy(), "-m", "inside"]);
    assert_eq!(ended.stdout.trim_end(), scratch.path().to_string_lossy(), "{ended:?}");
    // The packages of the environment are named by their package.
    assert!(ended.recorded().contains("<module> (inside/__main__.py:5);work (inside/__main__.py:4)"), "{ended:?}");
}

#[test]
fn a_program_runs_on_after_its_recording_when_it_is_kept() {
    let end = "import os; os.write(1, b'%d\\n' % os.getpid())";
    let code = format!("import os; os.dup2(1, 2)\n{}", code(end));
    let ended = record(&["-d", "200ms", "--keep-running", "-o", "o.txt", "--", &python3(), "-c", &code]);
    assert!(ended.recorded().contains("work"), "{ended:?}");
    // What it writes when its work is done has arrived: it ran on when fpprof had ended.
    assert!(ended.stdout.trim_end().parse::<i32>().is_ok(), "{ended:?}");
}

#[test]
fn a_program_is_ended_when_the_time_of_its_recording_is_over() {
    let recorded = |ignored: &str| {
        let code = format!(
            "import _signal as signal\nfor number in [{ignored}]: signal.signal(number, signal.SIG_IGN)\nwhile True: pass"
        );
        // Long enough to come to its loop.
        let time = format!("{}ms", milliseconds(1_500));
        let ended = record(&["-d", &time, "-o", "o.txt", "--", &python3(), "-IS", "-c", &code]);
        assert!(ended.recorded().contains("<module> (<string>:3)"), "{ended:?}");
        ended.stderr
    };
    let ended = recorded("");
    assert!(ended.contains("was ended by SIGINT (signal: 2 (SIGINT))"), "{ended}");
    let ended = recorded("signal.SIGINT");
    assert!(ended.contains("was ended by SIGTERM (signal: 15 (SIGTERM))"), "{ended}");
}
