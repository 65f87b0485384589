//! A process that has ended: who it was, and where its files are looked for.
//!
//! Does: hold no more open than its root. Does not: read anything.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::maps::{FileId, Mapping, Mappings};
use super::memory::{BulkMemory, Memory, RangeRead, ReadError};
use super::root::TargetRoot;
use super::threads::Thread;
use super::view::{Identity, Target};
use crate::types::{Addr, Nanos, Tid};

/// A process that has ended.
#[derive(Debug)]
pub struct GoneTarget {
    identity: Identity,
    root: Arc<TargetRoot>,
    cpu_time: Option<Nanos>,
}

/// The memory that it had.
#[derive(Debug)]
struct NoMemory;

impl GoneTarget {
    /// Of a process that is not looked at any more; `root`: its own, or an equal one.
    pub fn of(target: &dyn Target, root: Arc<TargetRoot>) -> GoneTarget {
        GoneTarget { identity: target.identity().clone(), root, cpu_time: target.cpu_time() }
    }
}

impl Memory for NoMemory {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), ReadError> {
        Err(ReadError { addr, len: buf.len() })
    }
}

impl BulkMemory for NoMemory {
    fn read_ranges(&self, _: &mut [RangeRead<'_>]) -> usize {
        0
    }

    fn calls(&self) -> u64 {
        0
    }
}

fn gone<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Target for GoneTarget {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn memory(&self) -> &dyn BulkMemory {
        &NoMemory
    }

    fn mappings(&self) -> io::Result<Mappings> {
        gone()
    }

    fn open_mapped(&self, _: &Mapping, _: FileId, _: &Path) -> Option<File> {
        None
    }

    fn root(&self) -> Arc<TargetRoot> {
        Arc::clone(&self.root)
    }

    fn threads(&self) -> io::Result<Vec<Tid>> {
        gone()
    }

    fn thread_count(&self) -> u64 {
        0
    }

    fn thread(&self, _: Tid) -> io::Result<Thread> {
        gone()
    }

    fn cpu_time(&self) -> Option<Nanos> {
        self.cpu_time
    }

    fn is_alive(&self) -> bool {
        false
    }

    fn is_replaced(&self) -> bool {
        false
    }
}
