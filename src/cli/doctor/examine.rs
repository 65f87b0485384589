//! Everything that is found out about a target.
//!
//! Does: gather it. Does not: judge it (`advice`), or write it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::module::ModuleReport;
use crate::python::layout::Support;
use crate::python::layout::debug_offsets::has_cookie;
use crate::sampler::precedence::Precedence;
use crate::sampler::session::Session;
use crate::symbolize::{ModuleFile, Symbolizer};
use crate::target::elf::{ElfError, ElfFile};
use crate::target::living::LivingThread;
use crate::target::process::read_status;
use crate::target::root::TargetRoot;
use crate::target::view::Identity;
use crate::types::{Addr, Pid};
use crate::unwind::address_space::{Code, CodeRange};

/// A symbol that only builds with `Py_REF_DEBUG` have, which `--with-pydebug` sets (Include/refcount.h).
const DEBUG_BUILD_SYMBOL: &str = "_Py_NegativeRefcount";

/// The upper half of all addresses is the kernel's; `[vsyscall]` is there.
const KERNEL: Addr = Addr(1 << 63);

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// The process, unless a file was examined.
    pub process: Option<ProcessReport>,
    /// The files of code, the interpreter's first and then by the size of their code.
    pub modules: Vec<ModuleReport>,
}

/// What was found of a process.
#[derive(Debug)]
pub struct ProcessReport {
    /// Its number.
    pub pid: Pid,
    /// Its command line.
    pub command: String,
    /// Its effective user, and ours.
    pub users: Option<(u32, u32)>,
    /// What fpprof may not do beside tracing it.
    pub lacks: Vec<Lack>,
    /// Its interpreter.
    pub interpreter: InterpreterReport,
    /// Bytes of code without a file: a JIT's, or a foreign function interface's.
    pub unnamed_code: u64,
}

/// What fpprof may not do, and could do better with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// See in which system calls threads are blocked.
    BlockedCalls,
    /// Sample before other programs have their turns.
    Precedence,
}

impl Lack {
    /// All of them, with a process.
    fn with(pid: Pid) -> Vec<Lack> {
        // The thread ends at once, and what it has got with it.
        let goes_first = || Precedence::ask().is_ok_and(|precedence| precedence.goes_first());
        let goes_first = std::thread::Builder::new().spawn(goes_first).is_ok_and(|asks| asks.join().unwrap_or(false));
        let hides_calls = LivingThread::of(pid).hides_calls();
        let lacks = [(Lack::BlockedCalls, hides_calls), (Lack::Precedence, !goes_first)];
        lacks.into_iter().filter_map(|(lack, is_so)| is_so.then_some(lack)).collect()
    }
}

/// What was found of an interpreter.
#[derive(Debug)]
pub struct InterpreterReport {
    /// CPython's version.
    pub version: String,
    /// The path of the file that holds it.
    pub path: String,
    /// Whether it has no GIL.
    pub free_threaded: bool,
    /// Whether it checks itself (`--with-pydebug`).
    pub debug: bool,
    /// Whether its layout comes from its own debug offsets; else from a table.
    pub by_debug_offsets: bool,
    /// Whether this version is one that the tests run.
    pub is_tested: bool,
    /// Whether its JIT's code keeps frame pointers.
    pub jit_keeps_frame_pointers: bool,
}

impl Report {
    /// Examines a process.
    pub fn of_process(session: &Session) -> Report {
        let reader = &session.reader;
        let (found, interpreter) = (&reader.found, &reader.found.interpreter);
        let symbolizer = Symbolizer::new(reader.root());
        let modules = reader.space.modules.list().iter().enumerate().map(|(index, module)| {
            let file = ModuleFile { path: module.path.clone(), elf: module.elf.clone() };
            ModuleReport::of(&file, module.name(), index == found.module.0 as usize, &symbolizer)
        });
        let mut modules: Vec<ModuleReport> = modules.collect();
        let module = reader.space.modules.get(found.module);
        let path = module.map_or_else(String::new, |module| module.path.to_string_lossy().into_owned());
        modules.sort_by_key(|module| (module.path != path, std::cmp::Reverse(module.code)));
        let debug = module.and_then(|module| module.elf.as_ref().ok()?.symbol(DEBUG_BUILD_SYMBOL)).is_some();
        let is_unnamed = |range: &&CodeRange| matches!(range.code, Code::Anonymous { .. }) && range.start < KERNEL;
        let unnamed = reader.space.addresses.ranges().iter().filter(is_unnamed);
        let process = ProcessReport {
            pid: session.identity().pid,
            command: session.identity().command_line.join(" "),
            users: users(session.identity()),
            lacks: Lack::with(session.identity().pid),
            interpreter: InterpreterReport {
                version: interpreter.version.to_string(),
                path,
                free_threaded: interpreter.layout.free_threaded,
                debug,
                by_debug_offsets: has_cookie(&reader.memory(), interpreter.runtime).unwrap_or(false),
                is_tested: interpreter.support == Support::Known,
                jit_keeps_frame_pointers: interpreter.layout.jit_keeps_frame_pointers,
            },
            unnamed_code: unnamed.fold(0, |sum, range| sum.saturating_add(range.end.0.saturating_sub(range.start.0))),
        };
        Report { process: Some(process), modules }
    }

    /// Examines a file.
    ///
    /// # Errors
    /// When it is not an ELF file that can be read.
    pub fn of_file(path: &Path) -> Result<Report, ElfError> {
        let path = path.canonicalize().map_err(|error| ElfError::Io(error.kind()))?;
        if !path.is_file() {
            return Err(ElfError::NotElf);
        }
        let elf = ElfFile::open(File::open(&path).map_err(|error| ElfError::Io(error.kind()))?)?;
        let is_interpreter = elf.section(".PyRuntime").is_some() || elf.symbol("_PyRuntime").is_some();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let file = ModuleFile { path, elf: Ok(Arc::new(elf)) };
        // The user has named it: what is beside it is looked at as what is beside a target's.
        let root = TargetRoot::at(Path::new("/")).ok().map(Arc::new);
        let module = ModuleReport::of(&file, name, is_interpreter, &Symbolizer::new(root));
        Ok(Report { process: None, modules: vec![module] })
    }

    /// The interpreter's own file, where that is known.
    pub fn interpreter(&self) -> Option<&ModuleReport> {
        self.modules.iter().find(|module| module.kind == crate::profile::frame::FrameKind::Interpreter)
    }
}

fn users(target: &Identity) -> Option<(u32, u32)> {
    let ours = read_status(Pid(std::process::id() as i32))?;
    Some((target.effective_uid?, ours.uids.effective))
}
