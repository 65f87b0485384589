//! The walk: registers and a copied stack in, a [`NativeStack`] out.
//!
//! Does: choose the cheapest exact step for each frame, and say why the walk ends. Allocates nothing once `out` and
//! the cache are warm.
//! Does not: read memory other than the copy; a caller that wants more passes a larger copy, or resumes.
//!
//! The pcs in a stack are those that lie in known code. The last frame of an incomplete stack has no known end:
//! its CFA is then the first word above its sp.

use super::address_space::{AddressSpace, Code};
use super::architecture::{Architecture, RuleKind};
use super::cache::{CodeRule, RuleCache};
use super::evaluate::{Evaluated, Evaluator};
use super::module::ModuleUnwinder;
use super::registers::RegisterSet;
use super::stack::{NativeFrame, NativeStack, StackEnd};
use super::step::{Cursor, StackBytes, StepError};
use crate::target::memory::Region;
use crate::target::registers::Registers;
use crate::types::{Addr, Svma};

/// The most frames of one stack. 8 MiB of stack hold half a million of the smallest; real ones a few thousand.
pub const MAX_FRAMES: usize = 16_384;

/// The most bytes of a function that are looked through for what it writes. OpenSSL's largest of interest has two thousand.
const MAX_LEAF: u64 = 16 << 10;

/// A frame to walk on from, found by other means than unwinding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePosition {
    /// The program counter, or the return address into the frame.
    pub pc: Addr,
    /// Whether `pc` is a return address.
    pub is_return_address: bool,
    /// The frame's stack pointer.
    pub sp: Addr,
    /// The frame's frame pointer, if it is known.
    pub fp: Option<Addr>,
}

/// Unwinds threads of one process at a time. Keeps what it has learned about its code.
#[derive(Debug)]
pub struct Unwinder<A: Architecture> {
    cache: RuleCache<A::Rule>,
    /// Of the address space that the cache is about. No space has generation 0.
    generation: u64,
    /// The frame pointer of the frame at which the last walk gave up.
    stopped_fp: Option<u64>,
    /// Which bits of the return addresses are a signature in the thread that was unwound last.
    signature_mask: u64,
}

impl<A: Architecture> Default for Unwinder<A> {
    fn default() -> Self {
        Unwinder { cache: RuleCache::default(), generation: 0, stopped_fp: None, signature_mask: 0 }
    }
}

/// What a walk reads, and what it fills.
struct Walk<'a> {
    /// All registers of the first frame, where they are walked with.
    first: Option<&'a Registers>,
    stack: StackBytes<'a>,
    space: &'a AddressSpace,
    frames: &'a mut Vec<NativeFrame>,
}

impl<A: Architecture> Unwinder<A> {
    /// An unwinder with an empty cache.
    pub fn new() -> Self {
        Unwinder::default()
    }

    /// Unwinds a thread from its registers, of which it needs program counter and stack pointer; the frames before in `out` are dropped.
    pub fn unwind(&mut self, registers: &Registers, stack: &Region, space: &AddressSpace, out: &mut NativeStack) {
        out.frames.clear();
        let get = |register: u16| registers.get(usize::from(register));
        let (Some(pc), Some(sp)) = (get(A::PC), get(A::SP)) else {
            out.end = StackEnd::UnknownRegister(Addr(get(A::PC).unwrap_or(0)));
            return;
        };
        self.learn(space);
        self.stopped_fp = None;
        let fp = get(A::FP);
        self.signature_mask = registers.signature_mask;
        let stack = StackBytes::new(stack).signed(self.signature_mask);
        let mut walk = Walk { first: None, stack, space, frames: &mut out.frames };
        let cursor = Cursor { pc, sp, fp, lr: A::LR.and_then(get) };
        out.end = self.run(&mut walk, cursor, false, None);
        // Only a captured frame pointer shows that there are more registers than those to try with.
        if matches!(out.end, StackEnd::UnknownRegister(_)) && fp.is_some() {
            walk.frames.clear();
            walk.first = Some(registers);
            out.end = self.run(&mut walk, cursor, false, Some(&mut RegisterSet::from_captured(registers)));
        }
    }

    /// Walks on at `from`, which must not be below the last frame of `out`, in the thread that was unwound last, and appends
    /// what it finds.
    pub fn resume(&mut self, from: FramePosition, stack: &Region, space: &AddressSpace, out: &mut NativeStack) {
        if out.frames.last().is_some_and(|last| from.sp < last.cfa) {
            out.end = StackEnd::NotAscending(from.pc);
            return;
        }
        self.learn(space);
        self.stopped_fp = None;
        let stack = StackBytes::new(stack).signed(self.signature_mask);
        let mut walk = Walk { first: None, stack, space, frames: &mut out.frames };
        let pc = if from.is_return_address { stack.without_signature(from.pc.0) } else { from.pc.0 };
        let cursor = Cursor { pc, sp: from.sp.0, fp: from.fp.map(|fp| fp.0), lr: None };
        out.end = self.run(&mut walk, cursor, from.is_return_address, None);
    }

    /// The frame pointer of the last frame of the last walk, if that walk could not leave the frame and it is known there.
    pub fn stopped_fp(&self) -> Option<Addr> {
        self.stopped_fp.map(Addr)
    }

    fn learn(&mut self, space: &AddressSpace) {
        if self.generation != space.generation() {
            self.cache.clear();
            self.generation = space.generation();
        }
    }

    /// Walks from the frame of `cursor` to where the walk ends. Where `all` registers of that frame are there, every row is
    /// evaluated with them, which is exact where a rule needs one that no [`Cursor`] has, and slow.
    fn run(
        &mut self,
        walk: &mut Walk<'_>,
        mut cursor: Cursor,
        mut is_return_address: bool,
        mut all: Option<&mut RegisterSet>,
    ) -> StackEnd {
        loop {
            if is_return_address && all.is_none() {
                walk.follow_rules::<A>(&mut cursor, &self.cache);
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
                CodeRule::Anonymous => self.step_by_record(walk, cursor).map(|(cfa, next)| {
                    if let Some(all) = &mut all {
                        **all = register_set::<A>(next);
                    }
                    Some((cfa, next, true))
                }),
                CodeRule::Rule(rule) => match A::kind(rule) {
                    RuleKind::Compact if all.is_none() => {
                        A::step(&rule, cursor, walk.stack).map(|(cfa, next)| Some((cfa, next, true)))
                    }
                    RuleKind::ThreadEntry => Ok(None),
                    RuleKind::Compact | RuleKind::Complex => {
                        self.evaluate_row(walk, cursor, Addr(lookup), all.as_deref_mut())
                    }
                },
            };
            match stepped {
                Ok(Some((cfa, next, next_is_return_address))) => {
                    walk.frames.push(NativeFrame { pc, is_return_address, sp: Addr(cursor.sp), cfa: Addr(cfa) });
                    cursor = next;
                    is_return_address = next_is_return_address;
                }
                Ok(None) => {
                    walk.push_unended(pc, is_return_address, cursor.sp, None);
                    return StackEnd::ThreadEntry;
                }
                Err(error) => {
                    self.stopped_fp = cursor.fp;
                    return walk.give_up(error, cursor, is_return_address);
                }
            }
        }
    }

    /// Steps out of the frame of `cursor` by its row, with `all` of its registers where they are there, which are then its
    /// caller's. `None`: there is no caller.
    fn evaluate_row(
        &mut self,
        walk: &Walk<'_>,
        cursor: Cursor,
        lookup: Addr,
        all: Option<&mut RegisterSet>,
    ) -> Result<Option<(u64, Cursor, bool)>, StepError> {
        let (unwinder, bias) = walk.space.module(lookup).ok_or(StepError::Unsupported)?;
        let registers = all.as_deref().copied().unwrap_or_else(|| register_set::<A>(cursor));
        let mut out = evaluate::<A>((unwinder, bias), lookup, (&registers, walk.stack));
        let is_return_address = lookup.0 != cursor.pc;
        if matches!(out, Err(StepError::UnknownRegister))
            && is_return_address
            && let Some(more) = walk.with_untouched::<A>(&registers)
        {
            out = evaluate::<A>((unwinder, bias), lookup, (&more, walk.stack));
        }
        let out = out?;
        let Some(caller) = out.caller else { return Ok(None) };
        let pc = caller.get(A::PC).ok_or(StepError::Unsupported)?;
        if !goes_up(walk, cursor.sp, out.end) {
            return Err(StepError::NotAscending);
        }
        if let Some(all) = all {
            *all = caller;
        }
        let next = Cursor { pc, sp: out.end, fp: caller.get(A::FP), lr: A::LR.and_then(|lr| caller.get(lr)) };
        Ok(Some((out.end, next, !out.is_signal_frame)))
    }

    /// Finds what `lookup` leads to, and remembers it.
    #[cold]
    fn look_up(&mut self, space: &AddressSpace, lookup: Addr) -> CodeRule<A::Rule> {
        let rule = match space.find(lookup).map(|range| &range.code) {
            None => CodeRule::Unmapped,
            Some(Code::Anonymous { keeps_frame_pointers: true }) => CodeRule::Anonymous,
            Some(Code::Anonymous { keeps_frame_pointers: false }) => CodeRule::NoRule,
            Some(Code::Module { bias, unwinder, .. }) => {
                let svma = Svma(lookup.0.wrapping_sub(*bias));
                if is_trampoline::<A>(unwinder, svma) {
                    CodeRule::Rule(A::COMPLEX)
                } else {
                    unwinder.rule::<A>(svma).map_or(CodeRule::NoRule, CodeRule::Rule)
                }
            }
        };
        self.cache.insert(lookup.0, rule);
        rule
    }

    /// A step by the record at the frame pointer in code that has no tables, if all that can be checked of it holds: it is
    /// in this frame or above, the next record is above it, and it returns into code.
    fn step_by_record(&mut self, walk: &Walk<'_>, cursor: Cursor) -> Result<(u64, Cursor), StepError> {
        let record = cursor.fp.ok_or(StepError::UnknownRegister)?;
        let cfa = A::end_above_record(record).ok_or(StepError::Unsupported)?;
        let (fp, pc) = walk.stack.pair(record).ok_or(StepError::Unsupported)?;
        let pc = walk.stack.without_signature(pc);
        let lookup = Addr(pc.wrapping_sub(1));
        let known = self.cache.get(lookup.0).copied();
        if matches!(known.unwrap_or_else(|| self.look_up(walk.space, lookup)), CodeRule::Unmapped) {
            return Err(StepError::Unsupported);
        }
        if record < cursor.sp || fp <= record {
            return Err(StepError::Unsupported);
        }
        Ok((cfa, Cursor { pc, sp: cfa, fp: Some(fp), lr: None }))
    }
}

impl Walk<'_> {
    /// Steps out of callers as long as their rules are in the cache and of the two shapes that nearly all have. What
    /// cannot be stepped out of so is left to the walk, whose own step says why.
    ///
    /// Its time is the chain of dependent loads, so the loop calls nothing, and keeps the three registers in registers:
    /// room for frames is made outside of it, and there is one reason only to leave it.
    #[inline(never)]
    fn follow_rules<A: Architecture>(&mut self, cursor: &mut Cursor, cache: &RuleCache<A::Rule>) {
        const ROOM: usize = 64;
        let Cursor { mut pc, mut sp, fp: Some(mut fp), .. } = *cursor else { return };
        let stack = self.stack;
        loop {
            self.frames.reserve(ROOM);
            let room = self.frames.capacity().min(MAX_FRAMES);
            while self.frames.len() < room {
                let Some(CodeRule::Rule(rule)) = cache.get(pc.wrapping_sub(1)) else { break };
                let Some((cfa, caller_pc, caller_fp)) = A::quick_step(*rule, sp, fp, stack) else { break };
                let frame = NativeFrame { pc: Addr(pc), is_return_address: true, sp: Addr(sp), cfa: Addr(cfa) };
                // Always true; said again, for then the compiler knows that the vector will not grow here.
                if self.frames.len() < self.frames.capacity() {
                    self.frames.push(frame);
                }
                (pc, sp, fp) = (caller_pc, cfa, caller_fp);
            }
            if self.frames.len() < room || room == MAX_FRAMES {
                break;
            }
        }
        *cursor = Cursor { pc, sp, fp: Some(fp), lr: None };
    }

    /// The registers of the first frame's caller with those that a call may change, where the first frame's function is known to leave
    /// them as they were: OpenSSL's AES names its frames by such, and its helpers, which call nobody, keep them.
    #[cold]
    fn with_untouched<A: Architecture>(&self, registers: &RegisterSet) -> Option<RegisterSet> {
        let (first, [frame]) = (self.first?, &self.frames[..]) else { return None };
        let (unwinder, bias) = self.space.module(frame.pc)?;
        let (start, end) = unwinder.function_start(Svma(frame.pc.0.wrapping_sub(bias)))?;
        let len = end.0.checked_sub(start.0).filter(|len| *len <= MAX_LEAF)?;
        let untouched = A::untouched(&unwinder.code()?.code(start, len)?, start.0);
        let mut all = *registers;
        for register in (0..64).filter(|register| untouched >> register & 1 == 1 && registers.get(*register).is_none())
        {
            all.set(register, first.get(register.into()));
        }
        Some(all)
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

fn register_set<A: Architecture>(cursor: Cursor) -> RegisterSet {
    let mut registers = RegisterSet::default();
    registers.set(A::PC, Some(cursor.pc));
    registers.set(A::SP, Some(cursor.sp));
    registers.set(A::FP, cursor.fp);
    if let Some(lr) = A::LR {
        registers.set(lr, cursor.lr);
    }
    registers
}

/// Evaluates the row of `lookup` in a module (and its load bias) on a frame (its registers and the stack).
fn evaluate<A: Architecture>(
    (module, bias): (&ModuleUnwinder, u64),
    lookup: Addr,
    (registers, stack): (&RegisterSet, StackBytes<'_>),
) -> Result<Evaluated, StepError> {
    let evaluator = Evaluator { registers, stack, bias };
    let svma = Svma(lookup.0.wrapping_sub(bias));
    if is_trampoline::<A>(module, svma) {
        return A::leave_signal(registers, stack);
    }
    module
        .with_row(svma, |row, eh_frame, fde| evaluator.step::<A>(row, eh_frame, fde))
        .unwrap_or(Err(StepError::Unsupported))
}

/// Whether the instructions at `svma`, or at the one behind it where that is the last byte before a return address, are a
/// signal trampoline's that the tables do not describe: the kernel's is none of theirs on AArch64
/// (arch/arm64/kernel/vdso/sigreturn.S says why). What stands in front of it can have tables, up to there.
fn is_trampoline<A: Architecture>(module: &ModuleUnwinder, svma: Svma) -> bool {
    let Some(trampoline) = A::TRAMPOLINE else { return false };
    if module.function_start(svma).is_some_and(|(_, end)| svma.0.checked_add(1) != Some(end.0)) {
        return false;
    }
    let len = trampoline.code.len() as u64;
    let instruction = svma.0.checked_next_multiple_of(trampoline.instruction);
    let begins_at = |before: u64| {
        let start = Svma(instruction?.checked_sub(before)?);
        Some(module.code()?.code(start, len)?.as_slice() == trampoline.code)
    };
    (0..len).step_by(trampoline.instruction as usize).any(|before| begins_at(before).unwrap_or(false))
}

#[cfg(test)]
mod tests;
