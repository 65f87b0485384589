//! What fpprof says that a thread does is what the program has it do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use fpprof::sampler::clock::{Clock, Intervals, Tick};
use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::run_state::RunState;
use fpprof::sampler::sample::Sample;
use fpprof::sampler::session::Session;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interpreters::{self, TestInterpreter};
use crate::patience::{emulated_or, eventually, patience, samples};
use crate::reading;
use crate::target::{Mode, Target};

/// How often to look where nothing may change: at each of these moments something could.
const LOOKS: usize = 20;
/// How many ticks make a share.
const TICKS: usize = 200;

/// What each thread of the target does in one tick, by its thread id.
fn look(session: &mut Session) -> BTreeMap<i32, String> {
    let mut states = BTreeMap::new();
    let mut take = |sample: Sample| drop(states.insert(sample.tid.0, sample.run_state.to_string()));
    session.tick(1, &mut take);
    session.serve_within(patience(), &mut take);
    states
}

/// The threads of `waiting` that do not do what their names say, with what they do.
fn wrong(target: &Target, states: &BTreeMap<i32, String>) -> Vec<String> {
    let is = |native_id: i32, expected: &str| {
        states.get(&native_id).is_some_and(|state| expected.split('|').any(|one| one == state))
    };
    let threads = target.truth().threads.iter();
    let wrong = threads.filter(|thread| {
        let expected = thread.name.split(" / ").next().unwrap_or_default();
        !is(thread.native_id, expected)
    });
    wrong.map(|thread| format!("{}: {:?}", thread.name, states.get(&thread.native_id))).collect()
}

/// Looks until `is_there` is true of what is seen.
fn look_until(session: &mut Session, mut is_there: impl FnMut(&BTreeMap<i32, String>) -> bool) {
    let deadline = Instant::now() + patience();
    loop {
        let states = look(session);
        if is_there(&states) || Instant::now() > deadline {
            return;
        }
        std::thread::yield_now();
    }
}

/// Threads that wait in every way that has a state of its own, once each is where it says.
fn waiting(interpreter: &TestInterpreter) -> (Target, Session) {
    let target = Target::spawn(interpreter, "waiting", Mode::Work, &[]);
    let mut session = reading::session(target.pid(), Sampled::Wall);
    look_until(&mut session, |states| wrong(&target, states).is_empty());
    (target, session)
}

#[test]
fn a_thread_that_waits_waits_for_what_it_says() {
    for interpreter in interpreters::without_jit() {
        let (target, mut session) = waiting(&interpreter);
        // Of the looks until then, some were at threads that were on their way.
        let before = session.statistics.gil;
        for _ in 0..samples(LOOKS, 5) {
            let wrong = wrong(&target, &look(&mut session));
            assert!(wrong.is_empty(), "{}: {wrong:#?}", interpreter.name);
        }
        let gil = session.statistics.gil;
        assert_eq!(gil.held - before.held, 0, "{}: nobody holds the GIL", interpreter.name);
        assert!(gil.looks - before.looks >= samples(LOOKS, 5) as u64);
        assert!(target.release().success());
    }
}

#[test]
fn a_stopped_process_waits_for_nothing() {
    let (target, mut session) = waiting(&interpreters::named("pyenv 3.12"));
    let pid = Pid::from_raw(i32::try_from(target.pid()).expect("a pid"));
    kill(pid, Signal::SIGSTOP).expect("it can be stopped");
    let stopped = |states: &BTreeMap<i32, String>| states.values().all(|state| state == "stopped");
    look_until(&mut session, stopped);
    let states = look(&mut session);
    assert!(stopped(&states) && states.len() == target.truth().threads.len(), "{states:#?}");
    kill(pid, Signal::SIGCONT).expect("it can be continued");
    look_until(&mut session, |states| wrong(&target, states).is_empty());
    let wrong = wrong(&target, &look(&mut session));
    assert!(wrong.is_empty(), "each call has begun again: {wrong:#?}");
}

/// How often each state was seen of the threads that run in one way; how often the GIL was held, of how many looks.
#[derive(Debug)]
struct Seen {
    states: BTreeMap<RunState, u64>,
    /// Samples of threads that waited for a CPU: there is nothing to see of what they do with one.
    waiting: u64,
    gil: (u64, u64),
}

impl Seen {
    fn of(interpreter: &TestInterpreter, way: &[&str]) -> Seen {
        let target = Target::spawn(interpreter, "contention", Mode::Work, way);
        let running: BTreeSet<i32> = target.truth().threads.iter().map(|thread| thread.native_id).collect();
        let mut session = reading::session(target.pid(), Sampled::Wall);
        // Each thread has begun what it is about, and has had its turn.
        for thread in &running {
            wait_for_cpu_time(target.pid(), *thread);
        }
        // The first thread has told of them, and needs the GIL once more to begin its wait: where threads wait long for a CPU, nobody
        // holds the GIL while it is handed there and back.
        let first = i32::try_from(target.pid()).expect("a pid");
        look_until(&mut session, |states| states.get(&first).is_some_and(|state| state.starts_with("I/O: read")));
        let before = session.statistics.gil;
        let (mut states, mut waiting) = (BTreeMap::new(), 0);
        for sample in reading::samples(&mut session, 500.0, (usize::MAX, TICKS)) {
            match running.contains(&sample.tid.0) {
                true if sample.run_state == RunState::WaitingForCpu => waiting += 1,
                true => *states.entry(sample.run_state).or_default() += 1,
                false => {}
            }
        }
        let gil = session.statistics.gil;
        assert!(target.release().success());
        Seen { states, waiting, gil: (gil.held - before.held, gil.looks - before.looks) }
    }

    fn share(&self, state: RunState) -> f64 {
        let all: u64 = self.states.values().sum();
        self.states.get(&state).copied().unwrap_or(0) as f64 / all as f64
    }

    /// The share of all samples, those of threads that waited for a CPU among them.
    fn share_of_all(&self, state: RunState) -> f64 {
        let all = self.states.values().sum::<u64>() + self.waiting;
        let of_it =
            if state == RunState::WaitingForCpu { self.waiting } else { self.states.get(&state).copied().unwrap_or(0) };
        of_it as f64 / all as f64
    }

    fn held(&self) -> f64 {
        self.gil.0 as f64 / self.gil.1 as f64
    }
}

/// The nanoseconds that a thread has run or was ready to run, by the kernel's word.
fn ready_time(pid: u32, tid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).expect("the thread lives");
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().expect("a number"));
    numbers.next().unwrap_or(0) + numbers.next().unwrap_or(0)
}

fn wait_for_cpu_time(pid: u32, tid: i32) {
    eventually(&format!("thread {tid} has run"), || ready_time(pid, tid) >= 200_000_000);
}

#[test]
fn a_thread_that_spins_in_python_does_nothing_else() {
    for interpreter in interpreters::all() {
        let seen = Seen::of(&interpreter, &["python"]);
        assert!(seen.share(RunState::Python) == 1.0, "{}: {:?}", interpreter.name, seen.states);
        assert!(seen.held() == 1.0, "{}: the GIL is held all the time, not {:?}", interpreter.name, seen.gil);
    }
}

#[test]
fn a_thread_in_zlib_runs_native_code_without_the_gil() {
    for interpreter in interpreters::without_jit() {
        let seen = Seen::of(&interpreter, &["zlib"]);
        // Between two calls, each of which takes half a second, it is in Python and gives memory back for a moment.
        assert!(seen.share(RunState::Native) > 0.98, "{}: {:?}", interpreter.name, seen.states);
        assert!(seen.held() < 0.1, "{}: nobody holds the GIL: {:?}", interpreter.name, seen.gil);
    }
}

#[test]
fn a_thread_that_collects_garbage_is_seen_to() {
    for interpreter in interpreters::without_jit() {
        let seen = Seen::of(&interpreter, &["gc"]);
        // Between two collections it is in Python: 2 to 4 % of the time.
        assert!(seen.share(RunState::GarbageCollection) > 0.9, "{}: {:?}", interpreter.name, seen.states);
        assert!(seen.held() > 0.98, "{}: {:?}", interpreter.name, seen.gil);
    }
}

#[test]
fn of_four_threads_that_want_the_gil_one_has_it() {
    // `sys.getswitchinterval()`, and longer where it takes longer to hand it over.
    let turn = emulated_or(5, 20).to_string();
    for interpreter in interpreters::without_jit() {
        let seen = Seen::of(&interpreter, &["gil", &turn]);
        let name = &interpreter.name;
        let [python, native, gil] =
            [RunState::Python, RunState::Native, RunState::Gil].map(|state| seen.share_of_all(state));
        let waiting = seen.share_of_all(RunState::WaitingForCpu);
        // Whenever somebody has it, that is one of the four, who runs, or waits for a CPU as others may who wake up to try again. While it
        // is handed over nobody has it: a few hundredths of the time, and more on a machine so full that who is next waits for a CPU first.
        let expected = seen.held() / 4.0;
        let (least, most) = (python + native, python + native + waiting);
        assert!(least < expected + 0.07 && most > expected - 0.07, "{name}: {least}, {most}, {expected}: {seen:?}");
        // A thread that wakes up to try again is ready to run and stands in the C library: a few hundredths.
        assert!(native < emulated_or(0.07, 0.2) && seen.held() > 0.2, "{name}: {seen:?}");
        // A thread that wakes while it is looked at is not told: where looking takes a part of a turn, there are some.
        assert!(most + gil > emulated_or(0.99, 0.97), "{name}: {seen:?}");
    }
}

/// The byte by which the thread of `contention.py work duty` says whether it sleeps.
fn word_of_sleep(pid: u32) -> File {
    let files =
        fs::read_dir(format!("/proc/{pid}/fd")).expect("the target lives").map(|file| file.expect("a file").path());
    let is_word =
        |file: &PathBuf| fs::read_link(file).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:asleep"));
    File::open(files.into_iter().find(is_word).expect("the thread has made its file")).expect("the file opens")
}

/// The thread sleeps and runs in turn. Truth is what it says itself at the same ticks: on a busy machine those are no even sample
/// of the time, for a tick at which the thread waits for a CPU takes longer than others, and outlives the next. It is asked
/// before and after. The kernel could not tell: a thread that it has woken, and that waits for a CPU, still stands where it slept.
#[test]
fn the_share_of_sleep_is_what_the_thread_says() {
    // Its word comes before it sleeps, and after: that is to be a small part of its turn.
    let turn = emulated_or(4, 16).to_string();
    for interpreter in ["pyenv 3.11", "sid 3.15"].map(interpreters::named) {
        let target = Target::spawn(&interpreter, "contention", Mode::Work, &["duty", &turn]);
        let tid = target.truth().threads[0].native_id;
        let mut session = reading::session(target.pid(), Sampled::Wall);
        wait_for_cpu_time(target.pid(), tid);
        let word = word_of_sleep(target.pid());
        let is_asleep = || {
            let mut byte = [0];
            word.read_exact_at(&mut byte, 0).expect("the thread's word");
            u32::from(byte[0])
        };
        let (mut in_truth, mut seen, mut all) = (0, 0, 0);
        let mut clock = Clock::new(300.0, Intervals::Poisson, u64::from(std::process::id()));
        for _ in 0..3 * TICKS {
            while clock.wait(None) != Tick::Due {}
            in_truth += is_asleep();
            let mut take = |sample: Sample| {
                all += u32::from(sample.tid.0 == tid);
                seen += 2 * u32::from(sample.tid.0 == tid && sample.run_state == RunState::Sleeping);
            };
            session.tick(1, &mut take);
            in_truth += is_asleep();
            session.serve_within(patience(), &mut take);
            clock.skip_missed();
        }
        let [in_truth, seen] = [in_truth, seen].map(|count| f64::from(count) / f64::from(2 * all));
        assert!((seen - in_truth).abs() < 0.08, "{}: asleep {seen}, in truth {in_truth}", interpreter.name);
        assert!((0.02..0.98).contains(&seen), "{}: it sleeps and runs: {seen}", interpreter.name);
        assert!(target.release().success());
    }
}

#[test]
fn a_recording_shows_what_threads_do() {
    let (target, _) = waiting(&interpreters::named("pyenv 3.13"));
    let record = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fpprof"))
            .args(["record", "-f", "collapsed", "-o", "-", "-d", "0.5", "--pid", &target.pid().to_string()])
            .args(arguments)
            .output()
            .expect("fpprof runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("profiles are UTF-8")
    };
    let with_states = record(&["--mode", "wall", "--states"]);
    for line in with_states.lines().filter(|line| !line.starts_with('#')) {
        let leaf = line.rsplit(';').next().and_then(|leaf| leaf.rsplit_once(' ')).map(|(leaf, _)| leaf);
        assert!(leaf.is_some_and(|leaf| leaf.starts_with('[') && leaf.ends_with(']')), "{line}");
    }
    for expected in ["[sleeping] ", "[I/O: read pipe] ", "[waiting for a lock] ", "# GIL: held 0 %, waited for 0 %"] {
        assert!(with_states.contains(expected), "{expected} is not in {with_states}");
    }
    let without = record(&["--mode", "wall"]);
    assert!(!without.contains("[sleeping]") && without.contains("of their time sleeping"), "{without}");
}
