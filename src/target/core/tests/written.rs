//! Writes core files, as the kernel lays them out, for tests.
//!
//! Does: put notes and memory behind headers. Does not: check that they make sense.

use crate::target::registers::{aarch64, x86_64};

pub(super) const X86_64: u16 = 62;
pub(super) const AARCH64: u16 = 183;

/// A core file that is being written.
pub(super) struct Written {
    machine: u16,
    notes: Vec<u8>,
    /// Address, size in memory, flags, bytes in the file.
    loads: Vec<(u64, u64, u32, Vec<u8>)>,
}

impl Written {
    pub(super) fn new(machine: u16) -> Written {
        Written { machine, notes: Vec::new(), loads: Vec::new() }
    }

    /// Adds a note.
    pub(super) fn note(&mut self, name: &[u8], kind: u32, description: Vec<u8>) {
        for word in [name.len() as u32, description.len() as u32, kind] {
            self.notes.extend(word.to_le_bytes());
        }
        for part in [name, &description] {
            self.notes.extend(part);
            self.notes.resize(self.notes.len().next_multiple_of(4), 0);
        }
    }

    /// Adds a range of memory, with PF_X (1), PF_W (2) and PF_R (4).
    pub(super) fn load(&mut self, address: u64, size: u64, flags: u32, bytes: &[u8]) {
        self.loads.push((address, size, flags, bytes.to_vec()));
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let count = self.loads.len() + 1;
        let is_many = count >= 0xffff;
        let behind_headers = 64 + 56 * count + if is_many { 64 } else { 0 };
        let mut file = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file.extend([4_u16, self.machine].map(u16::to_le_bytes).concat());
        file.extend(1_u32.to_le_bytes());
        let sections = if is_many { (behind_headers - 64) as u64 } else { 0 };
        file.extend([0, 64, sections].map(u64::to_le_bytes).concat());
        file.extend(0_u32.to_le_bytes());
        let counted = if is_many { 0xffff } else { count as u16 };
        file.extend([64, 56, counted, 64, u16::from(is_many), 0].map(u16::to_le_bytes).concat());
        let mut at = behind_headers + self.notes.len();
        header(&mut file, (4, 0), [behind_headers as u64, 0, 0, self.notes.len() as u64, 0, 4]);
        for (address, size, flags, bytes) in &self.loads {
            header(&mut file, (1, *flags), [at as u64, *address, 0, bytes.len() as u64, *size, 0x1000]);
            at += bytes.len();
        }
        if is_many {
            let mut section = [0; 64];
            section[44..48].copy_from_slice(&(count as u32).to_le_bytes());
            file.extend(section);
        }
        file.extend(&self.notes);
        self.loads.iter().for_each(|(.., bytes)| file.extend(bytes));
        file
    }
}

fn header(file: &mut Vec<u8>, (kind, flags): (u32, u32), words: [u64; 6]) {
    file.extend([kind, flags].map(u32::to_le_bytes).concat());
    file.extend(words.map(u64::to_le_bytes).concat());
}

/// The beginning of a library as old linkers make it: code from the first byte on, variables in the third page of the file.
pub(super) fn library_with_code_first() -> Vec<u8> {
    let mut file = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([3_u16, X86_64].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64, 56, 2, 64, 0, 0].map(u16::to_le_bytes).concat());
    header(&mut file, (1, 5), [0, 0, 0, 0x2000, 0x2000, 0x1000]);
    header(&mut file, (1, 6), [0x2df0, 0x3df0, 0, 0x210, 0x210, 0x1000]);
    file
}

/// `NT_PRSTATUS` of a thread, with the words of its register set that are not 0.
pub(super) fn status(machine: u16, tid: i32, signal: u16, registers: &[(usize, u64)]) -> Vec<u8> {
    let size = if machine == AARCH64 { aarch64::REGISTER_SET_SIZE } else { x86_64::REGISTER_SET_SIZE };
    let mut status = vec![0; 112 + size + 8];
    status[12..14].copy_from_slice(&signal.to_le_bytes());
    status[32..36].copy_from_slice(&tid.to_le_bytes());
    for (index, value) in registers {
        status[112 + index * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    status
}

/// `NT_PRPSINFO`.
pub(super) fn process(pid: i32, name: &str, arguments: &str) -> Vec<u8> {
    let mut process = vec![0; 136];
    process[24..28].copy_from_slice(&pid.to_le_bytes());
    process[40..40 + name.len()].copy_from_slice(name.as_bytes());
    process[56..56 + arguments.len()].copy_from_slice(arguments.as_bytes());
    process
}

/// `NT_AUXV`.
pub(super) fn auxv(pairs: &[(u64, u64)]) -> Vec<u8> {
    words(&pairs.iter().chain(&[(0, 0)]).flat_map(|(kind, value)| [*kind, *value]).collect::<Vec<_>>())
}

/// `NT_FILE`: start, end, offset in pages and path of each.
pub(super) fn files(ranges: &[(u64, u64, u64, &str)]) -> Vec<u8> {
    let mut note = words(&[ranges.len() as u64, 4096]);
    ranges.iter().for_each(|(start, end, offset, _)| note.extend(words(&[*start, *end, *offset])));
    ranges.iter().for_each(|(.., path)| note.extend([path.as_bytes(), b"\0"].concat()));
    note
}

pub(super) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
