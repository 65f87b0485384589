//! The code objects that samples have met.
//!
//! Does: read a code object when it is first seen, notice when its address has been given to another, and number the
//! functions that they are.
//! Does not: keep the target stopped, or decide what a replaced code object means for a sample.

use std::num::NonZeroU32;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::python::code::{CodeError, CodeIdentity, CodeObject};
use crate::python::layout::Layout;
use crate::target::memory::Memory;
use crate::types::Addr;

/// A Python function's number: its index in [`Codes::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// What names a Python function. Code objects that are equal in this are one function (PEP 626 calls the first line
/// part of a code object's identity).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
pub struct Codes {
    by_address: FxHashMap<Addr, Known>,
    functions: Vec<Arc<Function>>,
    numbers: FxHashMap<Arc<Function>, FunctionId>,
}

impl Codes {
    /// Whether the code object at `addr` has been read.
    pub fn contains(&self, addr: Addr) -> bool {
        self.by_address.contains_key(&addr)
    }

    /// Reads the code object at `addr`, in place of any that was there.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&mut self, memory: &impl Memory, layout: &Layout, addr: Addr) -> Result<(), CodeError> {
        let code = CodeObject::read(memory, layout, addr)?;
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
        Ok(())
    }

    /// Forgets the code object at `addr`.
    pub fn forget(&mut self, addr: Addr) {
        self.by_address.remove(&addr);
    }

    /// Whether the bytes read at `addr` are still those of the code object that was read there.
    pub fn is_unchanged(&self, layout: &Layout, addr: Addr, bytes: &[u8]) -> bool {
        let known = self.by_address.get(&addr).map(|known| known.code.identity);
        known.is_some() && known == CodeIdentity::parse(layout, bytes)
    }

    /// Whether `identity` is that of the code object that was read at `addr`.
    pub fn is_known_as(&self, addr: Addr, identity: CodeIdentity) -> bool {
        self.by_address.get(&addr).is_some_and(|known| known.code.identity == identity)
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
