//! What is promised of a recording: all of it is read, or all up to the damage.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::*;
use crate::profile::frame::Frame;
use crate::profile::samples::{SampleColumns, TimedSample, Weights};
use crate::sampler::mode::Mode;
use crate::target::descriptors::FileKind;

fn facts() -> RecordingFacts {
    RecordingFacts {
        command: "python3 app.py".into(),
        fpprof_version: "0.1.0".into(),
        ..RecordingFacts::of_nothing(Pid(7), Mode::Wall, 100.0)
    }
}

fn sample(time: u64, stack: u32) -> TimedSample {
    TimedSample { time, thread: 0, state: 0, stack, ticks: 1, weight: 1 }
}

fn begin(number: usize) -> Record {
    Record::Program(Program {
        number,
        pid: Some(Pid(7)),
        again: 0,
        command: None,
        interpreter: 0,
        project: None,
        home: None,
    })
}

/// A program with a thread, a state, two frames and the stacks 1 and 2.
fn program(program: usize) -> Vec<Record> {
    let tid = 7 + program as i32;
    let frames = vec![RecordedFrame::Unnamed(Addr(16)), RecordedFrame::Missing(GapKind::TooDeep)];
    vec![
        begin(program),
        Record::Threads(More { program, list: vec![Thread { tid, name: Some("main".into()) }] }),
        Record::States(More { program, list: vec![RunState::Sleeping] }),
        Record::Frames(More { program, list: frames }),
        Record::Stacks(Stacks { program, caller: vec![0, 1], frame: vec![0, 1] }),
    ]
}

fn definitions() -> Vec<Record> {
    [vec![Record::Facts(Box::new(facts()))], program(0)].concat()
}

/// A recording of these blocks, and where each ends.
fn written(blocks: &[Vec<Record>]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = Vec::new();
    let mut writer = RecordingWriter::new(&mut bytes).unwrap();
    let mut ends = Vec::new();
    for block in blocks {
        block.iter().for_each(|record| writer.add(record).unwrap());
        writer.end_block().unwrap();
        ends.push(writer.written());
    }
    (bytes, ends)
}

fn read_bytes(bytes: &[u8]) -> Result<Recording, ReadError> {
    read(bytes, bytes.len() as u64)
}

/// The recording of the definitions and one more record.
fn with(record: Record) -> Recording {
    read_bytes(&written(&[definitions(), vec![record], vec![Record::End {}]]).0).unwrap()
}

#[test]
fn what_was_written_is_read_and_what_was_not_ended_is_kept_up_to_its_last_whole_block() {
    let samples = |times: &[u64], before| {
        Record::Samples(SampleColumns::of(
            0,
            &times.iter().map(|time| sample(*time, 2)).collect::<Vec<_>>(),
            before,
            Weights::Ticks,
        ))
    };
    let blocks = [definitions(), vec![samples(&[10, 20], 0)], vec![samples(&[30], 20)], vec![Record::End {}]];
    let (bytes, ends) = written(&blocks);
    let whole = read_bytes(&bytes).unwrap();
    assert_eq!((whole.cut_off.as_deref(), whole.facts), (None, facts()));
    let samples: Vec<TimedSample> = whole.programs[0].samples.iter().collect();
    assert_eq!(samples, [sample(10, 2), sample(20, 2), sample(30, 2)]);
    assert_eq!(whole.programs[0].stack(2), [0, 1]);
    for length in 0..bytes.len() {
        let read = read_bytes(&bytes[..length]);
        if (length as u64) < ends[0] {
            assert!(read.is_err(), "nothing is defined in {length} bytes");
            continue;
        }
        let read = read.unwrap();
        let expected: usize =
            ends[1..].iter().zip([2, 1]).filter(|(end, _)| length as u64 >= **end).map(|(_, n)| n).sum();
        assert_eq!(read.programs[0].samples.len(), expected, "of {length} bytes");
        assert!(read.cut_off.is_some());
    }
}

#[test]
fn damage_is_found_by_the_checksum_and_ends_the_recording() {
    let samples = Record::Samples(SampleColumns::of(0, &[sample(1, 1)], 0, Weights::Ticks));
    let (mut bytes, ends) = written(&[definitions(), vec![samples], vec![Record::End {}]]);
    // The checksum is in the 8 bytes at the end of a gzip member (RFC 1952, section 2.3).
    bytes[ends[1] as usize - 8] ^= 1;
    let read = read_bytes(&bytes).unwrap();
    assert_eq!(read.cut_off.as_deref(), Some("a block's checksum is wrong"));
    assert!(read.programs[0].samples.is_empty());
}

#[test]
fn numbers_that_refer_to_nothing_are_refused() {
    let samples = |sample: TimedSample| Record::Samples(SampleColumns::of(0, &[sample], 0, Weights::Ticks));
    let names = |program, first, count| Record::Names(Names { program, first, names: vec![None; count] });
    let stacks = |caller, frame| Record::Stacks(Stacks { program: 0, caller, frame });
    for record in [
        samples(sample(1, 3)),
        samples(TimedSample { thread: 1, ..sample(1, 1) }),
        samples(TimedSample { state: 1, ..sample(1, 1) }),
        stacks(vec![3], vec![0]),
        stacks(vec![0], vec![2]),
        stacks(vec![0], vec![]),
        names(0, 0, 3),
        names(0, usize::MAX, 1),
        names(1, 0, 0),
        begin(0),
        begin(2),
        Record::Threads(More { program: 1, list: Vec::new() }),
        Record::Stacks(Stacks { program: usize::MAX, ..Stacks::default() }),
        Record::Samples(SampleColumns { program: 1, ..SampleColumns::default() }),
        Record::FpprofRecording { version: VERSION },
    ] {
        assert!(with(record.clone()).cut_off.is_some(), "{record:?}");
    }
    assert_eq!(with(samples(sample(1, 2))).cut_off, None);
}

#[test]
fn a_chain_of_stacks_without_an_end_is_refused() {
    let chain = |length: u32| {
        Record::Stacks(Stacks { program: 0, caller: (2..length).collect(), frame: vec![0; length as usize - 2] })
    };
    assert_eq!(with(chain(1 << 17)).cut_off, None);
    assert_eq!(with(chain(1 << 18)).cut_off.as_deref(), Some("a stack is deeper than any that fpprof writes"));
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_no_recording_is_told_apart() {
    assert!(matches!(read_bytes(b""), Err(ReadError::Empty)));
    assert!(matches!(read_bytes(b"<svg>"), Err(ReadError::Foreign)));
    assert!(matches!(read_bytes(&packed(b"a tar file, say")), Err(ReadError::Foreign)));
    let newer = packed(b"{\"fpprof_recording\":{\"version\":3,\"more\":[]}}\n{\"unheard\":1}\n");
    assert!(matches!(read_bytes(&newer), Err(ReadError::Newer(3))));
    let none = packed(b"{\"fpprof_recording\":{\"version\":0}}\n");
    assert!(matches!(read_bytes(&none), Err(ReadError::Foreign)));
}

#[test]
fn a_block_that_unfolds_to_too_much_is_refused() {
    let (mut bytes, _) = written(&[definitions()]);
    bytes.extend(packed(&vec![b'\n'; 40 << 20]));
    let read = read_bytes(&bytes).unwrap();
    assert_eq!(read.cut_off.as_deref(), Some("a block is larger than any that fpprof writes"));
}

#[test]
fn programs_side_by_side_are_told_apart() {
    let samples = |program, times: &[u64], before| {
        let samples: Vec<TimedSample> = times.iter().map(|time| sample(*time, 1 + program as u32)).collect();
        Record::Samples(SampleColumns::of(program, &samples, before, Weights::Ticks))
    };
    let more = |program, name: &str| {
        Record::Threads(More { program, list: vec![Thread { tid: 70, name: Some(name.into()) }] })
    };
    let named = |program, name: &str| {
        let names = vec![Some(NamedFrame::always(Frame::gap(name)))];
        Record::Names(Names { program, first: 0, names })
    };
    let blocks = [
        definitions(),
        vec![samples(0, &[10, 30], 0)],
        program(1),
        vec![samples(1, &[20, 25], 0), more(0, "a"), samples(0, &[40], 30), more(1, "b"), samples(1, &[35], 25)],
        vec![named(1, "b"), named(0, "a"), Record::End {}],
    ];
    let read = read_bytes(&written(&blocks).0).unwrap();
    assert_eq!(read.cut_off, None);
    let [first, second] = &read.programs[..] else { panic!("{read:?}") };
    let times = |program: &RecordedProgram| program.samples.iter().map(|sample| sample.time).collect::<Vec<_>>();
    assert_eq!((times(first), times(second)), (vec![10, 30, 40], vec![20, 25, 35]));
    for (program, tid, name, stack) in [(first, 7, "a", 1), (second, 8, "b", 2)] {
        let threads: Vec<_> = program.threads.iter().map(|thread| (thread.tid, thread.name.as_deref())).collect();
        assert_eq!(threads, [(tid, Some("main")), (70, Some(name))]);
        assert!(program.samples.iter().all(|sample| sample.stack == stack));
        assert_eq!(program.names, [Some(NamedFrame::always(Frame::gap(name)))]);
    }
}

/// A recording whose lines, but the first, have been edited.
fn with_lines(blocks: &[Vec<Record>], edit: impl Fn(&str) -> String) -> Recording {
    let (bytes, _) = written(blocks);
    let mut text = String::new();
    MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    let edited: Vec<String> = lines.map(edit).collect();
    read_bytes(&packed(format!("{first}\n{}\n", edited.join("\n")).as_bytes())).unwrap()
}

#[test]
fn a_thread_has_the_last_name_that_it_was_seen_with() {
    let renamed = |program, thread, name: &str| {
        Record::Renamed(More { program, list: vec![Renamed { thread, name: name.into() }] })
    };
    let read = |record| read_bytes(&written(&[definitions(), vec![record], vec![Record::End {}]]).0).unwrap();
    let recording = read(renamed(0, 0, "orders_0"));
    assert_eq!(
        (recording.cut_off.as_deref(), recording.programs[0].threads[0].name.as_deref()),
        (None, Some("orders_0"))
    );
    assert_eq!(read(renamed(0, 99, "x")).cut_off.as_deref(), Some("a name is of no thread"));
    assert_eq!(read(renamed(9, 0, "x")).cut_off.as_deref(), Some("it has no program"));
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    let samples = Record::Samples(SampleColumns::of(0, &[sample(10, 2)], 0, Weights::Ticks));
    let blocks = [definitions(), vec![samples], vec![Record::End {}]];
    let plain = with_lines(&blocks, str::to_owned);
    assert_eq!((plain.cut_off.as_deref(), plain.programs[0].samples.len()), (None, 1));
    // A member in each record and in each thread, a member beside each record, a record between them.
    let members = with_lines(&blocks, |line| line.replacen(":{", ":{\"task\":[[1],{}],", 1).replace(",}", "}"));
    let threads = with_lines(&blocks, |line| line.replace("{\"tid\":", "{\"labels\":{\"a\":1},\"tid\":"));
    let beside = with_lines(&blocks, |line| format!("{},\"checked\":[null]}}", line.strip_suffix('}').unwrap()));
    let records = with_lines(&blocks, |line| format!("{{\"tasks\":{{\"program\":7}}}}\n{{}}\n{line}"));
    for later in [members, threads, beside, records] {
        assert_eq!(later, plain);
    }
    // What is known is checked.
    let damaged = with_lines(&blocks, |line| line.replace("\"after\"", "\"later\""));
    assert_eq!(damaged.cut_off.as_deref(), Some("a record cannot be understood"));
}

#[test]
fn more_programs_than_are_believed_are_refused() {
    let many = |count| [vec![Record::Facts(Box::new(facts()))], (0..count).map(begin).collect()].concat();
    let read = |count| read_bytes(&written(&[many(count), vec![Record::End {}]]).0).unwrap();
    assert_eq!(read(10_000).cut_off, None);
    assert_eq!(read(10_001).cut_off.as_deref(), Some("it has more programs than are believed"));
}

#[test]
fn records_of_version_1_are_of_the_last_program_before_them() {
    let facts = serde_json::to_string(&facts()).unwrap();
    let facts = facts.replace("\"run_states\":[]", "\"states\":{\"sleeping\":3,\"on CPU: x\":1}");
    let program = r#"{"program":{"interpreter":0,"project":null,"home":null}}
{"threads":[{"tid":7,"name":null}]}
{"states":["sleeping","I/O: read pipe"]}
{"samples":{"after":[10,5],"thread":[0,0],"state":[0,1],"stack":[0,0],"weight":[1,1]}}"#;
    let start = r#"{"fpprof_recording":{"version":1}}"#;
    let text = format!("{start}\n{{\"facts\":{facts}}}\n{program}\n{program}\n{{\"end\":{{}}}}\n");
    let read = read_bytes(&packed(text.as_bytes())).unwrap();
    assert_eq!(read.cut_off, None);
    let pipe = RunState::Io { call: "read".into(), file: Some(FileKind::Pipe) };
    for (number, (program, times)) in read.programs.iter().zip([[10, 15], [25, 30]]).enumerate() {
        assert_eq!((program.program.number, program.program.pid), (number, Some(Pid(7))));
        assert_eq!(program.samples.iter().map(|sample| sample.time).collect::<Vec<_>>(), times);
        assert_eq!(program.states, [RunState::Sleeping, pipe.clone()]);
    }
    let other = RunState::Other { words: "on CPU: x".into(), is_on_cpu: true };
    assert_eq!(read.facts.activity.states, BTreeMap::from([(RunState::Sleeping, 3), (other, 1)]));
    let early = format!("{start}\n{{\"facts\":{facts}}}\n{{\"states\":[]}}\n");
    assert_eq!(read_bytes(&packed(early.as_bytes())).unwrap().cut_off.as_deref(), Some("it has no program"));
}

/// A byte that takes six as it is written, again and again.
#[test]
fn the_text_of_files_is_read_however_well_it_is_compressed() {
    let text = "\u{1}".repeat(1 << 20);
    let source = |file: usize| RecordedSource { file: format!("{file}.py"), text: Some(text.clone()), missing: None };
    let more = |file| Record::Sources(More { program: 0, list: vec![source(file)] });
    let blocks = [definitions(), vec![more(0)], vec![more(1)], vec![Record::End {}]];
    let (bytes, _) = written(&blocks);
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(recording.cut_off, None);
    assert_eq!(recording.programs[0].sources, [source(0), source(1)]);
    let unread = RecordedSource { file: "b.py".into(), text: None, missing: Some("it is not there".into()) };
    let recording = with(Record::Sources(More { program: 0, list: vec![unread.clone()] }));
    assert_eq!(recording.programs[0].sources, [unread]);
    let foreign = with(Record::Sources(More { program: 1, list: Vec::new() }));
    assert_eq!(foreign.cut_off.as_deref(), Some("it has no program"));
}
