//! Recognises a running CPython from the address of its `_PyRuntime`.
//!
//! Does: tell the version, choose the layout, and check that an interpreter is there and answers to it.
//! Does not: find `_PyRuntime`; that takes ELF files and is the finder's work in `target`.

use crate::python::layout::debug_offsets::has_cookie;
use crate::python::layout::{self, Layout, LayoutError, Support, Version};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// What may be a CPython.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The address of `_PyRuntime` (the start of the `.PyRuntime` section on 3.13 and later).
    pub runtime: Addr,
    /// The address of the constant `Py_Version` (3.11 and later), if its symbol was found.
    pub version_symbol: Option<Addr>,
    /// The name of the file that holds the runtime (`libpython3.11.so.1.0`, `python3.11`): a hint, used on versions
    /// without debug offsets when there is no `Py_Version`, and to name what is not CPython.
    pub file_name: &'a str,
}

/// A recognised CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Its version; without micro version where only the file's name told it.
    pub version: Version,
    /// How well that version is known.
    pub support: Support,
    /// The address of `_PyRuntime`.
    pub runtime: Addr,
    /// Where its fields are.
    pub layout: Layout,
}

/// Why a candidate cannot be read as a CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The runtime has no interpreter: it has not started, or has ended.
    #[error("CPython {0} has not initialised its runtime, or has finished")]
    NotInitialised(Version),
    /// A version older than the oldest that can be read.
    #[error("CPython {0} is too old: 3.11 is the oldest that can be read")]
    TooOld(Version),
    /// PyPy, which shares neither structures nor symbols with CPython.
    #[error("PyPy is not CPython: its interpreter state cannot be read")]
    PyPy,
    /// Nothing says that this is a CPython.
    #[error("no CPython runtime was recognised")]
    NotPython,
    /// Memory that must be there could not be read.
    #[error("the interpreter's state cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// A field's offset, or what it leads to, is impossible.
    #[error("the interpreter's state does not fit the layout of its version: {group}.{field} is {value:#x}")]
    BadOffsets {
        /// The struct, as `_Py_DebugOffsets` names it.
        group: &'static str,
        /// The field in it.
        field: &'static str,
        /// The impossible value.
        value: u64,
    },
}

impl From<LayoutError> for RuntimeError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::TooOld(version) => RuntimeError::TooOld(version),
            LayoutError::Unreadable(read) => RuntimeError::Unreadable(read),
            LayoutError::BadOffset { group, field, value } => RuntimeError::BadOffsets { group, field, value },
        }
    }
}

impl Interpreter {
    /// Recognises the CPython whose runtime is at `candidate.runtime`.
    ///
    /// # Errors
    /// [`RuntimeError`], of any kind. `Unreadable` and `BadOffsets` can also be the effect of a thread that starts or
    /// ends at that moment: try again before giving up.
    pub fn recognise(mem: &impl Memory, candidate: &Candidate<'_>) -> Result<Interpreter, RuntimeError> {
        if candidate.file_name.contains("pypy") {
            return Err(RuntimeError::PyPy);
        }
        let runtime = candidate.runtime;
        let (version, layout, support) = if has_cookie(mem, runtime)? {
            layout::by_debug_offsets(mem, runtime)?
        } else {
            let version = stated_version(mem, candidate)?;
            // A runtime that shall have debug offsets gets them from its file, not when it starts: none is no CPython.
            let layout = layout::by_table(version)?.ok_or(RuntimeError::NotPython)?;
            (version, layout, Support::Known)
        };
        let interpreter = Interpreter { version, support, runtime, layout };
        interpreter.check(mem)?;
        Ok(interpreter)
    }

    /// Whether the runtime is being finalized; daemon threads then hang and their frames must not be trusted.
    ///
    /// # Errors
    /// When the runtime cannot be read.
    pub fn is_finalizing(&self, mem: &impl Memory) -> Result<bool, ReadError> {
        Ok(!mem.read_addr(self.runtime.wrapping_add(self.layout.runtime.finalizing))?.is_null())
    }

    /// The head of the list of interpreters: the one that was created last.
    pub(super) fn interpreters_head(&self, mem: &impl Memory) -> Result<Addr, ReadError> {
        mem.read_addr(self.runtime.wrapping_add(self.layout.runtime.interpreters_head))
    }

    /// Follows the list of interpreters to a thread state that points back: garbage does not survive this.
    fn check(&self, mem: &impl Memory) -> Result<(), RuntimeError> {
        let head = self.interpreters_head(mem)?;
        if head.is_null() {
            return Err(RuntimeError::NotInitialised(self.version));
        }
        let bad = |group, field, addr: Addr| RuntimeError::BadOffsets { group, field, value: addr.0 };
        if !head.0.is_multiple_of(8) {
            return Err(bad("runtime_state", "interpreters_head", head));
        }
        let thread = mem.read_addr(head.wrapping_add(self.layout.interpreter.threads_head))?;
        if thread.is_null() {
            return Ok(());
        }
        let back = mem.read_addr(thread.wrapping_add(self.layout.thread.interp))?;
        if back != head {
            return Err(bad("thread_state", "interp", back));
        }
        Ok(())
    }
}

/// The version of a CPython without debug offsets.
fn stated_version(mem: &impl Memory, candidate: &Candidate<'_>) -> Result<Version, RuntimeError> {
    let hint = version_in_name(candidate.file_name);
    let Some(symbol) = candidate.version_symbol else { return hint.ok_or(RuntimeError::NotPython) };
    let value = mem.read_u64(symbol)?;
    match u32::try_from(value).map(Version) {
        Ok(version) if version.is_python_3() => Ok(version),
        _ => Err(RuntimeError::NotPython),
    }
}

/// The version in a file name such as `libpython3.11.so.1.0` or `python3.9`.
fn version_in_name(name: &str) -> Option<Version> {
    let (_, rest) = name.rsplit_once("python")?;
    let (major, rest) = rest.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Version::new(major.parse().ok()?, rest.get(..digits)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::Region;

    fn refusal(bytes: Vec<u8>, version_symbol: Option<Addr>, file_name: &str) -> RuntimeError {
        let mem = Region { start: Addr(0x1000), bytes };
        let candidate = Candidate { runtime: Addr(0x1000), version_symbol, file_name };
        Interpreter::recognise(&mem, &candidate).unwrap_err()
    }

    #[test]
    fn the_version_is_read_from_a_file_name() {
        assert_eq!(version_in_name("libpython3.11.so.1.0"), Some(Version::new(3, 11)));
        assert_eq!(version_in_name("/usr/bin/python3.9d"), Some(Version::new(3, 9)));
        assert_eq!(version_in_name("python"), None);
        assert_eq!(version_in_name("python3.999"), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        assert_eq!(refusal(vec![0; 4096], None, "libpypy3-c.so"), RuntimeError::PyPy);
        assert_eq!(refusal(vec![0; 4096], None, "a.out"), RuntimeError::NotPython);
        assert_eq!(refusal(vec![0; 4096], None, "python3.13"), RuntimeError::NotPython);
        assert_eq!(refusal(vec![0; 4096], None, "python3.10"), RuntimeError::TooOld(Version::new(3, 10)));
        assert_eq!(refusal(vec![0; 4096], None, "python3.11"), RuntimeError::NotInitialised(Version::new(3, 11)));
        assert!(matches!(refusal(vec![0; 4], None, "python3.11"), RuntimeError::Unreadable(_)));
    }

    #[test]
    fn debug_offsets_that_lead_outside_their_struct_are_refused() {
        let mut bytes = vec![0xff; 4096];
        bytes[..8].copy_from_slice(b"xdebugpy");
        bytes[8..16].copy_from_slice(&0x030e_02f0_u64.to_le_bytes());
        let error = refusal(bytes, None, "python3.14");
        assert!(matches!(error, RuntimeError::BadOffsets { .. }), "{error}");
    }
}
