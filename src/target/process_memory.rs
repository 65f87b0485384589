//! The memory of a live process.
//!
//! Does: read it with process_vm_readv(2), and through `/proc/PID/mem` where that call is refused or missing
//! (some container runtimes filter it).
//! Does not: write, ever; or interpret what it reads.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};

use super::living::LivingThread;
use super::memory::{BulkMemory, MAX_RANGES, Memory, RangeRead, ReadError};
use crate::types::{Addr, Pid};

/// So many ranges, as most samples have, are told to the kernel without asking the allocator for memory.
const FEW: usize = 16;

/// The memory of a live process, read-only.
#[derive(Debug)]
pub struct ProcessMemory {
    living: Arc<LivingThread>,
    /// Opened when process_vm_readv is first refused.
    mem_file: OnceLock<Option<File>>,
    calls: AtomicU64,
}

impl ProcessMemory {
    /// Names the process; nothing is opened or checked yet.
    pub fn new(pid: Pid) -> Self {
        ProcessMemory::through(Arc::new(LivingThread::first(pid)))
    }

    /// The memory of the process of a thread.
    pub fn through(living: Arc<LivingThread>) -> Self {
        ProcessMemory { living, mem_file: OnceLock::new(), calls: AtomicU64::new(0) }
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.living.pid()
    }

    /// Copies ranges with one system call. The kernel stops at the first byte that it cannot read: the bytes before it are valid,
    /// those behind are not. Ranges beyond [`MAX_RANGES`] are not read.
    fn copy(&self, ranges: &mut [RangeRead<'_>]) -> Result<usize, Errno> {
        if self.mem_file.get().is_none() {
            let taken = ranges.len().min(MAX_RANGES);
            let remotes = ranges[..taken].iter().map(|r| RemoteIoVec { base: r.addr.0 as usize, len: r.into.len() });
            let (mut few_remotes, mut many_remotes) = ([RemoteIoVec { base: 0, len: 0 }; FEW], Vec::new());
            let remote: &[RemoteIoVec] = if taken <= FEW {
                few_remotes.iter_mut().zip(remotes).for_each(|(to, from)| *to = from);
                &few_remotes[..taken]
            } else {
                many_remotes.extend(remotes);
                &many_remotes
            };
            let locals = ranges[..taken].iter_mut().map(|r| IoSliceMut::new(r.into));
            let (mut few_locals, mut many_locals) = ([(); FEW].map(|()| IoSliceMut::new(&mut [])), Vec::new());
            let local: &mut [IoSliceMut<'_>] = if taken <= FEW {
                few_locals.iter_mut().zip(locals).for_each(|(to, from)| *to = from);
                &mut few_locals[..taken]
            } else {
                many_locals.extend(locals);
                &mut many_locals
            };
            let mut copy = || {
                self.calls.fetch_add(1, Ordering::Relaxed);
                process_vm_readv(nix::unistd::Pid::from_raw(self.living.tid().0), local, remote)
            };
            let result = match copy() {
                // A thread that has ended has no memory; another may still have it.
                Err(Errno::ESRCH) if self.living.follow() => copy(),
                result => result,
            };
            match result {
                Err(Errno::ENOSYS | Errno::EPERM) => {}
                result => return result,
            }
        }
        self.copy_from_file(ranges)
    }

    /// The same through the memory file, with a call for each range.
    fn copy_from_file(&self, ranges: &mut [RangeRead<'_>]) -> Result<usize, Errno> {
        let file = self.mem_file.get_or_init(|| File::open(self.living.path("mem")).ok());
        let file = file.as_ref().ok_or(Errno::EPERM)?;
        let mut total = 0;
        for range in ranges {
            let mut copied = 0;
            while copied < range.into.len() {
                self.calls.fetch_add(1, Ordering::Relaxed);
                match file.read_at(&mut range.into[copied..], range.addr.0.saturating_add(copied as u64)) {
                    Ok(0) => return Ok(total + copied),
                    Ok(more) => copied += more,
                    Err(_) if total + copied > 0 => return Ok(total + copied),
                    Err(error) => return Err(error.raw_os_error().map_or(Errno::EFAULT, Errno::from_raw)),
                }
            }
            total += copied;
        }
        Ok(total)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        match self.copy(&mut [RangeRead { addr, into: buf }]) {
            Ok(copied) if copied == len => Ok(()),
            _ => Err(ReadError { addr, len }),
        }
    }
}

impl BulkMemory for ProcessMemory {
    fn read_ranges(&self, ranges: &mut [RangeRead<'_>]) -> usize {
        self.copy(ranges).unwrap_or(0)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::memory::Region;

    fn own() -> ProcessMemory {
        ProcessMemory::new(Pid(std::process::id() as i32))
    }

    #[test]
    fn several_ranges_arrive_in_one_read() {
        let (first, second) = ([1u8, 2, 3], [9u8; 5]);
        let (mut a, mut b) = ([0; 3], [0; 5]);
        let memory = own();
        let copied = memory.read_ranges(&mut [
            RangeRead { addr: Addr(first.as_ptr() as u64), into: &mut a },
            RangeRead { addr: Addr(second.as_ptr() as u64), into: &mut b },
        ]);
        assert_eq!((copied, a, b), (8, first, second));
        assert_eq!(memory.calls(), 1);
    }

    #[test]
    fn a_bad_range_ends_the_read_and_says_how_far_it_came() {
        let good = [7u8; 4];
        let (mut a, mut b) = ([0; 4], [0; 4]);
        let mut ranges =
            [RangeRead { addr: Addr(good.as_ptr() as u64), into: &mut a }, RangeRead { addr: Addr(8), into: &mut b }];
        assert_eq!(own().read_ranges(&mut ranges), 4);
        assert_eq!(a, good);
        assert_eq!(own().read(Addr(8), &mut [0; 4]), Err(ReadError { addr: Addr(8), len: 4 }));
    }

    #[test]
    fn a_region_that_cannot_be_read_does_not_affect_the_others() {
        let good = [7_u8; 4];
        let region = |start, len| Region { start, bytes: vec![0; len] };
        let readable = |addr: Addr| addr != Addr(8);
        // More than one call takes, some bad ones among them, the last one, too.
        let mut regions: Vec<Region> = (1..=MAX_RANGES + 501)
            .map(|n| if n % 500 == 0 { Addr(8) } else { Addr(good.as_ptr() as u64) })
            .map(|start| region(start, 4))
            .collect();
        regions.push(region(Addr(8), 4));
        let memory = own();
        memory.read_regions(&mut regions.iter_mut().collect::<Vec<_>>());
        for region in &regions {
            assert_eq!(region.bytes, if readable(region.start) { &good[..] } else { &[] });
        }
        assert!(memory.calls() <= 9, "{}", memory.calls());
    }

    #[test]
    fn the_memory_file_gives_the_same_bytes() {
        let bytes = *b"through the file";
        let mut buf = [0; 16];
        let mut ranges = [RangeRead { addr: Addr(bytes.as_ptr() as u64), into: &mut buf }];
        assert_eq!(own().copy_from_file(&mut ranges), Ok(16));
        assert_eq!(buf, bytes);
    }
}
