//! A session among many.
//!
//! Does: share what one at a time needs, and give back what none needs any more. Does not: know the others.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Session;
use crate::capture::captured::Captured;
use crate::target::gone::GoneTarget;
use crate::target::process_table::ProcessEntry;
use crate::target::root::{RootIdentity, TargetRoot};
use crate::target::view::Identity;

/// What many sessions have together.
#[derive(Debug, Default)]
pub struct SharedBySessions {
    /// In which the threads of all are captured.
    buffers: Captured,
    /// The roots of processes that have ended.
    roots: FxHashMap<RootIdentity, Arc<TargetRoot>>,
}

impl Session {
    /// Takes the buffers in which captures are made, and gives those that it had: of many sessions one is sampled at a time.
    pub fn swap_buffers(&mut self, shared: &mut SharedBySessions) {
        std::mem::swap(&mut self.reader.captured, &mut shared.buffers);
    }

    /// Takes note that the id of the process, which has ended, is another's.
    pub fn lose_id(&mut self) {
        self.has_lost_id = true;
    }

    /// Whether the id of the process is known to be, or to have been, another's: what is called by it may be of that one.
    pub fn has_lost_id(&self) -> bool {
        let Identity { pid, start_time, .. } = self.identity();
        let has_another = || ProcessEntry::of(*pid).is_some_and(|now| Some(now.start_time) != *start_time);
        self.has_lost_id || start_time.is_some() && has_another()
    }

    /// Closes what is open of a process that has ended, but its root, in which its files are looked for: that of another
    /// that has ended, where it is the same.
    pub fn let_go(&mut self, shared: &mut SharedBySessions) {
        self.threads = Vec::new();
        let mut root = self.reader.root();
        if let Some(identity) = root.identity() {
            root = Arc::clone(shared.roots.entry(identity).or_insert(root));
        }
        self.reader.let_go(Arc::new(GoneTarget::of(&**self.reader.target(), root)));
    }
}
