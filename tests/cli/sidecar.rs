//! A sidecar: SYS_PTRACE is the only capability, and the target is another user's.
//!
//! `/proc/PID/task/TID/syscall`, which tells where a blocked thread is, may then not be read: it is stopped to be read. What fpprof
//! says of it must be what it says with every privilege, which reads it without a stop.

use crate::patience::eventually;
use crate::permissions::{as_nobody, of_nobody, run_as};
use crate::python::Program;
use crate::run::Ended;

/// One thread that works, and four that are blocked in calls of different kinds: two of them notice a stop.
const BLOCKED_AND_BUSY: &str = concat!(
    "
import os, select, threading, time
def in_epoll(): select.epoll().poll()
def in_sleep(): time.sleep(3600)
def in_lock(): threading.Event().wait()
def in_read(): os.read(0, 1)
names = [in_epoll, in_sleep, in_lock, in_read]
threads = [threading.Thread(target=name, name=name.__name__, daemon=True) for name in names]
for thread in threads: thread.start()
",
    crate::python::outer_and_inner!(),
    "
print('ready', flush=True)
outer()
"
);

const SYS_PTRACE: &str = "-all,+sys_ptrace";

/// The switches of setpriv(1) of a user and group that keep this one capability.
fn with_sys_ptrace_alone(user: u32) -> Vec<String> {
    let mut switches = vec![format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".into()];
    switches.extend(["--inh-caps", "--ambient-caps", "--bounding-set"].map(|set| format!("{set}={SYS_PTRACE}")));
    switches.push("--no-new-privs".into());
    switches
}

/// What each of its blocked threads does.
const STATES: [(&str, &str); 4] = [
    ("in_epoll", "I/O: epoll_"),
    ("in_sleep", "sleeping"),
    ("in_lock", "waiting for a lock"),
    ("in_read", "I/O: read"),
];

/// Starts it as the user who owns nothing, and waits until its threads are blocked where they are to be. Returns what fpprof says of
/// them with every privilege, too.
fn start() -> (Program, Vec<String>) {
    let target = Program::start_command(of_nobody(), BLOCKED_AND_BUSY);
    let mut threads = Vec::new();
    eventually("its threads are blocked", || {
        threads = blocked(&run_as(&["--reuid=0"], &["dump", "--pid", &target.pid_text()]));
        let is_so = |(function, state): (&str, &str)| threads.iter().any(|t| t.contains(function) && t.contains(state));
        STATES.into_iter().all(is_so)
    });
    (target, threads)
}

/// The blocked threads of a dump, sorted: their names, what they do, and their frames.
fn blocked(dump: &Ended) -> Vec<String> {
    assert!(dump.code == 0, "{dump:?}");
    let threads = dump.stdout.split("\n\n").filter(|part| part.starts_with("Thread ") && part.contains("in_"));
    let mut threads: Vec<String> = threads.map(str::to_owned).collect();
    threads.sort();
    threads
}

#[test]
fn blocked_threads_are_read_as_with_every_privilege() {
    let (target, expected) = start();
    let arguments = ["dump", "--pid", &target.pid_text()];
    // Of which kind a file is that a thread waits for is not told: `/proc/PID/fd` is its user's alone, too.
    let without_kind = |thread: String| thread.replace("wait epoll", "wait").replace("read pipe", "read");
    let without_kinds = |threads: Vec<String>| threads.into_iter().map(without_kind).collect::<Vec<_>>();
    let expected = without_kinds(expected);
    for user in [0, 1001] {
        let dump = run_as(&with_sys_ptrace_alone(user), &arguments);
        assert_eq!(without_kinds(blocked(&dump)), expected, "as user {user}: {dump:?}");
        assert!(dump.stderr.contains("blocked threads were stopped for a moment to be read"), "{dump:?}");
    }
}

#[test]
fn every_mode_records_and_says_what_it_had_to_stop() {
    let (target, _) = start();
    let pid = target.pid_text();
    for mode in ["cpu", "wall", "gil"] {
        let arguments = [
            "record",
            "--max-overhead",
            "none",
            "-d",
            "1500ms",
            "-r",
            "20",
            "--mode",
            mode,
            "-f",
            "collapsed",
            "-o",
            "-",
            "-p",
        ];
        let arguments: Vec<_> = arguments.into_iter().chain([&*pid]).collect();
        let mut recorded = None;
        // Without a priority a short recording on a full machine may have no fair moment.
        eventually("it is sampled", || {
            let ended = run_as(&with_sys_ptrace_alone(0), &arguments);
            assert_eq!(ended.code, 0, "{mode}: {ended:?}");
            recorded = ended.stdout.contains(";inner (<string>:").then_some(ended);
            recorded.is_some()
        });
        let ended = recorded.expect("it has been sampled");
        let has_blocked = ended.stdout.contains("in_epoll (<string>:");
        assert_eq!(has_blocked, mode == "wall", "{mode}: {ended:?}");
        let said = ended
            .stderr
            .split("; ")
            .find_map(|part| part.split_once(" of blocked threads, for without CAP_DAC_READ_SEARCH"));
        let stops: Option<u64> =
            said.map(|(stops, _)| stops.split(' ').next().unwrap().replace(',', "").parse().unwrap());
        match mode {
            // Four threads at 30 ticks: each is stopped once, and again only where it had not gone back to its sleep by the next tick.
            "wall" => assert!((4..=60).contains(&stops.unwrap_or(0)), "{ended:?}"),
            _ => assert_eq!(stops, None, "{ended:?}"),
        }
    }
}

#[test]
fn doctor_tells_what_is_done_in_another_way() {
    let (target, _) = start();
    let examined = |switches: &[String]| {
        let doctor = run_as(switches, &["doctor", "--json", "--pid", &target.pid_text()]);
        let document: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap_or_else(|_| panic!("{doctor:?}"));
        let findings = document["findings"].as_array().unwrap().clone();
        findings.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let stops = |findings: &[String]| findings.iter().any(|id| id == "blocked_threads_are_stopped");
    assert!(stops(&examined(&with_sys_ptrace_alone(0))));
    assert!(!stops(&examined(&["--reuid=0".into()])));
    assert!(!stops(&examined(&as_nobody())), "its own user sees its calls");
}
