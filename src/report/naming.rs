//! The stacks of one recorded program, with their names.
//!
//! Does: take the recorded names, look those that are missing up in the files that the user has said where to find, where these are still
//! the same, and add the chosen samples and their stacks to a profile and its timeline. Does not: read the recording.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::options::ReportOptions;
use super::recorded_code::RecordedCode;
use crate::profile::Profile;
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
use crate::symbolize::names::{self, FrameOrigin, NativeFrames};
use crate::symbolize::{PerfMap, Symbolizer};
use crate::target::modules::ModuleId;
use crate::types::Tid;

/// Adds the chosen samples of a program, and their stacks.
pub fn add_samples(
    program: &RecordedProgram,
    choice: &ReportOptions,
    steps: &Arc<Steps>,
    (profile, timeline): (&mut Profile, &mut Timeline),
) {
    let names = names(program, choice, steps);
    let chosen: Vec<bool> = program.threads.iter().map(|thread| choice.has_thread(thread)).collect();
    let interpreter = program.modules.get(program.program.interpreter as usize);
    timeline.add_modules(interpreter.into_iter().chain(&program.modules));
    // Samples of one stack are named once. Stacks that are not chosen have no node.
    let mut nodes: FxHashMap<Shape, Option<NodeId>> = FxHashMap::default();
    let (mut threads, mut states) = (FxHashMap::default(), FxHashMap::default());
    for sample in &program.samples {
        if !choice.has_time(sample) || chosen.get(sample.thread as usize) != Some(&true) {
            continue;
        }
        let shape = Shape {
            thread: choice.with_thread.then_some(sample.thread),
            stack: sample.stack,
            state: choice.with_state.then_some(sample.state),
        };
        let node = *nodes.entry(shape).or_insert_with(|| add_stack(program, &names, shape, choice, profile));
        let (Some(node), Some(thread), Some(state)) =
            (node, program.threads.get(sample.thread as usize), program.states.get(sample.state as usize))
        else {
            continue;
        };
        profile.add_weight(node, sample.weight);
        let thread = *threads.entry(sample.thread).or_insert_with(|| timeline.thread_number(thread));
        let state = *states.entry(sample.state).or_insert_with(|| timeline.state_number(state));
        // There are no more nodes than 2^32.
        let stack = u32::try_from(node.index()).unwrap_or(0);
        timeline.add(TimedSample { thread, state, stack, ..*sample });
    }
}

/// What is shown of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    thread: Option<u32>,
    stack: u32,
    state: Option<u32>,
}

/// Adds a stack without any weight, if it is chosen.
fn add_stack(
    program: &RecordedProgram,
    names: &[Option<NamedFrame>],
    shape: Shape,
    choice: &ReportOptions,
    profile: &mut Profile,
) -> Option<NodeId> {
    let thread = shape.thread.and_then(|thread| program.threads.get(thread as usize));
    let thread = thread.map(|thread| NamedFrame::always(Frame::thread(Tid(thread.tid), thread.name.as_deref())));
    let state = shape.state.and_then(|state| program.states.get(state as usize));
    let state = state.map(|state| NamedFrame::always(Frame::run_state(state)));
    let stack = program.stack(shape.stack);
    let frames = stack.iter().filter_map(|frame| names.get(*frame)?.as_ref());
    let named: Vec<&NamedFrame> = thread.iter().chain(frames).chain(&state).collect();
    let shown = names::choose(&named, choice.native);
    choice.has_stack(&shown).then(|| profile.add(shown, 0))
}

/// What a program's paths are shown relative to.
pub fn path_roots(program: &RecordedProgram, full: bool) -> PathRoots {
    PathRoots { project: program.program.project.clone(), home: program.program.home.clone(), full }
}

/// The names of a program's frames, by number; of native ones only where they are shown.
fn names(program: &RecordedProgram, choice: &ReportOptions, steps: &Arc<Steps>) -> Vec<Option<NamedFrame>> {
    let is_known = |index: usize| program.names.get(index).is_some_and(Option::is_some);
    let is_wanted = |frame: &RecordedFrame| {
        let is_native = matches!(frame, RecordedFrame::Native(..) | RecordedFrame::Evaluation(..));
        choice.native != NativeFrames::None || !is_native
    };
    let missing = program.frames.iter().enumerate().filter(|(index, frame)| !is_known(*index) && is_wanted(frame));
    let missing: Vec<Counted> = missing.map(|(_, frame)| Counted::Frame(frame.sampled())).collect();
    let functions: Vec<Arc<Function>> = program.functions.iter().cloned().map(Arc::new).collect();
    let roots = path_roots(program, choice.full_filenames);
    let origin = FrameOrigin {
        space: &RecordedCode::new(program, choice.modules.as_deref()),
        interpreter: ModuleId(program.program.interpreter),
        functions: &functions,
        thread_names: &FxHashMap::default(),
        perf_map: &PerfMap::default(),
        roots: &roots,
    };
    let found = names::name_frames(missing.iter(), &origin, &Symbolizer::new(choice.modules.clone()).telling(steps));
    let name = |(index, frame): (usize, &RecordedFrame)| {
        let recorded = program.names.get(index).cloned().flatten().filter(|_| is_wanted(frame));
        let unknown = || NamedFrame { frames: vec![Frame::gap("name not recorded")], role: Role::Always };
        recorded
            .or_else(|| found.get(&Counted::Frame(frame.sampled())).cloned())
            .or_else(|| is_wanted(frame).then(unknown))
    };
    program.frames.iter().enumerate().map(name).collect()
}
