//! Instructions at several places of the target: where a function goes on by a jump that leads far away, as it does in a large file
//! when its last act is to call another one (`jmp CRYPTO_free`).
//!
//! Does: read what is at the target of such a jump when the way comes there. Does not: go on beyond what it has read, or look into
//! functions that are called.

use std::marker::PhantomData;

use super::address_space::{AddressSpace, Code};
use super::architecture::Architecture;
use super::code_window::CodeWindow;
use super::return_path::{Flow, Instructions, ReturnPath};
use super::symbolic::State;
use crate::types::Addr;

/// The instructions that are read to each side of such a target, in bytes: most functions are shorter.
const LEN: u64 = 4 << 10;
/// Targets at which instructions are read.
const MAX_TARGETS: usize = 16;
/// The longest instruction, in bytes (Intel SDM, volume 2, 2.3.11): one that begins so near to the end of what was read can be cut.
const MAX_INSTRUCTION: u64 = 15;

/// The code at hand, and what is at the far targets of its jumps.
pub struct FarCode<'a, A> {
    windows: Vec<CodeWindow>,
    space: &'a AddressSpace,
    /// Targets of jumps that lead out of all that is at hand.
    targets: Vec<u64>,
    architecture: PhantomData<A>,
}

impl<'a, A: Architecture> FarCode<'a, A> {
    /// Begins with the code that is at hand.
    pub fn new(at_hand: CodeWindow, space: &'a AddressSpace) -> FarCode<'a, A> {
        FarCode { windows: vec![at_hand], space, targets: Vec::new(), architecture: PhantomData }
    }

    fn has(&self, address: u64) -> bool {
        self.windows.iter().any(|window| holds(window, address))
    }

    /// What is at a jump's target that is not at hand, if that is a file's code.
    fn read(&mut self, address: u64) -> Option<()> {
        let is_target = self.targets.contains(&address);
        let is_file = matches!(self.space.find(Addr(address))?.code, Code::Module { .. });
        let window = CodeWindow::around(Addr(address), LEN, self.space).filter(|_| is_target && is_file)?;
        self.windows.push(window);
        Some(())
    }
}

impl<A: Architecture> Instructions for FarCode<'_, A> {
    fn follow(&mut self, address: u64, state: &mut State) -> Option<(Flow, u64)> {
        if !self.has(address) {
            self.read(address)?;
        }
        // The newest holds the address, or was read for it and ends with the file's code.
        let window = self.windows.iter().find(|window| holds(window, address)).or(self.windows.last())?;
        let followed = A::code(&window.bytes, window.base).follow(address, state)?;
        if let (Flow::To(target) | Flow::Either(target), _) = followed
            && !self.has(target)
            && !self.targets.contains(&target)
            && self.targets.len() < MAX_TARGETS
        {
            self.targets.push(target);
        }
        Some(followed)
    }

    fn left_by(&self, state: &State) -> Option<ReturnPath> {
        A::code(&[], 0).left_by(state)
    }

    fn left_since(&self, state: &State, in_call: bool) -> Option<ReturnPath> {
        A::code(&[], 0).left_since(state, in_call)
    }
}

/// Whether the instruction at an address is whole in a window.
fn holds(window: &CodeWindow, address: u64) -> bool {
    let end = window.base.saturating_add(window.bytes.len() as u64);
    window.base <= address && address.saturating_add(MAX_INSTRUCTION) <= end
}
