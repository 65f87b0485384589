//! Version 1 of the format: what fpprof wrote before it could record several programs at once.
//!
//! Does: read its records, and tell them as records of today. Their order says which program they are of, and states are words there:
//! the only words that anything reads, and the words of then, whatever outputs say today. Does not: check what records refer to
//! (`gathered` does), or write.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::gathered::Gathered;
use super::record::{More, Names, Record, Stacks};
use super::{Module, Program, RecordedFrame, Thread};
use crate::profile::facts::RecordingFacts;
use crate::profile::samples::SampleColumns;
use crate::sampler::run_state::RunState;
use crate::stack::code_cache::Function;
use crate::target::descriptors::FileKind;

/// A record. Those without a program's number are of the last program before them.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record1 {
    FpprofRecording {},
    Facts(Facts),
    Program { interpreter: u32, project: Option<String>, home: Option<String> },
    Modules(Vec<Module>),
    Functions(Vec<Function>),
    Threads(Vec<Thread>),
    States(Vec<String>),
    Frames(Vec<RecordedFrame>),
    Stacks { caller: Vec<u32>, frame: Vec<u32> },
    Samples(Columns),
    Names(Names),
    End {},
}

/// Of the facts what is told otherwise today.
#[derive(Deserialize)]
struct Facts {
    activity: Activity,
}

#[derive(Deserialize)]
struct Activity {
    states: BTreeMap<String, u64>,
}

/// The facts, of which the rest is told as today.
#[derive(Deserialize)]
struct FactsLine {
    facts: Box<RecordingFacts>,
}

/// Samples; the first one's time is since the last one in the file, of whatever program.
#[derive(Deserialize)]
struct Columns {
    after: Vec<u64>,
    thread: Vec<u32>,
    state: Vec<u32>,
    stack: Vec<u32>,
    weight: Vec<u64>,
}

/// Adds what a line says.
pub(super) fn add(gathered: &mut Gathered, line: &[u8]) -> Result<(), &'static str> {
    const DAMAGED: &str = "a record cannot be understood";
    let record: Record1 = serde_json::from_slice(line).map_err(|_| DAMAGED)?;
    let last = gathered.last_program();
    let program = last.map(|(number, _)| number);
    let record = match record {
        Record1::FpprofRecording {} => return Err("it begins again in its middle"),
        Record1::Facts(Facts { activity }) => {
            let FactsLine { mut facts } = serde_json::from_slice(line).map_err(|_| DAMAGED)?;
            facts.activity.states = activity.states.iter().map(|(words, stacks)| (state(words), *stacks)).collect();
            Record::Facts(facts)
        }
        Record1::Program { interpreter, project, home } => {
            let (number, time) = last.map_or((0, 0), |(number, time)| (number + 1, time));
            // A program that replaces another one has its process.
            let pid = gathered.facts.as_ref().map(|facts| facts.pid);
            return gathered.begin(Program { number, pid, again: 0, command: None, interpreter, project, home }, time);
        }
        Record1::Modules(list) => Record::Modules(More { program: program?, list }),
        Record1::Functions(list) => Record::Functions(More { program: program?, list }),
        Record1::Threads(list) => Record::Threads(More { program: program?, list }),
        Record1::States(words) => {
            let list = words.iter().map(|words| state(words)).collect();
            Record::States(More { program: program?, list })
        }
        Record1::Frames(list) => Record::Frames(More { program: program?, list }),
        Record1::Stacks { caller, frame } => Record::Stacks(Stacks { program: program?, caller, frame }),
        Record1::Samples(Columns { after, thread, state, stack, weight }) => {
            Record::Samples(SampleColumns { program: program?, after, thread, state, stack, weight, time: Vec::new() })
        }
        Record1::Names(names) => Record::Names(names),
        Record1::End {} => Record::End {},
    };
    gathered.add(record)
}

/// How version 1 said what threads do.
const WORDS: [(&str, RunState); 12] = [
    ("on CPU: Python", RunState::Python),
    ("on CPU: native", RunState::Native),
    ("on CPU: garbage collection", RunState::GarbageCollection),
    ("waiting for the GIL", RunState::Gil),
    ("waiting for a lock", RunState::Lock),
    ("waiting for a futex of native code", RunState::Futex),
    ("sleeping", RunState::Sleeping),
    ("waiting for a child process", RunState::Child),
    ("waiting for a signal", RunState::Signal),
    ("stopped", RunState::Stopped),
    ("uninterruptible", RunState::Uninterruptible),
    ("unknown", RunState::Unknown),
];

/// How the words of all states began in which a thread ran, or waited for a CPU.
const ON_CPU: &str = "on CPU";

/// The state that words say; others keep them.
fn state(words: &str) -> RunState {
    let plain = WORDS.into_iter().find(|(known, _)| *known == words).map(|(_, state)| state);
    let other = || RunState::Other { words: words.into(), is_on_cpu: words.starts_with(ON_CPU) };
    plain.or_else(|| input_or_output(words)).unwrap_or_else(other)
}

/// `I/O: CALL KIND`, or without a kind.
fn input_or_output(words: &str) -> Option<RunState> {
    let (call, kind) = match words.strip_prefix("I/O: ")?.split_once(' ') {
        Some((call, kind)) => (call, Some(kind)),
        None => (words.strip_prefix("I/O: ")?, None),
    };
    let file = match kind {
        Some(kind) => Some(file_kind(kind)?),
        None => None,
    };
    Some(RunState::Io { call: call.to_owned().into(), file })
}

fn file_kind(words: &str) -> Option<FileKind> {
    Some(match words {
        "socket" => FileKind::Socket,
        "pipe" => FileKind::Pipe,
        "terminal" => FileKind::Terminal,
        "device" => FileKind::Device,
        "file" => FileKind::File,
        "epoll" => FileKind::Epoll,
        "eventfd" => FileKind::EventFd,
        "timerfd" => FileKind::TimerFd,
        "signalfd" => FileKind::SignalFd,
        "inotify" => FileKind::Inotify,
        "pidfd" => FileKind::PidFd,
        "io_uring" => FileKind::IoUring,
        "other" => FileKind::Other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_are_lost() {
        let kinds = ["pipe", "pidfd", "io_uring", "other"].map(|kind| format!("I/O: read {kind}"));
        let odd = [
            "",
            "I/O: ",
            "I/O: read ",
            "I/O: read  pipe",
            "I/O: read moon",
            "I/O:x",
            "on CPU",
            "on CPU: x",
            "Sleeping",
        ];
        let plain = WORDS.map(|(words, _)| words.to_owned()).into_iter();
        for words in plain.chain(kinds).chain(odd.map(str::to_owned)) {
            assert_eq!(state(&words).to_string(), words);
        }
    }

    #[test]
    fn words_are_told_as_states_and_others_keep_them() {
        assert!(WORDS.into_iter().all(|(words, plain)| state(words) == plain));
        let pipe = RunState::Io { call: "read".into(), file: Some(FileKind::Pipe) };
        assert_eq!(state("I/O: read pipe"), pipe);
        assert_eq!(state("I/O: poll"), RunState::Io { call: "poll".into(), file: None });
        let other = |words: &str, is_on_cpu| RunState::Other { words: words.into(), is_on_cpu };
        for (words, is_on_cpu) in [("I/O: read moon", false), ("on CPU: x", true), ("on a break", false)] {
            assert_eq!(state(words), other(words, is_on_cpu));
        }
    }
}
