//! What one capture gives: registers and copied memory of one thread at one moment.
//!
//! Does: hold the copies in buffers that are reused from sample to sample, and say what they cost the target.
//! Does not: interpret them.

use super::copies::Copies;
use super::placement::Placement;
use super::range::Range;
use crate::target::memory::{Memory, ReadError, Region};
use crate::target::registers::Registers;
use crate::target::status::TaskState;
use crate::target::threads::SystemCall;
use crate::types::{Addr, Nanos};

/// One thread at one moment.
#[derive(Debug, Default)]
pub struct Captured {
    /// Its registers: all of them, or the program counter and stack pointer of a thread that was not stopped.
    pub registers: Registers,
    /// Its stack, from below the stack pointer upwards, or from the first page that is there.
    pub stack: Region,
    /// What was asked for of the stack.
    pub(super) asked: Range,
    /// Other memory: thread state, interpreter frames.
    pub(super) copies: Copies,
    /// How long the thread stood still at most, without its own wait for a CPU. `None`: it was not stopped.
    pub stood_still: Option<Nanos>,
    /// How long it took to come to its stop after it was asked, its wait for a CPU included. `None`: it was not stopped.
    pub came_after: Option<Nanos>,
    /// Where it was when it was asked to stop.
    pub placement: Placement,
    /// Whether the stop has ended a system call early: it returns EINTR, or fewer bytes than it was asked for.
    pub disturbed: bool,
    /// The system call in which the thread was blocked.
    pub system_call: Option<SystemCall>,
    /// The kernel's word on a thread that was stopped although it was blocked: nothing else told where it was.
    pub asleep: Option<TaskState>,
}

impl Captured {
    /// Forgets the capture before and keeps its buffers.
    pub(super) fn reset(&mut self) {
        self.registers = Registers::new();
        // The bytes stay: clearing a buffer only makes the next capture fill it with zeroes before the copy.
        self.stack.start = Addr::NULL;
        self.asked = Range::default();
        self.copies.clear();
        (self.stood_still, self.came_after, self.placement) = (None, None, Placement::OnCpu);
        self.disturbed = false;
        (self.system_call, self.asleep) = (None, None);
    }

    /// The copy of the stack, if there is one: its buffer waits for the next where there is none.
    fn stack_copy(&self) -> Option<&Region> {
        Some(&self.stack).filter(|stack| !stack.start.is_null())
    }
}

impl Memory for Captured {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        match self.stack_copy().and_then(|stack| stack.slice(addr, len)) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None if self.copies.read(addr, buf) => {}
            None => return Err(ReadError { addr, len }),
        }
        Ok(())
    }

    fn copy_around(&self, addr: Addr) -> Option<(Addr, &[u8])> {
        self.copies.around(addr).or_else(|| self.stack_copy()?.copy_around(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::process_memory::ProcessMemory;
    use crate::types::Pid;

    #[test]
    fn buffers_of_an_earlier_capture_are_not_read() {
        let bytes = [7_u8; 64];
        let start = Addr(bytes.as_ptr() as u64);
        let memory = ProcessMemory::new(Pid(std::process::id() as i32));
        let mut captured =
            Captured { stack: Region { start: Addr(0x3000), bytes: vec![7; 64] }, ..Captured::default() };
        assert_eq!(captured.read_u8(Addr(0x3000)), Ok(7));
        captured.copies.add(&memory, None, &[Range { start, len: 64 }]);
        assert_eq!(captured.read_u8(start), Ok(7));
        captured.reset();
        for gone in [0, 8, start.0, 0x3000] {
            assert!(captured.read_u8(Addr(gone)).is_err());
        }
        captured.copies.add(&memory, None, &[Range { start, len: 8 }]);
        assert!(captured.read_u64(start).is_ok() && captured.read_u64(start.wrapping_add(8)).is_err());
    }
}
