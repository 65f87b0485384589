//! Entries of the procedure linkage table: how a call leads to a function of another file.
//!
//! Does: read from an entry's first instructions where the address of the function is kept (psABI, 5.2; with `endbr64` in front where
//! branch targets are checked).
//! Does not: read that address.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic};

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
}
