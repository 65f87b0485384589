//! The records that a recording's file is a sequence of (`docs/recording-format.md`), in the version that is written.
//!
//! Does: define them, and read one from its line; what a later version has added is passed over. Does not: check what a record
//! refers to, or know version 1.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Module, Program, RecordedFrame, RecordedSource, Renamed, Thread};
use crate::profile::facts::RecordingFacts;
use crate::profile::named::NamedFrame;
use crate::profile::samples::SampleColumns;
use crate::sampler::run_state::RunState;
use crate::stack::code_cache::Function;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 2;

/// One record: a line of JSON. What a record refers to by number is in records before it; numbers count from 0 in each program.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first record.
    FpprofRecording {
        /// The format's version.
        version: u32,
    },
    /// What is known of the recording as a whole: at its beginning what is known then, at its end everything.
    Facts(Box<RecordingFacts>),
    /// There is another program: the first one, one by which a process has replaced itself, or another process's.
    Program(Program),
    /// More modules.
    Modules(More<Module>),
    /// More Python functions.
    Functions(More<Function>),
    /// More threads.
    Threads(More<Thread>),
    /// Threads have other names than before.
    Renamed(More<Renamed>),
    /// More states that threads are in.
    States(More<RunState>),
    /// More frames.
    Frames(More<RecordedFrame>),
    /// More stacks.
    Stacks(Stacks),
    /// More samples.
    Samples(SampleColumns),
    /// The names of native frames.
    Names(Names),
    /// The text of files that functions are from.
    Sources(More<RecordedSource>),
    /// The last record: the recording is complete.
    End {},
}

/// More of what a program has: numbered on from what it has had so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct More<T> {
    /// The number of the program.
    pub program: usize,
    /// What it has more.
    pub list: Vec<T>,
}

/// Stacks by their callers' stacks and their innermost frames. Stack 0 is the empty one and not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stacks {
    /// The number of the program.
    pub program: usize,
    /// The numbers of the stacks without their innermost frames: lower than their own.
    pub caller: Vec<u32>,
    /// The innermost frames.
    pub frame: Vec<u32>,
}

/// Names of native frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The number of the program.
    pub program: usize,
    /// The frame that the first of the names is for.
    pub first: usize,
    /// A name for each frame from there on; absent for those that are named by their functions.
    pub names: Vec<Option<NamedFrame>>,
}

/// Reads a record from its line; `None` for one that this version does not know.
pub(super) fn parse(line: &[u8]) -> Option<Option<Record>> {
    let Line(record) = serde_json::from_slice(line).ok()?;
    Some(record)
}

/// A line: an object whose first member says what it is.
struct Line(Option<Record>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line, D::Error> {
        deserializer.deserialize_map(LineVisitor).map(Line)
    }
}

/// What the member of a line can be.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Tag {
    FpprofRecording,
    Facts,
    Program,
    Modules,
    Functions,
    Threads,
    Renamed,
    States,
    Frames,
    Stacks,
    Samples,
    Names,
    Sources,
    End,
    #[serde(other)]
    Later,
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Option<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Record>, A::Error> {
        let Some(tag) = map.next_key()? else { return Ok(None) };
        let record = match tag {
            Tag::FpprofRecording => Record::FpprofRecording { version: map.next_value::<Version>()?.version },
            Tag::Facts => Record::Facts(map.next_value()?),
            Tag::Program => Record::Program(map.next_value()?),
            Tag::Modules => Record::Modules(map.next_value()?),
            Tag::Functions => Record::Functions(map.next_value()?),
            Tag::Threads => Record::Threads(map.next_value()?),
            Tag::Renamed => Record::Renamed(map.next_value()?),
            Tag::States => Record::States(map.next_value()?),
            Tag::Frames => Record::Frames(map.next_value()?),
            Tag::Stacks => Record::Stacks(map.next_value()?),
            Tag::Samples => Record::Samples(map.next_value()?),
            Tag::Names => Record::Names(map.next_value()?),
            Tag::Sources => Record::Sources(map.next_value()?),
            Tag::End => map.next_value::<IgnoredAny>().map(|_| Record::End {})?,
            Tag::Later => {
                map.next_value::<IgnoredAny>()?;
                return rest(map).map(|()| None);
            }
        };
        rest(map).map(|()| Some(record))
    }
}

/// Passes over what a later version says beside a record, or in its place.
fn rest<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// The value of the first record.
#[derive(Deserialize)]
struct Version {
    version: u32,
}
