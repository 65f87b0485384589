//! A recording that is the same each time: three threads, two seconds, known totals, names that are hard to write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use fpprof::profile::facts::RecordingFacts;
use fpprof::profile::facts::activity::ThreadActivity;
use fpprof::profile::frame::{Frame, FrameKind, SourceLine};
use fpprof::profile::named::{NamedFrame, Role};
use fpprof::profile::recording::{
    Module, More, Names, Program, Record, RecordedFrame, RecordingWriter, Stacks, Thread,
};
use fpprof::profile::samples::Weights;
use fpprof::profile::samples::{SampleColumns, TimedSample};
use fpprof::sampler::mode::Mode;
use fpprof::sampler::run_state::RunState;
use fpprof::stack::code_cache::Function;
use fpprof::stack::frame::GapKind;
use fpprof::target::descriptors::FileKind;
use fpprof::types::{Pid, Svma};

/// The kernel's numbers of the threads, and the ticks that their samples stand for.
pub const THREADS: [(i32, u64); 3] = [(4711, 240), (4712, 200), (4713, 200)];
/// The ticks of all samples.
pub const TOTAL: u64 = 640;
/// A tick's time, in nanoseconds: 100 samples a second.
pub const PERIOD: u64 = 10_000_000;
/// The ticks at which a thread ran.
pub const ON_CPU: u64 = 240;
/// A name that every format has to write so that it stays what it is.
pub const HOSTILE: &str = "größe.<locals>.<lambda> & \"x\"";
/// The interpreter's build-id.
pub const BUILD_ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";

fn facts(is_empty: bool) -> RecordingFacts {
    RecordingFacts {
        command: "python3 -m shop <orders>".into(),
        pid: Pid(4711),
        python_version: Some("3.15.2".into()),
        threads: Mode::Wall,
        rate_hz: 100.0,
        fixed_intervals: false,
        started: Some(UNIX_EPOCH + Duration::from_secs(1_780_000_000)),
        duration: Duration::from_secs(2),
        samples_wanted: 200,
        samples_taken: 200,
        samples_late: 0,
        samples_failed: 0,
        samples_left_out: 0,
        limit: None,
        failures: BTreeMap::new(),
        stacks: if is_empty { 0 } else { 600 },
        stacks_complete: if is_empty { 0 } else { 400 },
        not_read: Vec::new(),
        activity: ThreadActivity::default(),
        stops: None,
        throttling: None,
        processes: None,
        children: None,
        own_cpu: None,
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

/// The lines of the Python file that the recording is of.
pub fn source_line(number: usize) -> String {
    format!("line {number} <b>&amp;</b>")
}

/// Writes that file into the recording's folder, older than the recording.
fn write_source(folder: &Path) {
    let text: Vec<String> = (1..=60).map(source_line).collect();
    let file = File::create(folder.join("app.py")).expect("the source can be written");
    (&file).write_all(text.join("\n").as_bytes()).expect("the source can be written");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).expect("the source is ours");
}

fn more<T>(list: Vec<T>) -> More<T> {
    More { program: 0, list }
}

fn definitions(folder: &Path) -> Vec<Record> {
    let folder = folder.to_string_lossy().into_owned();
    let file = format!("{folder}/app.py");
    let module = |path: &str, build_id: &str| Module { path: path.into(), build_id: Some(build_id.into()), bias: 0 };
    let function = |name: &str, first_line| Function { qualname: name.into(), filename: file.clone(), first_line };
    let thread = |tid, name: Option<&str>| Thread { tid, name: name.map(str::to_owned) };
    let line = std::num::NonZeroU32::new;
    vec![
        Record::Program(Program {
            number: 0,
            pid: Some(Pid(4711)),
            again: 0,
            command: None,
            interpreter: 1,
            project: Some(folder.clone()),
            home: None,
        }),
        Record::Modules(more(vec![
            module("/usr/lib/libz.so.1.3", "11223344"),
            module("/usr/bin/python3.15", BUILD_ID),
        ])),
        Record::Functions(more(vec![function("<module>", 1), function(HOSTILE, 10)])),
        Record::Threads(more(vec![
            thread(4711, Some("MainThread")),
            thread(4712, Some("worker; 1 <&>")),
            thread(4713, None),
        ])),
        Record::States(more(vec![
            RunState::Python,
            RunState::Native,
            RunState::Io { call: "read".into(), file: Some(FileKind::Socket) },
        ])),
        Record::Frames(more(vec![
            RecordedFrame::Python(0, line(40)),
            RecordedFrame::Python(1, line(12)),
            RecordedFrame::Python(1, line(13)),
            RecordedFrame::Native(0, Svma(0x100), None),
            RecordedFrame::Native(1, Svma(0x200), None),
            RecordedFrame::Missing(GapKind::TooDeep),
        ])),
        // 1: <module>, 2 and 3: the function at two lines, 4: deflate, 5: os_read, 6: a gap.
        Record::Stacks(Stacks { program: 0, caller: vec![0, 1, 1, 2, 1, 0], frame: vec![0, 1, 2, 3, 4, 5] }),
    ]
}

/// What the threads are seen with, tick by tick. The first one's samples stand for more ticks now and then.
fn samples() -> Vec<TimedSample> {
    let mut samples = Vec::new();
    for tick in 0..200u64 {
        let time = tick * PERIOD + 1_234_567;
        let main = [(2, 0), (2, 0), (4, 1), (3, 0)][(tick / 10 % 4) as usize];
        let weight = if tick % 10 == 0 { 3 } else { 1 };
        for (thread, (stack, state), weight) in [(0, main, weight), (1, (5, 2), 1), (2, (6, 2), 1)] {
            samples.push(TimedSample { time, thread, state, stack, ticks: weight, weight });
        }
    }
    samples
}

fn names() -> Record {
    let native = |kind, name: &str, module| Frame::native(kind, name, Some(module));
    let deflate = native(FrameKind::System, "deflate", "libz.so.1.3");
    let source = SourceLine { file: "Modules/posixmodule.c".into(), line: Some(11_111), first_line: None };
    let read = native(FrameKind::Interpreter, "os_read", "python3.15").at(source);
    let named = |frame| Some(NamedFrame { frames: vec![frame], role: Role::Native });
    Record::Names(Names { program: 0, first: 0, names: vec![None, None, None, named(deflate), named(read), None] })
}

/// Writes the recording, or one of the same program in which no thread was seen.
pub fn write(path: &Path, is_empty: bool) {
    let facts = Record::Facts(Box::new(facts(is_empty)));
    let samples = if is_empty { Vec::new() } else { samples() };
    let mut records = vec![facts.clone()];
    let folder = path.parent().expect("it is in a folder");
    write_source(folder);
    records.extend(definitions(folder));
    records.push(Record::Samples(SampleColumns::of(0, &samples, 0, Weights::Ticks)));
    records.extend([names(), facts, Record::End {}]);
    let file = File::create(path).expect("the recording can be written");
    let mut writer = RecordingWriter::new(file).expect("the recording can be written");
    records.iter().for_each(|record| writer.add(record).expect("the recording can be written"));
    writer.end_block().expect("the recording can be written");
}
