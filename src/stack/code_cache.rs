//! The code objects that samples have met.
//!
//! Does: read a code object when it is first seen, notice when its address has been given to another, and number the
//! functions that they are.
//! Does not: keep the target stopped, or decide what a replaced code object means for a sample.

use std::num::NonZeroU32;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::python::code::{CodeError, CodeIdentity, CodeObject};
use crate::python::layout::Layout;
use crate::target::memory::{BulkMemory, MAX_RANGES, Memory, RangeRead, Region};
use crate::types::Addr;
use crate::types::room::Room;

/// A Python function's number: its index in [`CodeCache::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// What names a Python function. Code objects that are equal in this are one function (PEP 626 calls the first line
/// part of a code object's identity).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// The dotted name.
    pub qualname: String,
    /// The file, as the compiler was told.
    pub filename: String,
    /// The line on which it begins.
    pub first_line: u32,
}

/// A code object at an address.
#[derive(Debug, Clone)]
struct Known {
    code: Arc<CodeObject>,
    function: FunctionId,
}

/// The code objects of one target.
#[derive(Debug, Default)]
pub struct CodeCache {
    by_address: FxHashMap<Addr, Known>,
    functions: Vec<Arc<Function>>,
    numbers: FxHashMap<Arc<Function>, FunctionId>,
}

impl CodeCache {
    /// Whether the code object at `addr` has been read.
    pub fn contains(&self, addr: Addr) -> bool {
        self.by_address.contains_key(&addr)
    }

    /// Reads the code object at `addr`, in place of any that was there. Returns whether there was room to keep it.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(
        &mut self,
        (memory, layout): (&impl Memory, &Layout),
        addr: Addr,
        room: &mut dyn Room,
    ) -> Result<bool, CodeError> {
        let code = CodeObject::read(memory, layout, addr)?;
        if !room.take(code.bytes()) {
            return Ok(false);
        }
        let function = Arc::new(Function {
            qualname: code.qualname.clone(),
            filename: code.filename.clone(),
            first_line: code.first_line,
        });
        let function = *self.numbers.entry(function).or_insert_with_key(|function| {
            self.functions.push(Arc::clone(function));
            FunctionId(u32::try_from(self.functions.len() - 1).unwrap_or(u32::MAX))
        });
        self.by_address.insert(addr, Known { code: Arc::new(code), function });
        Ok(true)
    }

    /// Forgets those of the code objects at `addresses` that are not the ones which were read there any more; returns
    /// whether there were any.
    pub fn forget_replaced(&mut self, memory: &dyn BulkMemory, layout: &Layout, addresses: &[Addr]) -> bool {
        let own_len = CodeIdentity::read_len(layout);
        let known: Vec<(Addr, &CodeObject)> =
            addresses.iter().filter_map(|addr| Some((*addr, &*self.by_address.get(addr)?.code))).collect();
        let wanted = |code: &CodeObject| own_len + code.evidence.iter().map(|part| part.bytes.len()).sum::<usize>();
        // What was not filled stays zero: no code object's identity.
        let mut bytes = vec![0; known.iter().map(|(_, code)| wanted(code)).sum()];
        read_all(memory, own_len, &known, &mut bytes);
        let mut replaced = Vec::new();
        let mut rest = &bytes[..];
        for (addr, code) in known {
            let (now, after) = rest.split_at(wanted(code));
            rest = after;
            let (own, mut led_to) = now.split_at(own_len);
            let is_same = |part: &Region| {
                let (part_now, after) = led_to.split_at(part.bytes.len());
                led_to = after;
                part_now == part.bytes
            };
            if CodeIdentity::parse(layout, own) != Some(code.identity) || !code.evidence.iter().all(is_same) {
                replaced.push(addr);
            }
        }
        for addr in &replaced {
            self.by_address.remove(addr);
        }
        !replaced.is_empty()
    }

    /// Whether `code` is what was read at `addr`.
    pub fn is_known_as(&self, addr: Addr, code: &CodeObject) -> bool {
        self.by_address.get(&addr).is_some_and(|known| *known.code == *code)
    }

    /// The function at `addr`, and the line of the instruction `offset` bytes into it.
    pub fn locate(&self, addr: Addr, offset: Option<u32>) -> Option<(FunctionId, Option<NonZeroU32>)> {
        let known = self.by_address.get(&addr)?;
        let line = offset.and_then(|offset| known.code.line_at(offset));
        Some((known.function, line.and_then(NonZeroU32::new)))
    }

    /// The first instruction that counts as having begun, in bytes.
    pub fn first_traceable(&self, addr: Addr) -> Option<u32> {
        Some(self.by_address.get(&addr)?.code.first_traceable)
    }

    /// All functions met, by number.
    pub fn functions(&self) -> &[Arc<Function>] {
        &self.functions
    }
}

/// Reads the code objects' own bytes, each followed by what it leads to, with as few system calls as there can be.
fn read_all(memory: &dyn BulkMemory, own_len: usize, codes: &[(Addr, &CodeObject)], mut bytes: &mut [u8]) {
    let mut reads = Vec::new();
    for (addr, code) in codes {
        let led_to = code.evidence.iter().map(|part| (part.start, part.bytes.len()));
        for (addr, len) in std::iter::once((*addr, own_len)).chain(led_to) {
            let (into, rest) = bytes.split_at_mut(len);
            bytes = rest;
            reads.push(RangeRead { addr, into });
        }
    }
    for reads in reads.chunks_mut(MAX_RANGES) {
        // The caller sees what has not been read.
        let _ = memory.read_ranges(reads);
    }
}
