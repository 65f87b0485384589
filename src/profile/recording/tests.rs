//! What is promised of a recording: all of it is read, or all up to the damage.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::profile::facts::SampledThreads;
use crate::types::Pid;

fn facts() -> RecordingFacts {
    RecordingFacts {
        command: "python3 app.py".into(),
        pid: Pid(7),
        python_version: None,
        threads: SampledThreads::All,
        rate_hz: 100.0,
        fixed_intervals: false,
        started: None,
        duration: Duration::ZERO,
        samples_wanted: 0,
        samples_taken: 0,
        samples_late: 0,
        samples_failed: 0,
        samples_left_out: 0,
        limit: None,
        failures: BTreeMap::new(),
        stacks: 0,
        stacks_complete: 0,
        activity: Default::default(),
        stops: None,
        own_cpu: None,
        fpprof_version: "0.1.0".into(),
        shown_part: None,
    }
}

fn sample(time: u64, stack: u32) -> TimedSample {
    TimedSample { time, thread: 0, state: 0, stack, weight: 1 }
}

fn definitions() -> Vec<Record> {
    vec![
        Record::Facts(Box::new(facts())),
        Record::Program(Program { interpreter: 0, project: None, home: None }),
        Record::Threads(vec![Thread { tid: 7, name: Some("main".into()) }]),
        Record::States(vec!["sleeping".into()]),
        Record::Frames(vec![RecordedFrame::Unnamed(Addr(16)), RecordedFrame::Missing(GapKind::TooDeep)]),
        Record::Stacks(Stacks { caller: vec![0, 1], frame: vec![0, 1] }),
    ]
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
        Record::Samples(SampleColumns::of(&times.iter().map(|time| sample(*time, 2)).collect::<Vec<_>>(), before))
    };
    let blocks = [definitions(), vec![samples(&[10, 20], 0)], vec![samples(&[30], 20)], vec![Record::End {}]];
    let (bytes, ends) = written(&blocks);
    let whole = read_bytes(&bytes).unwrap();
    assert_eq!((whole.cut_off.as_deref(), whole.facts), (None, facts()));
    assert_eq!(whole.programs[0].samples, [sample(10, 2), sample(20, 2), sample(30, 2)]);
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
    let samples = Record::Samples(SampleColumns::of(&[sample(1, 1)], 0));
    let (mut bytes, ends) = written(&[definitions(), vec![samples], vec![Record::End {}]]);
    // The checksum is in the 8 bytes at the end of a gzip member (RFC 1952, section 2.3).
    bytes[ends[1] as usize - 8] ^= 1;
    let read = read_bytes(&bytes).unwrap();
    assert_eq!(read.cut_off.as_deref(), Some("a block's checksum is wrong"));
    assert!(read.programs[0].samples.is_empty());
}

#[test]
fn numbers_that_refer_to_nothing_are_refused() {
    let samples = |sample: TimedSample| Record::Samples(SampleColumns::of(&[sample], 0));
    let stacks = |caller, frame| Record::Stacks(Stacks { caller, frame });
    for record in [
        samples(sample(1, 3)),
        samples(TimedSample { thread: 1, ..sample(1, 1) }),
        samples(TimedSample { state: 1, ..sample(1, 1) }),
        stacks(vec![3], vec![0]),
        stacks(vec![0], vec![2]),
        stacks(vec![0], vec![]),
        Record::Names { program: 0, first: 0, names: vec![None, None, None] },
        Record::Names { program: 0, first: usize::MAX, names: vec![None] },
        Record::Names { program: 1, first: 0, names: vec![] },
        Record::FpprofRecording { version: 1 },
    ] {
        assert!(with(record.clone()).cut_off.is_some(), "{record:?}");
    }
    assert_eq!(with(samples(sample(1, 2))).cut_off, None);
}

#[test]
fn a_chain_of_stacks_without_an_end_is_refused() {
    let chain =
        |length: u32| Record::Stacks(Stacks { caller: (2..length).collect(), frame: vec![0; length as usize - 2] });
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
    let newer = packed(b"{\"fpprof_recording\":{\"version\":2,\"more\":[]}}\n{\"unheard\":1}\n");
    assert!(matches!(read_bytes(&newer), Err(ReadError::Newer(2))));
}

#[test]
fn a_block_that_unfolds_to_too_much_is_refused() {
    let (mut bytes, _) = written(&[definitions()]);
    bytes.extend(packed(&vec![b'\n'; 40 << 20]));
    let read = read_bytes(&bytes).unwrap();
    assert_eq!(read.cut_off.as_deref(), Some("a block is larger than any that fpprof writes"));
}
