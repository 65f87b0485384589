//! Saved snapshots give the stacks that they gave when somebody looked at them and found them right; damaged ones give
//! a stack or an error, and nothing else.
//!
//! `tests/snapshots/NAME.json` is a case, `NAME.txt` beside it what it gives, one frame a line, innermost first.
//! `FPPROF_BLESS=1 cargo test --test snapshots` writes the latter: look at what changed before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use fpprof::snapshot::Snapshot;
use fpprof::snapshot::format::FormatError;
use fpprof::snapshot::replay::Replay;
use fpprof::stack::frame::{GapKind, SampleFrame};
use fpprof::types::Machine;

/// Snapshots are kept by git: in bytes. Most have 20,000; with the code of the evaluation of bytecode (80 KB, for a
/// blocked thread of 3.15) it is 90,000.
const LARGEST: usize = 100_000;
/// How many damaged forms of each snapshot are run.
const DAMAGED: u64 = 60;

struct Case {
    name: String,
    text: String,
    golden: PathBuf,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut cases: Vec<Case> = fs::read_dir(&folder)
        .expect("the folder of the snapshots is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Case {
            name: path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            text: fs::read_to_string(&path).expect("a snapshot is text"),
            golden: path.with_extension("txt"),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn open(case: &Case) -> Replay {
    let snapshot = Snapshot::from_json(case.text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    Replay::new(snapshot).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn stack(replay: &Replay) -> String {
    let frames = replay.run(&mut replay.journey());
    frames.iter().map(|frame| replay.describe(frame) + "\n").collect()
}

#[test]
fn every_snapshot_gives_the_stack_that_was_found_right() {
    let bless = std::env::var_os("FPPROF_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let stack = stack(&open(&case));
        if bless {
            fs::write(&case.golden, &stack).expect("the expected stack can be written");
            continue;
        }
        let expected = fs::read_to_string(&case.golden).unwrap_or_default();
        if stack != expected {
            wrong.push(format!("{}: expected\n{expected}\nand got\n{stack}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One snapshot of each interpreter that fpprof promises to read, and nothing larger than a snapshot should be.
#[test]
fn there_is_a_small_snapshot_of_every_interpreter() {
    let cases = cases();
    let families: BTreeSet<String> = cases
        .iter()
        .map(|case| {
            let words: Vec<&str> = case.name.splitn(3, '-').collect();
            let jit = words.get(2).is_some_and(|rest| rest.starts_with("jit"));
            format!("{} {}{}", words[0], words[1], if jit { " jit" } else { "" })
        })
        .collect();
    let debian = ["3.13", "3.14", "3.14 jit", "3.15", "3.15 jit"];
    let of = |kind: &str| debian.map(|interpreter| format!("{kind} {interpreter}"));
    let from_source = ["pyenv 3.11", "pyenv 3.12", "pyenv 3.13"].map(String::from);
    assert_eq!(families, from_source.into_iter().chain(of("sid")).chain(of("arm64")).collect());
    for case in &cases {
        assert!(case.text.len() <= LARGEST, "{} has {} bytes", case.name, case.text.len());
    }
}

#[test]
fn a_snapshot_that_is_read_and_written_is_the_same() {
    for case in cases() {
        let snapshot = Snapshot::from_json(case.text.as_bytes()).expect("it is a snapshot");
        let again = Snapshot::from_json(snapshot.to_json().as_bytes()).expect("what was written is a snapshot");
        assert_eq!(again, snapshot, "{}", case.name);
    }
}

/// The machine it was taken on is what a snapshot says, not the one that it is read on.
#[test]
fn a_snapshot_brings_its_machine_with_it() {
    for case in cases() {
        let mut snapshot = Snapshot::from_json(case.text.as_bytes()).expect("it is a snapshot");
        let unnamed = case.text.replacen("\"architecture\"", "\"formerly\"", 1);
        assert_eq!(Snapshot::from_json(unnamed.as_bytes()).expect("an old snapshot").machine, Machine::X86_64);
        let other = case.text.replacen(snapshot.machine.name(), "s390x", 1);
        assert!(
            matches!(Snapshot::from_json(other.as_bytes()), Err(FormatError::Architecture(name)) if name == "s390x")
        );

        let frames = |snapshot: Snapshot| {
            let replay = Replay::new(snapshot).expect("it has an interpreter");
            replay.run(&mut replay.journey())
        };
        let expected = frames(snapshot.clone());
        snapshot.machine = match snapshot.machine {
            Machine::X86_64 => Machine::Aarch64,
            Machine::Aarch64 => Machine::X86_64,
        };
        snapshot.registers.signature_mask = 0x007f_0000_0000_0000;
        let again = Snapshot::from_json(snapshot.to_json().as_bytes()).expect("what was written is a snapshot");
        assert_eq!(again, snapshot, "{}", case.name);
        assert_ne!(frames(snapshot), expected, "{}: the stack is read by the other machine's rules", case.name);
    }
}

#[test]
fn a_replay_gives_the_same_stack_again() {
    for case in cases() {
        let replay = open(&case);
        let mut journey = replay.journey();
        let first = replay.run(&mut journey);
        assert_eq!(replay.run(&mut journey), first, "{}", case.name);
    }
}

/// What the saved process has taught of its eval loop's code takes nothing from a stack whose Python frames are known, and without
/// these no eval frame is passed over.
#[test]
fn an_eval_frame_without_its_python_frames_is_a_gap_and_no_other_is() {
    let mut learned = 0;
    for case in cases() {
        let mut snapshot = Snapshot::from_json(case.text.as_bytes()).expect("it is a snapshot");
        let replay = open(&case);
        let expected = replay.run(&mut replay.journey());
        let eval_frames = expected.iter().filter(|frame| matches!(frame, SampleFrame::Evaluation { .. })).count();
        // Until it is certain how eval frames lie, nothing is learned: each run counts the frames of one stack.
        let mut journey = replay.journey();
        for _ in 0..3 {
            replay.run(&mut journey);
            if let Some(python) = replay.walk() {
                journey.learn(replay.moment(), &python);
            }
        }
        snapshot.evaluation_code = journey.eval_frames().code().clone();
        if snapshot.evaluation_code.parts().is_empty() {
            continue;
        }
        learned += 1;
        let replay = Replay::new(snapshot.clone()).expect("it has an interpreter");
        assert_eq!(replay.run(&mut replay.journey()), expected, "{}", case.name);

        snapshot.thread_states.clear();
        let replay = Replay::new(snapshot).expect("it has an interpreter");
        let frames = replay.run(&mut replay.journey());
        let gaps = frames.iter().filter(|frame| **frame == SampleFrame::Missing(GapKind::EvalLoop)).count();
        let told = frames.iter().filter(|frame| matches!(frame, SampleFrame::Evaluation { .. })).count();
        // A walk that needed the markers to go on does not come to all of them now, and says so itself.
        let is_cut = frames.iter().any(|frame| matches!(frame, SampleFrame::Missing(gap) if *gap != GapKind::EvalLoop));
        assert!(gaps == told && (gaps >= eval_frames || is_cut), "{}: {gaps} of {eval_frames}", case.name);
    }
    assert!(learned > 20, "only {learned} snapshots have complete stacks to learn from");
}

/// Bytes of the stack, of the memory and of the tables, flipped, set to extremes and cut off.
#[test]
fn damaged_contents_give_a_stack_or_an_error() {
    for case in cases() {
        let whole = Snapshot::from_json(case.text.as_bytes()).expect("it is a snapshot");
        let mut stacks = 0;
        for seed in 0..DAMAGED {
            let mut snapshot = whole.clone();
            damage(&mut snapshot, &mut Random(seed));
            let Ok(replay) = Replay::new(snapshot) else { continue };
            let frames = replay.run(&mut replay.journey());
            let text: Vec<String> = frames.iter().map(|frame| replay.describe(frame)).collect();
            assert!(!text.is_empty(), "{}, seed {seed}", case.name);
            stacks += 1;
        }
        assert!(stacks > DAMAGED / 4, "{}: only {stacks} damaged forms got as far as the walk", case.name);
    }
}

/// The file itself, damaged or cut off at any place.
#[test]
fn damaged_files_give_a_snapshot_or_an_error() {
    for case in cases() {
        for seed in 0..DAMAGED {
            let mut random = Random(seed);
            let mut text = case.text.clone().into_bytes();
            match random.below(3) {
                0 => text.truncate(random.below(text.len())),
                _ => {
                    for _ in 0..=random.below(4) {
                        let at = random.below(text.len());
                        text[at] = b"0f\"{}[],+-x 9"[random.below(13)];
                    }
                }
            }
            if let Ok(replay) = Snapshot::from_json(&text).map(Replay::new) {
                let _ = replay.map(|replay| replay.run(&mut replay.journey()));
            }
        }
    }
}

#[test]
fn what_is_not_a_snapshot_is_told_apart() {
    let cases = cases();
    let case = cases.iter().find(|case| case.text.contains("\"x86-64\"")).expect("there is one");
    let read = |from: &str, to: &str| Snapshot::from_json(case.text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(matches!(Snapshot::from_json(b"").unwrap_err(), FormatError::Json(_)));
    assert!(matches!(read("\"version\": 1", "\"version\": 2"), FormatError::Version(2)));
    assert!(matches!(read("\"x86-64\"", "\"m68k\""), FormatError::Architecture(name) if name == "m68k"));
    assert!(matches!(read(" 0\"", " 4000\""), FormatError::Nonsense("executable ranges")));
}

fn damage(snapshot: &mut Snapshot, random: &mut Random) {
    match random.below(7) {
        0 => damage_bytes(&mut snapshot.stack.bytes, random),
        1 | 2 => {
            let region = random.below(snapshot.memory.len());
            damage_bytes(&mut snapshot.memory[region].bytes, random);
        }
        3 => {
            let register = [6, 7, 16][random.below(3)];
            let value = snapshot.registers.get(register).unwrap_or(0);
            snapshot.registers.set(register, value.wrapping_add(random.next() % 64).wrapping_sub(32));
        }
        4 => {
            // Pointers on the stack that lead elsewhere on the stack: loops, and walks that go down.
            let words = snapshot.stack.bytes.len() / 8;
            for _ in 0..8 {
                let to = snapshot.stack.start.0 + 8 * random.below(words) as u64;
                let at = 8 * random.below(words);
                snapshot.stack.bytes[at..at + 8].copy_from_slice(&to.to_le_bytes());
            }
        }
        5 => {
            let code = snapshot.modules.iter_mut().flat_map(|module| module.code.iter_mut());
            code.for_each(|(_, bytes)| damage_bytes(bytes, random));
        }
        _ => {
            let tables: Vec<&mut Vec<u8>> = snapshot
                .modules
                .iter_mut()
                .flat_map(|module| [&mut module.eh_frame_hdr, &mut module.eh_frame])
                .flatten()
                .flat_map(|section| section.parts.iter_mut().map(|(_, bytes)| bytes))
                .collect();
            let count = tables.len();
            for bytes in tables {
                if random.below(count) < 8 {
                    damage_bytes(bytes, random);
                }
            }
        }
    }
}

fn damage_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    if random.below(8) == 0 {
        bytes.truncate(random.below(bytes.len()));
        return;
    }
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        bytes[at] = [0, 0xff, 0x7f, 0x80, random.next() as u8, bytes[at] ^ 1][random.below(6)];
    }
}

/// SplitMix64: the same damage in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64).max(1)).unwrap_or(0)
    }
}
