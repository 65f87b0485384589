//! The walk: registers and a copied stack in, a [`NativeStack`] out.
//!
//! Does: choose the cheapest exact step for each frame, and say why the walk ends. Allocates nothing once `out` and
//! the cache are warm.
//! Does not: read memory other than the copy; a caller that wants more gives a larger copy, or resumes.
//!
//! The pcs in a stack are those that lie in known code. The last frame of an incomplete stack has no known end:
//! its CFA is then the first word above its sp.

use super::address_space::{AddressSpace, Code};
use super::cache::{CodeRule, RuleCache};
use super::module::{ModuleUnwinder, UnwindScratch};
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::x86_64::evaluate::{Evaluated, Evaluator};
use super::x86_64::registers::{BP, PC, RegisterSet, SP};
use super::x86_64::rule::UnwindRule;
use super::x86_64::step::{Cursor, StackBytes, StepError, quick_step, step};
use crate::capture::registers::Registers;
use crate::target::memory::Region;
use crate::types::{Addr, Svma};

/// The most frames of one stack. 8 MiB of stack hold half a million of the smallest; real ones a few thousand.
pub const MAX_FRAMES: usize = 16_384;

/// A frame to walk on from, found by other means than unwinding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePosition {
    /// The program counter, or the return address into the frame.
    pub pc: Addr,
    /// Whether `pc` is a return address.
    pub is_return_address: bool,
    /// The frame's stack pointer.
    pub sp: Addr,
    /// The frame's rbp, if it is known.
    pub bp: Option<Addr>,
}

/// Unwinds threads of one process at a time. Keeps what it has learned about its code.
#[derive(Debug, Default)]
pub struct Unwinder {
    cache: RuleCache,
    scratch: UnwindScratch,
    /// Of the address space that the cache is about. No space has generation 0.
    generation: u64,
    /// The rbp of the frame at which the last walk gave up.
    stopped_bp: Option<u64>,
}

/// What a walk reads, and what it fills.
struct Walk<'a> {
    stack: StackBytes<'a>,
    space: &'a AddressSpace,
    frames: &'a mut Vec<NativeFrame>,
}

impl Unwinder {
    /// An unwinder with an empty cache.
    pub fn new() -> Self {
        Unwinder::default()
    }

    /// Unwinds a thread from its registers, of which it needs rip and rsp; the frames before in `out` are dropped.
    pub fn unwind(&mut self, registers: &Registers, stack: &Region, space: &AddressSpace, out: &mut NativeStack) {
        out.frames.clear();
        let get = |register: u16| registers.get(usize::from(register));
        let (Some(pc), Some(sp)) = (get(PC), get(SP)) else {
            out.end = StackEnd::UnknownRegister(Addr(get(PC).unwrap_or(0)));
            return;
        };
        self.learn(space);
        self.stopped_bp = None;
        let bp = get(BP);
        let mut walk = Walk { stack: StackBytes::new(stack), space, frames: &mut out.frames };
        out.end = self.run(&mut walk, Cursor { pc, sp, bp }, false);
        // Only a captured rbp shows that there are more registers than those three to try with.
        if matches!(out.end, StackEnd::UnknownRegister(_)) && bp.is_some() {
            walk.frames.clear();
            out.end = self.run_with_all(&mut walk, RegisterSet::from_captured(registers));
        }
    }

    /// Walks on at `from`, which must not be below the last frame of `out`, and appends what it finds.
    pub fn resume(&mut self, from: FramePosition, stack: &Region, space: &AddressSpace, out: &mut NativeStack) {
        if out.frames.last().is_some_and(|last| from.sp < last.cfa) {
            out.end = StackEnd::NotAscending(from.pc);
            return;
        }
        self.learn(space);
        self.stopped_bp = None;
        let mut walk = Walk { stack: StackBytes::new(stack), space, frames: &mut out.frames };
        let cursor = Cursor { pc: from.pc.0, sp: from.sp.0, bp: from.bp.map(|bp| bp.0) };
        out.end = self.run(&mut walk, cursor, from.is_return_address);
    }

    /// The rbp of the last frame of the last walk, if that walk could not leave the frame and rbp is known there.
    pub fn stopped_bp(&self) -> Option<Addr> {
        self.stopped_bp.map(Addr)
    }

    fn learn(&mut self, space: &AddressSpace) {
        if self.generation != space.generation() {
            self.cache.clear();
            self.generation = space.generation();
        }
    }

    /// The walk with rip, rsp and rbp only.
    fn run(&mut self, walk: &mut Walk<'_>, mut cursor: Cursor, mut is_return_address: bool) -> StackEnd {
        loop {
            if is_return_address {
                walk.follow_rules(&mut cursor, &self.cache);
            }
            let pc = Addr(cursor.pc);
            if walk.frames.len() >= MAX_FRAMES {
                return StackEnd::TooDeep;
            }
            // The psABI leaves the outermost frame's return address to the system; those that have no entry in
            // their tables that says "undefined" (musl's start code) are entered with zero there.
            if is_return_address && pc.is_null() {
                return StackEnd::ThreadEntry;
            }
            let lookup = pc.0.wrapping_sub(u64::from(is_return_address));
            let rule = match self.cache.get(lookup) {
                Some(rule) => *rule,
                None => self.look_up(walk.space, Addr(lookup)),
            };
            let stepped = match rule {
                CodeRule::Unmapped => return StackEnd::UnmappedCode(pc),
                CodeRule::NoRule => Err(StepError::Unsupported),
                CodeRule::Anonymous => walk.verified_record(cursor).map(|(cfa, next)| (cfa, next, true)),
                CodeRule::Rule(UnwindRule::ThreadEntry) => {
                    walk.push_unended(pc, is_return_address, cursor.sp, None);
                    return StackEnd::ThreadEntry;
                }
                CodeRule::Rule(UnwindRule::Complex) => match self.evaluate_cursor(walk, cursor, Addr(lookup)) {
                    Ok(Some(caller)) => Ok(caller),
                    Ok(None) => {
                        walk.push_unended(pc, is_return_address, cursor.sp, None);
                        return StackEnd::ThreadEntry;
                    }
                    Err(error) => Err(error),
                },
                CodeRule::Rule(rule) => step(&rule, cursor, walk.stack).map(|(cfa, next)| (cfa, next, true)),
            };
            let (cfa, next, next_is_return_address) = match stepped {
                Ok(stepped) => stepped,
                Err(error) => {
                    self.stopped_bp = cursor.bp;
                    return walk.give_up(error, cursor, is_return_address);
                }
            };
            walk.frames.push(NativeFrame { pc, is_return_address, sp: Addr(cursor.sp), cfa: Addr(cfa) });
            cursor = next;
            is_return_address = next_is_return_address;
        }
    }

    /// The walk from the innermost frame with all registers: exact where a rule needs one of the others, and slow.
    fn run_with_all(&mut self, walk: &mut Walk<'_>, mut registers: RegisterSet) -> StackEnd {
        let mut is_return_address = false;
        loop {
            let (Some(pc), Some(sp)) = (registers.get(PC), registers.get(SP)) else {
                return StackEnd::UnknownRegister(Addr(registers.get(PC).unwrap_or(0)));
            };
            if walk.frames.len() >= MAX_FRAMES {
                return StackEnd::TooDeep;
            }
            if is_return_address && pc == 0 {
                return StackEnd::ThreadEntry;
            }
            let cursor = Cursor { pc, sp, bp: registers.get(BP) };
            let lookup = Addr(pc.wrapping_sub(u64::from(is_return_address)));
            let stepped = match walk.space.find(lookup).map(|range| &range.code) {
                None => return StackEnd::UnmappedCode(Addr(pc)),
                Some(Code::Anonymous { keeps_frame_pointers: false }) => Err(StepError::Unsupported),
                Some(Code::Anonymous { .. }) => walk.verified_record(cursor).map(|(end, next)| Evaluated {
                    end,
                    caller: Some(register_set(next)),
                    is_signal_frame: false,
                }),
                Some(Code::Module { bias, unwinder, .. }) => {
                    evaluate(&mut self.scratch, (unwinder, *bias), lookup, (&registers, walk.stack))
                }
            };
            match stepped {
                Ok(Evaluated { caller: None, .. }) => {
                    walk.push_unended(Addr(pc), is_return_address, sp, None);
                    return StackEnd::ThreadEntry;
                }
                Ok(Evaluated { end, .. }) if !goes_up(walk, sp, end) => {
                    return walk.give_up(StepError::NotAscending, cursor, is_return_address);
                }
                Ok(Evaluated { end, caller: Some(caller), is_signal_frame }) => {
                    walk.frames.push(NativeFrame { pc: Addr(pc), is_return_address, sp: Addr(sp), cfa: Addr(end) });
                    registers = caller;
                    is_return_address = !is_signal_frame;
                }
                Err(error) => return walk.give_up(error, cursor, is_return_address),
            }
        }
    }

    /// A `Complex` rule with the three registers in hand. `None`: there is no caller.
    fn evaluate_cursor(
        &mut self,
        walk: &Walk<'_>,
        cursor: Cursor,
        lookup: Addr,
    ) -> Result<Option<(u64, Cursor, bool)>, StepError> {
        let Some(Code::Module { bias, unwinder, .. }) = walk.space.find(lookup).map(|range| &range.code) else {
            return Err(StepError::Unsupported);
        };
        let registers = register_set(cursor);
        let out = evaluate(&mut self.scratch, (unwinder, *bias), lookup, (&registers, walk.stack))?;
        let Some(caller) = out.caller else { return Ok(None) };
        let pc = caller.get(PC).ok_or(StepError::Unsupported)?;
        if !goes_up(walk, cursor.sp, out.end) {
            return Err(StepError::NotAscending);
        }
        Ok(Some((out.end, Cursor { pc, sp: out.end, bp: caller.get(BP) }, !out.is_signal_frame)))
    }

    /// Finds what `lookup` leads to, and remembers it.
    #[cold]
    fn look_up(&mut self, space: &AddressSpace, lookup: Addr) -> CodeRule {
        let rule = match space.find(lookup).map(|range| &range.code) {
            None => CodeRule::Unmapped,
            Some(Code::Anonymous { keeps_frame_pointers: true }) => CodeRule::Anonymous,
            Some(Code::Anonymous { keeps_frame_pointers: false }) => CodeRule::NoRule,
            Some(Code::Module { bias, unwinder, .. }) => {
                let svma = Svma(lookup.0.wrapping_sub(*bias));
                unwinder.rule(svma, &mut self.scratch).map_or(CodeRule::NoRule, CodeRule::Rule)
            }
        };
        self.cache.insert(lookup.0, rule);
        rule
    }
}

impl Walk<'_> {
    /// Steps out of callers as long as their rules are in the cache and of the two shapes that nearly all have. What
    /// cannot be stepped out of so is left to the walk, whose own step says why.
    ///
    /// Its time is the chain of dependent loads, so the loop calls nothing, and keeps rip, rsp and rbp in registers:
    /// room for frames is made outside of it, and there is one reason only to leave it.
    #[inline(never)]
    fn follow_rules(&mut self, cursor: &mut Cursor, cache: &RuleCache) {
        const ROOM: usize = 64;
        let Cursor { mut pc, mut sp, bp: Some(mut bp) } = *cursor else { return };
        let stack = self.stack;
        loop {
            self.frames.reserve(ROOM);
            let room = self.frames.capacity().min(MAX_FRAMES);
            while self.frames.len() < room {
                let Some(CodeRule::Rule(rule)) = cache.get(pc.wrapping_sub(1)) else { break };
                let Some((cfa, caller_pc, caller_bp)) = quick_step(*rule, sp, bp, stack) else { break };
                let frame = NativeFrame { pc: Addr(pc), is_return_address: true, sp: Addr(sp), cfa: Addr(cfa) };
                // Always true; said again, for then the compiler knows that the vector will not grow here.
                if self.frames.len() < self.frames.capacity() {
                    self.frames.push(frame);
                }
                (pc, sp, bp) = (caller_pc, cfa, caller_bp);
            }
            if self.frames.len() < room || room == MAX_FRAMES {
                break;
            }
        }
        *cursor = Cursor { pc, sp, bp: Some(bp) };
    }

    /// A step by the record at rbp in code that has no tables, if all that can be checked of it holds: it is in this
    /// frame or above, the next record is above it, and it returns into code.
    fn verified_record(&self, cursor: Cursor) -> Result<(u64, Cursor), StepError> {
        let bp = cursor.bp.ok_or(StepError::UnknownRegister)?;
        let (next_bp, pc) = self.stack.pair(bp).ok_or(StepError::Unsupported)?;
        let cfa = bp.checked_add(16).ok_or(StepError::Unsupported)?;
        let returns_to_code = self.space.find(Addr(pc.wrapping_sub(1))).is_some();
        if bp < cursor.sp || next_bp <= bp || !returns_to_code {
            return Err(StepError::Unsupported);
        }
        Ok((cfa, Cursor { pc, sp: cfa, bp: Some(next_bp) }))
    }

    /// Adds a frame whose caller is not known, with as much of it as is.
    fn push_unended(&mut self, pc: Addr, is_return_address: bool, sp: u64, cfa: Option<u64>) {
        if let Some(cfa) = cfa.or(sp.checked_add(8)) {
            self.frames.push(NativeFrame { pc, is_return_address, sp: Addr(sp), cfa: Addr(cfa) });
        }
    }

    #[cold]
    fn give_up(&mut self, error: StepError, cursor: Cursor, is_return_address: bool) -> StackEnd {
        let pc = Addr(cursor.pc);
        let (cfa, end) = match error {
            StepError::UnknownRegister => (None, StackEnd::UnknownRegister(pc)),
            StepError::Unreadable(cfa) => (cfa, StackEnd::UnreadableStack(pc)),
            StepError::NotAscending => (None, StackEnd::NotAscending(pc)),
            StepError::Unsupported => (None, StackEnd::NoUnwindRule(pc)),
        };
        self.push_unended(pc, is_return_address, cursor.sp, cfa);
        end
    }
}

/// Whether a frame may end at `end`. The innermost may be empty: `vfork` pops its return address into a register.
fn goes_up(walk: &Walk<'_>, sp: u64, end: u64) -> bool {
    end > sp || end == sp && walk.frames.is_empty()
}

fn register_set(cursor: Cursor) -> RegisterSet {
    let mut registers = RegisterSet::default();
    registers.set(PC, Some(cursor.pc));
    registers.set(SP, Some(cursor.sp));
    registers.set(BP, cursor.bp);
    registers
}

/// Evaluates the row of `lookup` in a module (and its load bias) on a frame (its registers and the stack).
fn evaluate(
    scratch: &mut UnwindScratch,
    (module, bias): (&ModuleUnwinder, u64),
    lookup: Addr,
    (registers, stack): (&RegisterSet, StackBytes<'_>),
) -> Result<Evaluated, StepError> {
    let evaluator = Evaluator { registers, stack, bias };
    let svma = Svma(lookup.0.wrapping_sub(bias));
    module
        .with_row(svma, scratch, |row, eh_frame, fde| evaluator.step(row, eh_frame, fde))
        .unwrap_or(Err(StepError::Unsupported))
}

#[cfg(test)]
mod tests;
