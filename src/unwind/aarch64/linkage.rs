//! Entries of the procedure linkage table: how a call leads to a function of another file.
//!
//! Does: read from an entry's instructions where the address of the function is kept (ELF for the Arm 64-bit Architecture,
//! "Dynamic Linking"; linkers write them all alike), and tell a whole entry by all of its instructions.
//! Does not: read that address.
//!
//! ```text
//!   bti  c                        where branch targets are checked
//!   adrp x16, page of the slot
//!   ldr  x17, [x16, slot in page]
//!   add  x16, x16, slot in page    not in mold's `.plt.got`
//!   autia1716                      where pointers are signed
//!   br   x17
//!   nop                            up to the end
//! ```

use super::instruction::LEN;
use crate::unwind::linkage::{Entry, EntryFunction};

/// The most bytes of an entry that are looked at.
pub const MAX_ENTRY: u64 = 4 * LEN;

const BTI_C: u32 = 0xd503_245f;
/// `adrp` to any register.
const ADRP: u32 = 0x9f00_0000;
const ADRP_VALUE: u32 = 0x9000_0000;
const ADRP_X16: (u32, u32) = (0x9f00_001f, 0x9000_0010);
const LDR_X17_X16: (u32, u32) = (0xffc0_03ff, 0xf940_0211);
/// `add x16, x16, #`, without a shift.
const ADD_X16_X16: (u32, u32) = (0xffc0_03ff, 0x9100_0210);
const AUTIA1716: u32 = 0xd503_219f;
const BR_X17: u32 = 0xd61f_0220;
const NOP: u32 = 0xd503_201f;
const PAGE: u64 = 4096;

/// The address of the slot that the entry `code` at `address` takes its function from; `None` when it is no entry.
pub fn slot(code: &[u8], address: u64) -> Option<u64> {
    let words = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut words = (address..).step_by(LEN as usize).zip(words).skip_while(|(_, word)| *word == BTI_C);
    let (at, adrp) = words.next()?;
    let (_, ldr) = words.next()?;
    if adrp & ADRP_X16.0 != ADRP_X16.1 || ldr & LDR_X17_X16.0 != LDR_X17_X16.1 {
        return None;
    }
    let page = page(adrp, at)?;
    Some(page.wrapping_add(u64::from(ldr >> 10 & 0xfff) * 8))
}

/// The instructions of the longest entry.
pub const ENTRY_WORDS: usize = 6;

/// The entry that begins at `address` with `code`; `None` where its instructions are not those of one.
pub fn entry(code: &[u8], address: u64) -> Option<Entry> {
    let function = EntryFunction::InSlot(slot(code, address)?);
    let words = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut words = words.take(ENTRY_WORDS).enumerate().peekable();
    words.next_if(|(_, word)| *word == BTI_C);
    // The two that have told the slot.
    words.nth(1)?;
    words.next_if(|(_, word)| word & ADD_X16_X16.0 == ADD_X16_X16.1);
    words.next_if(|(_, word)| *word == AUTIA1716);
    let (mut last, _) = words.next_if(|(_, word)| *word == BR_X17)?;
    while let Some((nop, _)) = words.next_if(|(_, word)| *word == NOP) {
        last = nop;
    }
    Some(Entry { end: address.wrapping_add((last as u64 + 1) * LEN), function })
}

/// The page that the instruction `word` at `address` makes the address of, if it is `adrp`.
pub fn page(word: u32, address: u64) -> Option<u64> {
    if word & ADRP != ADRP_VALUE {
        return None;
    }
    // 21 bits: the upper 19 stand at 5, the lower two at 29. Extended by their sign.
    let pages = i64::from(((word << 8 & 0xffff_e000) | (word >> 29 & 3) << 11).cast_signed() >> 11);
    Some((address & !(PAGE - 1)).wrapping_add_signed(pages.wrapping_mul(PAGE.cast_signed())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn an_entry_tells_its_slot() {
        // As objdump shows read@plt of Debian's python3.13.
        let entry = [0x9000_3290, 0xf943_fa11, 0x911f_c210, 0xd61f_0220];
        assert_eq!(slot(&bytes(&entry), 0x42_03b0), Some(0xa7_07f0));
        assert_eq!(slot(&bytes(&[&[BTI_C][..], &entry].concat()), 0x42_03ac), Some(0xa7_07f0));
        // adrp x16, one page and three pages back
        assert_eq!(slot(&bytes(&[0xf0ff_fff0, 0xf940_0211]), 0x5008), Some(0x4000));
        assert_eq!(slot(&bytes(&[0xb0ff_fff0, 0xf940_0611]), 0x5008), Some(0x2008));
    }

    /// What ld, gold, lld and mold write, as objdump shows it.
    #[test]
    fn entries_of_all_linkers_are_told_by_all_of_their_instructions() {
        const ADRP: u32 = 0x9000_0110;
        const LDR: u32 = 0xf942_f211;
        const ADD: u32 = 0x9117_8210;
        let cases: [(&[u32], usize); 6] = [
            (&[ADRP, LDR, ADD, BR_X17], 4),
            (&[ADRP, LDR, ADD, BR_X17, ADRP, LDR], 4),
            (&[ADRP, LDR, BR_X17, NOP, ADRP, LDR], 4),
            (&[ADRP, LDR, ADD, AUTIA1716, BR_X17, NOP], 6),
            (&[BTI_C, ADRP, LDR, ADD, BR_X17, NOP, NOP], 6),
            (&[BTI_C, ADRP, LDR, ADD, AUTIA1716, BR_X17], 6),
        ];
        for (words, length) in cases {
            let expected = Entry { end: 0x1_0490 + 4 * length as u64, function: EntryFunction::InSlot(0x3_05e0) };
            assert_eq!(entry(&bytes(words), 0x1_0490), Some(expected), "{words:x?}");
        }
        // The table's first entry, a load that is used otherwise, and one that is cut off.
        for words in [
            &[0xa9bf_7bf0, ADRP, LDR, ADD, BR_X17][..],
            &[ADRP, LDR, ADD, ADD, BR_X17],
            &[ADRP, LDR, 0xd65f_03c0],
            &[ADRP, LDR, ADD],
            &[BTI_C, BTI_C, ADRP, LDR, ADD, BR_X17],
        ] {
            assert_eq!(entry(&bytes(words), 0x1_0490), None, "{words:x?}");
        }
    }

    #[test]
    fn other_code_is_no_entry() {
        for words in
            [&[][..], &[BTI_C, BTI_C], &[0x9000_3290], &[0x9000_3290, 0xd61f_0220], &[0xf943_fa11, 0x9000_3290]]
        {
            assert_eq!(slot(&bytes(words), 0x42_03b0), None, "{words:x?}");
        }
    }
}
