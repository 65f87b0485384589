//! How often the target's memory is read while it stands still: each time costs it as much as all that is copied.

use std::collections::BTreeMap;

use fpprof::sampler::mode::Mode as Sampled;

use crate::interpreters::{self, TestInterpreter};
use crate::patience::{emulated_or, samples};
use crate::reading;
use crate::target::{Mode, Target};

/// Samples of each program.
const SAMPLES: usize = 400;
/// The fewest of which those at the beginning, when all is new, are a small part.
const FEWEST: usize = 200;

/// The most reads of a stop, the one in vain before it among them. All that is new at once: the stack and the thread state, two
/// or three pages of frames, and code objects in three or four rounds. However many there are, that is all.
const MOST: u64 = 10;

/// How many stops there were with so many reads (the one in vain before the stop among them), at every moment of a program that works.
fn stops_by_reads(interpreter: &TestInterpreter, program: &str) -> BTreeMap<u64, usize> {
    let target = Target::spawn(interpreter, program, Mode::Work, &[]);
    let mut session = reading::session(target.pid(), Sampled::Cpu);
    let mut stops = BTreeMap::new();
    let count = samples(SAMPLES, FEWEST);
    // All other threads are parked: one tick is at most one stop.
    while stops.values().sum::<usize>() < count {
        if let [sample] = &reading::samples(&mut session, 1000.0, (1, 1))[..] {
            let thread = session.threads().iter().find(|history| history.tid() == sample.tid).expect("it lives");
            *stops.entry(thread.seen.capture_calls).or_default() += 1;
        }
    }
    assert!(target.release().success());
    stops
}

#[test]
fn a_stop_takes_two_reads_in_the_common_case_and_few_when_all_is_new() {
    for interpreter in interpreters::without_jit() {
        for program in ["pure_python", "call_heavy", "c_libraries"] {
            let stops = stops_by_reads(&interpreter, program);
            // Two, and one before the stop, which warms the caches.
            let more: usize = stops.range(4..).map(|(_, count)| count).sum();
            println!("{} {program}: {stops:?}", interpreter.name);
            assert!(stops.keys().all(|reads| (1..=MOST).contains(reads)), "{} {program}: {stops:?}", interpreter.name);
            // New code, generators and frames in new places need more, once each: less of the more samples there are.
            let part = emulated_or(20, 10);
            assert!(more * part <= stops.values().sum::<usize>(), "{} {program}: {stops:?}", interpreter.name);
        }
    }
}
