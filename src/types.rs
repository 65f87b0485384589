//! The project's small vocabulary: numbers that carry their unit and their address space.
//!
//! Does: wrap raw integers so that a file's address cannot be used where a process's is meant.
//! Does not: know how to obtain, read or print anything beyond the number itself.

pub mod pattern;
pub mod room;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An architecture: what the code in a file is for, and what threads can be unwound on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64 with the System V psABI.
    X86_64,
    /// AArch64 with the AAPCS64.
    Aarch64,
}

impl Machine {
    /// Its name, as saved snapshots have it.
    pub fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86-64",
            Machine::Aarch64 => "aarch64",
        }
    }

    /// The machine of this name.
    pub fn named(name: &str) -> Option<Machine> {
        [Machine::X86_64, Machine::Aarch64].into_iter().find(|machine| machine.name() == name)
    }
}

/// A process id, as seen from the profiler's own pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pid(pub i32);

/// A kernel thread id, as seen from the profiler's own pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tid(pub i32);

/// A virtual address in the target process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Addr(pub u64);

/// A virtual address as an ELF file states it, before the loader moved it ("stated virtual memory address").
///
/// `Addr = Svma + load bias`; the bias is a property of one mapped module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Svma(pub u64);

/// A byte offset in a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct FileOffset(pub u64);

/// A span of time, or a point of a monotonic clock, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Nanos(pub u64);

impl From<Duration> for Nanos {
    /// The longest that there is where it is longer.
    fn from(duration: Duration) -> Nanos {
        Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Addr {
    /// The null pointer.
    pub const NULL: Addr = Addr(0);

    /// The address that a pointer of the target leads to: without the tag in its top byte.
    ///
    /// AArch64 ignores that byte of a data pointer (TBI; Linux, Documentation/arch/arm64/tagged-pointers.rst), and memory
    /// tagging and HWASan keep their tags there. No address of a user's has anything in it, on x86-64 either: the largest
    /// are of 52 and of 56 bits.
    #[inline]
    pub fn of_pointer(pointer: u64) -> Addr {
        Addr(pointer & (u64::MAX >> 8))
    }

    /// `self + offset`, or `None` when it would leave the address space.
    #[inline]
    pub fn checked_add(self, offset: u64) -> Option<Addr> {
        self.0.checked_add(offset).map(Addr)
    }

    /// `self + offset`, wrapping: for addresses made of untrusted numbers, which a read then refuses.
    #[inline]
    pub fn wrapping_add(self, offset: u64) -> Addr {
        Addr(self.0.wrapping_add(offset))
    }

    /// Whether this is the null pointer.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Svma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "svma {:#x}", self.0)
    }
}

impl fmt::Display for Svma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_no_part_of_an_address_and_the_largest_address_has_none() {
        let (largest_52, largest_56) = (0x000f_ffff_ffff_fff8, 0x00ff_ffff_ffff_f000);
        for address in [0x0000_ffff_8000_1230, largest_52, largest_56] {
            for tag in [0, 0x01, 0x5a, 0xff] {
                assert_eq!(Addr::of_pointer(address | tag << 56), Addr(address));
            }
        }
    }

    #[test]
    fn a_machine_is_found_by_its_name() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            assert_eq!(Machine::named(machine.name()), Some(machine));
        }
        assert_eq!(Machine::named("s390x"), None);
    }
}
