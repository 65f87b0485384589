//! Threads that wait are read without a stop, and so without most of their registers: gdb, which stops them, must see
//! the same native frames.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use fpprof::sampler::mode;
use fpprof::sampler::sample::Sample;
use fpprof::sampler::session::Session;
use fpprof::stack::frame::SampleFrame;
use fpprof::target::process::Process;
use fpprof::types::{Pid, Tid};

use crate::gdb::{Gdb, GdbThread};
use crate::interpreters::{self, TestInterpreter};
use crate::patience::patience;
use crate::target::{Mode, Target};
use crate::waiting_calls;

/// The system calls in which a thread of `blocked_calls` waits, by the first word of its name.
fn waits_in(name: &str) -> &'static [i64] {
    match name.split('_').next() {
        Some("clock" | "under") => &[libc::SYS_clock_nanosleep],
        Some("read") => &[libc::SYS_read],
        Some("recvfrom") => &[libc::SYS_recvfrom],
        Some("poll") => waiting_calls::POLL,
        Some("epoll") => waiting_calls::EPOLL,
        Some("select") => waiting_calls::SELECT,
        Some("futex") => &[libc::SYS_futex],
        Some("accept4") => &[libc::SYS_accept4],
        Some("write") => &[libc::SYS_write],
        Some("sendto") => &[libc::SYS_sendto],
        _ => panic!("{name} waits in no known call"),
    }
}

/// Waits until every thread is in its call, and has not run between two looks at all of them.
fn wait_until_blocked(target: &Target) {
    let deadline = Instant::now() + patience();
    let look = || -> Option<Vec<String>> {
        let threads = target.truth().threads.iter();
        let looks = threads.map(|thread| {
            let file = |name| fs::read_to_string(format!("/proc/{}/task/{}/{name}", target.pid(), thread.native_id));
            let call = file("syscall").expect("a thread that waits does not end");
            let number: Option<i64> = call.split(' ').next().and_then(|number| number.parse().ok());
            let waits = number.is_some_and(|number| waits_in(&thread.name).contains(&number));
            waits.then(|| file("schedstat").expect("it does not end"))
        });
        looks.collect()
    };
    let mut last = None;
    loop {
        let now = look();
        // A thread that waits for the GIL wakes every 5 ms (`sys.setswitchinterval`), also while it stays in futex(2).
        std::thread::sleep(Duration::from_millis(20));
        if now.is_some() && now == last {
            return;
        }
        last = now;
        assert!(Instant::now() < deadline, "not all threads wait in their calls");
    }
}

/// What differs between a sample and gdb's frames: each frame's instruction, but of an evaluation only that it is one.
fn difference(session: &Session, frames: &[SampleFrame], gdb: &GdbThread) -> Option<String> {
    let modules = &session.reader.space.modules;
    let native: Vec<Option<u64>> = frames
        .iter()
        .filter_map(|frame| match frame {
            SampleFrame::Native { module, svma } => Some(modules.get(*module).map(|module| module.addr(*svma).0)),
            SampleFrame::Evaluation { .. } => Some(None),
            SampleFrame::Unnamed(addr) => Some(Some(addr.0)),
            SampleFrame::Python { .. } => None,
            SampleFrame::Missing(_) => Some(Some(0)),
        })
        .collect();
    let expected = gdb.frames_on_stack();
    let equal = native.len() == expected.len()
        && native.iter().zip(&expected).enumerate().all(|(index, (ours, frame))| match ours {
            Some(addr) if index == 0 => frame.waits_at().contains(addr),
            Some(addr) => *addr == frame.pc - 1,
            None => frame.function.is_none() || frame.is_evaluation(),
        });
    (!equal).then(|| format!("{native:x?}\n{expected:x?}"))
}

/// The first tick's samples of a target's threads.
fn first_samples(target: &Target) -> (Session, BTreeMap<Tid, Sample>) {
    let process = Process::open(Pid(i32::try_from(target.pid()).expect("a pid"))).expect("it runs");
    let mut session = Session::live(process, mode::Mode::Wall).expect("an interpreter");
    let mut samples = BTreeMap::new();
    // The first tick reads every thread before anything has been learned of the interpreter's frames.
    session.tick(1, &mut |sample| {
        samples.insert(sample.tid, sample);
    });
    assert_eq!(session.statistics.stops.durations.count(), 0, "nothing was stopped");
    (session, samples)
}

#[test]
fn blocked_threads_have_the_frames_that_gdb_sees() {
    let targets: Vec<(TestInterpreter, Target)> = interpreters::without_jit()
        .into_iter()
        .map(|interpreter| {
            let target = Target::spawn(&interpreter, "blocked_calls", Mode::Work, &[]);
            (interpreter, target)
        })
        .collect();
    let samples: Vec<_> = targets
        .iter()
        .map(|(_, target)| {
            wait_until_blocked(target);
            first_samples(target)
        })
        .collect();
    let (mut gdb, mut found) = (Gdb::start(), Vec::new());
    for ((interpreter, target), (session, samples)) in targets.iter().zip(&samples) {
        let truth = gdb.stacks(target.pid());
        for thread in &target.truth().threads {
            let sample = samples.get(&Tid(thread.native_id)).expect("a sample of each thread");
            let native = truth.iter().find(|native| native.tid == thread.native_id).expect("gdb sees every thread");
            let difference = difference(session, &sample.frames, native);
            found.extend(difference.map(|what| format!("{} on {}: {what}", thread.name, interpreter.name)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
