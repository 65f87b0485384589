//! The recording that `top` makes, read while it is written.
//!
//! Does: take in what is new, name it, and sum up what is wanted; keep it in a file when that is asked for. Runs on a thread of its
//! own: neither the sampling nor the screen waits for names. Does not: sample or draw.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::model::Model;
use super::summary::{Summary, Wanted};
use crate::cli::record::output_file::OutputFile;
use crate::profile::counted::Counted;
use crate::profile::facts::RecordingFacts;
use crate::profile::named::NamedFrame;
use crate::profile::paths::PathRoots;
use crate::profile::recording::{Follower, Names, Program, Record, RecordedFrame, RecordingWriter};
use crate::record::plan::Counts;
use crate::report::recorded_code::RecordedCode;
use crate::symbolize::names::{FrameOrigin, name_frames};
use crate::symbolize::{PerfMap, Symbolizer};
use crate::target::memory_budget::{self, Left, Meter, Share};
use crate::target::modules::ModuleId;
use crate::target::process::Process;
use crate::target::root::TargetRoot;
use crate::types::Pid;

/// How often the screen gets news: what recordings are written for more often than their readers need.
pub const EVERY: Duration = Duration::from_millis(250);
/// What is read at once.
const CHUNK: usize = 4 << 20;
/// Names in one record, as in `record`'s stream.
const NAMES: usize = 1000;

/// What is asked for.
#[derive(Debug)]
pub enum Order {
    /// Something else to sum up.
    Show(Wanted),
    /// Keep what was seen in this file.
    Save(PathBuf),
}

/// What is told.
#[derive(Debug)]
pub enum News {
    /// What is to be shown.
    Summary(Box<Summary>),
    /// What became of a file.
    Saved(String),
}

/// The recording, and what is known of it.
#[derive(Debug)]
pub struct Watch {
    file: File,
    offset: u64,
    follower: Follower,
    model: Model,
    /// Of each process, by its id, and how many had that before.
    roots: FxHashMap<(Pid, u32), (Arc<TargetRoot>, i32)>,
    /// That of the first one.
    root: (Arc<TargetRoot>, i32),
    counts: Arc<Mutex<Counts>>,
    wanted: Wanted,
}

impl Watch {
    /// Watches a recording's file of a target with this root and this id in its own pid namespace.
    pub fn new(file: File, root: (Arc<TargetRoot>, i32), counts: Arc<Mutex<Counts>>, wanted: Wanted) -> Watch {
        Watch {
            file,
            offset: 0,
            follower: Follower::default(),
            model: Model::default(),
            roots: FxHashMap::default(),
            root,
            counts,
            wanted,
        }
    }

    /// Does what is asked for, and tells what is new, until nobody listens any more.
    pub fn run(mut self, orders: &Receiver<Order>, news: &SyncSender<News>) {
        loop {
            let order = orders.recv_timeout(EVERY);
            let told = self.take_in();
            let saved = match order {
                Ok(Order::Show(wanted)) => {
                    self.wanted = wanted;
                    None
                }
                Ok(Order::Save(path)) => Some(self.save(path)),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut summary = self.summary();
            if let Err(error) = told {
                summary.ended = Some(format!("nothing more can be shown: {error}"));
            }
            let saved = saved.map(News::Saved);
            for item in [News::Summary(Box::new(summary))].into_iter().chain(saved) {
                if news.send(item).is_err() {
                    return;
                }
            }
        }
    }

    /// Reads what has been written since.
    fn take_in(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK];
        loop {
            let read = self.file.read_at(&mut bytes, self.offset)?;
            let block = bytes.get(..read).unwrap_or_default();
            let used =
                self.follower.follow_within(block, &mut Meter::new(Share::Sampling)).map_err(io::Error::other)?;
            self.offset += used as u64;
            if used == 0 {
                break;
            }
        }
        if self.follower.samples_left_out() > 0 {
            memory_budget::leave_out(Left::Other("the latest samples".to_owned()));
        }
        self.name_new();
        for (number, program) in self.follower.programs().iter_mut().enumerate() {
            let samples = std::mem::take(&mut program.samples);
            self.model.add((number, program), &samples);
        }
        Ok(())
    }

    /// Names the frames that are new.
    fn name_new(&mut self) {
        let Watch { follower, model, root: first, roots, .. } = self;
        let programs = follower.programs();
        model.names.resize_with(programs.len(), Vec::new);
        for (program, names) in programs.iter().zip(&mut model.names) {
            let new: Vec<Counted> =
                program.frames.iter().skip(names.len()).map(|frame| Counted::Frame(frame.sampled())).collect();
            if new.is_empty() {
                continue;
            }
            let Program { pid, again, .. } = program.program;
            let root = pid.map(|pid| &*roots.entry((pid, again)).or_insert_with(|| root_of(pid, first)));
            let (root, namespace_pid) = root.unwrap_or(first);
            let functions: Vec<_> = program.functions.iter().cloned().map(Arc::new).collect();
            let origin = FrameOrigin {
                space: &RecordedCode::new(program, Some(root.as_ref())),
                interpreter: ModuleId(program.program.interpreter),
                functions: &functions,
                thread_names: &FxHashMap::default(),
                // A process that has no map names nothing by it.
                perf_map: &PerfMap::load(root, *namespace_pid),
                roots: &PathRoots {
                    project: program.program.project.clone(),
                    home: program.program.home.clone(),
                    full: false,
                },
            };
            let symbolizer = Symbolizer::new(Arc::clone(root)).without_lines();
            let found = name_frames(new.iter(), &origin, &symbolizer);
            names.extend(new.iter().map(|counted| found.get(counted).cloned()));
        }
    }

    fn summary(&mut self) -> Summary {
        let counts = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let summary = self.model.summary(self.follower.programs(), self.wanted);
        Summary {
            elapsed: counts.elapsed.as_secs_f64(),
            ticks: counts.taken,
            late: counts.late,
            left_out: counts.left_out,
            processes: counts.processes,
            sleepers_stopped: counts.sleepers_stopped,
            without_room: self.follower.samples_left_out(),
            ..summary
        }
    }

    /// Keeps what has been read so far: a whole recording, with names.
    fn save(&mut self, path: PathBuf) -> String {
        let failed = |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", path.display());
        let mut output = match OutputFile::open(&path, false) {
            Ok(output) => output.private(true),
            Err(failure) => return failed(&failure),
        };
        match output.write(|out| self.write(out)) {
            Ok(()) => format!("saved {}: open it with `fpprof report`", path.display()),
            Err(failure) => failed(&failure),
        }
    }

    fn write(&mut self, mut out: &mut dyn Write) -> io::Result<()> {
        let mut at = 0;
        let mut bytes = vec![0; CHUNK];
        while at < self.offset {
            let most = usize::try_from(self.offset - at).unwrap_or(CHUNK).min(CHUNK);
            let read = self.file.read_at(bytes.get_mut(..most).unwrap_or_default(), at)?;
            if read == 0 {
                break;
            }
            out.write_all(bytes.get(..read).unwrap_or_default())?;
            at += read as u64;
        }
        let counts = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = self.follower.facts().cloned();
        let mut writer = RecordingWriter::resume(&mut out);
        for (program, (recorded, names)) in self.follower.programs().iter().zip(&self.model.names).enumerate() {
            let names: Vec<Option<NamedFrame>> = names.iter().zip(&recorded.frames).map(native_name).collect();
            for (part, names) in names.chunks(NAMES).enumerate() {
                writer.add(&Record::Names(Names { program, first: part * NAMES, names: names.to_vec() }))?;
            }
        }
        if let Some(facts) = facts {
            writer.add(&Record::Facts(Box::new(RecordingFacts {
                duration: counts.elapsed,
                samples_wanted: counts.taken.saturating_add(counts.late).saturating_add(counts.left_out),
                samples_taken: counts.taken,
                samples_late: counts.late,
                samples_left_out: counts.left_out,
                stacks: self.model.samples(),
                stacks_complete: self.model.complete(),
                ..facts
            })))?;
        }
        writer.add(&Record::End {})?;
        writer.end_block()
    }
}

/// Where the files of a process begin, and its id in its own pid namespace. Of one that is gone they are looked for where those of the
/// first one are.
fn root_of(pid: Pid, first: &(Arc<TargetRoot>, i32)) -> (Arc<TargetRoot>, i32) {
    let root = TargetRoot::of(pid).ok().map(Arc::new);
    let opened = root.zip(Process::open(pid).ok());
    opened.map_or_else(|| first.clone(), |(root, process)| (root, process.identity.namespace_pid))
}

/// Python functions and gaps need no name in a recording.
fn native_name((name, frame): (&Option<NamedFrame>, &RecordedFrame)) -> Option<NamedFrame> {
    let is_native = !matches!(frame, RecordedFrame::Python(..) | RecordedFrame::Missing(_));
    name.clone().filter(|_| is_native)
}
