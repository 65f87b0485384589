//! Saving a live thread.
//!
//! Does: sample one thread, again and again, and save what was sampled last, once it is sure that the file gives the stack that the
//! live process gave. Does not: choose a thread or a moment, or write files.

use std::io;
use std::sync::Arc;

use super::Snapshot;
use super::format::FormatError;
use super::replay::Replay;
use crate::capture::blocked::BlockedError;
use crate::capture::running::Stopping;
use crate::process::reader::Reader;
use crate::process::reading::{ReadFailure, Reading};
use crate::process::stops::Stops;
use crate::process::thread::KnownThread;
use crate::process::thread_states::ThreadStates;
use crate::python::runtime::RuntimeError;
use crate::stack::code_cache::FunctionId;
use crate::stack::frame::SampleFrame;
use crate::target::modules::ModuleId;
use crate::types::Tid;

/// A thread to be saved.
#[derive(Debug)]
pub struct ThreadToSave<'a> {
    reader: &'a mut Reader,
    known: KnownThread,
    states: ThreadStates,
    stops: Stops,
}

/// A snapshot that gives the stack of the live process.
#[derive(Debug)]
pub struct Saved {
    /// The contents of its file.
    pub json: String,
    /// What the file gives, innermost frame first.
    pub frames: Arc<[SampleFrame]>,
    /// The file, opened.
    pub replay: Replay,
}

/// Why a sample cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The interpreter cannot be recognised any more, or not in the snapshot.
    #[error("the interpreter cannot be saved: {0}")]
    Interpreter(#[from] RuntimeError),
    /// What was written cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A code object was replaced meanwhile, or something was read that is not in the snapshot.
    #[error("the snapshot does not give the stack of the live process")]
    Differs,
}

impl<'a> ThreadToSave<'a> {
    /// A thread of the process of `reader`.
    ///
    /// # Errors
    /// When the process has no such thread.
    pub fn new(reader: &'a mut Reader, tid: Tid) -> io::Result<ThreadToSave<'a>> {
        let mut known = KnownThread::new(reader.target().thread(tid)?);
        let mut states = ThreadStates::default();
        states.assign(&mut known, reader);
        Ok(ThreadToSave { reader, known, states, stops: Stops::default() })
    }

    /// What reads it.
    pub fn reader(&self) -> &Reader {
        self.reader
    }

    /// The thread.
    pub fn known(&self) -> &KnownThread {
        &self.known
    }

    /// One sample of the thread, blocked or not; `None` when it changed meanwhile.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn sample(&mut self) -> Result<Option<Reading>, ReadFailure> {
        let result = match self.known.thread.still() {
            Some(_) => self.reader.read_still(&mut self.known),
            None => self.reader.read_blocked(&mut self.known),
        };
        let result = match result {
            Err(ReadFailure::Blocked(BlockedError::Runs | BlockedError::Woke)) => {
                self.reader.read_stopped(&mut self.known, &mut self.stops, Stopping::InAnyState)
            }
            result => result,
        };
        match result {
            // The next sample is made with the states that this one has shown.
            Ok(reading) if self.states.assign_again(&mut self.known, self.reader, &reading) => {
                self.reader.reuse(reading);
                Ok(None)
            }
            Ok(reading) => Ok(Some(reading)),
            Err(ReadFailure::CodeReplaced | ReadFailure::ModuleReplaced) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Saves what was sampled last.
    ///
    /// # Errors
    /// Why that cannot be; the next sample may do.
    pub fn save(&self, reading: &Reading) -> Result<Saved, SaveError> {
        let json = Snapshot::take(self.reader, &self.known, reading)?.to_json();
        let replay = Replay::new(Snapshot::from_json(json.as_bytes())?)?;
        let frames = replay.run(&mut replay.journey());
        let is_same = reading.frames.iter().map(place).eq(frames.iter().map(place));
        if is_same { Ok(Saved { json, frames, replay }) } else { Err(SaveError::Differs) }
    }
}

/// A frame without the numbers of modules and functions, which are others in a snapshot.
fn place(frame: &SampleFrame) -> SampleFrame {
    match *frame {
        SampleFrame::Python { line, .. } => SampleFrame::Python { function: FunctionId(0), line },
        SampleFrame::Native { svma, .. } => SampleFrame::Native { module: ModuleId(0), svma },
        SampleFrame::Evaluation { function, .. } => SampleFrame::Evaluation { module: ModuleId(0), function },
        SampleFrame::Unnamed(_) | SampleFrame::Missing(_) => *frame,
    }
}
