//! Reads a recording, block by block, from a file that nobody vouches for.
//!
//! Does: use a block only when its checksum is right, check every number, bound what a block and a file unfold to, and
//! keep what comes before damage. Does not: repair, or name frames.

use std::io::{BufRead, Read};

use flate2::bufread::GzDecoder;
use serde::Deserialize;

use super::{Record, RecordedProgram, RecordedStack, Recording, Stacks, VERSION};
use crate::profile::facts::RecordingFacts;
use crate::profile::samples::{MAX_SAMPLES, SampleColumns};

/// The most that one block unfolds to: a writer ends a block at a 32nd of it.
pub(super) const MAX_BLOCK: u64 = 32 << 20;
/// The most that a file unfolds to, as a multiple of its length: real ones stay below a tenth of it.
const MAX_RATIO: u64 = 256;
/// What any file may unfold to, however short it is.
const ALLOWANCE: u64 = 16 << 20;
/// The most programs: a target that replaces itself more often is not followed.
const MAX_PROGRAMS: usize = 10_000;

/// The most frames in a stack: the sampler's bounds on native and on Python frames are far below it together. Without a bound,
/// a short file could hold a chain of stacks that takes for ever to name.
const MAX_DEPTH: u32 = 1 << 17;

/// Why a file gives no recording at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is empty.
    #[error("the file is empty: the recording ended before anything was written")]
    Empty,
    /// It is something else.
    #[error("the file is no recording of fpprof's")]
    Foreign,
    /// A later fpprof has written it.
    #[error("the recording has version {0} of the format, and this fpprof reads versions up to {VERSION}")]
    Newer(u32),
    /// There is nothing usable before the damage.
    #[error("the recording is damaged at its beginning: {0}")]
    Damaged(String),
    /// It could not be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

/// All that is read of the first record before its version is known.
#[derive(Deserialize)]
struct First {
    fpprof_recording: Version,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a recording of `length` bytes.
///
/// # Errors
/// [`ReadError`] when there is nothing to show; otherwise the recording says itself where it was cut off.
pub fn read(mut input: impl BufRead, length: u64) -> Result<Recording, ReadError> {
    let mut allowed = length.saturating_mul(MAX_RATIO).saturating_add(ALLOWANCE);
    if input.fill_buf()?.is_empty() {
        return Err(ReadError::Empty);
    }
    let mut partly = Partly::default();
    let mut is_first = true;
    let damage = loop {
        if input.fill_buf()?.is_empty() {
            break "it ends before its last block";
        }
        let mut block = Vec::new();
        let most = MAX_BLOCK.min(allowed);
        match GzDecoder::new(&mut input).take(most + 1).read_to_end(&mut block) {
            Ok(_) => {}
            Err(_) if is_first => return Err(ReadError::Foreign),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break "it ends within a block",
            Err(_) => break "a block's checksum is wrong",
        }
        if block.len() as u64 > most {
            break "a block is larger than any that fpprof writes";
        }
        allowed = allowed.saturating_sub(block.len() as u64);
        let mut lines = block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        if std::mem::take(&mut is_first) {
            check_version(lines.next().unwrap_or_default())?;
        }
        match lines.try_for_each(|line| partly.add(line)) {
            Ok(()) if partly.ended => break "",
            Ok(()) => {}
            Err(what) => break what,
        }
    };
    let cut_off = (!damage.is_empty()).then(|| damage.to_owned());
    match partly.facts {
        Some(facts) => Ok(Recording { programs: partly.programs, facts, cut_off }),
        None => Err(ReadError::Damaged(damage.to_owned())),
    }
}

pub(super) fn check_version(line: &[u8]) -> Result<(), ReadError> {
    let first: First = serde_json::from_slice(line).map_err(|_| ReadError::Foreign)?;
    match first.fpprof_recording.version {
        VERSION => Ok(()),
        0 => Err(ReadError::Foreign),
        newer => Err(ReadError::Newer(newer)),
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Partly {
    pub(super) programs: Vec<RecordedProgram>,
    pub(super) facts: Option<RecordingFacts>,
    /// How many frames each stack of the last program has, from number 1 on.
    depths: Vec<u32>,
    /// The time of the last sample, ns since the start.
    time: u64,
    samples: usize,
    ended: bool,
}

impl Partly {
    pub(super) fn add(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let record: Record = serde_json::from_slice(line).map_err(|_| "a record cannot be understood")?;
        match record {
            Record::FpprofRecording { .. } => return Err("it begins again in its middle"),
            Record::Facts(facts) => self.facts = Some(*facts),
            Record::End {} => self.ended = true,
            Record::Program(program) if self.programs.len() < MAX_PROGRAMS => {
                self.depths.clear();
                self.programs.push(RecordedProgram {
                    program,
                    modules: Vec::new(),
                    functions: Vec::new(),
                    threads: Vec::new(),
                    states: Vec::new(),
                    frames: Vec::new(),
                    stacks: Vec::new(),
                    samples: Vec::new(),
                    names: Vec::new(),
                });
            }
            Record::Program(_) => return Err("it has more programs than are believed"),
            Record::Names { program, first, names } => {
                let program = self.programs.get_mut(program).ok_or("names are of no program")?;
                let fits = first == program.names.len() && names.len() <= program.frames.len().saturating_sub(first);
                if !fits {
                    return Err("names are of no frame");
                }
                program.names.extend(names);
            }
            Record::Samples(columns) => self.add_samples(&columns)?,
            Record::Stacks(stacks) => self.add_stacks(stacks)?,
            more => define(self.programs.last_mut().ok_or("it has no program")?, more)?,
        }
        Ok(())
    }

    fn add_stacks(&mut self, stacks: Stacks) -> Result<(), &'static str> {
        let program = self.programs.last_mut().ok_or("it has no program")?;
        if stacks.caller.len() != stacks.frame.len() {
            return Err("stacks make no sense");
        }
        for (caller, frame) in stacks.caller.into_iter().zip(stacks.frame) {
            let callers = match (caller as usize).checked_sub(1) {
                Some(index) => self.depths.get(index).copied().ok_or("a stack refers to what is not there")?,
                None => 0,
            };
            if callers >= MAX_DEPTH {
                return Err("a stack is deeper than any that fpprof writes");
            }
            if frame as usize >= program.frames.len() {
                return Err("a stack refers to what is not there");
            }
            self.depths.push(callers + 1);
            program.stacks.push(RecordedStack { caller, frame });
        }
        Ok(())
    }

    fn add_samples(&mut self, columns: &SampleColumns) -> Result<(), &'static str> {
        let program = self.programs.last_mut().ok_or("it has no program")?;
        let samples = columns.samples(self.time).ok_or("samples make no sense")?;
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
        self.time = samples.last().map_or(self.time, |sample| sample.time);
        program.samples.extend(samples);
        Ok(())
    }
}

/// Adds definitions that are numbered from 0 on in each program.
fn define(program: &mut RecordedProgram, more: Record) -> Result<(), &'static str> {
    match more {
        Record::Modules(modules) => program.modules.extend(modules),
        Record::Functions(functions) => program.functions.extend(functions),
        Record::Threads(threads) => program.threads.extend(threads),
        Record::States(states) => program.states.extend(states),
        Record::Frames(frames) => program.frames.extend(frames),
        _ => return Err("a record is out of place"),
    }
    Ok(())
}
