//! System calls of the target do not notice that it is sampled; where one might, fpprof knows it.
//!
//! Which calls a stop ends early: signal(7), ptrace(2). The target itself counts what came of each, and what it counts is
//! the truth. A thread that is blocked is never stopped: nothing can come of its call. One that enters its call between the
//! look and the stop, or that is at work inside it, can be stopped there: then fpprof has counted no fewer calls. (It can
//! count one twice: a thread that gets no CPU between two stops is stopped where it was.)

use std::collections::BTreeMap;
use std::fs;

use fpprof::process::stops::Stops;
use fpprof::sampler::mode::Mode as Sampled;
use serde::Deserialize;

use crate::interpreters::{self, TestInterpreter};
use crate::patience::{eventually, samples};
use crate::reading;
use crate::target::{Mode, Target};
use crate::waiting_calls;

/// What is sampled at, in Hz.
const RATE: f64 = 1000.0;
/// Ticks of each short test.
const TICKS: usize = 200;

/// What has come of one kind of call, by the target's own word.
#[derive(Debug, Default, Deserialize)]
struct Counts {
    made: u64,
    disturbed: u64,
    wrong: u64,
}

/// What has come of a target's calls, and what its sampling has counted.
struct Outcome {
    calls: BTreeMap<String, Counts>,
    stops: Stops,
}

impl Outcome {
    fn disturbed(&self) -> u64 {
        self.calls.values().map(|counts| counts.disturbed).sum()
    }

    fn wrong(&self) -> u64 {
        self.calls.values().map(|counts| counts.wrong).sum()
    }
}

/// Samples the program `ticks` times in one way, and asks it what it has noticed.
fn sample(interpreter: &TestInterpreter, way: &[&str], sampled: Sampled, ticks: usize) -> Outcome {
    let target = Target::spawn(interpreter, "disturbing_calls", Mode::Work, way);
    if way == ["still"] {
        wait_until_blocked(&target);
    }
    let mut session = reading::session(target.pid(), sampled);
    reading::samples(&mut session, RATE, (usize::MAX, ticks));
    let stops = session.statistics.stops.clone();
    let calls = serde_json::from_str(&target.last_word()).expect("it says what it has counted");
    Outcome { calls, stops }
}

/// The system call in which a thread of that name waits.
fn waits_in(name: &str) -> i64 {
    match name {
        "epoll_wait" => waiting_calls::EPOLL[0],
        "epoll_pwait" => libc::SYS_epoll_pwait,
        "recv" | "recv_all" => libc::SYS_recvfrom,
        "sigtimedwait" => libc::SYS_rt_sigtimedwait,
        "semtimedop" => libc::SYS_semtimedop,
        "write" => libc::SYS_write,
        "send" => libc::SYS_sendto,
        _ => panic!("{name} waits in no known call"),
    }
}

/// Waits until each thread is in its call, and the main thread in the read that ends it all: nothing wakes any of them.
fn wait_until_blocked(target: &Target) {
    let pid = i32::try_from(target.pid()).expect("a process id");
    let threads = target.truth().threads.iter().map(|thread| (thread.native_id, waits_in(&thread.name)));
    for (tid, call) in threads.chain([(pid, libc::SYS_read)]) {
        eventually(&format!("thread {tid} is in system call {call}"), || {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).expect("the thread does not end");
            text.split(' ').next() == Some(&call.to_string())
        });
    }
}

#[test]
fn calls_that_wait_all_the_time_notice_nothing() {
    for interpreter in interpreters::without_jit() {
        for sampled in [Sampled::Wall, Sampled::Cpu] {
            let outcome = sample(&interpreter, &["still"], sampled, samples(TICKS, 1));
            let where_ = format!("{sampled:?} on {}: {:?}", interpreter.name, outcome.calls);
            assert_eq!((outcome.disturbed(), outcome.wrong(), outcome.calls.len()), (0, 0, 8), "{where_}");
            assert_eq!((outcome.stops.durations.count(), outcome.stops.disturbed_calls), (0, 0), "{where_}");
        }
    }
}

/// Checks that fpprof has counted each call that the target saw disturbed.
fn prove_counts(way: &str) {
    for interpreter in interpreters::without_jit() {
        for sampled in [Sampled::Wall, Sampled::Cpu] {
            let outcome = sample(&interpreter, &[way], sampled, samples(TICKS, 1));
            let where_ = format!("{sampled:?} on {}: {:?}", interpreter.name, outcome.calls);
            let counted = outcome.stops.disturbed_calls;
            assert!(counted >= outcome.disturbed(), "{counted} counted, {where_}");
            assert_eq!(outcome.wrong(), 0, "{where_}");
            assert!(counted <= outcome.stops.durations.count(), "{where_}");
            assert!(outcome.calls.values().all(|counts| counts.made > 0), "{where_}");
        }
    }
}

#[test]
fn every_disturbed_call_of_threads_that_wait_for_milliseconds_is_counted() {
    prove_counts("waits");
}

#[test]
fn every_disturbed_call_of_threads_that_wake_thousands_of_times_a_second_is_counted() {
    prove_counts("fast");
}

/// Prints the table of docs/performance.md: each call alone, so that nothing but its own waits is between its wakes.
/// `cargo test --release --test live what_calls_notice -- --ignored --nocapture`, with `FPPROF_TICKS` for each row.
#[test]
#[ignore = "takes minutes; it makes figures of docs/performance.md"]
fn what_calls_notice() {
    let ticks = std::env::var("FPPROF_TICKS").map_or(5000, |ticks| ticks.parse().expect("a number"));
    println!("| interpreter | mode | call | way | calls made | stops | disturbed, by the target | by fpprof |");
    println!("|---|---|---|---|---|---|---|---|");
    for name in ["pyenv 3.13", "sid 3.15"] {
        let interpreter = interpreters::named(name);
        for call in ["epoll_wait", "epoll_pwait", "recv", "sigtimedwait", "semtimedop", "write", "send", "recv_all"] {
            for (way, sampled) in [("waits", Sampled::Wall), ("fast", Sampled::Wall), ("fast", Sampled::Cpu)] {
                let outcome = sample(&interpreter, &[way, call], sampled, ticks);
                let made: u64 = outcome.calls.values().map(|counts| counts.made).sum();
                let (stops, counted) = (outcome.stops.durations.count(), outcome.stops.disturbed_calls);
                let disturbed = outcome.disturbed();
                println!("| {name} | {sampled:?} | {call} | {way} | {made} | {stops} | {disturbed} | {counted} |");
            }
        }
    }
}
