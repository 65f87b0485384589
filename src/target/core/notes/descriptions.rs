//! The descriptions of the notes that are known, each from its bytes.
//!
//! Does: take their fields, by offsets that are the same on x86-64 and AArch64. Does not: read the core file.
//!
//! Sources: `struct elf_prstatus` and `struct elf_prpsinfo` (linux/elfcore.h), `struct siginfo` (asm-generic/siginfo.h), and the comment
//! on `fill_files_note` in the kernel's fs/binfmt_elf.c.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::target::core::bytes::{i32_at, text_at, u16_at, u64_at};
use crate::types::{Addr, Pid, Tid};

/// Where `elf_prstatus` has its fields, in bytes.
const PR_CURSIG: usize = 12;
const PR_PID: usize = 32;
const PR_REG: usize = 112;

/// Where `elf_prpsinfo` has its fields, in bytes.
const PR_PSINFO_PID: usize = 24;
const PR_FNAME: usize = 40;
const PR_FNAME_LEN: usize = 16;
const PR_PSARGS: usize = 56;
const PR_PSARGS_LEN: usize = 80;

/// Where `siginfo_t` has its fields, in bytes.
const SI_CODE: usize = 8;
const SI_FIELDS: usize = 16;

/// The end of an auxiliary vector.
const AT_NULL: u64 = 0;
/// More entries are not taken: the kernel has some thirty kinds.
const MAX_AUXV: usize = 256;
/// A path longer than `PATH_MAX` is none.
const MAX_PATH: usize = 4096;
/// More ranges are not taken: a process has no more mappings, unless `vm.max_map_count` was raised.
const MAX_RANGES: usize = 1 << 16;
/// What the kernel writes behind the path of a file that has been unlinked or replaced.
const DELETED: &[u8] = b" (deleted)";

/// A thread (`NT_PRSTATUS`).
pub(super) struct Status<'a> {
    pub(super) tid: Tid,
    pub(super) signal: i16,
    /// The general registers, and what is behind them.
    pub(super) registers: &'a [u8],
}

impl Status<'_> {
    pub(super) fn parse(bytes: &[u8]) -> Option<Status<'_>> {
        Some(Status {
            tid: Tid(i32_at(bytes, PR_PID)?),
            signal: u16_at(bytes, PR_CURSIG)?.cast_signed(),
            registers: bytes.get(PR_REG..)?,
        })
    }
}

/// The process (`NT_PRPSINFO`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// The name of its first thread, by the kernel; of its program, by gdb.
    pub name: String,
    /// The beginning of its command line.
    pub arguments: String,
}

impl Process {
    pub(super) fn parse(bytes: &[u8]) -> Option<Process> {
        Some(Process {
            pid: Pid(i32_at(bytes, PR_PSINFO_PID)?),
            name: text_at(bytes, PR_FNAME, PR_FNAME_LEN)?,
            arguments: text_at(bytes, PR_PSARGS, PR_PSARGS_LEN)?.trim_end().to_owned(),
        })
    }
}

/// What the signal was (`NT_SIGINFO`).
pub(super) struct Siginfo {
    number: i32,
    code: i32,
    /// The first word of what depends on the code.
    first: u64,
}

/// The signal that has ended a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The thread that it has hit.
    pub tid: Tid,
    /// Its number.
    pub number: i32,
    /// Why it was sent (`si_code`).
    pub code: i32,
    /// Who has sent it, and as which user, if it was sent.
    pub sender: Option<(Pid, u32)>,
    /// The address whose use has raised it, if the kernel tells one.
    pub address: Option<Addr>,
}

impl Siginfo {
    pub(super) fn parse(bytes: &[u8]) -> Option<Siginfo> {
        Some(Siginfo { number: i32_at(bytes, 0)?, code: i32_at(bytes, SI_CODE)?, first: u64_at(bytes, SI_FIELDS)? })
    }

    /// What it says, of a thread.
    pub(super) fn signal(&self, tid: Tid) -> Signal {
        let first = self.first;
        // kill(2), sigqueue(3) and tgkill(2): si_pid and si_uid (sigaction(2)).
        let is_sent = [libc::SI_USER, libc::SI_QUEUE, libc::SI_TKILL].contains(&self.code);
        let faults = [libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS, libc::SIGTRAP];
        // SI_KERNEL: no address is told, as for one that is not canonical.
        let has_address = faults.contains(&self.number) && self.code > 0 && self.code != libc::SI_KERNEL;
        let sender = (Pid((first as u32).cast_signed()), (first >> 32) as u32);
        Signal {
            tid,
            number: self.number,
            code: self.code,
            sender: is_sent.then_some(sender),
            address: has_address.then_some(Addr(first)),
        }
    }
}

/// Pairs of words, up to the one that ends them.
pub(super) fn parse_auxv(bytes: &[u8]) -> Vec<(u64, u64)> {
    let pairs = bytes.chunks_exact(16).filter_map(|pair| Some((u64_at(pair, 0)?, u64_at(pair, 8)?)));
    pairs.take_while(|(kind, _)| *kind != AT_NULL).take(MAX_AUXV).collect()
}

/// A mapped range of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedRange {
    /// Its first address.
    pub start: Addr,
    /// The address behind its last.
    pub end: Addr,
    /// Where in the file it begins.
    pub offset: u64,
    /// The file's path, without the kernel's ` (deleted)`.
    pub path: PathBuf,
    /// Whether the file had been unlinked or replaced.
    pub deleted: bool,
}

/// A count and a page size; for each range its start, its end and its offset in pages; the paths, each with a NUL.
pub(super) fn parse_files(bytes: &[u8]) -> Vec<MappedRange> {
    const HEAD: usize = 16;
    const ENTRY: usize = 24;
    let (Some(count), Some(page)) = (u64_at(bytes, 0), u64_at(bytes, 8)) else { return Vec::new() };
    let table = bytes.get(HEAD..).unwrap_or_default();
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(table.len() / ENTRY);
    let (table, names) = table.split_at(count * ENTRY);
    let mut names = names.split(|byte| *byte == 0);
    let range = |entry: &[u8]| {
        let name = names.next()?;
        let path = name.strip_suffix(DELETED).unwrap_or(name);
        let (start, end) = (Addr(u64_at(entry, 0)?), Addr(u64_at(entry, 8)?));
        let offset = u64_at(entry, 16)?.checked_mul(page)?;
        let is_sound = start < end && path.first() == Some(&b'/') && path.len() < MAX_PATH;
        is_sound.then(|| MappedRange {
            start,
            end,
            offset,
            path: PathBuf::from(OsString::from_vec(path.to_vec())),
            deleted: path.len() < name.len(),
        })
    };
    table.chunks_exact(ENTRY).take(MAX_RANGES).filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn siginfo(number: i32, code: i32, first: u64) -> Signal {
        let mut bytes = [number, 0, code, 0].map(i32::to_le_bytes).concat();
        bytes.extend(first.to_le_bytes());
        Siginfo::parse(&bytes).unwrap().signal(Tid(7))
    }

    #[test]
    fn a_signal_says_who_has_sent_it_or_which_address_has_raised_it() {
        let sent = siginfo(libc::SIGABRT, libc::SI_TKILL, 42 | 1000 << 32);
        assert_eq!((sent.sender, sent.address), (Some((Pid(42), 1000)), None));
        let raised = siginfo(libc::SIGSEGV, 1, 0xdead_beef);
        assert_eq!((raised.sender, raised.address), (None, Some(Addr(0xdead_beef))));
        let neither = siginfo(libc::SIGSEGV, libc::SI_KERNEL, 0);
        assert_eq!((neither.sender, neither.address), (None, None));
        assert_eq!(siginfo(libc::SIGSEGV, libc::SI_USER, 42).address, None, "a process that is killed by SIGSEGV");
    }

    #[test]
    fn mapped_files_have_their_offsets_in_pages_and_nonsense_is_left_out() {
        let words = [4, 4096, 0x1000, 0x3000, 2, 0x8000, 0x9000, 0, 9, 8, 0, 0x9000, 0xa000, u64::MAX];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(b"/lib/a.so (deleted)\0/lib/b.so\0/lib/c.so\0/lib/d.so\0");
        let files = parse_files(&bytes);
        let a = MappedRange {
            start: Addr(0x1000),
            end: Addr(0x3000),
            offset: 8192,
            path: "/lib/a.so".into(),
            deleted: true,
        };
        let b =
            MappedRange { start: Addr(0x8000), end: Addr(0x9000), offset: 0, path: "/lib/b.so".into(), deleted: false };
        assert_eq!(files, [a, b]);
        for cut in 0..bytes.len() {
            assert!(parse_files(&bytes[..cut]).len() <= 2);
        }
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse_files(&bytes).len() <= 4);
    }

    #[test]
    fn an_auxiliary_vector_ends_at_its_end() {
        let bytes: Vec<u8> = [3, 0x40, 33, 0x80, 0, 0, 9, 9].into_iter().flat_map(u64::to_le_bytes).collect();
        assert_eq!(parse_auxv(&bytes), [(3, 0x40), (33, 0x80)]);
    }
}
