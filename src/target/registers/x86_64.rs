//! x86-64: the kernel's register set in DWARF numbering.
//!
//! Does: decode `struct user_regs_struct` (sys/user.h) and name the numbers of the System V psABI, figure 3.36.
//! Does not: obtain registers, or unwind.

use crate::target::registers::Registers;
use crate::target::threads::SystemCall;
use crate::types::{Addr, Machine};

/// This architecture.
pub const MACHINE: Machine = Machine::X86_64;
/// The stack pointer, `rsp`.
pub const SP: usize = 7;
/// The frame pointer, `rbp`.
pub const FP: usize = 6;
/// The program counter; DWARF calls the column "return address".
pub const PC: usize = 16;
/// The bytes below the stack pointer that a leaf function may use (psABI 3.2.2).
pub const RED_ZONE: u64 = 128;

/// From a thread's `pthread_t` to its thread pointer: the same (psABI, "thread control block").
pub const PTHREAD_DISTANCE: Option<u64> = Some(0);
/// `user_regs_struct` holds the thread pointer.
pub const THREAD_POINTER_SET: Option<libc::c_int> = None;
/// Return addresses are not signed.
pub const SIGNATURE_SET: Option<libc::c_int> = None;

/// No bit of a return address is a signature's.
pub fn decode_signature_mask(_: &[u8]) -> u64 {
    0
}

/// The size of `struct user_regs_struct`.
pub const REGISTER_SET_SIZE: usize = 27 * 8;

/// The DWARF number of each word of `struct user_regs_struct`, by the word's index.
const DWARF_NUMBERS: [(usize, usize); 17] = [
    (0, 15),
    (1, 14),
    (2, 13),
    (3, 12),
    (4, FP),
    (5, 3),
    (6, 11),
    (7, 10),
    (8, 9),
    (9, 8),
    (10, 0),
    (11, 2),
    (12, 1),
    (13, 4),
    (14, 5),
    (16, PC),
    (19, SP),
];
const FS_BASE: usize = 21;

/// Decodes the register set; `None` when it is shorter than the structure.
pub fn decode(set: &[u8]) -> Option<Registers> {
    let word = |index: usize| Some(u64::from_le_bytes(set.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let mut registers = Registers::new();
    for (index, number) in DWARF_NUMBERS {
        registers.set(number, word(index)?);
    }
    registers.thread_pointer = Some(Addr(word(FS_BASE)?));
    Some(registers)
}

const RAX: usize = 10;
const RDX: usize = 12;
const R10: usize = 7;
/// `orig_rax`: the system call that is being left, or -1 when the thread was stopped elsewhere.
const ORIG_RAX: usize = 15;

/// Whether the stop has ended a system call early, so that the program notices: it is on its way out with EINTR, which the
/// kernel does not turn into a new start as it does its internal ERESTART codes, or with a part of what it was to transfer.
/// A call that would have transferred only so much in any case counts, too: the two cannot be told apart.
/// The instruction in front of the program counter is not needed: `orig_rax` tells.
pub fn interrupted_call(set: &[u8], _: impl FnOnce() -> Option<u32>) -> bool {
    let word = |index: usize| Some(u64::from_le_bytes(set.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let call = || {
        let number = libc::c_long::try_from(word(ORIG_RAX)?.cast_signed()).ok()?;
        let result = word(RAX)?.cast_signed();
        let is_short = result >= 0 && result.cast_unsigned() < word(RDX)?;
        Some(match number {
            // Those that transfer, too: a socket with a time limit fails so when nothing has been moved yet.
            0.. if result == -i64::from(libc::EINTR) => true,
            WRITE | SENDTO => is_short,
            RECVFROM => is_short && word(R10)? & libc::MSG_WAITALL as u64 != 0,
            _ => false,
        })
    };
    call().unwrap_or(false)
}

/// The kernel's internal codes of a call that it starts anew, which no program sees: ERESTARTSYS, ERESTARTNOINTR,
/// ERESTARTNOHAND and ERESTART_RESTARTBLOCK (linux/errno.h).
const RESTARTED: [i64; 4] = [-512, -513, -514, -516];
/// Where `struct user_regs_struct` has a call's arguments: rdi, rsi, rdx, r10, r8, r9.
const ARGUMENTS: [usize; 6] = [14, 13, RDX, R10, 9, 8];

/// The system call in which a thread slept until it was stopped; `None` of one that had left its call by then.
/// The instructions around the program counter are not needed: `orig_rax` tells.
pub fn call_slept_in(set: &[u8], _: impl Fn(i64) -> Option<u32>) -> Option<SystemCall> {
    let word = |index: usize| Some(u64::from_le_bytes(set.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    let number = word(ORIG_RAX)?;
    let is_left_early = RESTARTED.contains(&word(RAX)?.cast_signed()) || interrupted_call(set, || None);
    let mut arguments = [0; 6];
    for (argument, index) in arguments.iter_mut().zip(ARGUMENTS) {
        *argument = word(index)?;
    }
    (number.cast_signed() >= 0 && is_left_early).then_some(SystemCall { number, arguments })
}

// asm/unistd_64.h: the names of the C library are those of the machine that this is built for.
const WRITE: libc::c_long = 1;
const SENDTO: libc::c_long = 44;
const RECVFROM: libc::c_long = 45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_lands_in_its_dwarf_register() {
        // Each word holds its own index; the expected order is that of sys/user.h.
        let set: Vec<u8> = (0..27u64).flat_map(u64::to_le_bytes).collect();
        let registers = decode(&set).unwrap();
        let by_number: Vec<_> = (0..17).map(|n| registers.get(n).unwrap()).collect();
        assert_eq!(by_number, [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16]);
        assert_eq!(registers.thread_pointer, Some(Addr(21)));
        assert_eq!(decode(&set[..8 * 21]), None);
    }

    #[test]
    fn a_call_that_ends_early_because_of_the_stop_is_told() {
        let left_with = |number: i64, result: i64, length: i64, flags: i64| {
            let mut words = [0i64; 27];
            (words[ORIG_RAX], words[RAX], words[RDX], words[R10]) = (number, result, length, flags);
            interrupted_call(&words.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>(), || None)
        };
        let (eintr, restart) = (-i64::from(libc::EINTR), -512);
        assert!(left_with(232, eintr, 8, 0));
        for transfer in [RECVFROM, SENDTO, WRITE] {
            assert!(left_with(transfer, eintr, 8, 0), "as with SO_RCVTIMEO and SO_SNDTIMEO");
        }
        assert!(!left_with(0, restart, 8, 0), "the kernel starts it anew");
        assert!(!left_with(-1, eintr, 8, 0), "a register's value in user code");
        assert!(left_with(WRITE, 4096, 1 << 20, 0) && left_with(SENDTO, 0, 1, 0));
        assert!(!left_with(WRITE, 4096, 4096, 0));
        let all = i64::from(libc::MSG_WAITALL);
        assert!(left_with(RECVFROM, 10, 20, all) && !left_with(RECVFROM, 10, 20, 0));
        assert!(!interrupted_call(&[0; 16], || None));
    }

    #[test]
    fn the_call_in_which_a_thread_slept_is_told_with_its_arguments() {
        let left_with = |number: i64, result: i64| {
            let mut words: [i64; 27] = std::array::from_fn(|index| index as i64);
            (words[ORIG_RAX], words[RAX]) = (number, result);
            call_slept_in(&words.into_iter().flat_map(i64::to_le_bytes).collect::<Vec<u8>>(), |_| None)
        };
        let futex = SystemCall { number: 202, arguments: [14, 13, 12, 7, 9, 8] };
        for restarted in [-512, -513, -514, -516, -i64::from(libc::EINTR)] {
            assert_eq!(left_with(202, restarted), Some(futex), "{restarted}");
        }
        assert_eq!([left_with(202, 0), left_with(202, -110), left_with(-1, -512)], [None; 3], "it had left the call");
        assert_eq!(call_slept_in(&[0; 16], |_| None), None);
    }
}
