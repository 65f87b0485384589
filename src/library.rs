//! What the library promises: [`attach`] to a process, record it with a [`Recorder`], and write the [`Profile`] in any format.
//!
//! Does: put the stages together as the `fpprof` command does. Does not: print, or ask for anything on a terminal.

use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

pub use crate::output::format::Format;
use crate::output::label::{LabelOptions, label};
use crate::profile::processes::ProcessLabels;
use crate::profile::recording::{self, Recording};
use crate::profile::steps::Steps;
use crate::record::facts::first_facts;
use crate::record::interim::temporary_file;
use crate::record::naming::{NamingOptions, finish_stream};
use crate::record::plan::{Counts, Observer, Plan};
use crate::record::program::StackLabels;
use crate::record::recorder;
use crate::record::requests::Requests;
use crate::record::sources::KeptSources;
use crate::record::stream::Stream;
use crate::report::RecordingPart;
use crate::report::options::ReportOptions;
use crate::report::sources::OtherSources;
use crate::sampler::budget::Limits;
use crate::sampler::clock::{Intervals, MAX_RATE};
pub use crate::sampler::mode::Mode;
use crate::sampler::open;
use crate::sampler::session::Session;
use crate::symbolize::names::NativeFrames;
use crate::types::Pid;

/// A sample in a quarter of an hour.
const MIN_RATE: f64 = 0.001;
/// What recording may take of the target's time, and of one CPU for itself: the command's own default.
const LIMITS: Limits = Limits::of_target(0.01);

/// Why something could not be done, in words. Where another error is behind it, that is its source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>);

impl Error {
    fn new(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error(error.to_string(), Some(Box::new(error)))
    }
}

/// A process in which CPython was found, ready to be recorded.
#[derive(Debug)]
pub struct Process {
    session: Session,
    mode: Mode,
}

/// Attaches to a running process. Nothing is stopped or changed by that. The soft limit of open files of this process is raised to
/// the hard one, for each thread of the target has two files open while it is watched.
///
/// # Errors
/// When there is no such process, it is not CPython 3.11 to 3.15, or the system does not permit to read it.
///
/// ```no_run
/// use std::fs::File;
/// use std::time::Duration;
///
/// let process = fpprof::attach(1234)?;
/// let profile = fpprof::Recorder::new().rate(200.0).duration(Duration::from_secs(10)).record(process)?;
/// profile.write(fpprof::Format::FlameGraph, &mut File::create("profile.svg")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attach(pid: i32) -> Result<Process, Error> {
    open::raise_open_files_limit();
    let mode = Mode::Cpu;
    let session = open::attach(Pid(pid), mode, &AtomicBool::new(false)).map_err(Error::new)?;
    Ok(Process { session, mode })
}

impl Process {
    /// Its id.
    pub fn pid(&self) -> i32 {
        self.session.identity().pid.0
    }

    /// Its command line.
    pub fn command_line(&self) -> &[String] {
        &self.session.identity().command_line
    }

    /// The version of its CPython: `3.13.2`.
    pub fn python_version(&self) -> String {
        self.session.reader.found.interpreter.version.to_string()
    }
}

/// How a process is recorded.
///
/// ```
/// use std::time::Duration;
///
/// let recorder = fpprof::Recorder::new().mode(fpprof::Mode::Wall).rate(50.0).duration(Duration::from_secs(5));
/// # let _ = recorder;
/// ```
#[derive(Debug, Clone)]
pub struct Recorder {
    mode: Mode,
    rate: f64,
    duration: Option<Duration>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { mode: Mode::Cpu, rate: 100.0, duration: None }
    }
}

impl Recorder {
    /// 100 times a second, the threads that use a CPU, until the process ends.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Samples these threads.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Recorder {
        Recorder { mode, ..self }
    }

    /// Samples so many times a second. Values outside of 0.001 to 100,000 are the nearest inside.
    #[must_use]
    pub fn rate(self, hz: f64) -> Recorder {
        let rate = if hz.is_nan() { self.rate } else { hz.clamp(MIN_RATE, MAX_RATE) };
        Recorder { rate, ..self }
    }

    /// Ends after this time, if the process has not ended before.
    #[must_use]
    pub fn duration(self, duration: Duration) -> Recorder {
        Recorder { duration: Some(duration), ..self }
    }

    /// Records until the time is over or the process ends.
    ///
    /// # Errors
    /// When the samples cannot be kept in a temporary file, and when those of the GIL's holder are asked for where there is no GIL. What
    /// a recording lacks is no error: its profile says so.
    pub fn record(&self, process: Process) -> Result<Profile, Error> {
        self.record_until(process, &AtomicBool::new(false))
    }

    /// The same, and ends within a second when `stop` becomes true.
    ///
    /// # Errors
    /// As [`record`](Recorder::record).
    pub fn record_until(&self, process: Process, stop: &AtomicBool) -> Result<Profile, Error> {
        let Process { session, mode } = process;
        if self.mode == Mode::Gil && session.reader.found.interpreter.layout.free_threaded {
            return Err(Error(
                "no thread holds a GIL in a free-threaded build: sample those that run, Mode::Cpu".into(),
                None,
            ));
        }
        let session = if mode == self.mode { session } else { Session::of(session.reader, self.mode) };
        let plan = Plan {
            rate: self.rate,
            duration: self.duration,
            mode: self.mode,
            intervals: Intervals::Poisson,
            labels: StackLabels::default(),
            limits: Some(LIMITS),
        };
        let mut file = temporary_file().map_err(Error::new)?;
        let facts = first_facts(&session, &plan, SystemTime::now());
        let stream = file.try_clone().and_then(|file| Stream::new(file, facts.clone())).map_err(Error::new)?;
        let recorded = recorder::record(
            plan,
            Requests { stop, suspend: None },
            Some(stream),
            (session, None),
            &mut None,
            &mut Silent,
        )
        .map_err(Error::new)?;
        let view = NamingOptions {
            native: NativeFrames::All,
            processes: ProcessLabels::Each,
            full_filenames: false,
            sources: KeptSources::All,
            steps: Arc::new(Steps::default()),
        };
        finish_stream(recorded, facts, view).map_err(Error::new)?;
        file.rewind().map_err(Error::new)?;
        Profile::read(file)
    }
}

/// Tells nobody how far a recording is.
struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: Counts) {}
}

/// A recording, from which any output is made.
#[derive(Debug)]
pub struct Profile {
    recording: Recording,
}

/// A stack that was seen, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its frames, outermost first: `function (file.py:12)`, `function (module.so)`.
    pub frames: Vec<String>,
    /// The ticks of the clock that it was seen at.
    pub ticks: u64,
}

impl Profile {
    /// Opens a recording that `fpprof record -o run.fpprof` has written. No file that it names is opened.
    ///
    /// # Errors
    /// When the file cannot be read or is no recording.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recordings/v1-threads.fpprof");
    /// # if !std::path::Path::new(path).exists() { return Ok(()); } // a package has no tests
    /// let profile = fpprof::Profile::open(path)?;
    /// let hottest = profile.stacks().into_iter().max_by_key(|stack| stack.ticks).ok_or("nothing was sampled")?;
    /// println!("{} ticks in {:?}", hottest.ticks, hottest.frames.last());
    /// let mut collapsed = Vec::new();
    /// profile.write(fpprof::Format::Collapsed, &mut collapsed)?;
    /// assert!(!collapsed.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Profile, Error> {
        let file = File::open(path).map_err(Error::new)?;
        Profile::read(file)
    }

    fn read(file: File) -> Result<Profile, Error> {
        let length = file.metadata().map_err(Error::new)?.len();
        let recording = recording::read(BufReader::new(file), length).map_err(Error::new)?;
        Ok(Profile { recording })
    }

    /// Writes it in a format.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        let part = self.part().with_sources(&self.recording, format, OtherSources::Missing, false);
        part.write(format, &LabelOptions::default(), out)
    }

    /// Its stacks, with native frames where Python code calls them.
    pub fn stacks(&self) -> Vec<Stack> {
        let options = LabelOptions::default();
        let stack = |(frames, ticks): (Vec<&_>, u64)| {
            let frames = frames.into_iter().map(|frame| label(frame, &options)).collect();
            Stack { frames, ticks }
        };
        self.part().stacks().stacks().map(stack).collect()
    }

    /// Why it has no end, if its writer was interrupted: what was written before is there.
    pub fn cut_off(&self) -> Option<&str> {
        self.recording.cut_off.as_deref()
    }

    fn part(&self) -> RecordingPart {
        RecordingPart::of(&self.recording, &ReportOptions::default(), &Arc::new(Steps::default()))
    }
}
