//! A core file's ELF header and program headers: where its memory and its notes are.
//!
//! Does: read and check them, bounded. Does not: read the notes or the memory. Layouts are those of `elf(5)`.

use object::elf;

use super::bytes::{CoreBytes, u16_at, u32_at, u64_at};
use crate::types::{Addr, Machine};

const FILE_HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: u64 = 56;
const SECTION_HEADER_SIZE: usize = 64;
/// With so many program headers `e_phnum` does not say how many there are; the first section header does (`PN_XNUM`, elf(5)).
const PN_XNUM: u16 = 0xffff;
/// More are not taken: the kernel writes one for each mapping, and allows 65,530 of these by default.
const MAX_PROGRAM_HEADERS: u64 = 1 << 20;
/// So many are read at a time.
const AT_ONCE: u64 = 1 << 10;

/// Why headers are not those of a core file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is no ELF file.
    #[error("it is no core file: it does not begin as an ELF file does")]
    NotElf,
    /// It is another ELF file.
    #[error("it is an ELF file, and no core file")]
    NotCore,
    /// It is of a 32-bit or big-endian process.
    #[error("it is the core of a 32-bit or big-endian process")]
    ForeignClass,
    /// It is of a machine that is not known.
    #[error("it is the core of another machine (ELF machine {0})")]
    ForeignMachine(u16),
    /// The program headers make no sense, or are not there.
    #[error("its program headers are malformed or not there")]
    Malformed,
}

/// A range of the process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Its first address.
    pub start: Addr,
    /// The address behind its last.
    pub end: Addr,
    /// Where in the core file its bytes are.
    pub offset: u64,
    /// How many of its bytes the core file is to hold, from its beginning on.
    pub held: u64,
    /// Whether the process could read it; gdb says so of all that it writes.
    pub readable: bool,
    /// Whether the process could write to it.
    pub writable: bool,
    /// Whether the process could execute it.
    pub executable: bool,
}

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The machine.
    pub machine: Machine,
    /// The ranges of memory, by address; none overlaps another.
    pub loads: Vec<Load>,
    /// The places of notes in the file: offset and length.
    pub notes: Vec<(u64, u64)>,
    /// Whether not all program headers are in the file.
    pub is_cut: bool,
}

impl Headers {
    /// Reads the headers.
    ///
    /// # Errors
    /// That it is no core file, or of a machine that is not known.
    pub fn read(bytes: &CoreBytes) -> Result<Headers, HeaderError> {
        let header = bytes.read_vec(0, FILE_HEADER_SIZE).ok_or(HeaderError::NotElf)?;
        if !header.starts_with(&elf::ELFMAG) {
            return Err(HeaderError::NotElf);
        }
        let number = u16_at(&header, 18).unwrap_or(0);
        if header.get(4..6) != Some(&[elf::ELFCLASS64.0, elf::ELFDATA2LSB.0]) {
            return Err(HeaderError::ForeignClass);
        }
        if u16_at(&header, 16) != Some(elf::ET_CORE.0) {
            return Err(HeaderError::NotCore);
        }
        let machine = match number {
            m if m == elf::EM_X86_64.0 => Machine::X86_64,
            m if m == elf::EM_AARCH64.0 => Machine::Aarch64,
            m => return Err(HeaderError::ForeignMachine(m)),
        };
        let mut headers = Headers { machine, loads: Vec::new(), notes: Vec::new(), is_cut: false };
        headers.read_table(bytes, &header).ok_or(HeaderError::Malformed)?;
        headers.sort();
        Ok(headers)
    }

    fn read_table(&mut self, bytes: &CoreBytes, header: &[u8]) -> Option<()> {
        let (start, size) = (u64_at(header, 32)?, u64::from(u16_at(header, 54)?));
        if size < PROGRAM_HEADER_SIZE {
            return None;
        }
        let count = match u16_at(header, 56)? {
            PN_XNUM => {
                let first_section = bytes.read_vec(u64_at(header, 40)?, SECTION_HEADER_SIZE)?;
                u64::from(u32_at(&first_section, 44)?)
            }
            count => u64::from(count),
        };
        let mut done = 0;
        while done < count.min(MAX_PROGRAM_HEADERS) {
            let taken = (count - done).min(AT_ONCE);
            let mut table = vec![0; usize::try_from(taken * size).ok()?];
            let there = bytes.read_at(start.checked_add(done * size)?, &mut table);
            for entry in table.get(..there)?.chunks_exact(size as usize) {
                self.add(entry)?;
            }
            if there < table.len() {
                self.is_cut = true;
                return Some(());
            }
            done += taken;
        }
        self.is_cut = count > MAX_PROGRAM_HEADERS;
        Some(())
    }

    fn add(&mut self, entry: &[u8]) -> Option<()> {
        let (kind, flags, offset) = (u32_at(entry, 0)?, u32_at(entry, 4)?, u64_at(entry, 8)?);
        let (start, in_file, in_memory) = (u64_at(entry, 16)?, u64_at(entry, 32)?, u64_at(entry, 40)?);
        if kind == elf::PT_NOTE.0 {
            self.notes.push((offset, in_file));
        }
        // What ends beyond the address space, or is empty, is no memory.
        let size = in_memory.max(in_file);
        if kind == elf::PT_LOAD.0
            && let Some(end) = start.checked_add(size).filter(|end| *end > start)
        {
            let has = |flag: elf::ProgramFlags| flags & flag.0 != 0;
            self.loads.push(Load {
                start: Addr(start),
                end: Addr(end),
                offset,
                held: in_file,
                readable: has(elf::PF_R),
                writable: has(elf::PF_W),
                executable: has(elf::PF_X),
            });
        }
        Some(())
    }

    /// Sorts the ranges, and leaves out those that begin inside another.
    fn sort(&mut self) {
        self.loads.sort_by_key(|load| load.start);
        let mut end = Addr::NULL;
        self.loads.retain(|load| {
            let is_apart = load.start >= end;
            end = if is_apart { load.end } else { end };
            is_apart
        });
    }
}
