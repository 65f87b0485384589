//! Several processes in one recording: trees of them, those of a name, and what a launcher starts.
//!
//! The truth is what the workers say of themselves: each prints its id, its role and its CPU time when it is done.

use std::collections::BTreeMap;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::patience::{eventually, milliseconds};
use crate::processes::{self, assert_runs_on};
use crate::python::{self, Program};
use crate::run::{Ended, FPPROF, Scratch, fpprof, record, start, start_command};

/// A worker: works for `millis` of its own CPU time, and says how much it has used.
const WORKER: &str = "
import os, sys, time
def work(role, millis):
    while time.process_time() < millis / 1000:
        n = 0
        for i in range(20000): n += i
    os.write(1, f'{os.getpid()} {role} {time.process_time():.6f}\\n'.encode())
";

/// Ends with its standard input.
const END: &str = "os.read(0, 1)\n";

fn python3() -> String {
    python::shared().command().get_program().to_string_lossy().into_owned()
}

/// What the workers have said: by their ids, role and seconds.
fn said(text: &str) -> BTreeMap<i32, (String, f64)> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (pid, role, cpu) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
        Some((pid, (role.to_owned(), cpu)))
    };
    text.lines().filter_map(line).collect()
}

/// The seconds of all stacks of each process in collapsed stacks, by the id at the end of their first frame.
pub fn widths(output: &str) -> BTreeMap<i32, f64> {
    let mut widths = BTreeMap::new();
    for line in output.lines().filter(|line| !line.starts_with('#')) {
        let (stack, micros) = line.rsplit_once(' ').expect("a stack and a number");
        let first = stack.split(';').next().expect("a frame");
        let (_, pid) = first.strip_suffix(')').and_then(|first| first.rsplit_once('(')).expect("a process first");
        *widths.entry(pid.parse().expect("an id")).or_default() += micros.parse::<f64>().expect("a number") / 1e6;
    }
    widths
}

/// Checks that the time of each worker is in the profile: the kernel's account of it has what it says of itself, and some milliseconds
/// more, which it takes to begin and to end.
#[track_caller]
fn assert_all_is_there(ended: &Ended, workers: usize) {
    let (said, widths) = (said(&ended.stdout), widths(ended.recorded()));
    assert_eq!(said.len(), workers, "{ended:?}");
    for (pid, (role, cpu)) in &said {
        let width = widths.get(pid).copied().unwrap_or(0.0);
        assert!((0.85 * cpu..1.5 * cpu + 0.3).contains(&width), "{role} {pid}: {width} s of {cpu}: {ended:?}");
    }
}

fn script(scratch: &Scratch, text: &str) -> String {
    let path = scratch.path().join("pool.py");
    std::fs::write(&path, text).expect("the folder is ours");
    path.to_string_lossy().into_owned()
}

/// Records a script with its subprocesses, into collapsed stacks.
fn record_tree(text: &str, more: &[&str]) -> Ended {
    let scratch = Scratch::new();
    let path = script(&scratch, text);
    record(&[&["-s", "-o", "o.txt"][..], more, &["--", &python3(), &path]].concat())
}

fn pool(method: &str) -> String {
    let millis = milliseconds(1500);
    format!(
        "{WORKER}
import multiprocessing
def red(): work('red', {millis})
def blue(): work('blue', {millis})
if __name__ == '__main__':
    context = multiprocessing.get_context('{method}')
    workers = [context.Process(target=target) for target in (red, blue)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
"
    )
}

#[test]
fn workers_of_all_start_methods_are_recorded_with_their_time() {
    for method in ["fork", "spawn", "forkserver"] {
        let ended = record_tree(&pool(method), &[]);
        assert_all_is_there(&ended, 2);
        for (pid, (role, _)) in said(&ended.stdout) {
            let of_it: Vec<&str> =
                ended.stacks().into_iter().filter(|stack| stack.contains(&format!("({pid});"))).collect();
            let other = if role == "red" { ";blue (" } else { ";red (" };
            assert!(of_it.iter().any(|stack| stack.contains(&format!(";{role} ("))), "{method}: {ended:?}");
            assert!(!of_it.iter().any(|stack| stack.contains(other)), "{method}: {ended:?}");
        }
        assert!(ended.stderr.contains("  processes: "), "{ended:?}");
    }
}

#[test]
fn workers_that_come_and_go_are_all_there() {
    let text = format!(
        "{WORKER}
import multiprocessing
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    for _ in range({}):
        pair = [context.Process(target=work, args=('short', 300)) for _ in range(2)]
        for worker in pair: worker.start()
        for worker in pair: worker.join()
",
        6
    );
    let ended = record_tree(&text, &[]);
    let (said, widths) = (said(&ended.stdout), widths(ended.recorded()));
    assert_eq!(said.len(), 12, "{ended:?}");
    let (used, seen): (f64, f64) =
        (said.values().map(|(_, cpu)| cpu).sum(), said.keys().filter_map(|pid| widths.get(pid)).sum());
    assert!(seen >= 0.9 * used, "{seen} s of {used} s: {ended:?}");
    assert!(seen <= 1.5 * used, "{seen} s of {used} s: {ended:?}");
}

#[test]
fn programs_that_are_no_python_are_passed_by_and_what_they_start_is_not() {
    let millis = milliseconds(800);
    let text = format!(
        "{WORKER}
import subprocess
if len(sys.argv) > 1:
    work('inner', {millis})
else:
    for _ in range(20): subprocess.run(['true'])
    subprocess.run(['sh', '-c', 'sleep 0.1; \"$0\" \"$@\"; true', sys.executable, __file__, 'again'])
"
    );
    let ended = record_tree(&text, &[]);
    assert_all_is_there(&ended, 1);
    assert!(ended.stderr.contains("ran no Python"), "{ended:?}");
    assert!(!ended.stderr.contains("not recorded"), "{ended:?}");
}

#[test]
fn processes_of_one_role_can_be_one_and_one_can_be_shown_alone() {
    let scratch = Scratch::new();
    let path = script(&scratch, &pool("fork"));
    let mut command = Command::new(FPPROF);
    command.args(["record", "-s", "--max-overhead", "none", "-o", "o.fpprof", "--", &python3(), &path]);
    let ended = start_command(command, Scratch::new());
    let recording = ended.folder().join("o.fpprof");
    eventually("it is recorded", || recording.exists());
    let report = |more: &[&str]| {
        let arguments =
            [&["report", recording.to_str().expect("text"), "-f", "collapsed", "-o", "o.txt"][..], more].concat();
        fpprof(&arguments)
    };
    let each = report(&[]);
    let processes = widths(each.recorded());
    assert!(processes.len() >= 3, "{each:?}");
    let merged = report(&["--merge-processes"]);
    let firsts: std::collections::BTreeSet<&str> =
        merged.stacks().iter().filter_map(|stack| stack.split(';').next()).collect();
    assert_eq!(firsts.into_iter().collect::<Vec<_>>(), ["pool.py"], "{merged:?}");
    let (pid, _) = processes.iter().next_back().expect("a process");
    let one = report(&["--pid", &pid.to_string()]);
    assert_eq!(widths(one.recorded()).into_keys().collect::<Vec<_>>(), [*pid], "{one:?}");
    for (format, expected) in
        [("jsonl", "\"process\":\"pool.py\""), ("speedscope", "pool.py ("), ("chrometrace", "process_name")]
    {
        let shown = fpprof(&["report", recording.to_str().expect("text"), "-f", format, "-o", "-"]);
        assert!(shown.stdout.contains(expected), "{format}: {shown:?}");
    }
    let missing = report(&["--pid", "1"]);
    assert!(missing.stderr.contains("the profile is empty"), "{missing:?}");
    assert!(missing.recorded().contains("shown: a part of them, process 1"), "{missing:?}");
}

/// A master that waits, and workers that work until it ends.
fn master() -> Program {
    let code = format!(
        "{WORKER}
workers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0: work('endless', 10**9)
    workers.append(pid)
print('ready', flush=True)
def wait_for_the_end():
    {END}
wait_for_the_end()
import signal
for pid in workers: os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
"
    );
    Program::start(&python::shared(), &code)
}

#[test]
fn who_records_a_master_alone_is_told_of_its_workers() {
    let master = master();
    let ended = record(&["-d", "3", "-o", "o.txt", "-p", &master.pid_text()]);
    assert!(ended.stderr.contains("not recorded: 2 Python processes that it has started used "), "{ended:?}");
    assert!(ended.stderr.contains("--subprocesses"), "{ended:?}");
    let ended = record(&["-s", "-d", "3", "-o", "o.txt", "-p", &master.pid_text()]);
    assert!(!ended.stderr.contains("add --subprocesses"), "{ended:?}");
    assert!(ended.stderr.contains("processes: 3 recorded"), "{ended:?}");
    assert_eq!(widths(ended.recorded()).values().filter(|seconds| **seconds > 0.2).count(), 2, "{ended:?}");
    master.end();
}

#[test]
fn a_recording_of_a_tree_leaves_all_of_it_untouched() {
    let master = master();
    let running = start(&["-s", "-o", "o.txt", "-p", &master.pid_text()]);
    let workers = processes::children(master.pid());
    assert_eq!(workers.len(), 2);
    workers.iter().for_each(|worker| running.wait_until_sampling(*worker));
    running.signal(Signal::SIGKILL);
    drop(running);
    workers.into_iter().for_each(assert_runs_on);
    master.end();
}

#[test]
fn a_launcher_is_followed_to_its_python() {
    let millis = milliseconds(600);
    let scratch = Scratch::new();
    let path = script(&scratch, &format!("{WORKER}\nwork('only', {millis})\nsys.exit(3)"));
    let script = format!("\"$0\" {path}; status=$?; sleep 0.2; exit $status");
    let ended = record(&["-o", "o.txt", "--", "sh", "-c", &script, &python3()]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("`sh` has started Python as process "), "{ended:?}");
    let stacks = ended.output.as_deref().expect("it is written");
    assert!(stacks.contains(";work ("), "{ended:?}");
    assert!(!ended.stderr.contains("runs on"), "{ended:?}");
}

#[test]
fn a_launcher_that_runs_is_followed_if_it_has_one_python() {
    let code = format!(
        "{WORKER}\nos.write(1, b'ready\\n')\nimport threading\nthreading.Thread(target=work, args=('one', 10**9), daemon=True).start()\n{END}"
    );
    for (children, expected) in [(1, "has started Python as process"), (2, "has started several: ")] {
        let starts = (0..children).map(|_| "\"$0\" -c \"$1\" <&3 &\n").collect::<String>();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 3<&0\n{starts}wait"), &python3(), &code]);
        let mut program = Program::spawn(command);
        (0..children).for_each(|_| assert_eq!(program.line(), "ready"));
        let ended = record(&["-d", "500ms", "-o", "o.txt", "-p", &program.pid_text()]);
        assert!(ended.stderr.contains(expected), "{ended:?}");
        match children {
            1 => assert!(ended.recorded().contains("work (<string>:"), "{ended:?}"),
            _ => {
                ended.assert_refused(&["--subprocesses"]);
                // As it says.
                let all = record(&["-s", "-d", "1500ms", "-o", "o.txt", "-p", &program.pid_text()]);
                assert!(all.recorded().contains("work (<string>:"), "{all:?}");
                assert!(all.stderr.contains("processes: 2 recorded"), "{all:?}");
            }
        }
        program.end();
    }
}

#[test]
fn processes_are_chosen_by_name_now_and_later() {
    let unique = format!("fpprof-test-{}", std::process::id());
    let code = format!(
        "{WORKER}\nos.write(1, b'ready\\n')\nimport threading\nthreading.Thread(target=work, args=('named', 10**9), daemon=True).start()\n{END}"
    );
    let start_one = |role: &str| {
        let mut command = python::shared().command();
        command.args(["-c", &code, &unique, role]);
        let mut program = Program::spawn(command);
        assert_eq!(program.line(), "ready");
        program
    };
    let name = format!("{unique}*");
    record(&["-d", "1", "-o", "o.txt", "--name", &name]).assert_refused(&["no process that is chosen", "--wait"]);
    let running = start(&["-d", "20", "-o", "o.txt", "--name", &name, "--exclude", "unwanted", "--wait"]);
    let (first, second, unwanted) = (start_one("one"), start_one("two"), start_one("unwanted"));
    [&first, &second].into_iter().for_each(|program| running.wait_until_sampling(program.pid()));
    processes::let_work(first.pid(), 300);
    processes::let_work(second.pid(), 300);
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let seen: Vec<i32> = widths(ended.recorded()).into_keys().collect();
    let mut expected = vec![first.pid(), second.pid()];
    expected.sort_unstable();
    assert_eq!(seen, expected, "{ended:?}");
    [first, second, unwanted].into_iter().for_each(|program| assert!(program.end().success()));
}

#[test]
fn a_choice_that_makes_no_sense_is_refused() {
    for (arguments, words) in [
        (&["--exclude", "x", "-p", "1"][..], "`--exclude` leaves out"),
        (&["--wait", "-p", "1"], "`--wait` waits for"),
        (&["--container", "no such container", "-o", "o.txt"], "there is no container"),
    ] {
        record(arguments).assert_refused(&[words]);
    }
    let ended = record(&["--name", "x", "--", "true"]);
    assert!(ended.code == 2 && ended.stderr.contains("cannot be used with"), "{ended:?}");
}

#[test]
fn a_recording_of_a_tree_ends_with_its_last_process() {
    let master = master();
    let running = start(&["-s", "-d", "600", "-o", "o.txt", "-p", &master.pid_text()]);
    for worker in processes::children(master.pid()) {
        running.wait_until_sampling(worker);
        processes::let_work(worker, 200);
    }
    master.end();
    let ended = running.wait();
    assert!(ended.stderr.contains("the target has ended"), "{ended:?}");
    assert!(!ended.stacks().is_empty(), "{ended:?}");
}

#[test]
fn a_dump_shows_all_processes_of_a_tree() {
    let master = master();
    let workers = processes::children(master.pid());
    let dump = fpprof(&["dump", "-s", "-p", &master.pid_text()]);
    assert_eq!(dump.code, 0, "{dump:?}");
    let shown: Vec<&str> = dump.stdout.lines().filter(|line| line.starts_with("Process ")).collect();
    let mut pids: Vec<i32> = workers.iter().copied().chain([master.pid()]).collect();
    pids.sort_unstable();
    assert_eq!(shown.len(), pids.len(), "{dump:?}");
    for (line, pid) in shown.iter().zip(pids) {
        assert!(line.starts_with(&format!("Process {pid}: ")), "{dump:?}");
    }
    assert!(dump.stdout.contains("wait_for_the_end") && dump.stdout.contains("    work ("), "{dump:?}");
    let json = fpprof(&["dump", "-s", "--json", "-p", &master.pid_text()]);
    assert_eq!(json.stdout.matches("\"namespace_pid\"").count(), 3, "{json:?}");
    let doctor = fpprof(&["doctor", "-s", "-p", &master.pid_text()]);
    assert_eq!((doctor.code, doctor.stdout.matches(&master.pid_text()).count() > 0), (0, true), "{doctor:?}");
    for worker in workers {
        assert!(doctor.stdout.contains(&worker.to_string()), "{doctor:?}");
    }
    fpprof(&["dump", "--name", "no such process"]).assert_refused(&["no process that is chosen"]);
    master.end();
}

/// Each has some files open while it is sampled. There may be far fewer than all of them had together.
#[test]
fn of_workers_that_have_ended_no_files_stay_open() {
    let scratch = Scratch::new();
    let workers = 60;
    let code = format!(
        "{WORKER}
for number in range({workers}):
    pid = os.fork()
    if pid == 0:
        work('short', {})
        os._exit(0)
    os.waitpid(pid, 0)
",
        milliseconds(60)
    );
    let path = script(&scratch, &code);
    let mut command = Command::new("prlimit");
    command.args(["--nofile=128:128", FPPROF, "record", "-s", "-o", "o.txt", "--", &python3(), &path]);
    let ended = start_command(command, scratch).wait();
    let recorded = ended.stderr.lines().find_map(|line| line.strip_prefix("  processes: ")?.split(' ').next());
    let recorded: usize = recorded.expect("processes are counted").parse().expect("a number");
    assert!(recorded > workers * 3 / 4, "{recorded}: {ended:?}");
}
