//! The exact step: a row of the table evaluated with every register, expressions included.
//!
//! Does: what DWARF 5, 6.4 says of rows and register rules. Does not: run often; compact rules are for that.

use gimli::{
    CfaRule, EhFrame, Evaluation, EvaluationResult, EvaluationStorage, Piece, Register, RegisterRule, UnwindExpression,
    Value,
};

use super::architecture::Architecture;
use super::module::{Fde, Row};
use super::registers::RegisterSet;
use super::sections::Bytes;
use super::step::{StackBytes, StepError};

/// The most operations that one expression may take. Real ones have about ten.
const MAX_OPERATIONS: u32 = 1_000;
/// The most values on an expression's stack. Real ones have three.
const MAX_VALUES: usize = 64;

/// What a stack pointer is a multiple of at a call (AAPCS64, 6.4.5; System V ABI for x86-64, 3.2.2).
const STACK_ALIGNMENT: u64 = 16;

/// What an expression is evaluated in, so that nothing is allocated. It calls no other expression, and its result is in one piece.
#[derive(Debug)]
struct OnStack;

impl<'a> EvaluationStorage<Bytes<'a>> for OnStack {
    type Stack = [Value; MAX_VALUES];
    type ExpressionStack = [(Bytes<'a>, Bytes<'a>); 1];
    type Result = [Piece<Bytes<'a>>; 1];
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluated {
    /// Where the frame ends: the caller's stack pointer. That is the CFA, save where a row restores it from elsewhere (signal
    /// trampolines, `setcontext`) or saves the return address above it.
    pub end: u64,
    /// The caller's registers; program counter and stack pointer are known. `None`: there is no caller.
    pub caller: Option<RegisterSet>,
    /// The frame that was left is a signal's: the caller was interrupted, its pc is not a return address.
    pub is_signal_frame: bool,
}

/// What a row is evaluated with.
pub struct Evaluator<'a> {
    /// The frame's registers.
    pub registers: &'a RegisterSet,
    /// The copied stack.
    pub stack: StackBytes<'a>,
    /// What the loader added to the file's addresses.
    pub bias: u64,
}

impl Evaluator<'_> {
    /// Steps out of the frame that `row` describes.
    pub(super) fn step<A: Architecture>(
        &self,
        row: &Row,
        eh_frame: &EhFrame<Bytes<'_>>,
        fde: &Fde<'_>,
    ) -> Result<Evaluated, StepError> {
        let is_signal_frame = fde.is_signal_trampoline();
        if row.register(Register(A::RETURN_ADDRESS)) == Some(RegisterRule::Undefined) {
            let end = self.register(A::SP)?.saturating_add(8);
            return Ok(Evaluated { end, caller: None, is_signal_frame });
        }
        let encoding = fde.cie().encoding();
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => self.register(register.0)?.wrapping_add_signed(*offset),
            CfaRule::Expression(e) => self.expression(e, eh_frame, encoding, None)?,
        };
        let mut caller = RegisterSet::default();
        for register in A::CALLEE_SAVED {
            caller.set(*register, self.registers.get(*register));
        }
        caller.set(A::SP, Some(cfa));
        // Where a return address is saved the frame is not over yet, whatever the CFA: that of `_dl_runtime_resolve` leaves out the two
        // words that .plt pushes (glibc's sysdeps/aarch64/dl-trampoline.S). Where the CFA is not based on sp, the slot may be of the
        // caller's making: `ffi_call_SYSV` saves its registers where its caller has made room (libffi's src/aarch64/sysv.S).
        if let Some(RegisterRule::Offset(n @ 0..)) = row.register(Register(A::RETURN_ADDRESS))
            && matches!(row.cfa(), CfaRule::RegisterAndOffset { register, .. } if register.0 == A::SP)
            && !is_signal_frame
        {
            let behind = cfa.wrapping_add_signed(n).saturating_add(8 + STACK_ALIGNMENT - 1);
            caller.set(A::SP, Some(behind & !(STACK_ALIGNMENT - 1)));
        }
        for (register, rule) in row.registers() {
            let value = match rule {
                RegisterRule::Undefined => Ok(None),
                RegisterRule::SameValue => Ok(self.registers.get(register.0)),
                RegisterRule::Offset(n) => self.word(cfa.wrapping_add_signed(*n)).map(Some),
                RegisterRule::ValOffset(n) => Ok(Some(cfa.wrapping_add_signed(*n))),
                RegisterRule::Register(from) => self.register(from.0).map(Some),
                RegisterRule::Expression(e) => match self.expression(e, eh_frame, encoding, Some(cfa)) {
                    Ok(addr) if !is_signal_frame && self.is_restored::<A>(register.0, addr, cfa) => Ok(Some(addr)),
                    Ok(addr) => self.word(addr).map(Some),
                    Err(error) => Err(error),
                },
                RegisterRule::ValExpression(e) => self.expression(e, eh_frame, encoding, Some(cfa)).map(Some),
                _ => Ok(None),
            };
            // Without its pc and sp there is no caller; any other register is only unknown in it.
            let essential = register.0 == A::RETURN_ADDRESS || register.0 == A::SP;
            caller.set(register.0, if essential { value? } else { value.unwrap_or(None) });
        }
        let return_address = caller.get(A::RETURN_ADDRESS).ok_or(StepError::Unsupported)?;
        // A call has overwritten the link register: what it held before is nowhere.
        if let Some(lr) = A::LR.filter(|_| !is_signal_frame) {
            caller.set(lr, None);
        }
        caller.set(A::PC, Some(self.stack.without_signature(return_address)));
        let end = caller.get(A::SP).ok_or(StepError::UnknownRegister)?;
        Ok(Evaluated { end, caller: Some(caller), is_signal_frame })
    }

    fn is_restored<A: Architecture>(&self, register: u16, saved_at: u64, cfa: u64) -> bool {
        A::is_restored(register, self.registers.get(register), saved_at, cfa)
    }

    fn register(&self, register: u16) -> Result<u64, StepError> {
        self.registers.get(register).ok_or(StepError::UnknownRegister)
    }

    fn word(&self, addr: u64) -> Result<u64, StepError> {
        self.stack.word(addr).ok_or(StepError::Unreadable(None))
    }

    /// Evaluates an expression, with the CFA on the stack at its start where the rule is a register's.
    fn expression(
        &self,
        expression: &UnwindExpression<usize>,
        eh_frame: &EhFrame<Bytes<'_>>,
        encoding: gimli::Encoding,
        cfa: Option<u64>,
    ) -> Result<u64, StepError> {
        let expression = expression.get(eh_frame).map_err(|_| StepError::Unsupported)?;
        let mut evaluation = Evaluation::<_, OnStack>::new_in(expression.0, encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut state = evaluation.evaluate();
        // Each round answers one question of a bounded evaluation; the bound here is only to be seen at once.
        for _ in 0..MAX_OPERATIONS {
            state = match state.map_err(|_| StepError::Unsupported)? {
                EvaluationResult::Complete => return address(&evaluation),
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register.0)?))
                }
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let value = self.stack.number(address, size).ok_or(StepError::Unreadable(None))?;
                    evaluation.resume_with_memory(Value::Generic(value))
                }
                EvaluationResult::RequiresRelocatedAddress(svma) => {
                    evaluation.resume_with_relocated_address(svma.wrapping_add(self.bias))
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    evaluation.resume_with_call_frame_cfa(cfa.ok_or(StepError::Unsupported)?)
                }
                _ => return Err(StepError::Unsupported),
            };
        }
        Err(StepError::Unsupported)
    }
}

fn address(evaluation: &Evaluation<Bytes<'_>, OnStack>) -> Result<u64, StepError> {
    match evaluation.as_result() {
        [Piece { location: gimli::Location::Address { address }, .. }] => Ok(*address),
        _ => Err(StepError::Unsupported),
    }
}
