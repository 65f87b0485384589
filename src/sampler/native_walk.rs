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
use crate::unwind::architecture::{Architecture, Calls, Captured};
use crate::unwind::module::{ModuleUnwinder, UnwindScratch};
use crate::unwind::stack::{NativeStack, StackEnd};
use crate::unwind::walk::{FramePosition, Unwinder};
use crate::unwind::without_cfi::ReturnPaths;
use crate::unwind::x86_64::X86_64;

/// A stack that breaks more often than this is not worth more.
const MAX_SEGMENTS: usize = 8;
/// How often the JIT's code may be entered on one stack: as often as Python is called by C.
const MAX_RUN_TIME_CALLS: usize = 1_024;

/// Walks native stacks of one process, on whatever architecture it is.
pub trait NativeWalk: Debug + Send {
    /// The stack that was walked last, innermost segment first: one when nothing is missing.
    fn segments(&self) -> &[NativeStack];

    /// Unwinds from the registers, in one segment. Gives why that ended.
    fn unwind(&mut self, moment: Moment<'_>) -> StackEnd;

    /// Does what can be done about a walk that broke off. Gives the code in no mapping that this led to: more can be done
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

#[derive(Debug, Default)]
struct Walk<A: Architecture> {
    unwinder: Unwinder<A>,
    calls: A::Calls,
    return_paths: ReturnPaths,
    segments: Vec<NativeStack>,
    scratch: UnwindScratch,
}

impl<A: Architecture> NativeWalk for Walk<A> {
    fn segments(&self) -> &[NativeStack] {
        &self.segments
    }

    fn unwind(&mut self, moment: Moment<'_>) -> StackEnd {
        let mut first = self.segments.drain(..).next().unwrap_or_else(NativeStack::empty);
        self.unwinder.unwind(moment.registers, moment.stack, moment.addresses, &mut first);
        let end = first.end;
        self.segments.push(first);
        end
    }

    fn repair(&mut self, moment: Moment<'_>, python: Option<&PythonStack>, learned: &EvalFrameModel) -> Option<Addr> {
        let mut unmapped = None;
        let walked = self.recover(moment, python, learned);
        match self.leave_code_without_cfi(walked, moment, python, learned) {
            Ok(whole) => {
                self.segments.clear();
                self.segments.push(whole);
            }
            Err(end) => unmapped = end.unmapped_code(),
        }
        while self.segments.len() < MAX_SEGMENTS
            && let Some(failed) = self.segments.last()
            && let Some(restart) = python.and_then(|python| learned.restart(failed, python))
            && let Some(segment) = self.restart(moment, restart)
        {
            self.segments.push(segment);
        }
        // What was confirmed can break off again, further out.
        unmapped.or_else(|| self.segments.iter().find_map(|segment| segment.end.unmapped_code()))
    }

    fn saved_frame_pointer(&mut self, module: &ModuleUnwinder, svma: Svma) -> Option<i32> {
        A::saved_frame_pointer(module.rule::<A>(svma, &mut self.scratch)?)
    }
}

impl<A: Architecture> Walk<A> {
    /// Goes on where a frame needs a register and the thread was not stopped, if everything agrees on what it is. Gives the
    /// stack to go on from: before it is certain how eval frames lie, what was found is confirmed at the thread's entry
    /// only, and that may be behind code without tables.
    fn recover(&mut self, moment: Moment<'_>, python: Option<&PythonStack>, learned: &EvalFrameModel) -> Walked {
        let failed = self.segments.last().cloned().unwrap_or_else(NativeStack::empty);
        let failed = Walked { fp: self.unwinder.stopped_fp(), stack: failed };
        let needs_register = matches!(failed.stack.end, StackEnd::UnknownRegister(_));
        if !needs_register || moment.registers.get(A::FP.into()).is_some() {
            return failed;
        }
        let mut whole = failed.stack.clone();
        let Some(sp) = whole.frames.last().map(|frame| frame.sp) else { return failed };
        let Some(from) = self.calls.recover(&mut whole, captured(moment)) else { return failed };
        self.unwinder.resume(from, moment.stack, moment.addresses, &mut whole);
        let is_confirmed = learned.confirms(&whole, sp, python);
        if is_confirmed {
            self.segments.clear();
            self.segments.push(whole.clone());
        }
        if is_confirmed || learned.certain().is_none() {
            Walked { fp: self.unwinder.stopped_fp(), stack: whole }
        } else {
            failed
        }
    }

    /// Goes on behind code without tables, each time that the walk comes to such code, as far as that leads to the
    /// eval frames that called it: from an entry of the procedure linkage table to a function, and from there to the JIT's
    /// code that called it. Until it is certain how eval frames lie, only the thread's entry confirms it.
    ///
    /// # Errors
    /// Where it leads to if nothing confirms it.
    fn leave_code_without_cfi(
        &mut self,
        Walked { stack: mut walked, mut fp }: Walked,
        moment: Moment<'_>,
        python: Option<&PythonStack>,
        learned: &EvalFrameModel,
    ) -> Result<NativeStack, StackEnd> {
        let mut confirmed = None;
        for _ in 0..MAX_RUN_TIME_CALLS {
            let Some(sp) = walked.frames.last().map(|frame| frame.sp) else { break };
            let left = self.return_paths.leave::<A>(&mut walked, fp, captured(moment), &mut self.calls);
            let Some(from) = left else { break };
            self.unwinder.resume(from, moment.stack, moment.addresses, &mut walked);
            fp = self.unwinder.stopped_fp();
            if learned.confirms(&walked, sp, python) {
                confirmed = Some(walked.clone());
            }
        }
        confirmed.ok_or(walked.end)
    }

    /// Walks on in the caller of an eval frame.
    fn restart(&mut self, moment: Moment<'_>, at: Restart) -> Option<NativeStack> {
        let pc = Addr(moment.stack.u64_at(A::return_address_slot(at.cfa, at.saved_frame_pointer)?)?);
        let fp = at.saved_frame_pointer.and_then(|slot| moment.stack.u64_at(slot)).map(Addr);
        let mut segment = NativeStack::empty();
        let from = FramePosition { pc, is_return_address: true, sp: at.cfa, fp };
        self.unwinder.resume(from, moment.stack, moment.addresses, &mut segment);
        (!segment.frames.is_empty()).then_some(segment)
    }
}

/// How far a walk has come, and the frame pointer there.
struct Walked {
    stack: NativeStack,
    fp: Option<Addr>,
}

fn captured(moment: Moment<'_>) -> Captured<'_> {
    Captured { registers: moment.registers, stack: moment.stack, space: moment.addresses }
}
