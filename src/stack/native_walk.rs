//! The native stack of one capture, in as few segments as can be proved.
//!
//! Does: unwind; where that breaks off, find the frame pointer of a thread that was not stopped, leave code that has
//! no tables, or restart at the innermost marker that was not reached. Remembers how it leaves code without tables.
//! Does not: capture, read the target, or merge.

use std::fmt::Debug;

use super::moment::Moment;
use crate::merge::resync::{EvalFrameModel, Restart};
use crate::python::stack::PythonStack;
use crate::types::{Addr, Machine, Svma};
use crate::unwind::aarch64::Aarch64;
use crate::unwind::architecture::{Architecture, Calls, UnwindInput};
use crate::unwind::module::ModuleUnwinder;
use crate::unwind::stack::{NativeStack, StackEnd};
use crate::unwind::walk::{FramePosition, Unwinder};
use crate::unwind::without_cfi::ReturnPaths;
use crate::unwind::x86_64::X86_64;

/// A stack that breaks more often than this is not worth more.
const MAX_SEGMENTS: usize = 8;
/// How often code without tables is left on one stack: a JIT enters its own as often as Python is called by C.
const MAX_CODE_WITHOUT_CFI: usize = 1_024;

/// Walks native stacks of one process, on whatever architecture it is.
pub trait NativeWalk: Debug + Send {
    /// The stack that was walked last, innermost segment first: one when nothing is missing.
    fn segments(&self) -> &[NativeStack];

    /// Unwinds from the registers, in one segment. Returns why that ended.
    fn unwind(&mut self, moment: Moment<'_>) -> StackEnd;

    /// Does what can be done about a walk that broke off. Returns the code in no mapping that this led to: more can be done
    /// with a newer address space.
    fn repair(&mut self, moment: Moment<'_>, python: Option<&PythonStack>, learned: &EvalFrameModel) -> Option<Addr>;

    /// Where the frame at an address of a module saves its caller's frame pointer, in bytes from the CFA.
    fn saved_frame_pointer(&mut self, module: &ModuleUnwinder, svma: Svma) -> Option<i32>;
}

/// A walk for threads of this machine.
pub fn for_machine(machine: Machine) -> Box<dyn NativeWalk> {
    match machine {
        Machine::X86_64 => Box::new(Walk::<X86_64>::default()),
        Machine::Aarch64 => Box::new(Walk::<Aarch64>::default()),
    }
}

/// The parts of a function of a module for this machine.
pub fn function_parts(machine: Machine, module: &ModuleUnwinder, svma: Svma) -> Vec<(Svma, Svma)> {
    match machine {
        Machine::X86_64 => module.function_parts::<X86_64>(svma),
        Machine::Aarch64 => module.function_parts::<Aarch64>(svma),
    }
}

#[derive(Debug)]
struct Walk<A: Architecture> {
    unwinder: Unwinder<A>,
    calls: A::Calls,
    return_paths: ReturnPaths,
    /// The segments of the last walk, and behind them those of earlier ones, whose memory the next ones take.
    segments: Vec<NativeStack>,
    /// How many of them are the last walk's.
    used: usize,
    /// How far an attempt to go on has come.
    tried: NativeStack,
    /// The last attempt that was confirmed.
    confirmed: NativeStack,
}

impl<A: Architecture> Default for Walk<A> {
    fn default() -> Self {
        Walk {
            unwinder: Unwinder::default(),
            calls: A::Calls::default(),
            return_paths: ReturnPaths::default(),
            segments: Vec::new(),
            used: 0,
            tried: NativeStack::empty(),
            confirmed: NativeStack::empty(),
        }
    }
}

impl<A: Architecture> NativeWalk for Walk<A> {
    fn segments(&self) -> &[NativeStack] {
        self.segments.get(..self.used).unwrap_or_default()
    }

    fn unwind(&mut self, moment: Moment<'_>) -> StackEnd {
        self.used = 0;
        let mut first = self.take_segment();
        self.unwinder.unwind(moment.registers, moment.stack, moment.addresses, &mut first);
        let end = first.end;
        self.add_segment(first);
        end
    }

    fn repair(&mut self, moment: Moment<'_>, python: Option<&PythonStack>, learned: &EvalFrameModel) -> Option<Addr> {
        if self.segments().last().is_some_and(|last| last.end == StackEnd::ThreadEntry) {
            return None;
        }
        let mut unmapped = None;
        let fp = self.recover(moment, python, learned);
        match self.leave_code_without_cfi(fp, moment, python, learned) {
            Ok(()) => {
                self.used = 0;
                let mut whole = self.take_segment();
                std::mem::swap(&mut whole, &mut self.confirmed);
                self.add_segment(whole);
            }
            Err(end) => unmapped = end.unmapped_code(),
        }
        while self.used < MAX_SEGMENTS
            && let Some(failed) = self.segments().last()
            && let Some(restart) = python.and_then(|python| learned.restart(failed, python))
            && self.restart(moment, restart)
        {}
        // What was confirmed can break off again, further out.
        unmapped.or_else(|| self.segments().iter().find_map(|segment| segment.end.unmapped_code()))
    }

    fn saved_frame_pointer(&mut self, module: &ModuleUnwinder, svma: Svma) -> Option<i32> {
        A::saved_frame_pointer(module.rule::<A>(svma)?)
    }
}

impl<A: Architecture> Walk<A> {
    /// A segment to fill: the memory of an earlier walk, where there is one.
    fn take_segment(&mut self) -> NativeStack {
        self.segments.get_mut(self.used).map_or_else(NativeStack::empty, |spare| {
            spare.frames.clear();
            std::mem::replace(spare, NativeStack::empty())
        })
    }

    /// Adds a segment to the walk.
    fn add_segment(&mut self, segment: NativeStack) {
        match self.segments.get_mut(self.used) {
            Some(place) => *place = segment,
            None => self.segments.push(segment),
        }
        self.used += 1;
    }

    /// Goes on where a frame needs a register and the thread was not stopped, if everything agrees on what it is. Leaves the
    /// stack to go on from in `tried`, and returns the frame pointer there: before it is certain how eval frames lie, what was
    /// found is confirmed at the thread's entry only, and that may be behind code without tables.
    fn recover(&mut self, moment: Moment<'_>, python: Option<&PythonStack>, learned: &EvalFrameModel) -> Option<Addr> {
        let fp = self.unwinder.stopped_fp();
        self.try_from_last_segment();
        let needs_register = matches!(self.tried.end, StackEnd::UnknownRegister(_));
        if !needs_register || moment.registers.get(A::FP.into()).is_some() {
            return fp;
        }
        let Some(sp) = self.tried.frames.last().map(|frame| frame.sp) else { return fp };
        let Some(from) = self.calls.recover(&mut self.tried, captured(moment)) else {
            self.try_from_last_segment();
            return fp;
        };
        self.unwinder.resume(from, moment.stack, moment.addresses, &mut self.tried);
        let is_confirmed = learned.confirms(&self.tried, sp, python);
        if is_confirmed {
            self.used = 0;
            let mut whole = self.take_segment();
            whole.copy_from(&self.tried);
            self.add_segment(whole);
        }
        if is_confirmed || learned.certain().is_none() {
            self.unwinder.stopped_fp()
        } else {
            self.try_from_last_segment();
            fp
        }
    }

    fn try_from_last_segment(&mut self) {
        match self.used.checked_sub(1).and_then(|last| self.segments.get(last)) {
            Some(last) => self.tried.copy_from(last),
            None => self.tried.frames.clear(),
        }
    }

    /// Goes on in `tried` behind code without tables, each time that the walk comes to such code, as far as that leads to the
    /// eval frames that called it: from an entry of the procedure linkage table to a function, and from there to the JIT's
    /// code that called it. Until it is certain how eval frames lie, only the thread's entry confirms it. The stack is then in
    /// `confirmed`.
    ///
    /// # Errors
    /// Where it leads to if nothing confirms it.
    fn leave_code_without_cfi(
        &mut self,
        mut fp: Option<Addr>,
        moment: Moment<'_>,
        python: Option<&PythonStack>,
        learned: &EvalFrameModel,
    ) -> Result<(), StackEnd> {
        let mut is_confirmed = false;
        for _ in 0..MAX_CODE_WITHOUT_CFI {
            let Some(sp) = self.tried.frames.last().map(|frame| frame.sp) else { break };
            let left = self.return_paths.leave::<A>(&mut self.tried, fp, captured(moment), &mut self.calls);
            let Some(from) = left else {
                if self.tried.end == StackEnd::ThreadEntry && learned.confirms(&self.tried, sp, python) {
                    self.confirmed.copy_from(&self.tried);
                    is_confirmed = true;
                }
                break;
            };
            self.unwinder.resume(from, moment.stack, moment.addresses, &mut self.tried);
            fp = self.unwinder.stopped_fp();
            if learned.confirms(&self.tried, sp, python) {
                self.confirmed.copy_from(&self.tried);
                is_confirmed = true;
            }
        }
        if is_confirmed { Ok(()) } else { Err(self.tried.end) }
    }

    /// Walks on in the caller of an eval frame. Returns whether there is a frame.
    fn restart(&mut self, moment: Moment<'_>, at: Restart) -> bool {
        let slot = A::return_address_slot(at.cfa, at.saved_frame_pointer);
        let Some(pc) = slot.and_then(|slot| moment.stack.u64_at(slot)) else { return false };
        let fp = at.saved_frame_pointer.and_then(|slot| moment.stack.u64_at(slot)).map(Addr);
        let mut segment = self.take_segment();
        let from = FramePosition { pc: Addr(pc), is_return_address: true, sp: at.cfa, fp };
        self.unwinder.resume(from, moment.stack, moment.addresses, &mut segment);
        let has_frames = !segment.frames.is_empty();
        self.add_segment(segment);
        if !has_frames {
            self.used -= 1;
        }
        has_frames
    }
}

fn captured(moment: Moment<'_>) -> UnwindInput<'_> {
    UnwindInput { registers: moment.registers, stack: moment.stack, space: moment.addresses }
}
