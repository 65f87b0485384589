//! What the time of a recording went to.
//!
//! Does: sum it up by kind and by Python function, from the stacks of each program, while their names are at hand.
//! Does not: decide what a stack is of (`profile::time_kind`), or word it.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::program::Program;
use crate::profile::counted::Counted;
use crate::profile::facts::time_spent::{FunctionTime, TimeSpent};
use crate::profile::frame::FrameKind;
use crate::profile::kind::{native_kind, python_kind};
use crate::profile::named::NamedFrame;
use crate::profile::time_kind::{CodeKind, TimeKind};
use crate::stack::frame::SampleFrame;
use crate::symbolize::names::FrameOrigin;

/// The most functions that are summed up: of a program with more, all are rare.
const MAX_FUNCTIONS: usize = 100_000;

/// The sums of all programs so far.
#[derive(Debug, Default)]
pub struct TimeSums {
    kinds: BTreeMap<TimeKind, u64>,
    /// By name and file: the time, and how much of it was in native code.
    functions: FxHashMap<(String, String), (u64, u64)>,
}

/// What is known of a distinct element of stacks.
struct Element {
    code: CodeKind,
    /// Its number among the functions, if it is one of Python.
    function: Option<usize>,
}

impl TimeSums {
    /// Adds the time of a program; `names` are those of its native frames, as far as they were looked up.
    pub fn add(&mut self, program: &Program, origin: &FrameOrigin<'_>, names: &FxHashMap<Counted, NamedFrame>) {
        for (state, time) in &program.time_in_states {
            if let Some(kind) = TimeKind::of_state(state) {
                self.add_kind(kind, *time);
            }
        }
        let elements: Vec<Option<Element>> =
            program.stacks.frames().iter().map(|counted| element(counted, origin, names)).collect();
        // By the functions' numbers.
        let mut functions: FxHashMap<usize, (u64, u64)> = FxHashMap::default();
        let (mut stack, mut codes): (Vec<&Element>, Vec<CodeKind>) = (Vec::new(), Vec::new());
        for (index, node) in program.stacks.nodes().iter().enumerate() {
            let time = node.self_weight.saturating_sub(program.other_time.get(&index).copied().unwrap_or(0));
            if time == 0 {
                continue;
            }
            let path = program.stacks.path(index);
            stack.clear();
            stack.extend(path.iter().rev().filter_map(|frame| elements.get(frame.index())?.as_ref()));
            codes.clear();
            codes.extend(stack.iter().map(|element| element.code));
            let kind = TimeKind::of_stack(&codes);
            self.add_kind(kind, time);
            if let Some(function) = stack.iter().find_map(|element| element.function) {
                let (all, native) = functions.entry(function).or_default();
                *all = all.saturating_add(time);
                let is_python = stack.first().is_some_and(|element| element.function.is_some());
                *native = native.saturating_add(if is_python { 0 } else { time });
            }
        }
        self.add_functions(functions, origin);
    }

    fn add_kind(&mut self, kind: TimeKind, time: u64) {
        let sum = self.kinds.entry(kind).or_default();
        *sum = sum.saturating_add(time);
    }

    fn add_functions(&mut self, functions: FxHashMap<usize, (u64, u64)>, origin: &FrameOrigin<'_>) {
        for (number, (time, native)) in functions {
            let Some(function) = origin.functions.get(number) else { continue };
            let key = (function.qualname.to_string(), origin.roots.python_file(&function.filename).to_string());
            if self.functions.len() >= MAX_FUNCTIONS && !self.functions.contains_key(&key) {
                continue;
            }
            let (all, all_native) = self.functions.entry(key).or_default();
            *all = all.saturating_add(time);
            *all_native = all_native.saturating_add(native);
        }
    }

    /// What is worth to be told; `None` where there was nothing.
    pub fn finish(self) -> Option<TimeSpent> {
        let function = |((name, file), (time, native))| FunctionTime { name, file, time, native };
        let time = TimeSpent::new(self.kinds, self.functions.into_iter().map(function).collect());
        (!time.kinds.is_empty()).then_some(time)
    }
}

/// What is to be known of an element; `None` for what is no code.
fn element(counted: &Counted, origin: &FrameOrigin<'_>, names: &FxHashMap<Counted, NamedFrame>) -> Option<Element> {
    let code = match counted {
        Counted::Thread(_) | Counted::RunState(_) => return None,
        Counted::Frame(SampleFrame::Python { function, .. }) => {
            let number = function.0 as usize;
            let kind = origin.functions.get(number).map_or(FrameKind::Gap, |f| python_kind(&f.filename));
            return Some(Element { code: CodeKind::Code(kind), function: Some(number) });
        }
        Counted::Frame(SampleFrame::Evaluation { .. }) => CodeKind::Evaluation,
        Counted::Frame(SampleFrame::Unnamed(_)) => CodeKind::Code(FrameKind::Jit),
        Counted::Frame(SampleFrame::Missing(_)) => CodeKind::Code(FrameKind::Gap),
        Counted::Frame(SampleFrame::Native { module, .. }) => match origin.space.module(*module) {
            Some(file) => {
                let kind = native_kind(&file.path.to_string_lossy(), *module == origin.interpreter);
                let module = file.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                // The function itself, not one that was inlined into it.
                let function = names.get(counted).and_then(|named| named.frames.first());
                let function = function.filter(|frame| frame.nameless().is_none()).map(|frame| &*frame.name);
                CodeKind::of_native(kind, &module, function)
            }
            None => CodeKind::Code(FrameKind::Gap),
        },
    };
    Some(Element { code, function: None })
}
