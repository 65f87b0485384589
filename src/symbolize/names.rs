//! From counted samples to counted stacks of named frames.
//!
//! Does: name every distinct frame once, module by module, and leave out the native frames that were not asked for.
//! Does not: count, or decide how an output writes a frame.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::plumbing::is_plumbing;
use super::{
    FunctionExtent, FunctionName, ModuleFile, NativeSymbol, PerfMap, Query, Questions, Symbolizer, python_trampoline,
};
use crate::process::code_space::CodeSpace;
use crate::profile::bounded::BoundedProfile;
use crate::profile::counted::Counted;
use crate::profile::frame::{Frame, FrameKind, SourceLine};
use crate::profile::kind::{native_kind, python_kind};
use crate::profile::named::{NamedFrame, Role};
use crate::profile::paths::{PathRoots, short_source};
use crate::profile::tree::StackTree;
use crate::stack::code_cache::Function;
use crate::stack::frame::{GapKind, SampleFrame};
use crate::target::memory_budget::{Meter, Share};
use crate::target::modules::ModuleId;
use crate::types::{Svma, Tid};

/// Which native frames to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeFrames {
    /// What Python code calls, without the interpreter's own call plumbing.
    Calls,
    /// Every frame, down to the thread's entry.
    All,
    /// None.
    None,
}

/// What the frames of a recording refer to.
#[derive(Debug)]
pub struct FrameOrigin<'a> {
    /// The target's code.
    pub space: &'a dyn NativeCode,
    /// The interpreter's module.
    pub interpreter: ModuleId,
    /// The Python functions, by number.
    pub functions: &'a [Arc<Function>],
    /// The names of threads.
    pub thread_names: &'a FxHashMap<Tid, String>,
    /// Names of code made at run time.
    pub perf_map: &'a PerfMap,
    /// Where the target's files are.
    pub roots: &'a PathRoots,
}

/// Where the native frames of a recording are from: the target's code, or what a file tells of it.
pub trait NativeCode: fmt::Debug {
    /// The module with this number.
    fn module(&self, id: ModuleId) -> Option<ModuleFile>;
    /// The extent of the function around an address, as the unwind tables state it.
    fn extent(&self, id: ModuleId, svma: Svma) -> Option<FunctionExtent>;
}

impl NativeCode for CodeSpace {
    fn module(&self, id: ModuleId) -> Option<ModuleFile> {
        let module = self.modules.get(id)?;
        Some(ModuleFile { path: module.path.clone(), elf: module.elf.clone() })
    }

    fn extent(&self, id: ModuleId, svma: Svma) -> Option<FunctionExtent> {
        self.function_extent(id, svma).map(|(start, end)| FunctionExtent { start, end })
    }
}

/// Names the frames of `tree` that are shown.
pub fn name_shown(
    tree: &StackTree<Counted>,
    origin: &FrameOrigin<'_>,
    symbolizer: &Symbolizer,
    native: NativeFrames,
) -> FxHashMap<Counted, NamedFrame> {
    // Tables of symbols and lines are not even opened for names that are not shown.
    let wanted = |counted: &&Counted| native != NativeFrames::None || !is_native(counted);
    name_frames(tree.frames().iter().filter(wanted), origin, symbolizer)
}

/// The stacks of `tree` to show, with their names.
pub fn shown(
    tree: &StackTree<Counted>,
    names: &FxHashMap<Counted, NamedFrame>,
    native: NativeFrames,
) -> StackTree<Frame> {
    let mut room = Meter::new(Share::Sampling);
    let mut shown = BoundedProfile::new(&mut room, usize::MAX);
    for (stack, weight) in tree.stacks() {
        let stack: Vec<&NamedFrame> = stack.into_iter().filter_map(|counted| names.get(counted)).collect();
        shown.add(&choose(&stack, native), weight);
    }
    let BoundedProfile { profile, cut, .. } = shown;
    cut.tell();
    profile
}

/// The frames of a stack (outermost first) that are shown.
pub fn choose<'n>(stack: &[&'n NamedFrame], native: NativeFrames) -> Vec<&'n Frame> {
    // A thread without Python code would leave nothing at all.
    let mut is_called = !stack.iter().any(|named| named.role == Role::Python);
    let mut shown = Vec::with_capacity(stack.len());
    for (index, named) in stack.iter().enumerate() {
        is_called |= named.role == Role::Python;
        // What has called an evaluation directly is call plumbing, also where it has no name.
        let calls_evaluation = || stack.get(index + 1).is_some_and(|inner| inner.role == Role::Evaluation);
        match (native, named.role) {
            (_, Role::Always | Role::Python) | (NativeFrames::All, _) => shown.extend(&named.frames),
            (NativeFrames::None, _) | (NativeFrames::Calls, Role::Evaluation) => {}
            (NativeFrames::Calls, Role::UnnamedInterpreter) if calls_evaluation() => {}
            (NativeFrames::Calls, _) if is_called => {
                shown.extend(named.frames.iter().filter(|frame| !is_plumbing_frame(frame)));
            }
            (NativeFrames::Calls, _) => {}
        }
    }
    shown
}

fn is_plumbing_frame(frame: &Frame) -> bool {
    match frame.kind {
        // Its time is its caller's: it is nothing but a part of the call.
        _ if frame.is_stub => true,
        FrameKind::Interpreter => is_plumbing(&frame.name),
        // What `-X perf` puts in front of each Python function, which has a frame of its own.
        FrameKind::Jit => python_trampoline(&frame.name).is_some(),
        _ => false,
    }
}

fn is_native(counted: &Counted) -> bool {
    matches!(counted, Counted::Frame(SampleFrame::Native { .. } | SampleFrame::Evaluation { .. }))
}

/// Names distinct elements, module by module. What cannot be named because what it refers to is not there is left out.
pub fn name_frames<'c>(
    counted: impl Iterator<Item = &'c Counted>,
    origin: &FrameOrigin<'_>,
    symbolizer: &Symbolizer,
) -> FxHashMap<Counted, NamedFrame> {
    let mut by_module: FxHashMap<ModuleId, Vec<(Counted, Svma)>> = FxHashMap::default();
    let mut names = FxHashMap::default();
    for element in counted {
        let named = match element {
            Counted::Thread(tid) => {
                NamedFrame::always(Frame::thread(*tid, origin.thread_names.get(tid).map(String::as_str)))
            }
            Counted::RunState(state) => NamedFrame::always(Frame::run_state(state)),
            Counted::Frame(SampleFrame::Missing(GapKind::NotSampled)) => NamedFrame::always(Frame::not_sampled()),
            Counted::Frame(SampleFrame::Missing(gap)) => NamedFrame::always(Frame::gap(gap.reason())),
            Counted::Frame(SampleFrame::Unnamed(addr)) => {
                let name =
                    origin.perf_map.find(*addr).map_or("[code made at run time]".to_owned(), |e| e.name.to_string());
                NamedFrame { frames: vec![Frame::native(FrameKind::Jit, &name, None)], role: Role::Native }
            }
            Counted::Frame(SampleFrame::Python { function, line }) => {
                let Some(function) = origin.functions.get(function.0 as usize) else { continue };
                let source = SourceLine {
                    file: origin.roots.python_file(&function.filename).into(),
                    line: line.map(u32::from),
                    first_line: Some(function.first_line),
                };
                let frame = Frame::python(python_kind(&function.filename), &function.qualname, source);
                NamedFrame { frames: vec![frame], role: Role::Python }
            }
            Counted::Frame(SampleFrame::Native { module, svma }) => {
                by_module.entry(*module).or_default().push((element.clone(), *svma));
                continue;
            }
            Counted::Frame(SampleFrame::Evaluation { module, function }) => {
                by_module.entry(*module).or_default().push((element.clone(), *function));
                continue;
            }
        };
        names.insert(element.clone(), named);
    }
    symbolizer.steps.expect(by_module.values().map(Vec::len).sum());
    for (module, elements) in by_module {
        name_module(module, &elements, origin, symbolizer, &mut names);
        symbolizer.steps.advance(elements.len());
    }
    names
}

/// Asks for the names of the native frames among some elements: who names frames of several programs asks for all of them first.
pub fn ask<'c>(counted: impl Iterator<Item = &'c Counted>, origin: &FrameOrigin<'_>, questions: &mut Questions) {
    let mut by_module: FxHashMap<ModuleId, Vec<Svma>> = FxHashMap::default();
    for element in counted {
        match element {
            Counted::Frame(SampleFrame::Native { module, svma }) => by_module.entry(*module).or_default().push(*svma),
            Counted::Frame(SampleFrame::Evaluation { module, function }) => {
                by_module.entry(*module).or_default().push(*function);
            }
            Counted::Frame(_) | Counted::Thread(_) | Counted::RunState(_) => {}
        }
    }
    for (id, svmas) in by_module {
        if let Some(file) = origin.space.module(id) {
            questions.add(&file, svmas.into_iter().map(|svma| query(id, svma, origin)));
        }
    }
}

fn query(module: ModuleId, svma: Svma, origin: &FrameOrigin<'_>) -> Query {
    Query { svma, extent: origin.space.extent(module, svma) }
}

/// Names all addresses of one module: its tables are loaded once, and dropped again.
fn name_module(
    id: ModuleId,
    elements: &[(Counted, Svma)],
    origin: &FrameOrigin<'_>,
    symbolizer: &Symbolizer,
    names: &mut FxHashMap<Counted, NamedFrame>,
) {
    let Some(file) = origin.space.module(id) else { return };
    let queries: Vec<Query> = elements.iter().map(|(_, svma)| query(id, *svma, origin)).collect();
    let kind = native_kind(&file.path.to_string_lossy(), id == origin.interpreter);
    let module = file.path.file_name().map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned());
    for ((element, _), symbols) in elements.iter().zip(symbolizer.names(&file, &queries)) {
        let evaluation = matches!(element, Counted::Frame(SampleFrame::Evaluation { .. }));
        let unnamed = symbols.iter().all(|symbol| matches!(symbol.name, FunctionName::Unknown { .. }));
        let role = match () {
            () if evaluation => Role::Evaluation,
            () if unnamed && kind == FrameKind::Interpreter => Role::UnnamedInterpreter,
            () => Role::Native,
        };
        let mut frames: Vec<Frame> =
            symbols.iter().map(|symbol| native_frame(symbol, kind, &module, origin.roots)).collect();
        if evaluation {
            // The evaluation stands for its whole function: what was inlined at its start says nothing, nor does the line.
            frames.drain(..frames.len().saturating_sub(1));
            frames.iter_mut().for_each(|frame| frame.source = None);
        }
        frames.reverse();
        names.insert(element.clone(), NamedFrame { frames, role });
    }
}

fn native_frame(symbol: &NativeSymbol, kind: FrameKind, module: &str, roots: &PathRoots) -> Frame {
    let frame = Frame::native(kind, &symbol.name.to_string(), Some(module));
    let frame = match symbol.file.as_deref() {
        // Only an extension's sources can be the project's; where the others were built means nothing here.
        Some(file) => {
            let extension = kind == FrameKind::NativeExtension;
            let file = if extension { roots.source_file(file) } else { short_source(file) };
            frame.at(SourceLine { file: file.into(), line: symbol.line, first_line: None })
        }
        None => frame,
    };
    match symbol {
        NativeSymbol { inlined: true, .. } => frame.inlined(),
        NativeSymbol { name: FunctionName::InMethodTable(_), .. } => frame.from_method_table(),
        NativeSymbol { name: FunctionName::Stub(_), .. } => frame.as_stub(),
        _ => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_are_left_out_of_what_python_calls_and_kept_in_all_frames() {
        let source = SourceLine { file: "a.py".into(), line: None, first_line: None };
        let python = NamedFrame { frames: vec![Frame::python(FrameKind::UserCode, "f", source)], role: Role::Python };
        let native = |frame: Frame| NamedFrame { frames: vec![frame], role: Role::Native };
        let caller = native(Frame::native(FrameKind::NativeExtension, "read_all", Some("x.so")));
        let stub = native(Frame::native(FrameKind::NativeExtension, "read@plt", Some("x.so")).as_stub());
        let stack = [&python, &caller, &stub];
        let names = |native| choose(&stack, native).iter().map(|frame| frame.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(NativeFrames::Calls), ["f", "read_all"]);
        assert_eq!(names(NativeFrames::All), ["f", "read_all", "read@plt"]);
        assert_eq!(names(NativeFrames::None), ["f"]);
    }
}
