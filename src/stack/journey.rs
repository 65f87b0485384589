//! The pure part of a sample's journey: unwind, restart, merge, learn, resolve.
//!
//! Does: turn the copies of one moment of one thread into frames that mean the same at any time. A live process and a
//! saved snapshot go through here alike: this is the only place where the pure stages follow each other.
//! Does not: read a process; what it is given is all that it knows.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::frame::{GapKind, SampleFrame};
use super::moment::Moment;
use super::native_walk::{self, NativeWalk};
use crate::merge::resync::{EvalFrameModel, EvalInstruction};
use crate::merge::{MergedFrame, MergedStack, merge};
use crate::python::frames::{FrameWalk, interleave};
use crate::python::layout::Layout;
use crate::python::stack::{ChainEnd, PythonStack};
use crate::target::memory::Memory;
use crate::target::modules::ModuleId;
use crate::types::{Addr, Machine, Svma};
use crate::unwind::address_space::{AddressSpace, Code};
use crate::unwind::module::ModuleUnwinder;
use crate::unwind::stack::{NativeStack, StackEnd};

/// The eval loop's function has some ten thousand instructions; most are never met.
const MAX_EVAL_INSTRUCTIONS: usize = 8_192;

/// Takes samples of one process through the pure stages, one after the other; keeps its buffers and what it learns.
#[derive(Debug)]
pub struct Journey {
    native: Box<dyn NativeWalk>,
    eval_frames: EvalFrameModel,
    /// What the tables say of eval frames, by their program counters: they are read once for each.
    eval_instructions: FxHashMap<(ModuleId, Svma), EvalInstruction>,
    merged: MergedStack,
    unmapped_code: Option<Addr>,
}

impl Journey {
    /// A journey for threads of this machine, with what was learned before of how eval frames lie.
    pub fn new(machine: Machine, eval_frames: EvalFrameModel) -> Journey {
        Journey {
            native: native_walk::for_machine(machine),
            eval_frames,
            eval_instructions: FxHashMap::default(),
            merged: MergedStack::default(),
            unmapped_code: None,
        }
    }

    /// What has been learned of how eval frames lie.
    pub fn eval_frames(&self) -> &EvalFrameModel {
        &self.eval_frames
    }

    /// The native segments of the last stack, innermost first: one, unless it was restarted.
    pub fn native(&self) -> &[NativeStack] {
        self.native.segments()
    }

    /// The stack that was merged last.
    pub fn merged(&self) -> &MergedStack {
        &self.merged
    }

    /// Hands over the stack that was merged last.
    pub fn take_merged(&mut self) -> MergedStack {
        std::mem::take(&mut self.merged)
    }

    /// Takes back a stack that was handed over: the next one is merged into its buffer.
    pub fn reuse(&mut self, merged: MergedStack) {
        self.merged = merged;
    }

    /// The first stage: unwinds from the registers. Returns why that ended: after [`StackEnd::UnmappedCode`] it can be
    /// done again with a newer address space.
    pub fn unwind(&mut self, moment: Moment<'_>) -> StackEnd {
        self.native.unwind(moment)
    }

    /// The second stage: drops the Python frames that have not begun, repairs a walk that broke off, and
    /// puts the Python frames in their places. Returns whether the stack is complete; if not, see
    /// [`unmapped_code`](Self::unmapped_code).
    pub fn merge(&mut self, moment: Moment<'_>, mut python: Option<&mut PythonStack>) -> bool {
        if let Some(python) = &mut python {
            python.drop_incomplete(|code| moment.codes.first_traceable(code));
        }
        self.unmapped_code = self.native.repair(moment, python.as_deref(), &self.eval_frames);
        merge(self.native.segments(), python.as_deref(), self.eval_frames.code(), &mut self.merged);
        self.merged.gaps().next().is_none()
    }

    /// The code in no mapping that the last stack's repair led to: both stages can be done again with a newer address
    /// space.
    pub fn unmapped_code(&self) -> Option<Addr> {
        self.unmapped_code
    }

    /// The modules of the merged stack's native frames, innermost first.
    pub fn modules(&self, moment: Moment<'_>) -> Vec<ModuleId> {
        let module = |frame: &MergedFrame| match frame {
            MergedFrame::Native { frame, .. } => Some(locate(moment.addresses, frame.lookup_address())?.0),
            MergedFrame::Python(_) | MergedFrame::Gap(_) => None,
        };
        self.merged.frames.iter().filter_map(module).collect()
    }

    /// Learns from a stack that is complete.
    pub fn learn(&mut self, moment: Moment<'_>, python: &PythonStack) {
        let Journey { native, eval_instructions, .. } = self;
        if eval_instructions.len() >= MAX_EVAL_INSTRUCTIONS {
            eval_instructions.clear();
        }
        self.eval_frames.learn(&self.merged, python, |addr| {
            let (module, svma, unwinder) = locate(moment.addresses, addr)?;
            let look_up = || {
                let target = |at: Svma| Addr(addr.0.wrapping_add(at.0).wrapping_sub(svma.0));
                let function = unwinder.function_start(svma).map(|(start, end)| (target(start), target(end)));
                EvalInstruction { saved_frame_pointer: native.saved_frame_pointer(unwinder, svma), function }
            };
            Some(*eval_instructions.entry((module, svma)).or_insert_with(look_up))
        });
    }

    /// The last stage: the merged frames, innermost first, in words that outlive the process.
    pub fn resolve(&self, moment: Moment<'_>) -> Arc<[SampleFrame]> {
        self.merged.frames.iter().map(|frame| resolve(frame, moment)).collect()
    }
}

/// Walks the frames of a thread's states in copied memory; `None` for a thread without any.
pub fn walk_python(layout: &Layout, states: &[Addr], memory: &impl Memory) -> Option<PythonStack> {
    let walks = states.iter().map(|state| {
        let mut walk = FrameWalk::new(layout, *state);
        // Memory that is not in the copy by now could not be fetched. An eval loop can be left once.
        while matches!(walk.run(memory), ChainEnd::Unreadable(_)) && walk.leave_unlinked_eval_loop(memory) {}
        walk
    });
    one_stack(walks.collect())
}

/// The walks of one thread's states, which are one stack; `None` when there are none.
pub fn one_stack(walks: Vec<FrameWalk<'_>>) -> Option<PythonStack> {
    let mut stacks = walks.into_iter().map(FrameWalk::into_stack);
    let first = stacks.next()?;
    match stacks.next() {
        None => Some(first),
        Some(second) => Some(interleave([first, second].into_iter().chain(stacks))),
    }
}

fn resolve(frame: &MergedFrame, moment: Moment<'_>) -> SampleFrame {
    match frame {
        MergedFrame::Python(frame) => match moment.codes.locate(frame.code, frame.instruction_offset) {
            Some((function, line)) => SampleFrame::Python { function, line },
            None => SampleFrame::Missing(GapKind::UnreadableCode),
        },
        MergedFrame::Gap(gap) => SampleFrame::Missing((*gap).into()),
        MergedFrame::Native { frame, is_eval_frame } => {
            let addr = frame.lookup_address();
            match locate(moment.addresses, addr) {
                Some((module, svma, unwinder)) if *is_eval_frame => {
                    let function = unwinder.function_start(svma).map_or(svma, |(start, _)| start);
                    SampleFrame::Evaluation { module, function }
                }
                Some((module, svma, _)) => SampleFrame::Native { module, svma },
                None => SampleFrame::Unnamed(addr),
            }
        }
    }
}

/// The module at an address of the target, the module's own address for it, and its unwind tables.
pub fn locate(addresses: &AddressSpace, addr: Addr) -> Option<(ModuleId, Svma, &ModuleUnwinder)> {
    match &addresses.find(addr)?.code {
        Code::Module { index, bias, unwinder } => {
            let module = ModuleId(u32::try_from(*index).ok()?);
            Some((module, Svma(addr.0.wrapping_sub(*bias)), unwinder))
        }
        Code::Anonymous { .. } => None,
    }
}
