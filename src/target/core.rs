//! A core file, as a target: what a process was when it was written.
//!
//! Does: put together what the files of this folder read of it: memory, mappings, threads with their registers and the calls in which
//! they waited, the signal. Does not: look at a live process, or tell what the core does not: which file a descriptor stood for, what
//! threads are called beside the first, how much CPU time they used.

pub mod arguments;
pub mod bytes;
pub mod files;
pub mod header;
mod mappings;
pub mod notes;
pub mod segments;
pub mod unfold;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::bytes::CoreBytes;
use self::files::{CoreFile, CoreFiles, NotUsed, Where};
use self::header::{HeaderError, Headers};
use self::mappings::Places;
use self::notes::{Notes, Signal, ThreadNote};
use self::segments::{CoreMemory, Cut};
use super::maps::{FileId, Mapping, Mappings};
use super::memory::{BulkMemory, Memory};
use super::registers::{aarch64, x86_64};
use super::root::TargetRoot;
use super::threads::{StillThread, SystemCall, Thread};
use super::view::{Identity, Target};
use crate::types::{Addr, Machine, Nanos, Pid, Tid};

/// Entries of the auxiliary vector (getauxval(3), linux/auxvec.h).
const AT_PHDR: u64 = 3;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;

/// So much of a stack is looked at to tell whether it is there, in bytes.
const INNERMOST: usize = 1024;

/// Why a file cannot be read as a core file.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// It cannot be read at all.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Its headers are not a core file's.
    #[error(transparent)]
    Headers(#[from] HeaderError),
    /// There is no thread in it.
    #[error("it tells of no thread: its notes are not there, or of another machine")]
    NoThreads,
    /// The program that the user has named is not the one.
    #[error("{} is not the program of the core, {}: {why}", .given.display(), .program.display())]
    WrongProgram {
        /// What was named.
        given: PathBuf,
        /// The program's path in the core.
        program: PathBuf,
        /// What differs.
        why: NotUsed,
    },
}

/// Where what a core leaves out is looked for.
#[derive(Debug)]
pub struct CoreSources {
    /// The folder below which mapped files have the paths that the process saw.
    pub root: TargetRoot,
    /// The program's own file, where the user has named one.
    pub program: Option<(PathBuf, File)>,
}

/// A core file.
#[derive(Debug)]
pub struct CoreTarget {
    machine: Machine,
    identity: Identity,
    memory: CoreMemory,
    files: CoreFiles,
    mappings: Mappings,
    root: Arc<TargetRoot>,
    threads: Vec<StillThread>,
    signal: Option<Signal>,
    cut: Cut,
    is_cut: bool,
    threads_left_out: u64,
    empty_stacks: usize,
}

impl CoreTarget {
    /// Reads what a core file tells of its process, all but its memory.
    ///
    /// # Errors
    /// See [`CoreError`].
    pub fn open(bytes: CoreBytes, sources: CoreSources) -> Result<CoreTarget, CoreError> {
        let headers = Headers::read(&bytes)?;
        let notes = Notes::read(&bytes, &headers);
        if notes.threads.is_empty() {
            return Err(CoreError::NoThreads);
        }
        let Headers { machine, loads, is_cut, .. } = headers;
        let mut memory = CoreMemory::new(bytes, loads);
        let cut = memory.cut();
        let auxiliary = |kind| notes.auxiliary(kind).map(Addr);
        let program =
            auxiliary(AT_PHDR).and_then(|addr| notes.files.iter().find(|file| file.start <= addr && addr < file.end));
        let program = program.map(|file| file.path.clone());
        let (given, program_file) = sources.program.map(|(path, file)| (path, Arc::new(file))).unzip();
        let places = Where { root: &sources.root, program: program.as_deref().zip(program_file.as_ref()) };
        let files = CoreFiles::find(notes.files.clone(), &memory, places);
        if let Some(given) = given {
            check_program(&files, program.as_deref(), given)?;
        }
        memory.back(files.backed());
        let places = Places { vdso: auxiliary(AT_SYSINFO_EHDR), stack: auxiliary(AT_RANDOM) };
        let mappings = mappings::mappings(memory.loads(), &files, places);
        let program = program.map(|path| sources.root.as_target_names(path));
        let identity = identity(&notes, program, &memory);
        let mut threads: Vec<StillThread> =
            notes.threads.iter().map(|thread| still(thread, machine, &memory, &notes, &identity)).collect();
        threads.sort_by_key(|thread| thread.tid);
        threads.dedup_by_key(|thread| thread.tid);
        let empty_stacks = threads.iter().filter(|thread| has_empty_stack(thread, machine, &memory)).count();
        let hit = notes.threads.iter().find(|thread| thread.signal != 0);
        let without_info = |thread: &ThreadNote| Signal {
            tid: thread.tid,
            number: thread.signal.into(),
            code: 0,
            sender: None,
            address: None,
        };
        Ok(CoreTarget {
            machine,
            identity,
            memory,
            files,
            mappings,
            root: Arc::new(sources.root),
            threads,
            signal: notes.signal.or_else(|| hit.map(without_info)),
            is_cut: is_cut || notes.is_cut || cut.missing > 0,
            cut,
            threads_left_out: notes.threads_left_out,
            empty_stacks,
        })
    }

    /// The machine.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The signal that has ended the process, where one has.
    pub fn signal(&self) -> Option<&Signal> {
        self.signal.as_ref()
    }

    /// How much of the memory is not there because the file ends too early; `None` of one that is whole.
    pub fn cut(&self) -> Option<Cut> {
        self.is_cut.then_some(self.cut)
    }

    /// How many threads there are beside those that are taken.
    pub fn threads_left_out(&self) -> u64 {
        self.threads_left_out
    }

    /// How many threads' stacks are all zeros where they were in use. gdb leaves a mapping out that it cannot read whole: since glibc
    /// 2.42 that is each thread's, for the guard pages are in it (MADV_GUARD_INSTALL, madvise(2)).
    pub fn empty_stacks(&self) -> usize {
        self.empty_stacks
    }

    /// The files that code was in, and that are not used.
    pub fn not_used(&self) -> impl Iterator<Item = (&Path, &NotUsed)> {
        let has_code = |file: &CoreFile| {
            file.is_elf()
                || file
                    .ranges()
                    .iter()
                    .any(|range| self.memory.load_at(range.start).is_some_and(|load| load.executable))
        };
        self.files.not_used().filter(move |(file, _)| has_code(file)).map(|(file, why)| (file.path.as_path(), why))
    }
}

/// Whether the file that the user has named is the program.
fn check_program(files: &CoreFiles, program: Option<&Path>, given: PathBuf) -> Result<(), CoreError> {
    let found = files.list().iter().find(|file| Some(file.path.as_path()) == program);
    let why = match found {
        Some(CoreFile { file: Ok(_), .. }) => return Ok(()),
        Some(CoreFile { file: Err(why), .. }) => why.clone(),
        None => NotUsed::Unproven,
    };
    Err(CoreError::WrongProgram {
        given,
        program: program.unwrap_or(Path::new("which it does not name")).to_owned(),
        why,
    })
}

fn identity(notes: &Notes, program: Option<PathBuf>, memory: &CoreMemory) -> Identity {
    let first = notes.threads.first().map_or(0, |thread| thread.tid.0);
    let process = notes.process.as_ref();
    let pid = process.map_or(first, |process| process.pid.0);
    let random = notes.auxiliary(AT_RANDOM).map(Addr);
    let arguments = random.and_then(|random| arguments::command_line(memory, random, &notes.auxv_bytes));
    let short = || process.map(|process| process.arguments.clone()).into_iter().collect();
    Identity {
        pid: Pid(pid),
        executable: program.unwrap_or_else(|| process.map(|process| process.name.clone()).unwrap_or_default().into()),
        command_line: arguments.filter(|arguments| !arguments.is_empty()).unwrap_or_else(short),
        current_directory: None,
        namespace_pid: pid,
        effective_uid: None,
        start_time: None,
    }
}

/// A thread of the core. Its kernel name is told of the first one only, and not by gdb.
fn still(note: &ThreadNote, machine: Machine, memory: &CoreMemory, notes: &Notes, identity: &Identity) -> StillThread {
    let process = notes.process.as_ref().filter(|_| notes.by_kernel && note.tid.0 == identity.pid.0);
    StillThread {
        tid: note.tid,
        namespace_id: note.tid.0,
        name: process.map(|process| process.name.clone()),
        registers: note.registers.clone(),
        call: call(note, machine, memory),
        state: None,
    }
}

/// Whether there is nothing but zeros from a thread's stack pointer on: a return address is among so much of any stack.
fn has_empty_stack(thread: &StillThread, machine: Machine, memory: &CoreMemory) -> bool {
    let sp = match machine {
        Machine::X86_64 => x86_64::SP,
        Machine::Aarch64 => aarch64::SP,
    };
    let mut innermost = [1; INNERMOST];
    let sp = thread.registers.get(sp).map_or(Addr::NULL, Addr);
    memory.read(sp, &mut innermost).is_ok() && innermost.iter().all(|byte| *byte == 0)
}

/// The system call in which a thread slept. A thread stands in a core as it does at a stop: on its way out of the call, which the
/// signal or the debugger has ended.
fn call(note: &ThreadNote, machine: Machine, memory: &CoreMemory) -> Option<SystemCall> {
    let code_at = |pc: usize| {
        move |distance: i64| {
            let addr = note.registers.get(pc)?.checked_add_signed(distance)?;
            memory.read_u32(Addr(addr)).ok()
        }
    };
    match machine {
        Machine::X86_64 => x86_64::call_slept_in(&note.set, code_at(x86_64::PC)),
        Machine::Aarch64 => aarch64::call_slept_in(&note.set, code_at(aarch64::PC)),
    }
}

impl Target for CoreTarget {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn memory(&self) -> &dyn BulkMemory {
        &self.memory
    }

    fn mappings(&self) -> io::Result<Mappings> {
        Ok(self.mappings.clone())
    }

    fn open_mapped(&self, mapping: &Mapping, _: FileId, path: &Path) -> Option<File> {
        let file = self.files.at(mapping.start).filter(|file| file.path == path)?;
        file.file.as_ref().ok()?.try_clone().ok()
    }

    fn root(&self) -> Arc<TargetRoot> {
        Arc::clone(&self.root)
    }

    fn threads(&self) -> io::Result<Vec<Tid>> {
        Ok(self.threads.iter().map(|thread| thread.tid).collect())
    }

    fn thread_count(&self) -> u64 {
        self.threads.len() as u64
    }

    fn thread(&self, tid: Tid) -> io::Result<Thread> {
        let thread =
            self.threads.binary_search_by_key(&tid, |thread| thread.tid).ok().and_then(|index| self.threads.get(index));
        thread.cloned().map(Thread::of_still).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn cpu_time(&self) -> Option<Nanos> {
        None
    }

    fn is_alive(&self) -> bool {
        false
    }

    fn is_replaced(&self) -> bool {
        false
    }

    fn is_core(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
