//! Containers in words.
//!
//! Does: read lists, tuples, dicts and sets, the first items of each. Does not: look further than some entries for an item that is
//! not a hole.

use super::{MORE, Text};
use crate::python::attributes::{Entries, LookupError};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most items of a container that are shown.
const MAX_ITEMS: u64 = 10;
/// The most entries of a dict's or a set's table that are looked at: some are holes.
const MAX_ENTRIES: u64 = 256;
/// The hash of a set's entry whose item was removed (setobject.c, `set_discard_entry`).
const REMOVED: u64 = u64::MAX;

impl<M: Memory> Text<'_, M> {
    pub(super) fn list(&mut self, object: Addr) -> Result<(), ReadError> {
        let items = self.mem.read_addr(object.wrapping_add(self.values().list_items))?;
        self.out.push('[');
        self.sequence(object, items)?;
        self.out.push(']');
        Ok(())
    }

    pub(super) fn tuple(&mut self, object: Addr) -> Result<(), ReadError> {
        self.out.push('(');
        let len = self.sequence(object, object.wrapping_add(self.values().tuple_items))?;
        self.out.push_str(if len == 1 { ",)" } else { ")" });
        Ok(())
    }

    /// Writes the objects that the words from `items` on point to; gives their number.
    fn sequence(&mut self, object: Addr, items: Addr) -> Result<u64, ReadError> {
        let len = self.mem.read_u64(object.wrapping_add(self.layout.object.ob_size as u64))?;
        for index in 0..len.min(MAX_ITEMS) {
            self.comma(index);
            match self.mem.read_addr(items.wrapping_add(8 * index)) {
                Ok(item) => self.item(item),
                Err(_) => self.out.push_str("<unreadable>"),
            }
        }
        self.rest(len.min(MAX_ITEMS), len);
        Ok(len)
    }

    pub(super) fn dict(&mut self, object: Addr) -> Result<(), ReadError> {
        let used = self.mem.read_u64(object.wrapping_add(self.values().header))?;
        let keys = self.mem.read_addr(object.wrapping_add(self.values().dict_keys))?;
        let entries = match Entries::of_keys(self.mem, keys, None) {
            Ok(entries) => Some(entries),
            // The values are elsewhere: an instance's attributes.
            Err(LookupError::Absent) => None,
            Err(LookupError::Unreadable(error)) => return Err(error),
        };
        self.out.push('{');
        let mut shown = 0;
        for index in 0..entries.map_or(0, |entries| entries.count()).min(MAX_ENTRIES) {
            let Some((key, value)) = entries.and_then(|entries| entries.entry(self.mem, index)) else { continue };
            if value.is_null() || shown == MAX_ITEMS {
                continue;
            }
            self.comma(shown);
            self.item(key);
            self.out.push_str(": ");
            self.item(value);
            shown += 1;
        }
        self.rest(shown, used);
        self.out.push('}');
        Ok(())
    }

    pub(super) fn set(&mut self, object: Addr, name: &str) -> Result<(), ReadError> {
        // `Py_ssize_t fill, used, mask; setentry *table` behind the header (cpython/setobject.h).
        let field = |index: u64| object.wrapping_add(self.values().header + 8 * index);
        let used = self.mem.read_u64(field(1))?;
        let mask = self.mem.read_u64(field(2))?;
        let table = self.mem.read_addr(field(3))?;
        let (open, close) = match (name, used) {
            ("set", 0) => ("set(", ")"),
            ("set", _) => ("{", "}"),
            (_, 0) => ("frozenset(", ")"),
            _ => ("frozenset({", "})"),
        };
        self.out.push_str(open);
        let mut shown = 0;
        for index in 0..mask.saturating_add(1).min(MAX_ENTRIES) {
            let entry = table.wrapping_add(16 * index);
            let (Ok(item), Ok(hash)) = (self.mem.read_addr(entry), self.mem.read_u64(entry.wrapping_add(8))) else {
                continue;
            };
            if !item.is_null() && hash != REMOVED && shown < MAX_ITEMS {
                self.comma(shown);
                self.item(item);
                shown += 1;
            }
        }
        self.rest(shown, used);
        self.out.push_str(close);
        Ok(())
    }

    fn comma(&mut self, index: u64) {
        self.out.push_str(if index == 0 { "" } else { ", " });
    }

    /// How many items are not shown.
    fn rest(&mut self, shown: u64, all: u64) {
        let left = all.saturating_sub(shown);
        if left > 0 {
            self.comma(shown);
            self.out.push_str(&format!("{MORE} {left} more"));
        }
    }
}
