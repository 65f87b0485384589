//! What has been read of a recording so far, by programs.
//!
//! Does: check what every record says and refers to, and bound what all of them make together. Records of several programs can
//! follow each other in any order. Does not: read lines, or know what a file is.

use super::record::{More, Names, Record, Stacks};
use super::{Program, RecordedProgram, RecordedStack, Renamed};
use crate::profile::facts::RecordingFacts;
use crate::profile::samples::{MAX_SAMPLES, SampleColumns};

/// The most programs: a target that replaces itself more often is not followed.
const MAX_PROGRAMS: usize = 10_000;

/// The most frames in a stack: the sampler's bounds on native and on Python frames are far below it together. Without a bound,
/// a short file could hold a chain of stacks that takes for ever to name.
const MAX_DEPTH: u32 = 1 << 17;

const NO_PROGRAM: &str = "it has no program";

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) programs: Vec<RecordedProgram>,
    pub(super) facts: Option<RecordingFacts>,
    pub(super) ended: bool,
    /// How many samples were left out, once there was no room for more.
    pub(super) left_out: Option<u64>,
    /// By the programs' numbers.
    progress: Vec<Progress>,
    samples: usize,
}

/// What is needed to go on with a program.
#[derive(Debug, Default)]
struct Progress {
    /// How many frames each stack has, from number 1 on.
    depths: Vec<u32>,
    /// The time of the last sample, ns since the start.
    time: u64,
}

impl Gathered {
    /// Adds what a record says.
    pub(super) fn add(&mut self, record: Record) -> Result<(), &'static str> {
        match record {
            Record::FpprofRecording { .. } => return Err("it begins again in its middle"),
            Record::Facts(facts) => self.facts = Some(*facts),
            Record::End {} => self.ended = true,
            Record::Program(program) => self.begin(program, 0)?,
            Record::Modules(more) => extend(&mut self.program(more.program)?.modules, more),
            Record::Functions(more) => extend(&mut self.program(more.program)?.functions, more),
            Record::Threads(more) => extend(&mut self.program(more.program)?.threads, more),
            Record::Renamed(more) => self.rename(more)?,
            Record::States(more) => extend(&mut self.program(more.program)?.states, more),
            Record::Frames(more) => extend(&mut self.program(more.program)?.frames, more),
            Record::Stacks(stacks) => self.add_stacks(stacks)?,
            Record::Samples(columns) => self.add_samples(&columns)?,
            Record::Sources(more) => extend(&mut self.program(more.program)?.sources, more),
            Record::Names(names) => self.add_names(names)?,
        }
        Ok(())
    }

    /// Leaves a record with so many samples out, and all of its kind from now on: what comes behind it may refer to it.
    pub(super) fn leave_samples_out(&mut self, samples: u64) {
        let left_out = self.left_out.get_or_insert(0);
        *left_out = left_out.saturating_add(samples);
    }

    /// Adds a program, whose first sample's time is given from `time` on (ns since the start).
    pub(super) fn begin(&mut self, program: Program, time: u64) -> Result<(), &'static str> {
        if self.programs.len() >= MAX_PROGRAMS {
            return Err("it has more programs than are believed");
        }
        if program.number != self.programs.len() {
            return Err("a program's number is not the next one");
        }
        self.programs.push(RecordedProgram::new(program));
        self.progress.push(Progress { depths: Vec::new(), time });
        Ok(())
    }

    /// The number of the program that began last, and the time of its last sample, ns since the start.
    pub(super) fn last_program(&self) -> Result<(usize, u64), &'static str> {
        let last = self.progress.last().ok_or(NO_PROGRAM)?;
        Ok((self.progress.len().saturating_sub(1), last.time))
    }

    fn program(&mut self, number: usize) -> Result<&mut RecordedProgram, &'static str> {
        self.programs.get_mut(number).ok_or(NO_PROGRAM)
    }

    fn rename(&mut self, More { program, list }: More<Renamed>) -> Result<(), &'static str> {
        let threads = &mut self.program(program)?.threads;
        for Renamed { thread, name } in list {
            threads.get_mut(thread as usize).ok_or("a name is of no thread")?.name = Some(name);
        }
        Ok(())
    }

    fn add_stacks(&mut self, Stacks { program, caller, frame }: Stacks) -> Result<(), &'static str> {
        let depths = &mut self.progress.get_mut(program).ok_or(NO_PROGRAM)?.depths;
        let program = self.programs.get_mut(program).ok_or(NO_PROGRAM)?;
        if caller.len() != frame.len() {
            return Err("stacks make no sense");
        }
        for (caller, frame) in caller.into_iter().zip(frame) {
            let callers = match (caller as usize).checked_sub(1) {
                Some(index) => depths.get(index).copied().ok_or("a stack refers to what is not there")?,
                None => 0,
            };
            if callers >= MAX_DEPTH {
                return Err("a stack is deeper than any that fpprof writes");
            }
            if frame as usize >= program.frames.len() {
                return Err("a stack refers to what is not there");
            }
            depths.push(callers + 1);
            program.stacks.push(RecordedStack { caller, frame });
        }
        Ok(())
    }

    fn add_samples(&mut self, columns: &SampleColumns) -> Result<(), &'static str> {
        let time = &mut self.progress.get_mut(columns.program).ok_or(NO_PROGRAM)?.time;
        let program = self.programs.get_mut(columns.program).ok_or(NO_PROGRAM)?;
        let samples = columns.samples(*time).ok_or("samples make no sense")?;
        self.samples = self.samples.saturating_add(samples.len());
        if self.samples > MAX_SAMPLES {
            return Err("it has more samples than can be held");
        }
        let known = samples.iter().all(|sample| {
            (sample.thread as usize) < program.threads.len()
                && (sample.state as usize) < program.states.len()
                && sample.stack as usize <= program.stacks.len()
        });
        if !known {
            return Err("a sample refers to what is not there");
        }
        *time = samples.last().map_or(*time, |sample| sample.time);
        program.samples.extend(samples);
        Ok(())
    }

    fn add_names(&mut self, Names { program, first, names }: Names) -> Result<(), &'static str> {
        let program = self.programs.get_mut(program).ok_or("names are of no program")?;
        // Frames may have been left out.
        let wanted = program.frames.len().saturating_sub(first);
        let names = if self.left_out.is_some() { names.into_iter().take(wanted).collect() } else { names };
        if self.left_out.is_some() && names.is_empty() {
            return Ok(());
        }
        let fits = first == program.names.len() && names.len() <= program.frames.len().saturating_sub(first);
        if !fits {
            return Err("names are of no frame");
        }
        program.names.extend(names);
        Ok(())
    }
}

fn extend<T>(list: &mut Vec<T>, more: More<T>) {
    list.extend(more.list);
}
