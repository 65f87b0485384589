//! One look at every thread of a process, with names.
//!
//! Does: take one tick of a session in wall mode, again for threads that could not be read, and name the frames.
//! Does not: write it for anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustc_hash::FxHashMap;

use crate::profile::counted::Counted;
use crate::profile::frame::{Frame, FrameKind};
use crate::python::locals::Local;
use crate::record::origin::with_origin;
use crate::sampler::run_state::RunState;
use crate::sampler::sample::Sample;
use crate::sampler::session::Session;
use crate::sampler::statistics::SampleFailure;
use crate::sampler::thread_history::ThreadHistory;
use crate::stack::frame::SampleFrame;
use crate::symbolize::names::{NativeFrames, name_stacks};
use crate::target::core::notes::Signal;
use crate::target::view::Identity;
use crate::types::{Machine, Tid};

/// How often threads are looked at until each has a stack: one that wakes and blocks all the time can escape a look.
const LOOKS: usize = 3;
/// For so long are they looked at when another tracer holds one: a profiler holds it for microseconds, or until it has a CPU.
const TRACER_PATIENCE: Duration = Duration::from_millis(300);
/// How often, then.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long threads that wait for a CPU may take to come to their stops.
const PATIENCE: Duration = Duration::from_secs(1);

/// How frames are named.
#[derive(Debug, Clone, Copy)]
pub struct DumpOptions {
    /// Which native frames are shown.
    pub native: NativeFrames,
    /// Whether lines of native code, and inlined functions, are looked up.
    pub lines: bool,
    /// Whether paths are left as long as they are.
    pub full_filenames: bool,
}

/// What was looked at.
#[derive(Debug)]
pub enum DumpedTarget {
    /// A process, at a time.
    Process(Identity, SystemTime),
    /// A snapshot, in a file.
    Snapshot(PathBuf, Machine),
    /// A core file.
    Core(Box<DumpedCore>),
}

/// A core file that was looked at.
#[derive(Debug)]
pub struct DumpedCore {
    /// Its path.
    pub file: PathBuf,
    /// The machine that it is of.
    pub machine: Machine,
    /// The process that it was.
    pub process: Identity,
    /// The signal that ended it, where one did.
    pub signal: Option<Signal>,
    /// What is missing in it, or of it, and why.
    pub notices: Vec<String>,
    /// Why no interpreter was read, where none was.
    pub no_python: Option<String>,
}

/// The interpreter.
#[derive(Debug)]
pub struct DumpedPython {
    /// CPython's version.
    pub version: String,
    /// The file that holds it.
    pub module: String,
    /// Whether there is no GIL in this build.
    pub free_threaded: bool,
}

/// What was seen.
#[derive(Debug)]
pub struct Dump {
    /// Of what.
    pub subject: DumpedTarget,
    /// The interpreter; only of a core file can there be none.
    pub python: Option<DumpedPython>,
    /// What names code and was not read, or not all of it: which file, and why.
    pub not_read: Option<String>,
    /// How many blocked threads were stopped to be read, for nothing else told where they were.
    pub sleepers_stopped: u64,
    /// Its threads, by number, the main thread first.
    pub threads: Vec<ThreadDump>,
}

/// Which thread it is.
#[derive(Debug)]
pub struct ThreadIdentity {
    /// Its number.
    pub tid: Tid,
    /// Its number in its own pid namespace.
    pub namespace_tid: i32,
    /// Its name, as the kernel knows it.
    pub name: Option<String>,
    /// Whether the process began with it.
    pub is_main: bool,
    /// Whether it held a GIL.
    pub holds_gil: bool,
}

/// What was seen of a thread.
#[derive(Debug)]
pub struct ThreadDump {
    /// Which one it is; a snapshot does not say.
    pub identity: Option<ThreadIdentity>,
    /// Whether an interpreter knows it.
    pub is_python: bool,
    /// What it did, and its frames, innermost first.
    pub stack: Result<ThreadStack, SampleFailure>,
}

/// A thread's stack, and what it did.
#[derive(Debug)]
pub struct ThreadStack {
    /// What the thread did.
    pub run_state: RunState,
    /// The frames that are shown, innermost first.
    pub frames: Vec<Frame>,
    /// The variables of each Python frame among them, innermost first; absent where they were not asked for.
    pub locals: Option<Vec<Vec<Local>>>,
}

impl ThreadStack {
    /// The frames, innermost first, each with its variables: none where they were not asked for, or it is no Python frame.
    pub fn frames_and_locals(&self) -> impl Iterator<Item = (&Frame, Option<&[Local]>)> {
        let mut locals = self.locals.iter().flatten();
        self.frames.iter().map(move |frame| {
            let own = if frame.kind.is_python() { locals.next() } else { None };
            (frame, own.map(Vec::as_slice))
        })
    }

    /// Whether no frame is missing.
    pub fn is_complete(&self) -> bool {
        !self.frames.iter().any(|frame| frame.kind == FrameKind::Gap)
    }
}

/// The main thread first, the others by number.
pub fn sort(threads: &mut [ThreadDump]) {
    threads.sort_by_key(|thread| thread.identity.as_ref().map(|identity| (!identity.is_main, identity.tid)));
}

impl Dump {
    /// Whether it is of a build without a GIL.
    pub fn is_free_threaded(&self) -> bool {
        self.python.as_ref().is_some_and(|python| python.free_threaded)
    }

    /// Looks.
    pub fn take(mut session: Session, view: DumpOptions) -> Dump {
        let time = SystemTime::now();
        let mut seen: FxHashMap<Tid, (Arc<[SampleFrame]>, RunState)> = FxHashMap::default();
        let began = Instant::now();
        for look in 1.. {
            let mut take = |sample: Sample| drop(seen.insert(sample.tid, (sample.frames, sample.run_state)));
            session.tick(1, &mut take);
            session.serve_within(PATIENCE, &mut take);
            let failures: Vec<SampleFailure> = session.threads().iter().filter_map(|history| history.failure).collect();
            let waits_for_tracer = failures.contains(&SampleFailure::Traced) && began.elapsed() < TRACER_PATIENCE;
            if failures.is_empty() || look >= LOOKS && !waits_for_tracer {
                break;
            }
            if waits_for_tracer {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let outermost_first =
            |frames: &[SampleFrame]| frames.iter().rev().map(|frame| Counted::Frame(*frame)).collect();
        let (tids, stacks): (Vec<Tid>, Vec<Vec<Counted>>) =
            seen.iter().map(|(tid, (frames, _))| (*tid, outermost_first(frames))).unzip();
        let (names, not_read) = name(&session, &stacks, view);
        let mut named: FxHashMap<Tid, Vec<Frame>> = tids.into_iter().zip(names).collect();
        let reads_locals = session.reader.reads_locals();
        let mut stack = |history: &ThreadHistory| {
            let mut frames = named.remove(&history.tid())?;
            frames.reverse();
            let locals = reads_locals.then(|| history.seen.locals.clone());
            Some(ThreadStack { run_state: seen.get(&history.tid())?.1.clone(), frames, locals })
        };
        let main = session.identity().pid.0;
        let mut threads: Vec<ThreadDump> = session
            .threads()
            .iter()
            .map(|history| ThreadDump {
                identity: Some(ThreadIdentity {
                    tid: history.tid(),
                    namespace_tid: history.known.namespace_id,
                    name: history.known.thread.name(),
                    is_main: history.tid().0 == main,
                    holds_gil: history.seen.holds_gil,
                }),
                is_python: !history.known.states.addresses.is_empty(),
                stack: stack(history).ok_or(history.failure.unwrap_or(SampleFailure::Unreadable)),
            })
            .collect();
        sort(&mut threads);
        let found = &session.reader.found;
        let module = session.reader.space.modules.get(found.module);
        Dump {
            subject: DumpedTarget::Process(session.identity().clone(), time),
            python: Some(DumpedPython {
                version: found.interpreter.version.to_string(),
                module: module.map_or_else(String::new, |module| module.path.to_string_lossy().into_owned()),
                free_threaded: found.interpreter.layout.free_threaded,
            }),
            not_read,
            sleepers_stopped: session.statistics.stops.of_sleepers,
            threads,
        }
    }
}

/// The frames that are shown of each stack, and what lacks of the names of code that is in no file.
fn name(session: &Session, stacks: &[Vec<Counted>], view: DumpOptions) -> (Vec<Vec<Frame>>, Option<String>) {
    with_origin(session, &FxHashMap::default(), view.full_filenames, |origin, symbolizer| {
        let symbolizer = if view.lines { symbolizer } else { symbolizer.without_lines() };
        let lack = origin.perf_map.lack_for(stacks.iter().flatten()).map(str::to_owned);
        (name_stacks(stacks, origin, &symbolizer, view.native), lack)
    })
}
