//! What the library promises: a process is recorded in three calls, and its profile is what the program does.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fpprof::{Format, Recorder, attach};

use crate::interpreters;
use crate::target::{Mode, Target};

/// How long to record: some dozens of samples.
const TIME: Duration = Duration::from_millis(500);

#[test]
fn a_process_is_recorded_and_written_in_every_format() {
    let interpreter = interpreters::named("pyenv 3.13");
    let target = Target::spawn(&interpreter, "pure_python", Mode::Work, &[]);
    let pid = i32::try_from(target.pid()).expect("a pid");
    let process = attach(pid).expect("it is CPython");
    assert_eq!((process.pid(), process.python_version().starts_with("3.13.")), (pid, true));
    assert!(process.command_line().iter().any(|argument| argument.ends_with("pure_python.py")));
    let profile =
        Recorder::new().mode(fpprof::Mode::Wall).rate(100.0).duration(TIME).record(process).expect("it is kept");
    assert!(target.release().success());
    assert_eq!(profile.cut_off(), None);
    let stacks = profile.stacks();
    assert!(stacks.iter().map(|stack| stack.ticks).sum::<u64>() > 0, "{stacks:?}");
    let works = |stack: &&fpprof::Stack| {
        stack.frames.iter().any(|frame| frame.starts_with("step (") && frame.contains("pure_python.py"))
    };
    assert!(stacks.iter().any(|stack| works(&stack)), "{stacks:?}");
    for format in Format::ALL {
        let mut written = Vec::new();
        profile.write(format, &mut written).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert!(!written.is_empty(), "{format}");
    }
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(profile.write(Format::Collapsed, &mut Full).is_err());
}

#[test]
fn a_recording_ends_when_it_is_told_to() {
    let target = Target::spawn(&interpreters::named("pyenv 3.13"), "pure_python", Mode::Work, &[]);
    let process = attach(i32::try_from(target.pid()).expect("a pid")).expect("it is CPython");
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(TIME);
            stop.store(true, Ordering::Relaxed);
        });
        // Nobody has said how long: without the word it would not end.
        Recorder::new().record_until(process, &stop).expect("it is kept");
        assert!(began.elapsed() >= TIME, "it has ended before the word");
    });
    assert!(target.release().success());
}

#[test]
fn what_is_no_python_process_is_an_error_in_words() {
    let error = attach(i32::MAX).expect_err("there is no such process");
    assert!(error.to_string().contains("there is no process"), "{error}");
    let error = fpprof::Profile::open("/proc/self/exe").expect_err("that is no recording");
    assert!(!error.to_string().is_empty());
}
