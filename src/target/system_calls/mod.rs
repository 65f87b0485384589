//! The system calls in which threads wait: what each waits for, as data.
//!
//! Does: tell by its number and arguments what a blocked call waits for. Each architecture has a table of numbers, and all
//! of them are compiled everywhere.
//! Does not: look at the target: which file a descriptor stands for is told by [`super::descriptors`].

pub mod aarch64;
pub mod x86_64;

use super::threads::SystemCall;
use crate::types::Addr;

/// An architecture's numbers of the calls in `CALLS`, with their names.
pub type Numbers = [(u64, &'static str)];

/// What a blocked call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For the file of a descriptor.
    File {
        /// The call's name.
        call: &'static str,
        /// The descriptor.
        descriptor: i32,
    },
    /// For one of several files, or for a file that has no descriptor (yet).
    Files {
        /// The call's name.
        call: &'static str,
    },
    /// For the futex at this address.
    Futex(Addr),
    /// For time to pass.
    Time,
    /// For a child process.
    Child,
    /// For a signal.
    Signal,
}

/// Where a call's arguments (counted from 0) tell what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// For the file of the descriptor in argument 0.
    File,
    /// For any of a number of files: how many is in this argument; for none of them it only lets time pass.
    Files(usize),
    /// For the files of a path, or something else that has no descriptor.
    NoDescriptor,
    /// For the futex at argument 0, if the operation in argument 1 waits.
    Futex,
    /// For time to pass.
    Time,
    /// For a child process.
    Child,
    /// For a signal.
    Signal,
    /// For what the call before waited for.
    Restarted,
}

/// Section 2 of the manual has the arguments of each.
const CALLS: &[(&str, Rule)] = &[
    ("read", Rule::File),
    ("write", Rule::File),
    ("pread64", Rule::File),
    ("pwrite64", Rule::File),
    ("readv", Rule::File),
    ("writev", Rule::File),
    ("preadv", Rule::File),
    ("pwritev", Rule::File),
    ("preadv2", Rule::File),
    ("pwritev2", Rule::File),
    ("recvfrom", Rule::File),
    ("recvmsg", Rule::File),
    ("recvmmsg", Rule::File),
    ("sendto", Rule::File),
    ("sendmsg", Rule::File),
    ("sendmmsg", Rule::File),
    ("accept", Rule::File),
    ("accept4", Rule::File),
    ("connect", Rule::File),
    ("epoll_wait", Rule::File),
    ("epoll_pwait", Rule::File),
    ("epoll_pwait2", Rule::File),
    ("io_uring_enter", Rule::File),
    ("fsync", Rule::File),
    ("fdatasync", Rule::File),
    ("syncfs", Rule::File),
    ("sync_file_range", Rule::File),
    ("flock", Rule::File),
    ("fcntl", Rule::File),
    ("ioctl", Rule::File),
    ("ftruncate", Rule::File),
    ("fallocate", Rule::File),
    ("getdents64", Rule::File),
    ("close", Rule::File),
    // The file that data is written to, or read from: either can be the one that is waited for.
    ("sendfile", Rule::File),
    ("splice", Rule::File),
    ("copy_file_range", Rule::File),
    ("poll", Rule::Files(1)),
    ("ppoll", Rule::Files(1)),
    ("select", Rule::Files(0)),
    ("pselect6", Rule::Files(0)),
    ("open", Rule::NoDescriptor),
    ("openat", Rule::NoDescriptor),
    ("openat2", Rule::NoDescriptor),
    ("stat", Rule::NoDescriptor),
    ("newfstatat", Rule::NoDescriptor),
    ("statx", Rule::NoDescriptor),
    ("renameat2", Rule::NoDescriptor),
    ("unlink", Rule::NoDescriptor),
    ("unlinkat", Rule::NoDescriptor),
    ("mkdirat", Rule::NoDescriptor),
    ("sync", Rule::NoDescriptor),
    ("msync", Rule::NoDescriptor),
    ("msgrcv", Rule::NoDescriptor),
    ("msgsnd", Rule::NoDescriptor),
    ("mq_timedreceive", Rule::NoDescriptor),
    ("mq_timedsend", Rule::NoDescriptor),
    ("getrandom", Rule::NoDescriptor),
    ("futex", Rule::Futex),
    ("nanosleep", Rule::Time),
    ("clock_nanosleep", Rule::Time),
    ("wait4", Rule::Child),
    ("waitid", Rule::Child),
    // Of a parent that has given its memory to its child until that runs another program.
    ("vfork", Rule::Child),
    ("clone", Rule::Child),
    ("clone3", Rule::Child),
    ("pause", Rule::Signal),
    ("rt_sigsuspend", Rule::Signal),
    ("rt_sigtimedwait", Rule::Signal),
    (RESTART, Rule::Restarted),
];

/// What the kernel puts in the place of a call that ends at a time when a stop of the thread has interrupted it
/// (restart_syscall(2)): the arguments stay, the number is lost.
const RESTART: &str = "restart_syscall";

/// The operations of futex(2) that wait, without their flags (linux/futex.h): FUTEX_WAIT, FUTEX_LOCK_PI,
/// FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_LOCK_PI2.
const FUTEX_WAITS: [u64; 5] = [0, 6, 9, 11, 13];
/// `FUTEX_CMD_MASK`, without the bits above the `int` that the operation is.
const FUTEX_OPERATION: u64 = 0x7f;

/// What a blocked call waits for; `None` for a call that is not known to wait.
pub fn wait(numbers: &Numbers, blocked: &SystemCall) -> Option<Wait> {
    let (_, call) = *numbers.iter().find(|(number, _)| *number == blocked.number)?;
    let (_, rule) = *CALLS.iter().find(|(name, _)| *name == call)?;
    // The kernel takes the low half of an argument that is an `int`, whatever is above it.
    let [first, second, ..] = blocked.arguments;
    let is_zero = |argument: usize| blocked.arguments.get(argument).is_some_and(|value| *value as u32 == 0);
    match rule {
        Rule::File => Some(Wait::File { call, descriptor: first as u32 as i32 }),
        Rule::Files(count) if is_zero(count) => Some(Wait::Time),
        Rule::Files(_) | Rule::NoDescriptor => Some(Wait::Files { call }),
        Rule::Futex => FUTEX_WAITS.contains(&(second & FUTEX_OPERATION)).then_some(Wait::Futex(Addr(first))),
        Rule::Time => Some(Wait::Time),
        Rule::Child => Some(Wait::Child),
        Rule::Signal => Some(Wait::Signal),
        Rule::Restarted => None,
    }
}

/// The call that `blocked` is: the thread's last one, `before`, where the kernel has restarted that.
pub fn restarted(numbers: &Numbers, blocked: SystemCall, before: Option<SystemCall>) -> SystemCall {
    let is_restart = numbers.iter().any(|(number, call)| *number == blocked.number && *call == RESTART);
    before.filter(|before| is_restart && before.arguments == blocked.arguments).unwrap_or(blocked)
}

/// `PIPE_BUF` (linux/limits.h): a pipe takes so many bytes whole or not at all (pipe(7)).
const PIPE_BUF: u64 = 4096;
/// `MSG_WAITALL` (linux/socket.h): the call waits until all bytes have come.
const MSG_WAITALL: u64 = 0x100;

/// Whether a call moves data in several pieces and waits between them: one that is interrupted then moves less than it was
/// to (write(2), send(2), recv(2)).
pub fn moves_in_pieces(numbers: &Numbers, call: &SystemCall) -> bool {
    let [_, _, length, flags, ..] = call.arguments;
    match numbers.iter().find(|(number, _)| *number == call.number) {
        Some((_, "write" | "sendto")) => length > PIPE_BUF,
        Some((_, "recvfrom")) => flags & MSG_WAITALL != 0,
        Some((_, "writev" | "sendmsg" | "sendfile" | "splice")) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(number: u64, arguments: [u64; 3]) -> SystemCall {
        let [a, b, c] = arguments;
        SystemCall { number, arguments: [a, b, c, 0, 0, 0] }
    }

    fn x86(number: u64, arguments: [u64; 3]) -> Option<Wait> {
        wait(x86_64::NUMBERS, &blocked(number, arguments))
    }

    #[test]
    fn a_call_waits_for_what_its_arguments_say() {
        let read = Wait::File { call: "read", descriptor: 5 };
        assert_eq!(x86(0, [5, 0, 0]), Some(read));
        assert_eq!(x86(0, [0xdead_0000_0005, 0, 0]), Some(read), "a descriptor is an int");
        assert_eq!(wait(aarch64::NUMBERS, &blocked(63, [5, 0, 0])), Some(read));
        assert_eq!(x86(230, [0; 3]), Some(Wait::Time));
        assert_eq!(x86(61, [0; 3]), Some(Wait::Child));
        assert_eq!(x86(34, [0; 3]), Some(Wait::Signal));
        assert_eq!(x86(9999, [0; 3]), None);
    }

    #[test]
    fn what_moves_much_moves_in_pieces() {
        let moves = |number, length, flags| {
            let call = SystemCall { number, arguments: [3, 0x7000, length, flags, 0, 0] };
            moves_in_pieces(x86_64::NUMBERS, &call)
        };
        assert!(moves(1, 4097, 0) && !moves(1, 4096, 0), "a pipe takes 4,096 bytes at once");
        assert!(moves(44, 1 << 20, 0) && !moves(44, 1, 0));
        assert!(moves(45, 1, 0x100) && !moves(45, 1 << 20, 0), "only with MSG_WAITALL");
        assert!(moves(20, 1, 0) && !moves(0, 1 << 20, 0), "writev does, read does not");
        assert!(moves_in_pieces(aarch64::NUMBERS, &blocked(64, [3, 0x7000, 4097])));
    }

    #[test]
    fn waiting_for_no_file_at_all_is_sleeping() {
        assert_eq!(x86(7, [0x7000, 0, 10]), Some(Wait::Time), "poll");
        assert_eq!(x86(7, [0x7000, 2, 10]), Some(Wait::Files { call: "poll" }));
        assert_eq!(x86(23, [0, 0, 0]), Some(Wait::Time), "select");
        assert_eq!(x86(270, [4, 0x7000, 0]), Some(Wait::Files { call: "pselect6" }));
    }

    #[test]
    fn a_futex_is_waited_for_by_some_operations_only() {
        let waits = |operation| x86(202, [0x5000, operation, 0]) == Some(Wait::Futex(Addr(0x5000)));
        // FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, with and without FUTEX_PRIVATE_FLAG: glibc's waits.
        assert!([0, 128, 9 | 256, 9 | 128 | 256, 6 | 128].into_iter().all(waits));
        assert!(![1, 129, 4, 10].into_iter().any(waits), "waking does not wait");
    }

    #[test]
    fn a_restarted_call_is_the_one_before() {
        let (poll, restart) = (blocked(7, [0x7000, 1, 10]), blocked(219, [0x7000, 1, 10]));
        let known = |before| wait(x86_64::NUMBERS, &restarted(x86_64::NUMBERS, restart, before));
        assert_eq!(known(Some(poll)), Some(Wait::Files { call: "poll" }));
        assert_eq!(known(Some(blocked(7, [0x8000, 1, 10]))), None, "another call that was seen earlier");
        assert_eq!(known(None), None);
        assert_eq!(restarted(x86_64::NUMBERS, poll, Some(blocked(0, [0x7000, 1, 10]))), poll, "it was not restarted");
    }

    #[test]
    fn every_number_belongs_to_one_known_call() {
        for numbers in [x86_64::NUMBERS, aarch64::NUMBERS] {
            assert!(numbers.is_sorted_by(|(a, _), (b, _)| a < b), "in the order of numbers, each once");
            for (number, name) in numbers {
                assert!(CALLS.iter().any(|(call, _)| call == name), "{number} {name}");
            }
        }
    }
}
