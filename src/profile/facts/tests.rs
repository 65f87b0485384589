//! The facts of small recordings, and how they are worded.

use super::*;
use crate::sampler::run_state::RunState;
use crate::target::cpu_quota::Throttled;

fn facts() -> RecordingFacts {
    RecordingFacts {
        command: "python3 shop.py --serve".into(),
        pid: Pid(4711),
        python_version: Some("3.13.0".into()),
        threads: Mode::Cpu,
        rate_hz: 100.0,
        fixed_intervals: false,
        started: None,
        duration: Duration::from_secs(30),
        samples_wanted: 3000,
        samples_taken: 2990,
        samples_late: 8,
        samples_failed: 2,
        samples_left_out: 0,
        limit: None,
        failures: BTreeMap::from([("the thread has ended".to_owned(), 1), ("torn frame chain".to_owned(), 3)]),
        stacks: 2990,
        stacks_complete: 2989,
        not_read: Vec::new(),
        activity: ThreadActivity { states: BTreeMap::from([(RunState::Python, 2990)]), gil: None },
        throttling: None,
        processes: None,
        children: None,
        stops: Some(StopFacts {
            median: Nanos(10_300),
            p99: Nanos(48_000),
            disturbed_calls: 0,
            of_sleepers: 0,
            arrivals: None,
        }),
        own_cpu: Some(Duration::from_millis(410)),
        fpprof_version: "0.1.0".into(),
        effective_samples: None,
        weights: Weights::Ticks,
        target_cpu: None,
        not_sampled: None,
        time_spent: None,
        shown_part: None,
        left_out: Vec::new(),
    }
}

#[test]
fn the_summary_states_every_fact() {
    assert_eq!(
        facts().summary_lines(),
        [
            "command: python3 shop.py --serve (pid 4711)",
            "python: CPython 3.13.0",
            "recording: cpu mode at 100 Hz for 30.00 s, start unknown",
            "samples: 2,990 of 3,000 samples taken, 8 late, 2 failed",
            "failed: 3 times, torn frame chain",
            "failed: 1 time, the thread has ended",
            "stacks: 2,989 complete of 2,990 (99.96 %)",
            "threads: 100 % of their time on CPU: Python",
            "target stopped: 10.3 µs a sample (median), 48.0 µs (99th percentile), no system call disturbed",
            "fpprof's own CPU time: 0.41 s",
            "recorded by: fpprof 0.1.0",
        ]
    );
}

#[test]
fn what_was_not_measured_is_said_to_be_absent() {
    let unmeasured = RecordingFacts {
        python_version: None,
        stops: None,
        activity: ThreadActivity::default(),
        own_cpu: None,
        stacks: 0,
        stacks_complete: 0,
        ..facts()
    };
    let lines = unmeasured.summary_lines();
    for line in [
        "python: CPython unknown version",
        "stacks: none",
        "target stopped: not measured",
        "fpprof's own CPU time: not measured",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line} is not in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("GIL") || line.starts_with("threads")), "{lines:#?}");
    assert!(!unmeasured.subtitle().contains("stopped"));
}

#[test]
fn how_long_stops_took_to_come_is_said_where_it_was_recorded() {
    let stops = facts().stops.unwrap();
    let with = StopFacts { arrivals: Some(ArrivalFacts { median: Nanos(31_000), p99: Nanos(14_100_000) }), ..stops };
    assert_eq!(
        with.to_string(),
        "10.3 µs a sample (median), 48.0 µs (99th percentile), no system call disturbed; \
         stops came after 31.0 µs (median), 14.1 ms (99th percentile)"
    );
    let again = |stops: StopFacts| serde_json::from_str::<StopFacts>(&serde_json::to_string(&stops).unwrap()).unwrap();
    assert_eq!([again(with), again(stops)], [with, stops]);
    assert!(!serde_json::to_string(&stops).unwrap().contains("arrivals"), "older recordings are written as they were");
}

#[test]
fn stops_of_blocked_threads_are_told_with_the_reason() {
    let stops = facts().stops.unwrap();
    let with = StopFacts { of_sleepers: 1, ..stops };
    let said =
        "; 1 stop of blocked threads, for without CAP_DAC_READ_SEARCH their own user alone may read where they wait";
    assert_eq!(with.to_string(), format!("{stops}{said}"));
    let json = |stops: StopFacts| serde_json::to_string(&stops).unwrap();
    assert_eq!(serde_json::from_str::<StopFacts>(&json(with)).unwrap(), with);
    assert!(!json(stops).contains("of_sleepers"), "older recordings are written as they were");
}

#[test]
fn the_subtitle_names_what_went_wrong_only_when_something_did() {
    assert_eq!(
        facts().subtitle(),
        "cpu mode at 100 Hz · 30.00 s · 2,990 of 3,000 samples taken · 8 late · 2 failed · 99.96 % of stacks complete · \
         stopped 10.3 µs a sample (median)"
    );
    let good = RecordingFacts { samples_late: 0, samples_failed: 0, ..facts() };
    assert!(!good.subtitle().contains("late") && !good.subtitle().contains("failed"));
}

#[test]
fn few_samples_say_what_shares_are_worth() {
    let few = RecordingFacts { effective_samples: Some(19.2), ..facts() };
    let said = "19 samples: shares are ± 22 points";
    assert_eq!(few.summary_lines()[4], said, "behind the samples that were taken");
    assert!(few.subtitle().starts_with(&format!("{said} · ")), "{}", few.subtitle());
    let enough = RecordingFacts { effective_samples: Some(400.0), ..facts() };
    assert_eq!(enough.summary_lines(), facts().summary_lines());
}

#[test]
fn what_was_left_out_names_the_limit() {
    let quota = CpuQuota { time: Nanos(2_000_000), period: Nanos(100_000_000) };
    let limited = RecordingFacts { samples_left_out: 12, limit: Some(ExceededLimit::OwnQuota(quota)), ..facts() };
    assert_eq!(
        limited.summary_lines()[4],
        "left out: 12 samples: they might have used up the CPU quota of fpprof's own cgroup (0.02 of a CPU); a sample stands for those \
         left out before it"
    );
    let json = serde_json::to_string(&limited).unwrap();
    assert_eq!(serde_json::from_str::<RecordingFacts>(&json).unwrap(), limited);
    let own = RecordingFacts { limit: Some(ExceededLimit::OwnCpu), ..limited };
    assert!(own.summary_lines()[4].contains("more CPU time than --max-overhead allows"), "{:?}", own.summary_lines());
}

#[test]
fn what_the_kernel_stopped_is_told_where_it_did() {
    let quota = CpuQuota { time: Nanos(25_000_000), period: Nanos(100_000_000) };
    let throttled = Throttled { periods: 400, throttled: 310, time: Nanos(18_200_000_000) };
    let facts = RecordingFacts { throttling: Some(ThrottlingFacts { quota, throttled }), ..facts() };
    let said = "throttled: the CPU quota of the target's cgroup (0.25 of a CPU) stopped it in 310 of 400 periods, for 18.20 s summed over CPUs";
    assert!(facts.summary_lines().iter().any(|line| line == said), "{:?}", facts.summary_lines());
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<RecordingFacts>(&json).unwrap(), facts);
    let absent = serde_json::to_string(&RecordingFacts { throttling: None, ..facts }).unwrap();
    assert!(!absent.contains("throttling"), "{absent}");
    assert_eq!(serde_json::from_str::<RecordingFacts>(&absent).unwrap().throttling, None);
}

#[test]
fn a_title_is_short_and_on_one_line() {
    let long = RecordingFacts { command: format!("python3 -c import\nos {}", "x".repeat(5000)), ..facts() };
    let title = long.title();
    assert!(title.starts_with("python3 -c import os x") && title.ends_with("… (pid 4711)"), "{title}");
    assert!(title.chars().count() < 75);
    assert_eq!(RecordingFacts { command: String::new(), ..facts() }.title(), "unknown command (pid 4711)");
}

#[test]
fn an_empty_recording_has_a_reason() {
    let empty = RecordingFacts { failures: BTreeMap::new(), samples_failed: 0, ..facts() };
    assert!(empty.why_empty().contains("--mode wall"));
    assert!(RecordingFacts { samples_wanted: 0, ..empty.clone() }.why_empty().contains("before its first sample"));
    assert!(RecordingFacts { samples_taken: 0, ..empty.clone() }.why_empty().contains("lower --rate"));
    assert!(facts().why_empty().contains("failed"));
}

#[test]
fn what_was_not_read_is_told() {
    let why = "/tmp/perf-7.map: not read:\nit is neither of the program's user nor of root";
    let lines = RecordingFacts { not_read: vec![why.into()], ..facts() }.summary_lines();
    let told = "names: /tmp/perf-7.map: not read: it is neither of the program's user nor of root";
    assert_eq!(lines.iter().filter(|line| line.replace('\u{240a}', " ") == told).count(), 1, "{lines:?}");
    assert!(facts().summary_lines().iter().all(|line| !line.starts_with("names: ")));
}
