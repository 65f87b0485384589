//! Comparisons of profiles that are made here, sample by sample.

use super::*;
use crate::profile::frame::SourceLine;
use crate::profile::samples::TimedSample;

/// What was seen at a tick: stacks, outermost first, with spaces between the names, and what each weighs.
type Moment<'a> = &'a [(&'a str, u64)];

fn frame(name: &str, line: u32) -> Frame {
    let source = SourceLine { file: "app.py".into(), line: Some(line), first_line: Some(line) };
    Frame::python(FrameKind::UserCode, name, source)
}

fn counts(moments: &[Moment<'_>], line: u32) -> Counts {
    let (mut stacks, mut timeline) = (Profile::new(), Timeline::default());
    for (time, moment) in moments.iter().enumerate() {
        for (thread, (stack, weight)) in moment.iter().enumerate() {
            let frames: Vec<Frame> = stack.split(' ').map(|name| frame(name, line)).collect();
            let node = stacks.add(&frames, *weight);
            let [thread, stack] = [thread, node.index()].map(|number| u32::try_from(number).unwrap());
            timeline.add(TimedSample { time: time as u64, thread, state: 0, stack, ticks: *weight, weight: *weight });
        }
    }
    Counts::of(&stacks, &timeline, 0.01)
}

/// One thread: so many ticks in `work`, then so many in `rest`, both called by `main`.
fn one_thread(work: usize, rest: usize) -> Counts {
    let moments = [vec![&[("main work", 1)][..]; work], vec![&[("main rest", 1)][..]; rest]].concat();
    counts(&moments, 1)
}

fn change<'a>(changes: &'a [FunctionChange], name: &str) -> &'a FunctionChange {
    changes.iter().find(|change| &*change.key.name == name).unwrap()
}

#[track_caller]
fn assert_near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} {b}");
}

#[test]
fn shares_have_the_binomial_error() {
    let changes = compare(&one_thread(30, 70), &one_thread(60, 40), Unit::Share);
    let work = change(&changes, "work");
    assert_near(work.own.before.value, 0.3);
    assert_near(work.own.before.error, (0.3_f64 * 0.7 / 100.0).sqrt());
    assert_near(work.own.difference(), 0.3);
    assert!(!work.own.is_noise());
    let main = change(&changes, "main");
    assert_eq!((main.own.after.value, main.total.after.value), (0.0, 1.0));
    assert!(main.total.is_noise());
    assert_eq!(changes.last().map(|change| &*change.key.name), Some("main"), "what has changed most comes first");
}

#[test]
fn times_have_the_error_of_poisson() {
    let changes = compare(&one_thread(25, 75), &one_thread(100, 0), Unit::Seconds);
    let work = change(&changes, "work");
    assert_near(work.own.before.value, 0.25);
    assert_near(work.own.before.error, 0.05);
    assert_near(work.own.after.value, 1.0);
    assert!(!work.own.is_noise());
}

#[test]
fn threads_that_are_sampled_together_tell_no_more_than_one() {
    let together = |stack| vec![(stack, 1); 10];
    let (work, rest) = (together("main work"), together("main rest"));
    let moments = [vec![&work[..]; 30], vec![&rest[..]; 70]].concat();
    let (ten, one) = (counts(&moments, 1), one_thread(30, 70));
    for unit in [Unit::Share, Unit::Seconds] {
        let (ten, one) = (compare(&ten, &ten, unit), compare(&one, &one, unit));
        let [ten, one] = [change(&ten, "work").own.before, change(&one, "work").own.before];
        assert_near(ten.error / ten.value, one.error / one.value);
    }
}

#[test]
fn samples_that_stand_for_more_ticks_tell_no_more_than_one_each() {
    let moments = [vec![&[("main work", 4)][..]; 30], vec![&[("main rest", 4)][..]; 70]].concat();
    let changes = compare(&counts(&moments, 1), &one_thread(30, 70), Unit::Share);
    let work = change(&changes, "work").own;
    assert_near(work.before.error, work.after.error);
}

#[test]
fn what_was_seen_in_one_of_two_short_recordings_is_noise() {
    let changes = compare(&one_thread(2, 0), &one_thread(0, 2), Unit::Share);
    assert!(change(&changes, "work").own.is_noise() && change(&changes, "rest").own.is_noise());
    let changes = compare(&one_thread(200, 0), &one_thread(0, 200), Unit::Share);
    assert!(!change(&changes, "work").own.is_noise());
}

#[test]
fn lines_that_have_moved_are_no_change() {
    let moments = vec![&[("main work", 1)][..]; 100];
    let changes = compare(&counts(&moments, 10), &counts(&moments, 20), Unit::Share);
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|change| change.total.difference() == 0.0));
}

#[test]
fn a_function_that_calls_itself_counts_once() {
    let changes = compare(&counts(&[&[("f f f", 1)][..]; 4], 1), &one_thread(1, 0), Unit::Share);
    assert_near(change(&changes, "f").total.before.value, 1.0);
    assert_near(change(&changes, "f").own.before.value, 1.0);
}

#[test]
fn nothing_at_all_can_be_compared() {
    for unit in [Unit::Share, Unit::Seconds] {
        assert_eq!(compare(&counts(&[], 1), &counts(&[], 1), unit), []);
        let changes = compare(&counts(&[], 1), &one_thread(1, 1), unit);
        assert!(changes.iter().all(|change| change.own.is_noise() && change.own.error().is_finite()), "{changes:?}");
    }
}

/// A program that spends 20 % of its time in `work`, in pieces that are much longer than the ticks' distance, sampled at random
/// moments: how far its share is from the truth, in standard errors.
fn deviation(random: &mut impl FnMut() -> f64) -> f64 {
    let (mut time, mut moments): (f64, Vec<Moment<'_>>) = (0.0, Vec::new());
    while time < 100.0 {
        time -= 0.1 * random().ln();
        moments.push(if time % 10.0 < 2.0 { &[("main work", 1)] } else { &[("main rest", 1)] });
    }
    let counts = counts(&moments, 1);
    let share = change(&compare(&counts, &counts, Unit::Share), "work").own.before;
    (share.value - 0.2) / share.error
}

#[test]
fn errors_are_as_large_as_they_are_said_to_be() {
    let mut state: u64 = 1;
    // xorshift64, Marsaglia 2003; from above 0 to 1.
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 + f64::MIN_POSITIVE
    };
    let deviations: Vec<f64> = (0..400).map(|_| deviation(&mut random)).collect();
    let squares: f64 = deviations.iter().map(|deviation| deviation * deviation).sum();
    let ratio = (squares / 400.0).sqrt();
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}
