//! Finding the interpreter in a process.
//!
//! Does: look through the modules for `_PyRuntime`, by section or by symbol, the likeliest first.
//! Does not: read the interpreter's state; `python` recognises what is found.

use super::binaries::{Binaries, RuntimeSymbols};
use crate::python::runtime::{Candidate, Interpreter, RuntimeError};
use crate::target::elf::ElfFile;
use crate::target::memory::Memory;
use crate::target::modules::{Module, ModuleId, Modules};
use crate::types::{Addr, Svma};

/// An interpreter, and the module that it is in.
#[derive(Debug, Clone)]
pub struct Found {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The program or library that holds it.
    pub module: ModuleId,
    /// The address of its `Py_Version`, where there is such a symbol.
    pub version_symbol: Option<Addr>,
}

/// Why a process cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no interpreter in it that can be read.
    #[error(transparent)]
    Interpreter(#[from] RuntimeError),
    /// The system does not let it be looked at.
    #[error("it cannot be looked at: {0}")]
    Denied(#[from] std::io::Error),
}

/// Looks for an interpreter.
///
/// # Errors
/// Why the likeliest candidate is none, or [`RuntimeError::NotPython`] when there is no candidate.
pub fn find(modules: &Modules, memory: &impl Memory, binaries: &Binaries) -> Result<Found, RuntimeError> {
    let mut order: Vec<usize> = (0..modules.list().len()).collect();
    order.sort_by_key(|index| modules.list().get(*index).map_or(u8::MAX, likelihood));
    let mut refusal = RuntimeError::NotPython;
    for index in order {
        let Some(module) = modules.list().get(index) else { continue };
        let name = module.name();
        if name.contains("pypy") {
            return Err(RuntimeError::PyPy);
        }
        let symbols = module.elf.as_ref().ok().and_then(|elf| binaries.runtime(elf, || runtime(elf)));
        let Some(RuntimeSymbols { runtime, version }) = symbols else { continue };
        let (runtime, version_symbol) = (module.addr(runtime), version.map(|svma| module.addr(svma)));
        match Interpreter::recognise(memory, &Candidate { runtime, version_symbol, file_name: &name }) {
            Ok(interpreter) => {
                let module = ModuleId(u32::try_from(index).unwrap_or(u32::MAX));
                return Ok(Found { interpreter, module, version_symbol });
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// libpython first (its program is a stub), then what is called python, then anything: programs embed it.
fn likelihood(module: &Module) -> u8 {
    let name = module.name();
    match () {
        () if name.starts_with("libpython") => 0,
        () if name.contains("python") || name.contains("pypy") => 1,
        () => 2,
    }
}

/// Where a file has `_PyRuntime` and `Py_Version`, if it has the former.
fn runtime(elf: &ElfFile) -> Option<RuntimeSymbols> {
    let section = elf.section(".PyRuntime").map(|section| section.svma).filter(|svma| *svma != Svma(0));
    let runtime = section.or_else(|| Some(elf.symbol("_PyRuntime")?.0))?;
    Some(RuntimeSymbols { runtime, version: elf.symbol("Py_Version").map(|(svma, _)| svma) })
}
