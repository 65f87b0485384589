//! Processes that have one memory: a child between vfork(2) and its exec has its parent's.
//!
//! Does: ask the kernel, kcmp(2). Does not: read the memory.

use crate::types::Pid;

/// `KCMP_VM` of linux/kcmp.h: whether two processes share their memory.
const KCMP_VM: libc::c_int = 1;

/// Whether two processes have one memory; false also where the kernel does not tell, or one of them may not be looked into.
pub fn shares_memory(one: Pid, other: Pid) -> bool {
    if one == other || other.0 <= 0 {
        return false;
    }
    // SAFETY: the call takes numbers only, and changes nothing.
    unsafe { libc::syscall(libc::SYS_kcmp, one.0, other.0, KCMP_VM, 0 as libc::c_ulong, 0 as libc::c_ulong) == 0 }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_has_a_memory_of_its_own() {
        let own = Pid(std::process::id() as i32);
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!shares_memory(Pid(child.id() as i32), own));
        assert!(!shares_memory(own, own), "it is no other");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
