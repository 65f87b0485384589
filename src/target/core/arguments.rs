//! The command line of a process, from the memory of its core file.
//!
//! Does: find the arguments where the kernel has put them when the program was started: below the auxiliary vector, at the top of
//! the first thread's stack. Does not: take anything that does not fit together.
//!
//! Source: `create_elf_tables` in the kernel's fs/binfmt_elf.c: the number of arguments, a pointer to each, null, a pointer to each
//! environment string, null, the auxiliary vector; and, above it, what `AT_RANDOM` leads to.

use crate::target::memory::Memory;
use crate::types::Addr;

/// So far below `AT_RANDOM` is looked for them: the pointers of a hundred thousand strings.
const MAX_TABLE: u64 = 1 << 20;
/// More arguments are not taken.
const MAX_ARGUMENTS: usize = 4096;
/// More bytes of all arguments together are not read.
const MAX_TEXT: usize = 1 << 20;
/// An argument is read in pieces of so many bytes.
const PIECE: usize = 256;
const WORD: usize = size_of::<u64>();

/// The arguments; `None` where they cannot be found. `auxv` is the vector as the process had it, and `random` where it says that
/// `AT_RANDOM` is.
pub fn command_line(memory: &impl Memory, random: Addr, auxv: &[u8]) -> Option<Vec<String>> {
    let table = read_below(memory, random)?;
    let table_words = table.as_chunks::<WORD>().0;
    let vector = auxv.as_chunks::<WORD>().0;
    let at = table_words.windows(vector.len().max(1)).rposition(|words| words == vector)?;
    let words: Vec<u64> = table_words.get(..at)?.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (0, before) = words.split_last()? else { return None };
    let environment = before.iter().rev().take_while(|word| **word != 0).count();
    let (0, before) = before.get(..before.len().checked_sub(environment)?)?.split_last()? else { return None };
    // The number of arguments stands before them.
    let count = before.iter().rev().zip(0..).position(|(word, count)| *word == count)?;
    let pointers = before.get(before.len().checked_sub(count)?..)?;
    let mut left = MAX_TEXT;
    let mut text = |pointer: &u64| text_at(memory, Addr(*pointer), &mut left);
    pointers.iter().take(MAX_ARGUMENTS).map(&mut text).collect()
}

/// What lies below an address, as much as can be read, up to it.
fn read_below(memory: &impl Memory, end: Addr) -> Option<Vec<u8>> {
    let end = Addr(end.0 & !(WORD as u64 - 1));
    let mut size = MAX_TABLE;
    while size >= PIECE as u64 {
        if let Some(start) = end.0.checked_sub(size)
            && let Ok(bytes) = memory.read_vec(Addr(start), size as usize)
        {
            return Some(bytes);
        }
        size /= 2;
    }
    None
}

fn text_at(memory: &impl Memory, start: Addr, left: &mut usize) -> Option<String> {
    let mut text = Vec::new();
    let mut at = start;
    loop {
        // Up to the next piece of memory: what is behind it may not be there.
        let len = PIECE - (at.0 % PIECE as u64) as usize;
        let piece = memory.read_vec(at, len).ok()?;
        let end = piece.iter().position(|byte| *byte == 0);
        text.extend_from_slice(piece.get(..end.unwrap_or(len))?);
        *left = left.checked_sub(len)?;
        if end.is_some() {
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        at = at.checked_add(len as u64)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::Region;

    const AUXV: [u64; 4] = [25, 0x2f00, 0, 0];

    /// A stack up to 0x3000, on which `words` end with the auxiliary vector, below `AT_RANDOM` at 0x2f00; texts at 0x2f10.
    fn stack(words: &[u64]) -> Region {
        let mut bytes = vec![0; 0x2000];
        let words: Vec<u8> = words.iter().chain(&AUXV).flat_map(|word| word.to_le_bytes()).collect();
        // The kernel leaves a gap there.
        let end = 0x1f00 - 24;
        bytes[end - words.len()..end].copy_from_slice(&words);
        bytes[0x1f10..0x1f1d].copy_from_slice(b"python3\0-c\0x\0");
        Region { start: Addr(0x1000), bytes }
    }

    fn found(words: &[u64]) -> Option<Vec<String>> {
        let auxv: Vec<u8> = AUXV.iter().flat_map(|word| word.to_le_bytes()).collect();
        command_line(&stack(words), Addr(0x2f00), &auxv)
    }

    #[test]
    fn the_arguments_are_found_below_the_auxiliary_vector() {
        let (program, switch, code) = (0x2f10, 0x2f18, 0x2f1b);
        assert_eq!(found(&[3, program, switch, code, 0, code, 0]).unwrap(), ["python3", "-c", "x"]);
        assert_eq!(found(&[1, program, 0, 0]).unwrap(), ["python3"], "without an environment");
        assert_eq!(found(&[9, 9, 3, program, switch, code, 0, 0]).unwrap(), ["python3", "-c", "x"]);
    }

    #[test]
    fn what_does_not_fit_together_is_none() {
        assert_eq!(found(&[4, 0x2f10, 0, 0]), None, "another number than there are");
        assert_eq!(found(&[1, 0x9000, 0, 0]), None, "what is not there");
        assert_eq!(found(&[1, 0x2f10, 0, 1]), None, "no end of the environment");
        assert_eq!(command_line(&Region::default(), Addr(0x2f00), &[]), None);
    }
}
