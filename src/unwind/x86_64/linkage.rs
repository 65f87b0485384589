//! Entries of the procedure linkage table: how a call leads to a function of another file.
//!
//! Does: read from an entry's first instructions where the address of the function is kept (psABI, 5.2; with `endbr64` in front where
//! branch targets are checked), and tell a whole entry by all of its instructions.
//! Does not: read that address.
//!
//! ```text
//!   endbr64                   where branch targets are checked; mold: always
//!   mov  $number, %r11d       mold
//!   jmp  *slot(%rip)
//!   push $number              where functions are looked up when they are first called,
//!   jmp  first entry          and instead of the jump before where that is in `.plt.sec`
//! ```
//!
//! Entries have 16 bytes, and those of `.plt.got` 8 where branch targets are not checked.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, Register};

use crate::unwind::linkage::{Entry, EntryFunction};

/// The size of an entry in bytes.
pub const ENTRY: usize = 16;
/// The size of one without anything but its jump.
pub const SHORT_ENTRY: usize = 8;

/// The address of the slot that the entry `code` at `address` takes its function from; `None` when it is no entry.
pub fn slot(code: &[u8], address: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut jump = decoder.decode();
    if jump.mnemonic() == Mnemonic::Endbr64 {
        jump = decoder.decode();
    }
    let is_entry = jump.code() == Code::Jmp_rm64 && jump.is_ip_rel_memory_operand();
    is_entry.then(|| jump.ip_rel_memory_address())
}

/// The entry that begins at `address` with `code`; `None` where its instructions are not those of one.
pub fn entry(code: &[u8], address: u64) -> Option<Entry> {
    let code = code.get(..code.len().min(ENTRY))?;
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut first = decoder.decode();
    if first.mnemonic() == Mnemonic::Endbr64 {
        first = decoder.decode();
    }
    if first.code() == Code::Mov_r32_imm32 && first.op0_register() == Register::R11D {
        first = decoder.decode();
    }
    let whole = (code.len() == ENTRY).then(|| address.wrapping_add(ENTRY as u64));
    if first.code() == Code::Pushq_imm32 {
        let jump = decoder.decode();
        let function = EntryFunction::Numbered { number: first.immediate32(), first: jump.near_branch64() };
        let is_entry = jump.code() == Code::Jmp_rel32_64 && is_padding(&mut decoder);
        return whole.filter(|_| is_entry).map(|end| Entry { end, function });
    }
    if first.code() != Code::Jmp_rm64 || !first.is_ip_rel_memory_operand() {
        return None;
    }
    let function = EntryFunction::InSlot(first.ip_rel_memory_address());
    let behind = decoder.position();
    if whole.is_some() && (is_padding(&mut decoder) || is_lazy(code.get(behind..)?)) {
        return whole.map(|end| Entry { end, function });
    }
    let rest = code.get(behind..SHORT_ENTRY)?;
    let is_short = is_padding(&mut Decoder::new(64, rest, DecoderOptions::NONE));
    is_short.then_some(Entry { end: address.wrapping_add(SHORT_ENTRY as u64), function })
}

/// Whether what is left are instructions that only fill the place.
fn is_padding(rest: &mut Decoder<'_>) -> bool {
    rest.iter().all(|instruction| matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3))
}

/// Whether this hands a number to the table's first entry.
fn is_lazy(code: &[u8]) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let (push, jump) = (decoder.decode(), decoder.decode());
    push.code() == Code::Pushq_imm32 && jump.code() == Code::Jmp_rel32_64 && is_padding(&mut decoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_its_slot() {
        // jmp *0x1000(%rip)
        assert_eq!(slot(&[0xff, 0x25, 0x00, 0x10, 0x00, 0x00, 0x68], 0x2000), Some(0x3006));
        // endbr64; bnd jmp *0x1000(%rip)
        let checked = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0x00, 0x10, 0x00, 0x00];
        assert_eq!(slot(&checked, 0x2000), Some(0x300b));
    }

    #[test]
    fn other_code_is_no_entry() {
        for code in [&[][..], &[0xc3], &[0xff, 0xe0], &[0xff, 0x24, 0xc5, 0, 0, 0, 0], &[0xe9, 0, 0, 0, 0]] {
            assert_eq!(slot(code, 0x2000), None, "{code:x?}");
        }
    }

    /// What ld, gold, lld and mold write, as objdump shows it.
    #[test]
    fn entries_of_all_linkers_are_told_by_all_of_their_instructions() {
        const SLOT: EntryFunction = EntryFunction::InSlot(0x3000);
        const NUMBER: EntryFunction = EntryFunction::Numbered { number: 1, first: 0x1000 };
        let cases: [(&str, u64, &[u8], u64, EntryFunction); 8] = [
            // jmp *slot; push 0; jmp first
            ("lazy", 0x1010, b"\xff\x25\xea\x1f\0\0\x68\0\0\0\0\xe9\xe0\xff\xff\xff", 16, SLOT),
            // jmp *slot; xchg ax, ax; the next one
            ("short", 0x1010, b"\xff\x25\xea\x1f\0\0\x66\x90\xff\x25\xea\x1f\0\0\x66\x90", 8, SLOT),
            ("the last short one", 0x1010, b"\xff\x25\xea\x1f\0\0\x66\x90", 8, SLOT),
            // endbr64; push 1; jmp first; xchg ax, ax
            ("numbered", 0x1020, b"\xf3\x0f\x1e\xfa\x68\x01\0\0\0\xe9\xd2\xff\xff\xff\x66\x90", 16, NUMBER),
            // endbr64; bnd jmp *slot; nop
            ("bnd", 0x1010, b"\xf3\x0f\x1e\xfa\xf2\xff\x25\xe5\x1f\0\0\x0f\x1f\x44\0\0", 16, SLOT),
            // endbr64; jmp *slot; nop
            ("checked", 0x1010, b"\xf3\x0f\x1e\xfa\xff\x25\xe6\x1f\0\0\x66\x0f\x1f\x44\0\0", 16, SLOT),
            // endbr64; mov $1, r11d; jmp *slot
            ("mold", 0x1010, b"\xf3\x0f\x1e\xfa\x41\xbb\x01\0\0\0\xff\x25\xe0\x1f\0\0", 16, SLOT),
            // endbr64; jmp *slot; int3 ...
            ("mold's .plt.got", 0x1010, b"\xf3\x0f\x1e\xfa\xff\x25\xe6\x1f\0\0\xcc\xcc\xcc\xcc\xcc\xcc", 16, SLOT),
        ];
        for (what, at, code, size, function) in cases {
            assert_eq!(entry(code, at), Some(Entry { end: at + size, function }), "{what}");
            for len in 0..code.len().min(8) {
                assert_eq!(entry(&code[..len], at), None, "{what}, the first {len} bytes");
            }
        }
    }

    #[test]
    fn the_first_entry_and_other_jumps_are_none() {
        let cases: [&[u8]; 5] = [
            // push *; jmp *; nop: the table's first entry
            b"\xff\x35\xea\x1f\0\0\xff\x25\xec\x1f\0\0\x0f\x1f\x40\0",
            // endbr64; push r11; push *; jmp *: mold's
            b"\xf3\x0f\x1e\xfa\x41\x53\xff\x35\xdc\x21\0\0\xff\x25\xde\x21",
            // mov *, r11; call; jmp: lld's without indirect jumps
            b"\x4c\x8b\x1d\x79\x21\0\0\xe8\xe4\xff\xff\xff\xe9\xd1\xff\xff",
            // jmp *; ret: a function
            b"\xff\x25\xea\x1f\0\0\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90",
            // push; ret
            b"\x68\0\0\0\0\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90",
        ];
        for code in cases {
            assert_eq!(entry(code, 0x1010), None, "{code:x?}");
        }
    }
}
