//! The stacks of one recorded program, with their names.
//!
//! Does: take the recorded names, look those that are missing up in the files that the user has said where to find, where these are still
//! the same, and add the chosen samples and their stacks to a profile and its timeline. Does not: read the recording.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::options::ReportOptions;
use super::recorded_code::RecordedCode;
use crate::profile::bounded::BoundedProfile;
use crate::profile::counted::Counted;
use crate::profile::frame::Frame;
use crate::profile::named::{NamedFrame, Role};
use crate::profile::paths::PathRoots;
use crate::profile::recording::{RecordedFrame, RecordedProgram};
use crate::profile::samples::TimedSample;
use crate::profile::steps::Steps;
use crate::profile::timeline::Timeline;
use crate::profile::tree::NodeId;
use crate::stack::code_cache::Function;
use crate::stack::frame::GapKind;
use crate::symbolize::names::{self, FrameOrigin, NativeFrames};
use crate::symbolize::{PerfMap, Symbolizer};
use crate::target::memory_budget::{self, Left};
use crate::target::modules::ModuleId;
use crate::types::Tid;

/// What a sample takes in a timeline, in bytes, unless its numbers are large.
const BYTES_OF_A_SAMPLE: u64 = 24;
/// What a name takes beside its texts, in bytes, until it is in a profile.
const BYTES_OF_A_NAME: usize = 600;
/// How many bytes names take until it is asked whether there is room for them.
const ASK_AFTER: u64 = 64 << 10;
/// The most functions of a stack, those that were inlined included; outer ones are left out.
const MAX_SHOWN: usize = 1 << 20;

/// Adds the chosen samples of a program, and their stacks, which begin with the frame of its process where there is one, as far as there is
/// room. Returns how many samples there was none for.
pub fn add_samples(
    (program, process): (&RecordedProgram, Option<&Frame>),
    choice: &ReportOptions,
    steps: &Arc<Steps>,
    (profile, timeline): (&mut BoundedProfile<'_>, &mut Timeline),
) -> u64 {
    let unknown = NamedFrame { frames: vec![Frame::gap("name not recorded")], role: Role::Always };
    let left_out = NamedFrame { frames: vec![Frame::gap("name left out: see --max-memory")], role: Role::Always };
    let names = names(program, (choice, steps), (&unknown, &left_out), profile);
    let chosen: Vec<bool> = program.threads.iter().map(|thread| choice.has_thread(thread)).collect();
    let shown = program.program.shown_process();
    let interpreter = program.modules.get(program.program.interpreter as usize);
    timeline.add_modules(interpreter.into_iter().chain(&program.modules));
    // Samples of one stack are named once. Stacks that are not chosen have no node.
    let mut nodes: FxHashMap<Shape, Option<NodeId>> = FxHashMap::default();
    let (mut threads, mut states) = (FxHashMap::default(), FxHashMap::default());
    let mut without_room = 0;
    for sample in &program.samples {
        if !choice.has_time(&sample) || chosen.get(sample.thread as usize) != Some(&true) {
            continue;
        }
        if without_room > 0 || !profile.has_room_for(BYTES_OF_A_SAMPLE) {
            without_room += 1;
            continue;
        }
        let shape = Shape {
            thread: choice.with_thread.then_some(sample.thread),
            stack: sample.stack,
            state: choice.with_state.then_some(sample.state),
        };
        let node = *nodes.entry(shape).or_insert_with(|| add_stack((program, process), &names, shape, choice, profile));
        let (Some(node), Some(thread), Some(state)) =
            (node, program.threads.get(sample.thread as usize), program.states.get(sample.state as usize))
        else {
            continue;
        };
        profile.profile.add_weight(node, sample.weight);
        let thread = *threads.entry(sample.thread).or_insert_with(|| {
            let process = timeline.process_number(&shown);
            timeline.thread_number(process, thread)
        });
        let state = *states.entry(sample.state).or_insert_with(|| timeline.state_number(state));
        // There are no more nodes than 2^32.
        let stack = u32::try_from(node.index()).unwrap_or(0);
        timeline.add(TimedSample { thread, state, stack, ..sample });
    }
    without_room
}

/// What is shown of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    thread: Option<u32>,
    stack: u32,
    state: Option<u32>,
}

/// Adds a stack without any weight, if it is chosen and there is room.
fn add_stack(
    (program, process): (&RecordedProgram, Option<&Frame>),
    names: &[Option<Cow<'_, NamedFrame>>],
    shape: Shape,
    choice: &ReportOptions,
    profile: &mut BoundedProfile<'_>,
) -> Option<NodeId> {
    let process = process.map(|process| NamedFrame::always(process.clone()));
    let thread = shape.thread.and_then(|thread| program.threads.get(thread as usize));
    let thread = thread.map(|thread| NamedFrame::always(Frame::thread(Tid(thread.tid), thread.name.as_deref())));
    let state = shape.state.and_then(|state| program.states.get(state as usize));
    let state = state.map(|state| NamedFrame::always(Frame::run_state(state)));
    let stack = program.stack(shape.stack);
    let frames = stack.iter().filter_map(|frame| names.get(*frame)?.as_deref());
    let mut named: Vec<&NamedFrame> = process.iter().chain(&thread).chain(frames).chain(&state).collect();
    // A recording can say that thousands of functions were inlined in each place of a stack.
    let mut shown = 0;
    let fitting = named.iter().rev().take_while(|named| {
        shown += named.frames.len();
        shown <= MAX_SHOWN
    });
    let fitting = fitting.count();
    let too_deep = NamedFrame::always(Frame::gap(GapKind::TooDeep.reason()));
    if fitting < named.len() {
        named.splice(..named.len() - fitting, [&too_deep]);
    }
    let shown = names::choose(&named, choice.native);
    if choice.has_stack(&shown) { profile.add(&shown, 0) } else { None }
}

/// What a program's paths are shown relative to.
pub fn path_roots(program: &RecordedProgram, full: bool) -> PathRoots {
    PathRoots { project: program.program.project.clone(), home: program.program.home.clone(), full }
}

/// The names of a program's frames, by number; of native ones only where they are shown. `unknown` stands for what nothing names, and
/// `left_out` for what there is no room to name.
fn names<'p>(
    program: &'p RecordedProgram,
    (choice, steps): (&ReportOptions, &Arc<Steps>),
    (unknown, left_out): (&'p NamedFrame, &'p NamedFrame),
    profile: &mut BoundedProfile<'_>,
) -> Vec<Option<Cow<'p, NamedFrame>>> {
    let is_wanted = |frame: &RecordedFrame| {
        let is_native = matches!(frame, RecordedFrame::Native(..) | RecordedFrame::Evaluation(..));
        choice.native != NativeFrames::None || !is_native
    };
    let known = |index: usize| program.names.get(index).and_then(Option::as_ref);
    let text: usize = program.functions.iter().map(|function| function.qualname.len() + function.filename.len()).sum();
    let has_room = profile.has_room_for((text + program.functions.len() * BYTES_OF_A_NAME) as u64);
    let functions: Vec<Arc<Function>> = program.functions.iter().filter(|_| has_room).cloned().map(Arc::new).collect();
    // Each of them has texts of its own.
    let bytes = |frame: &RecordedFrame| match frame {
        RecordedFrame::Python(function, _) => functions
            .get(*function as usize)
            .map_or(0, |function| 2 * (function.qualname.len() + function.filename.len())),
        _ => 0,
    };
    let wanted = program.frames.iter().enumerate().filter(|(index, frame)| known(*index).is_none() && is_wanted(frame));
    // They are made later: all together must fit.
    let (mut all, mut asked) = (0_u64, 0_u64);
    let fitting = wanted.take_while(|(_, frame)| {
        all = all.saturating_add((bytes(frame) + BYTES_OF_A_NAME) as u64);
        if all - asked < ASK_AFTER {
            return true;
        }
        asked = all;
        profile.has_room_for(all)
    });
    let missing: Vec<(usize, Counted)> =
        fitting.map(|(index, frame)| (index, Counted::Frame(frame.sampled()))).collect();
    let first_left_out = missing.last().map_or(0, |(index, _)| index + 1);
    let roots = path_roots(program, choice.full_filenames);
    let origin = FrameOrigin {
        space: &RecordedCode::new(program, choice.modules.as_deref()),
        interpreter: ModuleId(program.program.interpreter),
        functions: &functions,
        thread_names: &FxHashMap::default(),
        perf_map: &PerfMap::default(),
        roots: &roots,
    };
    let symbolizer = Symbolizer::new(choice.modules.clone()).telling(steps);
    let found = names::name_frames(missing.iter().map(|(_, frame)| frame), &origin, &symbolizer);
    let mut were_left_out = false;
    let name = |(index, frame): (usize, &RecordedFrame)| {
        let recorded = known(index).filter(|_| is_wanted(frame)).map(Cow::Borrowed);
        let absent = if index >= first_left_out || !has_room { left_out } else { unknown };
        let absent = || {
            were_left_out |= std::ptr::eq(absent, left_out);
            Cow::Borrowed(absent)
        };
        recorded
            .or_else(|| found.get(&Counted::Frame(frame.sampled())).cloned().map(Cow::Owned))
            .or_else(|| is_wanted(frame).then(absent))
    };
    let names = program.frames.iter().enumerate().map(name).collect();
    if were_left_out {
        memory_budget::leave_out(Left::Other("names of frames".to_owned()));
    }
    names
}
