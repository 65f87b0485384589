//! The names of the threads of a program that is recorded.
//!
//! Does: keep for each thread the last name that it was seen with. Does not: read names.

use rustc_hash::FxHashMap;

use crate::sampler::session::Session;
use crate::types::Tid;

/// Adds the names of threads that were seen for the first time, and those that have been given another name since the last time.
pub(super) fn update(names: &mut FxHashMap<Tid, String>, session: &mut Session, new: &[Tid]) {
    if !new.is_empty() {
        session.expect_new_names();
    }
    if session.read_names_if_due() {
        for history in session.threads() {
            if let (Some(known), Some(name)) = (names.get_mut(&history.tid()), session.given_name(history))
                && known != name
            {
                name.clone_into(known);
            }
        }
    }
    for tid in new {
        if let Some(name) = session.thread_name(*tid) {
            names.insert(*tid, name);
        }
    }
}
