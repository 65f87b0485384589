//! Hundreds of threads that wait cost little, and each tick counts for each of them.

use std::collections::BTreeMap;

use fpprof::sampler::mode::Mode as Sampled;
use fpprof::sampler::run_state::RunState;

use crate::interpreters;
use crate::reading;
use crate::target::{Mode, Target};

const THREADS: usize = 300;
const TICKS: usize = 100;

#[test]
fn every_tick_counts_for_each_of_many_threads_that_wait() {
    let target = Target::spawn(&interpreters::named("sid 3.15"), "many_threads", Mode::Work, &[&THREADS.to_string()]);
    let mut session = reading::session(target.pid(), Sampled::Wall);
    // Before the clock begins: reading hundreds of threads for the first time takes longer than a tick.
    session.tick(0, &mut |_| {});
    let mut samples = reading::samples(&mut session, 500.0, (usize::MAX, TICKS));
    session.settle(&mut |sample| samples.push(sample));
    let mut ticks: BTreeMap<i32, u64> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.run_state == RunState::Lock) {
        *ticks.entry(sample.tid.0).or_default() += sample.weight;
    }
    for thread in &target.truth().threads {
        let ticks = ticks.get(&thread.native_id);
        assert_eq!(ticks, Some(&(TICKS as u64)), "ticks at which thread {} waited", thread.native_id);
    }
    assert!(samples.len() < THREADS * TICKS / 2, "{} looks: not every tick looks at every thread", samples.len());
    assert!(target.release().success());
}
