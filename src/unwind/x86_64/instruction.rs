//! The few instructions that tell where control goes: branches, calls and returns.
//!
//! Does: tell them apart (Intel SDM, volume 2). Does not: follow them (`return_path`, `call_site`), or know what others do
//! (`effect`).

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

/// What an instruction does to the program counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// To an address: `jmp`.
    Always(u64),
    /// To an address or on: `jcc`, `loop` and their like.
    Sometimes(u64),
    /// To what a register or a word in memory holds: `jmp *`.
    Pointer,
    /// A call of an address.
    Call(u64),
    /// A call of what a register or a word in memory holds.
    CallPointer,
    /// To the return address: `ret`.
    Return,
    /// It traps, or is none.
    Trap,
}

impl Branch {
    /// The branch that an instruction is, if it is one.
    pub fn of(instruction: &Instruction) -> Option<Branch> {
        let target = (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64());
        match (instruction.mnemonic(), target) {
            _ if instruction.is_invalid() => Some(Branch::Trap),
            (Mnemonic::Ud2 | Mnemonic::Hlt | Mnemonic::Int3, _) => Some(Branch::Trap),
            (Mnemonic::Ret, _) => Some(Branch::Return),
            (Mnemonic::Jmp, target) => Some(target.map_or(Branch::Pointer, Branch::Always)),
            (Mnemonic::Call, target) => Some(target.map_or(Branch::CallPointer, Branch::Call)),
            (_, target) => target.map(Branch::Sometimes),
        }
    }
}

/// Where the branches in `code`, which begins at `base` with an instruction, lead.
pub fn branch_targets(code: &[u8], base: u64) -> Vec<u64> {
    let instructions = Decoder::with_ip(64, code, base, DecoderOptions::NONE).into_iter();
    let target = |instruction: Instruction| match Branch::of(&instruction)? {
        Branch::Always(target) | Branch::Sometimes(target) => Some(target),
        _ => None,
    };
    instructions.filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_what_the_assembler_made_of_them() {
        let behind = |offset: u64| 0x1000 + offset;
        for (code, branch) in [
            (&[0xe9, 0, 1, 0, 0][..], Some(Branch::Always(behind(0x105)))), // jmp
            (&[0xeb, 0xfe], Some(Branch::Always(behind(0)))),               // jmp, to itself
            (&[0x75, 2], Some(Branch::Sometimes(behind(4)))),               // jne
            (&[0x0f, 0x84, 0, 0, 0, 0], Some(Branch::Sometimes(behind(6)))), // je
            (&[0xe2, 0], Some(Branch::Sometimes(behind(2)))),               // loop
            (&[0xff, 0xe1], Some(Branch::Pointer)),                         // jmp *%rcx
            (&[0xff, 0x25, 0, 0, 0, 0], Some(Branch::Pointer)),             // jmp *(%rip)
            (&[0xe8, 0, 0, 0, 0], Some(Branch::Call(behind(5)))),           // call
            (&[0xff, 0xd0], Some(Branch::CallPointer)),                     // call *%rax
            (&[0xc3], Some(Branch::Return)),                                // ret
            (&[0xf2, 0xc3], Some(Branch::Return)),                          // bnd ret
            (&[0x0f, 0x0b], Some(Branch::Trap)),                            // ud2
            (&[0xcc], Some(Branch::Trap)),                                  // int3
            (&[0x06], Some(Branch::Trap)),                                  // none
            (&[0x0f, 0x05], None),                                          // syscall
            (&[0x55], None),                                                // push %rbp
        ] {
            let instruction = Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE).decode();
            assert_eq!(Branch::of(&instruction), branch, "{code:x?}");
        }
    }

    #[test]
    fn the_targets_of_branches_are_gathered_and_those_of_calls_are_not() {
        // call, je, nop, jmp
        let code = [0xe8, 0, 0, 0, 0, 0x74, 0x10, 0x90, 0xe9, 0, 1, 0, 0];
        assert_eq!(branch_targets(&code, 0x1000), [0x1017, 0x110d]);
    }
}
