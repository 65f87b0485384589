//! A recording that is written while it is made.
//!
//! Does: write what is new, definitions before what refers to them, so that a file is readable at any time; and names and
//! facts at the end. Does not: decide when, or take samples.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::program::Program;
use crate::profile::counted::Counted;
use crate::profile::facts::RecordingFacts;
use crate::profile::named::NamedFrame;
use crate::profile::recording::{
    self, Module, More, Names, Record, RecordedFrame, RecordedSource, RecordingWriter, Renamed, Stacks, Thread,
};
use crate::profile::samples::SampleColumns;
use crate::profile::samples::Weights;
use crate::profile::tree::StackTree;
use crate::stack::frame::{GapKind, SampleFrame};
use crate::types::Tid;

/// How often to write: what a crash may lose.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Names in one record: a record must fit into what a reader takes for a block.
const NAMES: usize = 1000;

/// A recording file that is being written.
#[derive(Debug)]
pub struct Stream {
    writer: RecordingWriter<File>,
    every: Duration,
    written_at: Instant,
    /// Whether samples of one second that differ in their times only are one.
    sums: bool,
    /// By the programs' numbers.
    programs: Vec<Written>,
    error: Option<io::Error>,
}

/// What has been written of a program.
#[derive(Debug, Default)]
struct Written {
    /// The time of the last sample, ns since the start.
    time: u64,
    /// How many of its definitions.
    modules: usize,
    functions: usize,
    threads: usize,
    /// The names of those threads, where they have one.
    names: Vec<Option<String>>,
    states: usize,
    frames: usize,
    /// With the empty stack, which is not listed.
    stacks: usize,
}

impl Stream {
    /// Begins a recording in a file, with what is known of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: File, facts: RecordingFacts) -> io::Result<Stream> {
        let mut writer = RecordingWriter::new(file)?;
        writer.add(&Record::Facts(Box::new(facts)))?;
        writer.end_block()?;
        Ok(Stream {
            writer,
            every: WRITE_EVERY,
            written_at: Instant::now(),
            sums: false,
            programs: Vec::new(),
            error: None,
        })
    }

    /// Writes samples that differ in their times only as one, for an output that has sums of stacks and is not made of this: only if that comes to nothing,
    /// this is what there is. An error does not end such a recording.
    pub fn in_sums(self) -> Stream {
        Stream { sums: true, ..self }
    }

    /// Writes this often instead of once a second.
    pub fn every(self, every: Duration) -> Stream {
        Stream { every, ..self }
    }

    /// Begins another program: the one whose number is the next. After an error nothing is written.
    pub fn begin(&mut self, program: &Program) {
        self.programs.push(Written { stacks: 1, ..Written::default() });
        let process = program.session.identity();
        let record = recording::Program {
            number: program.number,
            pid: Some(process.pid),
            again: program.again,
            command: Some(process.command_line.join(" ")),
            interpreter: program.session.reader.found.module.0,
            project: process.current_directory.as_deref().map(|path| path.to_string_lossy().into_owned()),
            home: std::env::var("HOME").ok(),
        };
        self.attempt(|stream| stream.writer.add(&Record::Program(record)));
    }

    /// Writes what is new when it is time for it. Returns whether it is worth going on: writing still works, or is not what matters.
    pub fn write_if_due(&mut self, programs: &mut [Program]) -> bool {
        if self.written_at.elapsed() >= self.every {
            self.write(programs);
            self.written_at = Instant::now();
        }
        self.error.is_none() || self.sums
    }

    /// Writes what is new of some programs.
    pub fn write(&mut self, programs: &mut [Program]) {
        self.attempt(|stream| {
            programs.iter_mut().try_for_each(|program| stream.add_new(program))?;
            stream.writer.end_block()
        });
        if self.error.is_some() {
            // A recording that goes on all the same may go on for long.
            programs.iter_mut().filter_map(|program| program.pending.as_mut()).for_each(|p| p.samples.clear());
        }
    }

    /// Adds the text of a file of a program.
    pub fn add_source(&mut self, program: usize, source: RecordedSource) {
        self.attempt(|stream| stream.writer.add(&Record::Sources(More { program, list: vec![source] })));
    }

    /// Ends the recording: `names` for the frames of each program, and all the facts. Returns the file's length in bytes.
    ///
    /// # Errors
    /// The first one that there was, also while recording.
    pub fn finish(mut self, names: &[Vec<Option<NamedFrame>>], facts: &RecordingFacts) -> io::Result<u64> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for (program, names) in names.iter().enumerate() {
            for (part, names) in names.chunks(NAMES).enumerate() {
                let first = part.saturating_mul(NAMES);
                self.writer.add(&Record::Names(Names { program, first, names: names.to_vec() }))?;
            }
        }
        self.writer.add(&Record::Facts(Box::new(facts.clone())))?;
        self.writer.add(&Record::End {})?;
        self.writer.end_block()?;
        Ok(self.writer.written())
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Stream) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(self).err();
        }
    }

    fn add_new(&mut self, program: &mut Program) -> io::Result<()> {
        let Program { number, session, stacks, thread_names, pending, .. } = program;
        let program = *number;
        let Stream { writer, programs, sums, .. } = self;
        let (Some(pending), Some(written)) = (pending, programs.get_mut(program)) else { return Ok(()) };
        let mut add = Adding { writer, program };
        let space = &session.reader.space;
        let modules = fresh(space.modules.list(), &mut written.modules).iter().map(|module| Module {
            path: module.path.to_string_lossy().into_owned(),
            build_id: module.elf.as_ref().ok().and_then(|elf| elf.build_id()).map(|id| id.to_string()),
            bias: module.bias,
        });
        add.more(Record::Modules, modules.collect())?;
        let functions = fresh(session.reader.codes.functions(), &mut written.functions).iter();
        add.more(Record::Functions, functions.map(|function| (**function).clone()).collect())?;
        let threads = fresh(&pending.threads, &mut written.threads).iter();
        let threads = threads.map(|tid| Thread { tid: tid.0, name: thread_names.get(tid).cloned() });
        add.more(Record::Threads, threads.collect())?;
        add.more(Record::Renamed, renamed(&pending.threads, thread_names, &mut written.names))?;
        add.more(Record::States, fresh(&pending.states, &mut written.states).to_vec())?;
        let frames = fresh(stacks.frames(), &mut written.frames).iter();
        let frames =
            frames.map(|frame| RecordedFrame::new(&sampled(frame), |id, svma| space.function_extent(id, svma)));
        add.more(Record::Frames, frames.collect())?;
        let nodes = fresh(stacks.nodes(), &mut written.stacks);
        if !nodes.is_empty() {
            let caller = nodes.iter().map(|node| without_labels(stacks, u32_of(node.parent.index()))).collect();
            let frame = nodes.iter().map(|node| node.frame.map_or(0, |frame| u32_of(frame.index()))).collect();
            add.writer.add(&Record::Stacks(Stacks { program, caller, frame }))?;
        }
        if *sums {
            pending.sum_up(|stack| without_labels(stacks, stack));
        }
        if let Some(last) = pending.samples.last() {
            add.writer.add(&Record::Samples(SampleColumns::of(
                program,
                &pending.samples,
                written.time,
                Weights::Time,
            )))?;
            written.time = last.time;
            pending.samples.clear();
        }
        Ok(())
    }
}

/// The threads whose names are others than those that were written. Threads that are new have been written with theirs.
fn renamed(threads: &[Tid], names: &FxHashMap<Tid, String>, written: &mut Vec<Option<String>>) -> Vec<Renamed> {
    let mut renamed = Vec::new();
    for (thread, (tid, written)) in (0..).zip(threads.iter().zip(&mut *written)) {
        let name = names.get(tid);
        if let Some(name) = name.filter(|name| written.as_ref() != Some(name)) {
            *written = Some(name.clone());
            renamed.push(Renamed { thread, name: name.clone() });
        }
    }
    written.extend(threads.iter().skip(written.len()).map(|tid| names.get(tid).cloned()));
    renamed
}

fn sampled(counted: &Counted) -> SampleFrame {
    match counted {
        Counted::Frame(frame) => *frame,
        // They are kept with each sample and not in stacks. One that is here has its number and is in no stack.
        Counted::Thread(_) | Counted::RunState(_) => SampleFrame::Missing(GapKind::Unplaced),
    }
}

/// The stack, by its number, without what it holds beside its frames: that is kept with each sample.
fn without_labels(stacks: &StackTree<Counted>, mut stack: u32) -> u32 {
    let node = |stack: u32| stacks.nodes().get(stack as usize);
    // A caller's number is lower.
    while let Some(labelled) = node(stack)
        && let Some(Counted::Thread(_) | Counted::RunState(_)) = stacks.frame(labelled)
    {
        stack = u32_of(labelled.parent.index());
    }
    stack
}

/// The number of a stack or a frame: there are no more than 2^32.
fn u32_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(0)
}

/// What has come since, which then counts as written.
fn fresh<'a, T>(all: &'a [T], written: &mut usize) -> &'a [T] {
    let fresh = all.get(*written..).unwrap_or_default();
    *written = all.len();
    fresh
}

/// Where the definitions of a program are added.
struct Adding<'a> {
    writer: &'a mut RecordingWriter<File>,
    program: usize,
}

impl Adding<'_> {
    fn more<T>(&mut self, record: fn(More<T>) -> Record, list: Vec<T>) -> io::Result<()> {
        let program = self.program;
        if list.is_empty() { Ok(()) } else { self.writer.add(&record(More { program, list })) }
    }
}
