//! The few instructions that tell where control goes: branches, calls and returns.
//!
//! Does: decode them (Arm Architecture Reference Manual for A-profile, C4.1.66, "Branches, Exception Generating and System
//! instructions"). Does not: follow them (`return_path`), or know what others do (`effect`).

/// Bytes of each instruction.
pub const LEN: u64 = 4;

/// What an instruction does to the program counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// To an address: `b`.
    Always(u64),
    /// To an address or on: `b.cond`, `cbz`, `tbz` and their like.
    Sometimes(u64),
    /// A call of an address: `bl`.
    Call(u64),
    /// A call of what a register holds: `blr`.
    CallRegister,
    /// To what a register holds, with its number: `br`, `ret`. Where that is signed and checked (`retaa`), x30.
    Register(u16),
    /// It traps, or is none.
    Trap,
}

impl Branch {
    /// The branch that the instruction `word` at `address` is, if it is one.
    pub fn decode(word: u32, address: u64) -> Option<Branch> {
        let to = |bits: u32, shift: u32| {
            // The immediate stands at `shift` and has `bits` bits; it counts instructions.
            let immediate = (word << (32 - bits - shift)).cast_signed() >> (32 - bits);
            address.wrapping_add_signed(i64::from(immediate) * LEN.cast_signed())
        };
        match word >> 24 {
            0x14..=0x17 => Some(Branch::Always(to(26, 0))),
            0x94..=0x97 => Some(Branch::Call(to(26, 0))),
            0x54 | 0x34 | 0x35 | 0xb4 | 0xb5 => Some(Branch::Sometimes(to(19, 5))),
            0x36 | 0x37 | 0xb6 | 0xb7 => Some(Branch::Sometimes(to(14, 5))),
            0xd6 | 0xd7 => Some(register_branch(word)),
            // svc comes back; brk, hlt and the rest do not.
            0xd4 if word & 0xffe0_001f != 0xd400_0001 => Some(Branch::Trap),
            _ if word >> 16 == 0 => Some(Branch::Trap),
            _ => None,
        }
    }
}

/// `br`, `blr`, `ret` and those with pointer authentication; `eret` and `drps` are not a user's.
fn register_branch(word: u32) -> Branch {
    let register = (word >> 5 & 31) as u16;
    match word >> 21 & 0b111 {
        0b000 => Branch::Register(register),
        0b001 => Branch::CallRegister,
        0b010 if register == 31 => Branch::Register(super::registers::LR),
        0b010 => Branch::Register(register),
        _ => Branch::Trap,
    }
}

/// Where the branches in `code`, which begins at `base`, lead.
pub fn branch_targets(code: &[u8], base: u64) -> Vec<u64> {
    let words = code.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    let addresses = (0..).map(|index: u64| base.wrapping_add(index * LEN));
    let target = |(word, address): (u32, u64)| match Branch::decode(word, address)? {
        Branch::Always(target) | Branch::Sometimes(target) => Some(target),
        _ => None,
    };
    words.zip(addresses).filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_what_the_assembler_made_of_them() {
        // Addresses and words as objdump shows them, of libc 2.42 and of CPython's JIT.
        for (address, word, branch) in [
            (0x8_5ec0, 0x3700_02e7, Branch::Sometimes(0x8_5f1c)), // tbnz w7, #0
            (0x8_5ebc, 0x3500_0308, Branch::Sometimes(0x8_5f1c)), // cbnz w8
            (0x8_5f34, 0x54ff_fee1, Branch::Sometimes(0x8_5f10)), // b.ne, backwards
            (0x8_5f4c, 0x97ff_ffd6, Branch::Call(0x8_5ea4)),      // bl, backwards
            (0x8_5efc, 0x9400_33d1, Branch::Call(0x9_2e40)),      // bl
            (0xba62_10ec, 0x1400_0107, Branch::Always(0xba62_1508)), // b
            (0, 0xd63f_0100, Branch::CallRegister),               // blr x8
            (0, 0xd61f_0220, Branch::Register(17)),               // br x17
            (0, 0xd65f_03c0, Branch::Register(30)),               // ret
            (0, 0xd65f_0bff, Branch::Register(30)),               // retaa
            (0, 0xd73f_0910, Branch::CallRegister),               // blraa x8, x16
            (0, 0xd420_0020, Branch::Trap),                       // brk #1
            (0, 0x0000_0000, Branch::Trap),                       // udf #0
        ] {
            assert_eq!(Branch::decode(word, address), Some(branch), "{word:#x}");
        }
        for word in [0xd400_0001, 0xd503_233f, 0xa9bf_7bfd, 0x9100_03fd, 0xd503_201f] {
            assert_eq!(Branch::decode(word, 0), None, "svc, paciasp, stp, mov, nop: {word:#x}");
        }
    }

    #[test]
    fn the_targets_of_branches_are_gathered_and_those_of_calls_are_not() {
        // bl, b.ne (backwards), nop, b
        let words = [0x97ff_ffd6_u32, 0x54ff_fee1, 0xd503_201f, 0x1400_0107];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(branch_targets(&code, 0x1000), [0x1004 - 0x24, 0x100c + 0x41c]);
    }
}
