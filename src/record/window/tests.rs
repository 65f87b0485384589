//! Windows of a few samples, and what accounts make of them.

use proptest::prelude::*;

use super::*;
use crate::target::threads::Schedule;

const MS: u64 = 1_000_000;

fn window(mode: Mode) -> Window {
    Window::new(mode, Nanos(10 * MS))
}

fn sample(tid: i32, run_state: RunState, ticks: u64) -> Held {
    Held { time: Nanos(0), tid: Tid(tid), run_state, node: NodeId::ROOT, ticks }
}

/// What the kernel tells: each thread's time on CPU and in the queue, and the process's, in milliseconds.
fn accounts(threads: &[(i32, u64, u64)], cpu: Option<u64>) -> Accounts {
    let schedule = |(tid, on_cpu, waited): &(i32, u64, u64)| {
        (Tid(*tid), Schedule { on_cpu: Nanos(on_cpu * MS), waited: Nanos(waited * MS), timeslices: 1 })
    };
    Accounts { threads: threads.iter().map(schedule).collect(), cpu: cpu.map(|cpu| Nanos(cpu * MS)) }
}

/// The weights of samples over a window of a second of 100 ticks, in milliseconds.
fn weights(window: &mut Window, samples: Vec<Held>, after: &Accounts) -> Vec<u64> {
    let now = Nanos(window.began().0 + 1_000 * MS);
    window.tick(100);
    samples.into_iter().for_each(|sample| window.add(sample));
    window.close(now, after).into_iter().map(|(_, micros)| micros / 1_000).collect()
}

#[test]
fn samples_divide_what_their_thread_has_used() {
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 500, 0), (2, 0, 0)], Some(700)));
    let samples = vec![sample(1, RunState::Python, 1), sample(2, RunState::Native, 5), sample(1, RunState::Native, 2)];
    let after = accounts(&[(1, 800, 400), (2, 40, 0)], Some(1_040));
    assert_eq!(weights(&mut window, samples, &after), [100, 40, 200]);
    assert_eq!(window.cpu(), (Nanos(340 * MS), Nanos(0)));
}

#[test]
fn waiting_for_a_cpu_and_being_blocked_have_the_times_that_they_took() {
    let mut window = window(Mode::Wall);
    window.begin(Nanos(0), &accounts(&[(1, 0, 0)], Some(0)));
    let samples = vec![
        sample(1, RunState::Python, 50),
        sample(1, RunState::WaitingForCpu, 10),
        sample(1, RunState::WaitingForCpu, 30),
        sample(1, RunState::Sleeping, 10),
    ];
    // On a CPU for a quarter of the second, in the queue for 600 ms.
    assert_eq!(weights(&mut window, samples, &accounts(&[(1, 250, 600)], Some(250))), [250, 150, 450, 150]);
}

#[test]
fn what_no_sample_was_seen_of_is_given_to_the_next_one() {
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 0, 0)], Some(0)));
    assert_eq!(weights(&mut window, vec![], &accounts(&[(1, 3, 0)], Some(3))), [0; 0]);
    assert_eq!(window.cpu(), (Nanos(3 * MS), Nanos(3 * MS)));
    let sampled = vec![sample(1, RunState::Python, 1)];
    assert_eq!(weights(&mut window, sampled, &accounts(&[(1, 5, 0)], Some(5))), [5]);
    assert_eq!(window.cpu(), (Nanos(5 * MS), Nanos(0)));
}

#[test]
fn a_little_at_the_end_is_the_last_sample_s_and_more_is_nobody_s() {
    for (used, given) in [(15, Some(15)), (25, None)] {
        let mut window = window(Mode::Cpu);
        window.begin(Nanos(0), &accounts(&[(1, 0, 0)], Some(0)));
        // A tick stands for 10 ms.
        weights(&mut window, vec![sample(1, RunState::Python, 1)], &accounts(&[(1, 500, 0)], Some(500)));
        weights(&mut window, vec![], &accounts(&[(1, 500 + used, 0)], Some(500 + used)));
        let finished = window.finish();
        assert_eq!(finished.first().map(|(held, micros)| (held.ticks, micros / 1_000)), given.map(|given| (0, given)));
        let left = if given.is_some() { 0 } else { used };
        assert_eq!(window.cpu(), (Nanos((500 + used) * MS), Nanos(left * MS)));
    }
}

#[test]
fn threads_that_have_ended_share_what_is_the_process_s_and_no_other_thread_s() {
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 0, 0)], Some(0)));
    let samples = vec![sample(1, RunState::Python, 1), sample(7, RunState::Native, 1), sample(8, RunState::Native, 3)];
    assert_eq!(weights(&mut window, samples, &accounts(&[(1, 100, 0)], Some(500))), [100, 100, 300]);
    // Of those that nobody has seen it is known that they were there.
    assert_eq!(weights(&mut window, vec![], &accounts(&[(1, 100, 0)], Some(530))), [0; 0]);
    assert_eq!(window.cpu(), (Nanos(530 * MS), Nanos(30 * MS)));
}

#[test]
fn what_was_used_before_and_during_a_pause_does_not_count() {
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 900, 0)], Some(900)));
    let one = || vec![sample(1, RunState::Python, 1)];
    assert_eq!(weights(&mut window, one(), &accounts(&[(1, 1_000, 0)], Some(1_000))), [100]);
    window.begin(Nanos(9_000 * MS), &accounts(&[(1, 5_000, 0)], Some(5_000)));
    assert_eq!(weights(&mut window, one(), &accounts(&[(1, 5_020, 0)], Some(5_020))), [20]);
    assert_eq!(window.cpu().0, Nanos(120 * MS));
}

#[test]
fn where_the_kernel_tells_nothing_ticks_do() {
    for mode in [Mode::Cpu, Mode::Wall, Mode::Gil] {
        let samples = vec![sample(1, RunState::Python, 60), sample(1, RunState::Native, 40)];
        assert_eq!(weights(&mut window(mode), samples, &Accounts::default()), [600, 400], "{mode:?}");
    }
    // Of a process that has just ended, too: what it had used was known a window ago.
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 0, 0)], Some(0)));
    assert_eq!(weights(&mut window, vec![sample(1, RunState::Python, 50)], &Accounts::default()), [500]);
    assert_eq!(window.cpu(), (Nanos(500 * MS), Nanos(0)));
}

#[test]
fn a_process_that_has_ended_has_used_what_it_had_lately_and_what_ticks_say_since() {
    let mut window = window(Mode::Cpu);
    window.begin(Nanos(0), &accounts(&[(1, 100, 0)], Some(100)));
    window.note(Nanos(900 * MS), Nanos(300 * MS));
    // A tick stands for 10 ms.
    let at = |ms: u64, ticks: u64| Held { time: Nanos(ms * MS), ..sample(1, RunState::Python, ticks) };
    assert_eq!(weights(&mut window, vec![at(500, 6), at(950, 2)], &Accounts::default()), [165, 55]);
    assert_eq!(window.cpu(), (Nanos(220 * MS), Nanos(0)));
}

#[test]
fn late_ticks_are_stood_for_and_few_ones_tell_no_time() {
    let mut window = window(Mode::Gil);
    window.tick(20);
    window.add(sample(1, RunState::Python, 20));
    // Of a hundred ticks eighty were late.
    assert_eq!(window.close(Nanos(1_000 * MS), &Accounts::default()).pop().map(|(_, weight)| weight), Some(1_000_000));
    window.tick(2);
    window.add(sample(1, RunState::Python, 2));
    let close = window.close(Nanos(1_001 * MS), &Accounts::default());
    assert_eq!(close.first().map(|(_, weight)| *weight), Some(20_000));
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_made(
        samples in prop::collection::vec((0..4_i32, 0..4_u64), 0..30),
        used in prop::collection::vec(0..50_000_000_u64, 3),
        ended in 0..50_000_000_u64,
    ) {
        let mut window = window(Mode::Cpu);
        let told = |factor: u64| {
            let schedule = |on_cpu: u64| Schedule { on_cpu: Nanos(on_cpu), waited: Nanos(0), timeslices: 1 };
            let threads = used.iter().zip(0..).map(|(used, tid)| (Tid(tid), schedule(used * factor))).collect();
            Accounts { threads, cpu: Some(Nanos((used.iter().sum::<u64>() + ended) * factor)) }
        };
        window.begin(Nanos(0), &told(0));
        let mut given = 0;
        for factor in 1..4 {
            for (tid, ticks) in &samples {
                window.add(sample(*tid, RunState::Python, *ticks));
            }
            given += window.close(Nanos(factor), &told(factor)).iter().map(|(_, weight)| weight * 1_000).sum::<u64>();
        }
        let (all, left) = window.cpu();
        prop_assert_eq!(all.0, 3 * (used.iter().sum::<u64>() + ended));
        prop_assert_eq!(given + left.0, all.0);
    }
}
