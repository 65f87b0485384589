//! A target that is not alive: all that a core file would hold of a process, copied while it stood still.
//!
//! Does: show that everything but stopping a thread works on any [`Target`]: this one is added here, and nothing in `src` knows of it.
//! Does not: write or read core files.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fpprof::capture::native;
use fpprof::capture::ptrace::{Stop, Wait};
use fpprof::capture::stopped;
use fpprof::target::maps::{FileId, Mapping, Mappings};
use fpprof::target::memory::{BulkMemory, Memory, PAGE, RangeRead, ReadError, Region};
use fpprof::target::process::Process;
use fpprof::target::process_memory::ProcessMemory;
use fpprof::target::registers::Registers;
use fpprof::target::root::TargetRoot;
use fpprof::target::threads::{self, Activity, StillThread, Thread};
use fpprof::target::view::{Identity, Target};
use fpprof::types::{Addr, Nanos, Pid, Tid};

/// Larger mappings are left out: no interpreter keeps anything there that a stack needs.
const MAX_MAPPING: u64 = 64 << 20;
/// How long a thread may take to come to its stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process as it was.
#[derive(Debug)]
pub struct Frozen {
    identity: Identity,
    mappings: Mappings,
    memory: FrozenMemory,
    root: Arc<TargetRoot>,
    threads: Vec<StillThread>,
}

#[derive(Debug)]
struct FrozenMemory {
    regions: Arc<Vec<Region>>,
    /// The state of what decides which words are read as others, if any are, and how rare these are.
    noise: Option<(AtomicU64, u64)>,
}

impl Frozen {
    /// Copies a process whose threads are all blocked.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub fn copy(pid: u32) -> Frozen {
        let pid = Pid(i32::try_from(pid).expect("a pid"));
        let process = Process::open(pid).expect("the process lives");
        let mappings = Mappings::parse(&fs::read(format!("/proc/{pid}/maps")).expect("its mappings can be read"));
        let live = ProcessMemory::new(pid);
        let is_copied = |mapping: &&Mapping| mapping.readable && mapping.end.0 - mapping.start.0 <= MAX_MAPPING;
        let regions = mappings.iter().filter(is_copied).flat_map(|mapping| copied(&live, mapping)).collect();
        let memory = FrozenMemory { regions: Arc::new(regions), noise: None };
        let tids = threads::list(pid).expect("its threads can be listed");
        Frozen {
            identity: process.identity,
            mappings,
            memory,
            root: Arc::new(TargetRoot::of(pid).expect("its root can be opened")),
            threads: tids.into_iter().map(|tid| still_thread(pid, tid)).collect(),
        }
    }
}

impl Frozen {
    /// The same process, as if it had rewritten its memory at random between any two reads: one word of `one_in` is read as another,
    /// each time anew. The same seed gives the same words.
    pub fn rewriting(&self, seed: u64, one_in: u64) -> Frozen {
        let noise = Some((AtomicU64::new(seed), one_in));
        Frozen {
            identity: self.identity.clone(),
            mappings: self.mappings.clone(),
            memory: FrozenMemory { regions: Arc::clone(&self.memory.regions), noise },
            root: Arc::clone(&self.root),
            threads: self.threads.clone(),
        }
    }
}

/// What can be read of a mapping. There can be holes in it: guard pages that `madvise(2)` has put there (MADV_GUARD_INSTALL, which glibc
/// 2.42 does below a thread's stack), and some of the kernel's own mappings.
fn copied(live: &ProcessMemory, mapping: &Mapping) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut start = mapping.start.0;
    while start < mapping.end.0 {
        let mut region = Region { start: Addr(start), bytes: vec![0; (mapping.end.0 - start) as usize] };
        live.read_regions(&mut [&mut region]);
        start = (start + region.bytes.len() as u64).next_multiple_of(PAGE).max(start + PAGE);
        if !region.bytes.is_empty() {
            regions.push(region);
        }
    }
    regions
}

fn still_thread(pid: Pid, tid: Tid) -> StillThread {
    let mut thread = Thread::open(pid, tid).expect("the thread lives");
    let call = match thread.activity().expect("it can be looked at") {
        Activity::Blocked { call, .. } => call,
        activity => panic!("thread {tid} is to be blocked, and is: {activity:?}"),
    };
    let (namespace_id, name, state) = (thread.namespace_id().expect("it has one"), thread.name(), thread.task_state());
    StillThread { tid, namespace_id, name, registers: registers(pid, tid), call, state }
}

/// All registers, for which it is stopped.
fn registers(pid: Pid, tid: Tid) -> Registers {
    let stop =
        Stop::new(pid, tid, Wait::SleepFor(PATIENCE)).expect("the thread can be stopped").expect("it stops in time");
    let mut buffer = [0; native::REGISTER_SET_SIZE];
    let set = stop.general_registers(&mut buffer).expect("it has registers");
    let registers = stopped::registers(&stop, set, &mut None).expect("they can be understood");
    assert_eq!(stop.resume(), None, "it goes on");
    registers
}

impl Memory for FrozenMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        let len = buf.len();
        if self.read_ranges(&mut [RangeRead { addr, into: buf }]) == len {
            Ok(())
        } else {
            Err(ReadError { addr, len })
        }
    }
}

impl FrozenMemory {
    /// Puts other words in the place of some: null, a small number, an address of the process, a bit flipped, anything.
    fn rewrite(&self, bytes: &mut [u8]) {
        let Some((state, one_in)) = &self.noise else { return };
        for word in bytes.as_chunks_mut::<8>().0 {
            let number = next(state);
            if !number.is_multiple_of(*one_in) {
                continue;
            }
            let was = u64::from_le_bytes(*word);
            let region = self.regions.get(next(state) as usize % self.regions.len());
            let somewhere = region.map_or(0, |region| region.start.0 + next(state) % region.bytes.len() as u64);
            *word = match next(state) % 6 {
                0 => 0,
                1 => next(state) % 4096,
                2 => somewhere & !7,
                3 => was ^ 1 << (next(state) % 64),
                4 => was.wrapping_add(next(state) % 64 * 8),
                _ => next(state),
            }
            .to_le_bytes();
        }
    }
}

/// The next number of a sequence that looks like chance (splitmix64).
fn next(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut number = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

impl BulkMemory for FrozenMemory {
    fn read_ranges(&self, ranges: &mut [RangeRead<'_>]) -> usize {
        let mut copied = 0;
        for range in ranges {
            let mut done = 0;
            while done < range.into.len() {
                let addr = Addr(range.addr.0.saturating_add(done as u64));
                let after = self.regions.partition_point(|region| region.start <= addr);
                let region = after.checked_sub(1).and_then(|index| self.regions.get(index));
                let bytes = region.and_then(|region| region.bytes.get((addr.0 - region.start.0) as usize..));
                let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return copied + done };
                let len = bytes.len().min(range.into.len() - done);
                range.into[done..done + len].copy_from_slice(&bytes[..len]);
                self.rewrite(&mut range.into[done..done + len]);
                done += len;
            }
            copied += done;
        }
        copied
    }

    fn calls(&self) -> u64 {
        0
    }
}

impl Target for Frozen {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn memory(&self) -> &dyn BulkMemory {
        &self.memory
    }

    fn mappings(&self) -> io::Result<Mappings> {
        Ok(self.mappings.clone())
    }

    fn open_mapped(&self, _: &Mapping, _: FileId, path: &Path) -> Option<File> {
        self.root.open(&self.root.as_target_names(path.to_owned())).ok()
    }

    fn root(&self) -> Arc<TargetRoot> {
        Arc::clone(&self.root)
    }

    fn threads(&self) -> io::Result<Vec<Tid>> {
        Ok(self.threads.iter().map(|thread| thread.tid).collect())
    }

    fn thread_count(&self) -> u64 {
        self.threads.len() as u64
    }

    fn thread(&self, tid: Tid) -> io::Result<Thread> {
        let thread = self.threads.iter().find(|thread| thread.tid == tid);
        thread.cloned().map(Thread::of_still).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn cpu_time(&self) -> Option<Nanos> {
        None
    }

    fn is_alive(&self) -> bool {
        false
    }

    fn is_replaced(&self) -> bool {
        false
    }
}
