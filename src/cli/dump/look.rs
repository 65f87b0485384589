//! One look at every thread of a process, with names.
//!
//! Does: take one tick of a session in wall mode, again for threads that could not be read, and name the frames.
//! Does not: write it for anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::profile::bounded::KEPT;
use crate::profile::counted::Counted;
use crate::profile::frame::{Frame, FrameKind};
use crate::profile::named::NamedFrame;
use crate::python::locals::Local;
use crate::record::origin::with_origin;
use crate::sampler::run_state::RunState;
use crate::sampler::sample::Sample;
use crate::sampler::session::Session;
use crate::sampler::statistics::SampleFailure;
use crate::sampler::thread_history::ThreadHistory;
use crate::stack::frame::{GapKind, SampleFrame};
use crate::symbolize::Symbolizer;
use crate::symbolize::names::{FrameOrigin, NativeFrames, choose, name_frames};
use crate::target::core::notes::Signal;
use crate::target::memory_budget::{self, Left, Meter, Share};
use crate::target::view::Identity;
use crate::types::room::Room;
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
    /// The names of their frames.
    pub names: FrameNames,
}

/// Which thread it is.
#[derive(Debug)]
pub struct ThreadIdentity {
    /// Its number.
    pub tid: Tid,
    /// Its number in its own pid namespace.
    pub namespace_tid: i32,
    /// Its name: the one that its program has given it, or else the kernel's.
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
    /// All its frames, innermost first.
    pub frames: Arc<[SampleFrame]>,
    /// The variables of each Python frame among them, innermost first; absent where they were not asked for.
    pub locals: Option<Vec<Vec<Local>>>,
}

/// The names of the frames of all stacks, each distinct one once.
#[derive(Debug)]
pub struct FrameNames {
    names: FxHashMap<Counted, NamedFrame>,
    native: NativeFrames,
}

impl FrameNames {
    /// Names the frames of some stacks. Tables of symbols and lines are not even opened for names that are not shown.
    pub fn of<'s>(
        stacks: impl Iterator<Item = &'s Arc<[SampleFrame]>>,
        (origin, symbolizer): (&FrameOrigin<'_>, &Symbolizer),
        native: NativeFrames,
    ) -> FrameNames {
        let distinct: FxHashSet<SampleFrame> = stacks.flat_map(|frames| frames.iter().copied()).collect();
        let is_native =
            |frame: &SampleFrame| matches!(frame, SampleFrame::Native { .. } | SampleFrame::Evaluation { .. });
        let wanted = distinct.into_iter().filter(|frame| native != NativeFrames::None || !is_native(frame));
        let counted: Vec<Counted> = wanted.map(Counted::Frame).collect();
        FrameNames { names: name_frames(counted.iter(), origin, symbolizer), native }
    }

    /// What is shown of a stack.
    pub fn shown<'a>(&'a self, stack: &'a ThreadStack) -> ShownStack<'a> {
        let named = stack.frames.iter().rev().filter_map(|frame| self.names.get(&Counted::Frame(*frame)));
        let mut frames = choose(&named.collect::<Vec<_>>(), self.native);
        frames.reverse();
        ShownStack { frames, locals: stack.locals.as_deref() }
    }
}

/// What is shown of a stack.
#[derive(Debug)]
pub struct ShownStack<'a> {
    /// The frames that are shown, innermost first.
    pub frames: Vec<&'a Frame>,
    locals: Option<&'a [Vec<Local>]>,
}

impl<'a> ShownStack<'a> {
    /// The frames, innermost first, each with its variables: none where they were not asked for, or it is no Python frame.
    pub fn frames_and_locals(&self) -> impl Iterator<Item = (&'a Frame, Option<&'a [Local]>)> {
        let mut locals = self.locals.into_iter().flatten();
        self.frames.iter().map(move |frame| {
            let own = if frame.kind.is_python() { locals.next() } else { None };
            (*frame, own.map(Vec::as_slice))
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
        let (mut room, mut shortened) = (Meter::new(Share::Making), 0);
        let began = Instant::now();
        for look in 1.. {
            let mut take = |sample: Sample| {
                let (frames, is_whole) = fitting(sample.frames, &mut room);
                shortened += u64::from(!is_whole);
                seen.insert(sample.tid, (frames, sample.run_state));
            };
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
        session.read_names();
        memory_budget::leave_out(Left::OuterParts(shortened));
        let (names, not_read) = name(&session, seen.values().map(|(frames, _)| frames), view);
        let reads_locals = session.reader.reads_locals();
        let mut stack = |history: &ThreadHistory| {
            let (frames, run_state) = seen.remove(&history.tid())?;
            let locals = reads_locals.then(|| history.seen.locals.clone());
            Some(ThreadStack { run_state, frames, locals })
        };
        let main = session.identity().pid.0;
        let mut threads: Vec<ThreadDump> = session
            .threads()
            .iter()
            .map(|history| ThreadDump {
                identity: Some(ThreadIdentity {
                    tid: history.tid(),
                    namespace_tid: history.known.namespace_id,
                    name: session.thread_name(history.tid()),
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
            names,
        }
    }
}

/// As much of a stack as there is room for, its innermost part with one gap behind it; and whether that is all of it.
fn fitting(frames: Arc<[SampleFrame]>, room: &mut dyn Room) -> (Arc<[SampleFrame]>, bool) {
    let mut fits = |kept: usize| room.take((kept * size_of::<SampleFrame>()) as u64);
    if fits(frames.len()) {
        return (frames, true);
    }
    // The least of them is little.
    let least = KEPT.last().copied().unwrap_or_default();
    let kept = KEPT.into_iter().filter(|kept| *kept < frames.len()).find(|kept| fits(*kept)).unwrap_or(least);
    let inner = frames.iter().take(kept).copied();
    (inner.chain([SampleFrame::Missing(GapKind::NoRoom)]).collect(), false)
}

/// The names of all frames, and what lacks of the names of code that is in no file.
fn name<'s>(
    session: &Session,
    stacks: impl Iterator<Item = &'s Arc<[SampleFrame]>> + Clone,
    view: DumpOptions,
) -> (FrameNames, Option<String>) {
    with_origin(session, &FxHashMap::default(), view.full_filenames, |origin, symbolizer| {
        let symbolizer = if view.lines { symbolizer } else { symbolizer.without_lines() };
        let is_unnamed = |frame: &&SampleFrame| matches!(frame, SampleFrame::Unnamed(_));
        let unnamed = stacks.clone().flat_map(|frames| frames.iter()).find(is_unnamed).copied().map(Counted::Frame);
        let lack = origin.perf_map.lack_for(unnamed.iter()).map(str::to_owned);
        (FrameNames::of(stacks, (origin, &symbolizer), view.native), lack)
    })
}
