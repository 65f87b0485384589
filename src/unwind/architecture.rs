//! What unwinding has to know of an architecture: register numbers, the compact rule, the steps.
//!
//! Does: state the interface between the walk, which is the same everywhere, and `x86_64` and `aarch64`.
//! Does not: choose one: a thread brings its own with it, and a saved one may come from elsewhere.

use std::fmt::Debug;

use gimli::EhFrame;

use super::address_space::AddressSpace;
use super::evaluate::Evaluated;
use super::module::{Fde, Row};
use super::registers::RegisterSet;
use super::return_path::Instructions;
use super::sections::Bytes;
use super::stack::NativeStack;
use super::step::{Cursor, StackBytes, StepError};
use super::symbolic::State;
use super::walk::FramePosition;
use crate::target::memory::Region;
use crate::target::registers::Registers;
use crate::types::Addr;

/// What kind of step a compact rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// The rule says all.
    Compact,
    /// There is no caller.
    ThreadEntry,
    /// The row must be evaluated with every register.
    Complex,
}

/// An architecture, as unwinding sees it.
pub trait Architecture: Debug + Default + Send + Sync + 'static {
    /// What nearly all rows of its unwind tables say, in 8 bytes: [`super::cache`] keeps thousands.
    type Rule: Debug + Clone + Copy + PartialEq + Eq + Send + Sync;
    /// What its instructions tell of calls.
    type Calls: Calls;

    /// The rule for what [`RuleKind::Complex`] says.
    const COMPLEX: Self::Rule;
    /// The rule for what [`RuleKind::ThreadEntry`] says.
    const ENTRY: Self::Rule;
    /// The DWARF number of the program counter.
    const PC: u16;
    /// The DWARF number of the stack pointer.
    const SP: u16;
    /// The DWARF number of the frame pointer.
    const FP: u16;
    /// The DWARF number of the link register, where there is one.
    const LR: Option<u16>;
    /// The column of the tables that stands for the return address.
    const RETURN_ADDRESS: u16;
    /// The registers that a function gives back as it found them, without the stack pointer.
    const CALLEE_SAVED: &'static [u16];
    /// The instructions that return from a signal, where the tables need not describe them.
    const TRAMPOLINE: Option<Trampoline>;

    /// Decodes a row of `fde`.
    fn rule(row: &Row, eh_frame: &EhFrame<Bytes<'_>>, fde: &Fde<'_>) -> Self::Rule;

    /// What kind of rule it is.
    fn kind(rule: Self::Rule) -> RuleKind;

    /// Where a rule says that the caller's frame pointer is saved, in bytes from the CFA, if it is.
    fn saved_frame_pointer(rule: Self::Rule) -> Option<i32>;

    /// Steps out of a frame that makes a call, by the shapes that nearly all have. Returns the CFA and the caller's program
    /// counter and frame pointer; `None` for other shapes, and where [`Architecture::step`] would fail.
    fn quick_step(rule: Self::Rule, sp: u64, fp: u64, stack: StackBytes<'_>) -> Option<(u64, u64, u64)>;

    /// Steps out of `cursor`'s frame by a rule that says all. Returns its CFA and the caller's registers.
    ///
    /// # Errors
    /// See [`StepError`].
    fn step(rule: &Self::Rule, cursor: Cursor, stack: StackBytes<'_>) -> Result<(u64, Cursor), StepError>;

    /// The end of a frame whose record, of two words, is at `record`: of code that has no tables, where that is all that is
    /// known. `None` where a record does not tell it.
    fn end_above_record(record: u64) -> Option<u64>;

    /// The instructions of code that begins at an address.
    type Code<'a>: Instructions;

    /// The instructions in these bytes, which are at `base`.
    fn code(bytes: &[u8], base: u64) -> Self::Code<'_>;

    /// What is known of the registers at the beginning of a way.
    fn beginning() -> State;

    /// The call that `code`, which ends at `end`, ends with: what is in front of it need not begin with an instruction.
    fn call_before(code: &[u8], end: u64) -> Option<CallTarget>;

    /// The addresses that `code`, which begins at `base`, names where it calls or makes one: starts of functions, and others.
    fn named(code: &[u8], base: u64) -> Vec<u64>;

    /// Whether the call in front of `pc` is that of a thread's function by the code that begins a thread, and has no caller.
    fn begins_thread(code: &[u8], base: u64, pc: u64) -> bool;

    /// Where the entry `code` of a procedure linkage table at `address` takes its function from; `None` when it is no entry.
    fn linkage_slot(code: &[u8], address: u64) -> Option<u64>;

    /// Where the branches in `code`, which begins at `base`, lead: calls are none.
    fn branch_targets(code: &[u8], base: u64) -> Vec<u64>;

    /// Which registers `code`, a whole function at `base`, writes nowhere, a bit for each DWARF number; none where it calls or goes
    /// elsewhere, or where no table names a frame by a register that calls may change.
    fn untouched(code: &[u8], base: u64) -> u64;

    /// Whether the row says that a register is saved where it is no more: it is the caller's again.
    fn is_restored(register: u16, held: Option<u64>, saved_at: u64, cfa: u64) -> bool;

    /// Where the return address of a frame is, by its CFA and the place in which it saves the caller's frame pointer.
    fn return_address_slot(cfa: Addr, saved_frame_pointer: Option<Addr>) -> Option<Addr>;

    /// Leaves a signal's frame by what the kernel has saved, where the tables do not say how.
    ///
    /// # Errors
    /// See [`StepError`].
    fn leave_signal(registers: &RegisterSet, stack: StackBytes<'_>) -> Result<Evaluated, StepError>;
}

/// What instructions tell of the calls in progress. Remembers what it has decoded.
pub trait Calls: Debug + Default + Send {
    /// What the instruction in front of `return_address`, in code that has tables, calls. `None` when it is no call.
    fn call_before(&mut self, return_address: Addr, space: &AddressSpace) -> Option<CallTarget>;

    /// Where to go on in the stack of a thread that was not stopped, whose last frame needs a register that the kernel does
    /// not show; `failed` then ends where that begins. `None` when not all that can be checked of it holds.
    fn recover(&mut self, failed: &mut NativeStack, captured: UnwindInput<'_>) -> Option<FramePosition>;
}

/// What a call calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallTarget {
    /// An address.
    To(u64),
    /// What a register or a word in memory holds.
    Pointer,
}

/// What was captured of a thread, and the code that it runs.
#[derive(Debug, Clone, Copy)]
pub struct UnwindInput<'a> {
    /// The registers, which are those of its innermost frame.
    pub registers: &'a Registers,
    /// Its stack.
    pub stack: &'a Region,
    /// The code.
    pub space: &'a AddressSpace,
}

impl<'a> UnwindInput<'a> {
    /// The stack, with what is known of the signatures in it.
    pub(super) fn stack_bytes(self) -> StackBytes<'a> {
        StackBytes::new(self.stack).signed(self.registers.signature_mask)
    }
}

/// The instructions that return from a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trampoline {
    /// Their bytes.
    pub code: &'static [u8],
    /// The length of each instruction; all are aligned to it.
    pub instruction: u64,
}
