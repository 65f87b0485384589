//! What is made of a recording when it has ended: names, and the profile in its format.
//!
//! Does: for a format that needs every sample, make of the recording that was kept meanwhile what `fpprof report` makes
//! of any recording, so that both give the same. Does not: record, or put the output in its place.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, Write};
use std::sync::Arc;

use crate::cli::output_kind::OutputKind;
use crate::cli::report::warn_if_empty;
use crate::output::format::Format;
use crate::output::label::LabelOptions;
use crate::output::{self, ShownProfile};
use crate::profile::facts::RecordingFacts;
use crate::profile::recording::{ReadingRoom, read_within};
use crate::profile::steps::Steps;
use crate::record::interim::temporary_file;
use crate::record::naming::{self, NamingOptions};
use crate::record::plan::Recording;
use crate::record::sources::KeptSources;
use crate::report::options::ReportOptions;
use crate::report::sources::OtherSources;
use crate::report::{RecordingPart, fitting};
use crate::target::memory_budget::{self, Meter, Share};

/// How to finish a recording.
#[derive(Debug)]
pub struct OutputJob {
    /// What is made.
    pub kind: OutputKind,
    /// How frames are named.
    pub view: NamingOptions,
    /// How frames are labelled.
    pub labels: LabelOptions,
    /// What is shown where it is made of every sample.
    pub shown: ReportOptions,
    /// The recording's file, where the output is made of it, or is a copy of it.
    pub interim: Option<File>,
    /// What is written to, where that is a file; else the output is made aside, for who reads it may be slow.
    pub into: Option<File>,
}

/// The facts, and the output unless that is where it is to be.
pub type Finished = (RecordingFacts, Option<Box<dyn Read + Send>>);

impl OutputJob {
    /// Names the frames, and makes the output.
    ///
    /// # Errors
    /// When a file cannot be written or read again.
    pub fn finish(self, recording: Recording, first: RecordingFacts) -> io::Result<Finished> {
        match (self.kind, self.interim) {
            (OutputKind::Recording, interim) => {
                let facts = naming::finish_stream(recording, first, self.view)?;
                let made = interim.map(|mut interim| interim.rewind().map(|()| interim)).transpose()?;
                Ok((facts, made.map(|made| Box::new(made) as Box<dyn Read + Send>)))
            }
            (OutputKind::Shown(format), Some(interim)) => {
                let steps = Arc::clone(&self.view.steps);
                let others = match self.view.sources {
                    KeptSources::All => OtherSources::Missing,
                    KeptSources::None => OtherSources::LeftOut,
                };
                let facts = naming::finish_stream(recording, first, self.view)?;
                let aside = self.into.is_none();
                let made = self.into.map_or_else(temporary_file, Ok)?;
                let mut made = make(format, interim, (&self.shown, others, &steps), (&self.labels, made))?;
                made.rewind()?;
                Ok((facts, aside.then(|| Box::new(made) as Box<dyn Read + Send>)))
            }
            (OutputKind::Shown(format), None) => {
                let (stacks, facts) = naming::finish(&recording, first, self.view);
                let is_inverted = self.shown.inverted;
                drop(recording);
                let stacks = if is_inverted { fitting::inverted(&stacks) } else { stacks };
                let (stacks, _) = fitting::fit(format, stacks, None, (&self.labels, facts.period()))?;
                let facts = RecordingFacts { left_out: memory_budget::left_out(), ..facts };
                let shown = ShownProfile { stacks: &stacks, timeline: None, sources: None, facts: &facts, is_inverted };
                let mut bytes = Vec::new();
                output::write(format, &shown, &self.labels, &mut bytes)?;
                match self.into {
                    Some(mut file) => file.write_all(&bytes).map(|()| (facts, None)),
                    None => Ok((facts, Some(Box::new(Cursor::new(bytes))))),
                }
            }
        }
    }
}

/// Makes an output of a whole recording, in a file: one with all samples may be larger than memory.
fn make(
    format: Format,
    mut interim: File,
    (choice, others, steps): (&ReportOptions, OtherSources<'_>, &Arc<Steps>),
    (labels, into): (&LabelOptions, File),
) -> io::Result<File> {
    interim.rewind()?;
    let length = interim.metadata()?.len();
    let mut samples = Meter::new(Share::Reading);
    let mut rest = Meter::new(Share::Making);
    let mut room = ReadingRoom { samples: &mut samples, rest: &mut rest };
    let recording = read_within(BufReader::new(interim), length, &mut room).map_err(io::Error::other)?;
    let mut made = BufWriter::new(into);
    let part =
        RecordingPart::of(&recording, choice, steps).with_sources(&recording, format, others, choice.full_filenames);
    warn_if_empty(&part);
    // What is written takes memory, too.
    drop(recording);
    let part = part.fitted(format, labels)?;
    part.write(format, labels, &mut made)?;
    made.flush()?;
    made.into_inner().map_err(io::IntoInnerError::into_error)
}
