//! Whether what is remembered of the process is still so: between two samples it can free code objects and unload libraries,
//! and put others in their places.
//!
//! Does: compare what a sample has met with what is there, and see to it that the next attempt finds what is there now.
//! Does not: take the sample again.

use super::{ReadFailure, Reader, moment};
use crate::merge::Placement;
use crate::process::reading::Reading;
use crate::process::thread::KnownThread;
use crate::python::stack::{PythonEntry, PythonStack};
use crate::stack::journey;
use crate::target::memory::Memory;
use crate::target::modules::ModuleId;
use crate::types::Addr;

/// The eval loop's function has 25 KB and more in every version and build; where it is split, its larger part.
const SMALLEST_EVAL_LOOP: u64 = 16 << 10;

impl Reader {
    /// Whether the thread states that a reading was made with belong to the thread that was captured: a state that was freed may be
    /// another thread's by now. The `pthread_t` decides. The number does where that is not known; it can be stale: CPython does not
    /// learn of a fork by native code, and a thread that has ended can have left its state, and its stack and `pthread_t` to
    /// another. So the frames of a state with another number must also lie where the thread's eval frames are.
    pub fn states_fit(&mut self, known: &KnownThread, reading: &Reading) -> bool {
        let captured = &reading.captured;
        let layout = &self.found.interpreter.layout.thread;
        let number = known.number();
        let word = |state: &Addr, offset: u64| captured.read_u64(state.wrapping_add(offset)).ok();
        let is_numbered = |state: &&Addr| word(state, layout.native_thread_id) == Some(number);
        let states = &known.states.addresses;
        if let Some(pointer) = captured.registers.thread_pointer
            && self.pthread_of(captured).is_none()
            && let Some(state) = states.iter().find(is_numbered)
            && let Some(pthread) = word(state, layout.thread_id)
        {
            self.pthreads.learn(Addr(pthread), pointer);
        }
        let pthread = self.pthread_of(captured).or(known.states.pthread);
        let has_pthread = |state: &Addr| pthread.is_none_or(|own| word(state, layout.thread_id) == Some(own.0));
        if !states.iter().all(has_pthread) {
            return false;
        }
        states.iter().all(|state| is_numbered(&state))
            || match reading.merged.placement(|addr| self.is_eval_code(addr)) {
                Placement::NoFrames | Placement::Proved => true,
                Placement::Open => pthread.is_some(),
                Placement::Contradicted => false,
            }
    }

    /// Whether an instruction is one of the eval loop's function, as far as that is known; else, whether it is in a function of the
    /// interpreter that is as large as no other on the way from a thread's entry.
    pub(in crate::process) fn is_eval_code(&self, addr: Addr) -> bool {
        let is_large = || {
            let (module, svma, unwinder) = journey::locate(&self.space.addresses, addr)?;
            let (start, end) = unwinder.function_start(svma).filter(|_| module == self.found.module)?;
            Some(end.0 - start.0 >= SMALLEST_EVAL_LOOP)
        };
        self.journey.eval_frames().code().holds(addr) || is_large().unwrap_or(false)
    }

    /// Whether what the last readings have met of the process is still so.
    pub(super) fn check(&mut self, known: &KnownThread, python: Option<&PythonStack>) -> Result<(), ReadFailure> {
        let watched = known.expected.modules.watched(self.space.addresses.generation());
        let replaced = self.space.marks.replaced(watched, &self.captured);
        // Both, so that the next attempt finds both right.
        let codes = self.check_codes(python);
        self.follow_replaced(&replaced).and(codes)
    }

    /// Whether the modules on the stack that the thread's last samples did not meet are there: their marks were not copied
    /// with the stack. Returns whether all were: those that are found now may not have been there then.
    pub(super) fn check_new_modules(&mut self, known: &mut KnownThread, complete: bool) -> Result<bool, ReadFailure> {
        let generation = self.space.addresses.generation();
        let modules = self.journey.modules(moment(&self.captured, &self.space, &self.codes));
        let met = known.expected.modules.of(generation);
        let mut new: Vec<ModuleId> = modules.iter().copied().filter(|id| !met.contains(id)).collect();
        if !new.is_empty() {
            new.sort_unstable();
            new.dedup();
            let replaced = self.space.replaced_now(&new);
            self.follow_replaced(&replaced)?;
        }
        known.expected.modules.set(generation, &modules, complete);
        let watched = known.expected.modules.watched(generation);
        Ok(!new.iter().any(|id| watched.contains(id) && self.space.marks.has(*id)))
    }

    /// Reads the mappings again if there are replaced modules, which make the sample a failure.
    fn follow_replaced(&mut self, replaced: &[ModuleId]) -> Result<(), ReadFailure> {
        if replaced.is_empty() {
            return Ok(());
        }
        if !self.space.follow() {
            self.space.marks.doubt(replaced);
        }
        Err(ReadFailure::ModuleReplaced)
    }

    /// Whether the code objects on the stack are those that were read at their addresses.
    fn check_codes(&mut self, python: Option<&PythonStack>) -> Result<(), ReadFailure> {
        let Some(python) = python else { return Ok(()) };
        let layout = &self.found.interpreter.layout;
        let mut addresses: Vec<Addr> =
            python.entries.iter().filter_map(PythonEntry::frame).map(|frame| frame.code).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let replaced = self.codes.forget_replaced(self.target.memory(), layout, &addresses);
        if replaced { Err(ReadFailure::CodeReplaced) } else { Ok(()) }
    }
}
