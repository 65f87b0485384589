//! AArch64: the kernel's register set in DWARF numbering.
//!
//! Does: decode `struct user_pt_regs` (asm/ptrace.h) by the numbers of "DWARF for the Arm 64-bit Architecture", 4.1, and
//! the bits of a return address that are its signature.
//! Does not: obtain registers, or unwind.

use crate::target::registers::Registers;
use crate::target::threads::SystemCall;
use crate::types::Machine;

/// This architecture.
pub const MACHINE: Machine = Machine::Aarch64;
/// The frame pointer, `x29`.
pub const FP: usize = 29;
/// The stack pointer.
pub const SP: usize = 31;
/// The program counter.
pub const PC: usize = 32;
/// AAPCS64 (6.4.5.1) gives nobody the bytes below the stack pointer.
pub const RED_ZONE: u64 = 0;

/// The size of `struct user_pt_regs`: x0–x30, sp, pc and pstate.
pub const REGISTER_SET_SIZE: usize = 34 * 8;

/// Decodes the register set; `None` when it is shorter than the structure. Its first 33 words are in the order of the
/// DWARF numbers. The thread pointer is not in it: that is `NT_ARM_TLS`.
pub fn decode(set: &[u8]) -> Option<Registers> {
    let mut registers = Registers::new();
    let words = set.get(..REGISTER_SET_SIZE)?.as_chunks::<8>().0;
    for (number, word) in words.iter().take(PC + 1).enumerate() {
        registers.set(number, u64::from_le_bytes(*word));
    }
    Some(registers)
}

/// From a thread's `pthread_t` to its thread pointer: the C library's own affair.
pub const PTHREAD_DISTANCE: Option<u64> = None;
/// The register set that holds the thread pointer, `tpidr_el0`, as its first word: `NT_ARM_TLS` (linux/elf.h).
pub const THREAD_POINTER_SET: Option<libc::c_int> = Some(0x401);
/// The register set that tells which bits of a pointer are its signature: `NT_ARM_PAC_MASK` (linux/elf.h).
pub const SIGNATURE_SET: Option<libc::c_int> = Some(0x406);

/// The lowest bit that can be a signature's: the smallest address space that Linux gives a process has 36 bits
/// (arch/arm64/Kconfig, ARM64_VA_BITS). A mask with lower bits would destroy addresses, and is none.
const LOWEST_SIGNATURE_BIT: u32 = 36;

/// The bits of a return address that are its signature, from `struct user_pac_mask` (asm/ptrace.h: the masks of data and
/// of instruction pointers); 0 when the structure makes no sense.
pub fn decode_signature_mask(set: &[u8]) -> u64 {
    let word = set.get(8..16).and_then(|word| word.first_chunk());
    word.map(|word| u64::from_le_bytes(*word)).filter(|mask| mask.trailing_zeros() >= LOWEST_SIGNATURE_BIT).unwrap_or(0)
}

const X0: usize = 0;
const X2: usize = 2;
const X3: usize = 3;
const X8: usize = 8;

/// `svc #0`, with which every system call is made.
const SYSTEM_CALL: u32 = 0xd400_0001;

/// Whether the stop has ended a system call early, so that the program notices: it is on its way out with EINTR, or with a
/// part of what it was to transfer.
///
/// `before_pc` gives the instruction in front of the program counter, and is asked only where the answer depends on it:
/// user_pt_regs does not say whether the thread is leaving a call, and the kernel has forgotten it by the time of the stop
/// (`do_signal` in arch/arm64/kernel/signal.c). A thread that was stopped right behind a call, before it has looked at the
/// result, counts as one that is leaving: the two cannot be told apart.
pub fn interrupted_call(set: &[u8], before_pc: impl FnOnce() -> Option<u32>) -> bool {
    let word = |index: usize| Some(u64::from_le_bytes(*set.as_chunks::<8>().0.get(index)?));
    let call = || {
        let number = libc::c_long::try_from(word(X8)?.cast_signed()).ok()?;
        let result = word(X0)?.cast_signed();
        let is_short = result >= 0 && result.cast_unsigned() < word(X2)?;
        // asm-generic/unistd.h, which is also what the names below stand for.
        Some(match number {
            0.. if result == -i64::from(libc::EINTR) => true,
            WRITE | SENDTO => is_short,
            RECVFROM => is_short && word(X3)? & libc::MSG_WAITALL as u64 != 0,
            _ => false,
        })
    };
    call().unwrap_or(false) && before_pc() == Some(SYSTEM_CALL)
}

/// The system call in which a thread slept until it was stopped; `None` of one that had left its call by then.
///
/// `code_at` returns the instruction so many bytes from the program counter. A call that begins anew has its first argument and
/// its instruction back by the time of the stop (`do_signal` in arch/arm64/kernel/signal.c). One that ends early has its result
/// where its first argument was: that is then told as no value that a call takes.
pub fn call_slept_in(set: &[u8], code_at: impl Fn(i64) -> Option<u32>) -> Option<SystemCall> {
    let word = |index: usize| Some(u64::from_le_bytes(*set.as_chunks::<8>().0.get(index)?));
    let mut arguments = [0; 6];
    for (index, argument) in arguments.iter_mut().enumerate() {
        *argument = word(X0 + index)?;
    }
    if code_at(0) != Some(SYSTEM_CALL) {
        if !interrupted_call(set, || code_at(-4)) {
            return None;
        }
        arguments[0] = u64::MAX;
    }
    Some(SystemCall { number: word(X8)?, arguments })
}

const WRITE: libc::c_long = 64;
const SENDTO: libc::c_long = 206;
const RECVFROM: libc::c_long = 207;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: [u64; 34]) -> Vec<u8> {
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn every_word_lands_in_its_dwarf_register() {
        let set = bytes(std::array::from_fn(|n| n as u64 + 100));
        let registers = decode(&set).unwrap();
        assert_eq!((0..33).map(|n| registers.get(n).unwrap()).collect::<Vec<_>>(), (100..133).collect::<Vec<_>>());
        assert_eq!(registers.thread_pointer, None);
        assert_eq!(decode(&set[..33 * 8]), None);
    }

    #[test]
    fn the_mask_of_instruction_pointers_is_taken_and_one_that_would_destroy_addresses_is_not() {
        let mask = |data: u64, instruction: u64| {
            decode_signature_mask(&[data.to_le_bytes(), instruction.to_le_bytes()].concat())
        };
        assert_eq!(mask(1 << 60, 0x007f_0000_0000_0000), 0x007f_0000_0000_0000);
        assert_eq!(mask(0, 0x0070_0000_0000_0000), 0x0070_0000_0000_0000, "52 bits of address");
        for senseless in [u64::MAX, 1, 1 << 35, 0] {
            assert_eq!(mask(0, senseless), 0);
        }
        assert_eq!(decode_signature_mask(&[0xff; 15]), 0);
    }

    #[test]
    fn a_call_that_ends_early_because_of_the_stop_is_told() {
        let left_with = |number: i64, result: i64, length: i64, flags: i64| {
            let mut words = [0; 34];
            for (index, value) in [(X8, number), (X0, result), (X2, length), (X3, flags)] {
                words[index] = value.cast_unsigned();
            }
            interrupted_call(&bytes(words), || Some(SYSTEM_CALL))
        };
        let (epoll_pwait, eintr, restart) = (22, -i64::from(libc::EINTR), -512);
        assert!(left_with(epoll_pwait, eintr, 8, 0) && !left_with(63, restart, 8, 0));
        assert!(left_with(WRITE, 4096, 1 << 20, 0) && left_with(SENDTO, 0, 1, 0) && !left_with(WRITE, 4096, 4096, 0));
        let all = i64::from(libc::MSG_WAITALL);
        assert!(left_with(RECVFROM, 10, 20, all) && !left_with(RECVFROM, 10, 20, 0));

        let mut words = [0; 34];
        (words[X8], words[X0]) = (22, eintr.cast_unsigned());
        assert!(!interrupted_call(&bytes(words), || Some(0xd503_201f)) && !interrupted_call(&bytes(words), || None));
        assert!(!interrupted_call(&[0; 16], || Some(SYSTEM_CALL)));
    }

    #[test]
    fn the_call_in_which_a_thread_slept_is_told_with_its_arguments() {
        let mut words: [u64; 34] = std::array::from_fn(|number| number as u64 + 1);
        words[X8] = 98;
        let code = |here: u32, before: u32| {
            move |offset| match offset {
                0 => Some(here),
                -4 => Some(before),
                _ => None,
            }
        };
        let other = 0xd503_201f;
        let futex = SystemCall { number: 98, arguments: [1, 2, 3, 4, 5, 6] };
        assert_eq!(call_slept_in(&bytes(words), code(SYSTEM_CALL, other)), Some(futex), "it begins anew");
        assert_eq!(call_slept_in(&bytes(words), code(other, SYSTEM_CALL)), None, "it has left the call");
        words[X0] = (-i64::from(libc::EINTR)).cast_unsigned();
        let early = SystemCall { arguments: [u64::MAX, 2, 3, 4, 5, 6], ..futex };
        assert_eq!(call_slept_in(&bytes(words), code(other, SYSTEM_CALL)), Some(early));
        assert_eq!(call_slept_in(&bytes(words), |_| None), None);
        assert_eq!(call_slept_in(&[0; 16], code(SYSTEM_CALL, other)), None);
    }
}
