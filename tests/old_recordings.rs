//! Recordings of version 1 of the format give what they gave when that was the newest one, and the newest one says the same.
//!
//! `tests/fixtures/recordings/NAME.fpprof` was written by an fpprof that wrote version 1, `NAME.txt` beside it are its stacks as that
//! fpprof showed them, and `NAME.sums` are the SHA-256 sums of its other outputs. `FPPROF_BLESS=1 cargo test --test old_recordings`
//! writes both anew: only where an output was changed on purpose, and never because of how a file is read.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use fpprof::output::format::Format;
use fpprof::output::label::LabelOptions;
use fpprof::profile::recording::{self, More, Names, Record, RecordedProgram, Recording, RecordingWriter, Stacks};
use fpprof::profile::samples::{SampleColumns, TimedSample, Weights};
use fpprof::report::RecordingPart;
use fpprof::report::options::{ReportOptions, Span};
use fpprof::symbolize::names::NativeFrames;
use sha2::{Digest, Sha256};

/// Recordings are kept by git: in bytes.
const LARGEST: u64 = 40_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings").join(name)
}

fn read(name: &str) -> Recording {
    let bytes = fs::read(fixture(&format!("{name}.fpprof"))).expect("it is there");
    assert!(bytes.len() as u64 <= LARGEST, "{name}");
    recording::read(&bytes[..], bytes.len() as u64).expect("it is a recording")
}

fn output(recording: &Recording, format: Format, choice: &ReportOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let part = RecordingPart::of(recording, choice, &Default::default());
    part.write(format, &LabelOptions::default(), &mut out).expect("writing to memory succeeds");
    out
}

/// What an output says, without how it is wrapped: the data of a page, and what is compressed.
fn contents(format: Format, output: Vec<u8>) -> Vec<u8> {
    match format {
        Format::Html => {
            let page = String::from_utf8(output).expect("the page is UTF-8");
            let (_, data) = page.split_once("id=\"data\">").expect("there is data");
            data.split_once("</script>").expect("it ends").0.into()
        }
        Format::Pprof => {
            let mut message = Vec::new();
            GzDecoder::new(&output[..]).read_to_end(&mut message).expect("it is compressed");
            message
        }
        _ => output,
    }
}

/// Compares with the file, or writes it.
fn compare(name: &str, actual: &str) {
    let path = fixture(name);
    if std::env::var_os("FPPROF_BLESS").is_some() {
        fs::write(&path, actual).expect("the file can be written");
    }
    let expected = fs::read_to_string(&path).expect("the file exists");
    let differs = expected.lines().zip(actual.lines()).find(|(a, b)| a != b);
    assert!(expected == actual, "{name} differs, first here: {differs:?}");
}

/// `native`: frames whose names are not in the file would be named by this machine's files.
fn check(name: &str, native: NativeFrames) {
    let recording = read(name);
    let all = ReportOptions { native, ..ReportOptions::default() };
    let labelled = ReportOptions { with_thread: true, with_state: true, ..all.clone() };
    let stacks = output(&recording, Format::Collapsed, &labelled);
    compare(&format!("{name}.txt"), &String::from_utf8(stacks).expect("stacks are UTF-8"));

    let span = Span { from: Some(300_000_000), to: Some(900_000_000) };
    let part = ReportOptions { span, with_state: true, ..all.clone() };
    let inverted = ReportOptions { inverted: true, ..all.clone() };
    let formats = Format::ALL.map(|format| (format, "all", &all));
    let others = [
        (Format::JsonLines, "part", &part),
        (Format::JsonLines, "labelled", &labelled),
        (Format::Html, "labelled", &labelled),
        (Format::FlameGraph, "inverted", &inverted),
    ];
    let mut sums = Vec::new();
    for (format, view, choice) in formats.into_iter().chain(others) {
        let contents = contents(format, output(&recording, format, choice));
        let sum: String = Sha256::digest(&contents).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(sums, "{sum} {format} {view}").expect("a vector takes all");
    }
    compare(&format!("{name}.sums"), &String::from_utf8(sums).expect("it is text"));
}

/// Ten threads in nine states.
#[test]
fn threads() {
    check("v1-threads", NativeFrames::Calls);
}

/// The program replaces itself by another one.
#[test]
fn programs() {
    assert_eq!(read("v1-programs").programs.len(), 2);
    check("v1-programs", NativeFrames::Calls);
}

/// fpprof was killed: neither an end nor names.
#[test]
fn cut_off() {
    assert!(read("v1-cut-off").cut_off.is_some());
    check("v1-cut-off", NativeFrames::None);
}

/// The threads, with states that no fpprof has ever written.
#[test]
fn other_states() {
    check("v1-other-states", NativeFrames::Calls);
}

/// What defines a program's numbers, one kind of record after the other.
fn definitions(number: usize, recorded: &RecordedProgram) -> Vec<Record> {
    fn more<T: Clone>(program: usize, list: &[T]) -> More<T> {
        More { program, list: list.to_vec() }
    }
    let stacks = Stacks {
        program: number,
        caller: recorded.stacks.iter().map(|stack| stack.caller).collect(),
        frame: recorded.stacks.iter().map(|stack| stack.frame).collect(),
    };
    vec![
        Record::Modules(more(number, &recorded.modules)),
        Record::Functions(more(number, &recorded.functions)),
        Record::Threads(more(number, &recorded.threads)),
        Record::States(more(number, &recorded.states)),
        Record::Frames(more(number, &recorded.frames)),
        Record::Stacks(stacks),
    ]
}

/// The samples of a program, a few in a record.
fn samples(number: usize, recorded: &RecordedProgram) -> Vec<Record> {
    let mut before = 0;
    let all: Vec<TimedSample> = recorded.samples.iter().collect();
    let columns = all.chunks(20).map(|samples| {
        let columns = SampleColumns::of(number, samples, before, Weights::Ticks);
        before = samples.last().map_or(before, |sample| sample.time);
        Record::Samples(columns)
    });
    columns.collect()
}

/// A recording in the newest version, the records of its programs in turn.
fn written_again(recording: &Recording) -> Vec<u8> {
    let programs: Vec<(usize, &RecordedProgram)> = recording.programs.iter().enumerate().collect();
    let mut records = vec![Record::Facts(Box::new(recording.facts.clone()))];
    records.extend(programs.iter().map(|(_, recorded)| Record::Program(recorded.program.clone())));
    for part in [definitions, samples] {
        let mut queues: Vec<_> = programs.iter().map(|(number, program)| part(*number, program).into_iter()).collect();
        loop {
            let in_turn: Vec<Record> = queues.iter_mut().filter_map(Iterator::next).collect();
            if in_turn.is_empty() {
                break;
            }
            records.extend(in_turn);
        }
    }
    for (program, recorded) in programs {
        records.push(Record::Names(Names { program, first: 0, names: recorded.names.clone() }));
    }
    if recording.cut_off.is_none() {
        records.push(Record::End {});
    }
    let mut bytes = Vec::new();
    let mut writer = RecordingWriter::new(&mut bytes).expect("writing to memory succeeds");
    records.iter().for_each(|record| writer.add(record).expect("writing to memory succeeds"));
    writer.end_block().expect("writing to memory succeeds");
    bytes
}

#[test]
fn the_newest_version_says_the_same() {
    for name in ["v1-threads", "v1-programs", "v1-cut-off", "v1-other-states"] {
        let recording = read(name);
        let again = written_again(&recording);
        let read = recording::read(&again[..], again.len() as u64).expect("it is a recording");
        assert!(read == recording, "{name}");
    }
}
