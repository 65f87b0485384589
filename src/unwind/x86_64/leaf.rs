//! What a function that calls nobody leaves in the registers that a call may change.
//!
//! Does: tell which of them no instruction of such a function writes. Does not: know what they are for, or go into another function.

use iced_x86::{Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::instruction::Branch;

/// The registers by their DWARF numbers (System V psABI for x86-64, figure 3.36).
const BY_NUMBER: [Register; 16] = [
    Register::RAX,
    Register::RDX,
    Register::RCX,
    Register::RBX,
    Register::RSI,
    Register::RDI,
    Register::RBP,
    Register::RSP,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The general registers that `code`, a whole function at `base`, writes nowhere, a bit for each DWARF number: its caller's are those
/// that it runs with. None where it calls, or goes elsewhere: what is there may write all of them.
pub fn untouched(code: &[u8], base: u64) -> u64 {
    let (mut untouched, end) = (0xffff_u64, base.saturating_add(code.len() as u64));
    let mut info = InstructionInfoFactory::new();
    for instruction in Decoder::with_ip(64, code, base, DecoderOptions::NONE) {
        if !stays(&instruction, base..end) {
            return 0;
        }
        for used in info.info(&instruction).used_registers() {
            let is_written =
                !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
            let number = BY_NUMBER.iter().position(|register| *register == used.register().full_register());
            if let Some(number) = number.filter(|_| is_written) {
                untouched &= !(1 << number);
            }
        }
    }
    untouched
}

/// Whether the function goes on in itself behind an instruction, or returns.
fn stays(instruction: &Instruction, function: std::ops::Range<u64>) -> bool {
    match Branch::of(instruction) {
        None => !instruction.is_invalid(),
        Some(Branch::Always(target) | Branch::Sometimes(target)) => function.contains(&target),
        Some(Branch::Return) => true,
        // Behind a trap nothing runs, but bytes that are no instruction tell that others are not what they seem to be.
        Some(Branch::Trap) => !instruction.is_invalid(),
        Some(Branch::Pointer | Branch::Call(_) | Branch::CallPointer) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAX: u64 = 1;
    const R11: u64 = 1 << 11;
    const RDX: u64 = 1 << 1;

    #[test]
    fn what_no_instruction_writes_is_untouched() {
        // add $1,%edx; vpxor %xmm0,%xmm0,%xmm0; cmp %rax,%r11; jne back; ret
        let code = [0x83, 0xc2, 1, 0xc5, 0xf9, 0xef, 0xc0, 0x4c, 0x39, 0xd8, 0x75, 0xf4, 0xc3];
        let untouched = untouched(&code, 0x1000);
        assert_eq!((untouched & RAX, untouched & R11, untouched & RDX), (RAX, R11, 0));
    }

    #[test]
    fn what_an_instruction_writes_without_naming_it_is_touched() {
        // A part of rax; what mul, cpuid, xchg, syscall and a conditional move write.
        for (code, touched) in [
            (&[0xb0, 1][..], RAX),            // mov $1,%al
            (&[0xb4, 1], RAX),                // mov $1,%ah
            (&[0x48, 0xf7, 0xe1], RAX | RDX), // mul %rcx
            (&[0x0f, 0xa2], RAX | RDX),       // cpuid
            (&[0x49, 0x93], R11),             // xchg %rax,%r11
            (&[0x0f, 0x05], R11),             // syscall
            (&[0x4c, 0x0f, 0x44, 0xda], R11), // cmove %rdx,%r11
            (&[0x0f, 0xb1, 0x0f], RAX),       // cmpxchg %ecx,(%rdi)
        ] {
            assert_eq!(untouched(code, 0x1000) & touched, 0, "{code:x?}");
        }
    }

    #[test]
    fn of_a_function_that_calls_or_goes_elsewhere_nothing_is_known() {
        for code in [
            &[0xe8, 0, 0, 0, 0, 0xc3][..], // call; ret
            &[0xff, 0xd0, 0xc3],           // call *%rax
            &[0xe9, 0, 1, 0, 0],           // jmp behind its end
            &[0x74, 0x80],                 // je in front of its beginning
            &[0xff, 0xe1],                 // jmp *%rcx
            &[0x90, 0x06],                 // no instruction
            &[0x90, 0xe8],                 // half of one
        ] {
            assert_eq!(untouched(code, 0x1000), 0, "{code:x?}");
        }
    }
}
