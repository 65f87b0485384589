//! The notes of a core file: its threads with their registers, the process, its signal, and what files it had mapped.
//!
//! Does: read them one after the other, those that are known; keep no more than they are worth. Does not: trust a count or a length.
//!
//! Sources: elf(5), "Notes"; `fill_note_info` and `fill_files_note` in the kernel's fs/binfmt_elf.c, linux/elfcore.h; gdb's `gcore`
//! writes the same notes in another order.

mod descriptions;

use self::descriptions::{Process, Siginfo, Status, parse_auxv, parse_files};
use super::bytes::{CoreBytes, u32_at};
use super::header::Headers;
use crate::target::memory_budget::{Meter, Share};
use crate::target::registers::{Registers, aarch64, x86_64};
use crate::types::room::Room;
use crate::types::{Addr, Machine, Tid};

pub use self::descriptions::{MappedRange, Signal};

const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_ARM_TLS: u32 = 0x401;
const NT_ARM_PAC_MASK: u32 = 0x406;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;
/// The names of who defines these notes.
const CORE: &[u8] = b"CORE\0";
const LINUX: &[u8] = b"LINUX\0";

const NOTE_HEADER: u64 = 12;
/// The longest name of a note that is known, and its padding.
const MAX_NAME: u64 = 8;
/// The longest description of a thread or of the process that is looked at.
const MAX_SMALL: u64 = 4 << 10;
/// The kernel's own limit for the list of files is 4 MiB by default, and 16 MiB at most (`core_file_note_size_limit`).
const MAX_FILES: u64 = 16 << 20;
/// More threads are not taken.
const MAX_THREADS: usize = 1 << 16;
/// What a thread takes here and in what is made of it.
const BYTES_OF_A_THREAD: u64 = 2 << 10;
/// The set of general registers: 27 words of x86-64, 34 of AArch64 (`struct user_pt_regs`).
const MAX_SET: usize = 34 * 8;
/// More notes are not looked at: a thread has some ten.
const MAX_NOTES: usize = 1 << 24;

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadNote {
    /// Its id, as who wrote the core saw it: the kernel, in the process's own pid namespace.
    pub tid: Tid,
    /// The signal with which it was stopped; 0 for none.
    pub signal: i16,
    /// Its registers.
    pub registers: Registers,
    /// The register set from which they are.
    pub set: Vec<u8>,
}

/// What the notes say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The threads, in the order of the file: the kernel writes the one that the signal has hit first.
    pub threads: Vec<ThreadNote>,
    /// The process.
    pub process: Option<Process>,
    /// Whether the kernel has written the file, by the order of its notes.
    pub by_kernel: bool,
    /// What ended the process.
    pub signal: Option<Signal>,
    /// The auxiliary vector: types and values (getauxval(3)).
    pub auxv: Vec<(u64, u64)>,
    /// The auxiliary vector as it is in the process's memory.
    pub auxv_bytes: Vec<u8>,
    /// The mapped ranges of files.
    pub files: Vec<MappedRange>,
    /// How many threads more there are than are taken.
    pub threads_left_out: u64,
    /// Whether the file ends before its notes do.
    pub is_cut: bool,
}

impl Notes {
    /// Reads the notes.
    pub fn read(bytes: &CoreBytes, headers: &Headers) -> Notes {
        let mut notes = Notes::default();
        let mut room = (MAX_NOTES, Meter::new(Share::Reading));
        for (offset, len) in &headers.notes {
            notes.read_segment(bytes, headers.machine, (*offset, *len), &mut room);
        }
        notes
    }

    /// The value of an entry of the auxiliary vector.
    pub fn auxiliary(&self, kind: u64) -> Option<u64> {
        self.auxv.iter().find(|(known, _)| *known == kind).map(|(_, value)| *value)
    }

    fn read_segment(
        &mut self,
        bytes: &CoreBytes,
        machine: Machine,
        (start, len): (u64, u64),
        (left, room): &mut (usize, Meter),
    ) {
        let end = start.saturating_add(len);
        self.is_cut |= end > bytes.len();
        let mut at = start;
        while let Some(behind) = at.checked_add(NOTE_HEADER).filter(|behind| *behind <= end) {
            let Some(header) = bytes.read_vec(at, NOTE_HEADER as usize) else { return };
            let word = |index: usize| u32_at(&header, index * 4).unwrap_or(0);
            let (name, size, kind) = (u64::from(word(0)), u64::from(word(1)), word(2));
            let description = behind.saturating_add(padded(name));
            if *left == 0 || description.saturating_add(size) > end {
                return;
            }
            *left -= 1;
            if name <= MAX_NAME
                && let Some(name) = bytes.read_vec(behind, name as usize)
            {
                self.add((bytes, room), machine, (&name, kind), (description, size));
            }
            at = description.saturating_add(padded(size));
        }
    }

    fn add(
        &mut self,
        (bytes, room): (&CoreBytes, &mut Meter),
        machine: Machine,
        (name, kind): (&[u8], u32),
        (at, size): (u64, u64),
    ) {
        let small = || bytes.read_vec(at, size.min(MAX_SMALL) as usize);
        match (name, kind) {
            (CORE, NT_PRSTATUS) => {
                if self.threads.len() >= MAX_THREADS || !room.take(BYTES_OF_A_THREAD) {
                    self.threads_left_out += 1;
                } else if let Some(status) = small().as_deref().and_then(Status::parse)
                    && let Some(registers) = decode(machine, status.registers)
                {
                    let Status { tid, signal, registers: set } = status;
                    self.by_kernel |= self.threads.is_empty() && self.process.is_none();
                    self.threads.push(ThreadNote {
                        tid,
                        signal,
                        registers,
                        set: set.iter().take(MAX_SET).copied().collect(),
                    });
                }
            }
            (CORE, NT_PRPSINFO) if self.process.is_none() => {
                self.process = small().as_deref().and_then(Process::parse);
            }
            (CORE, NT_SIGINFO) => {
                // gdb writes one for each thread, and no signal of it where it was not stopped by one.
                if let Some(thread) = self.threads.last().filter(|thread| thread.signal != 0)
                    && self.signal.is_none()
                    && let Some(info) = small().as_deref().and_then(Siginfo::parse)
                {
                    self.signal = Some(info.signal(thread.tid));
                }
            }
            (CORE, NT_AUXV) if self.auxv.is_empty() => {
                if let Some(bytes) = small() {
                    self.auxv = parse_auxv(&bytes);
                    self.auxv_bytes = bytes;
                    self.auxv_bytes.truncate((self.auxv.len() + 1) * 16);
                }
            }
            (CORE, NT_FILE) if self.files.is_empty() && size <= MAX_FILES => {
                self.files = bytes.read_vec(at, size as usize).map(|bytes| parse_files(&bytes)).unwrap_or_default();
            }
            (LINUX, NT_ARM_TLS) => {
                if let Some((thread, set)) = self.threads.last_mut().zip(small()) {
                    let pointer = set.first_chunk().map(|word| Addr(u64::from_le_bytes(*word)));
                    thread.registers.thread_pointer = thread.registers.thread_pointer.or(pointer);
                }
            }
            (LINUX, NT_ARM_PAC_MASK) => {
                if let Some((thread, set)) = self.threads.last_mut().zip(small()) {
                    thread.registers.signature_mask = match machine {
                        Machine::X86_64 => x86_64::decode_signature_mask(&set),
                        Machine::Aarch64 => aarch64::decode_signature_mask(&set),
                    };
                }
            }
            _ => {}
        }
    }
}

/// Names and descriptions are followed by zeros up to a multiple of four.
fn padded(len: u64) -> u64 {
    len.next_multiple_of(4)
}

/// The registers of a set of general ones of a machine.
fn decode(machine: Machine, set: &[u8]) -> Option<Registers> {
    match machine {
        Machine::X86_64 => x86_64::decode(set),
        Machine::Aarch64 => aarch64::decode(set),
    }
}
