//! Looks up values by their names: in dicts, in modules and in instances.
//!
//! Does: walk the entries of a dict whose keys are strings or anything else, and find the attributes of an instance wherever its version
//! keeps them; all of it bounded.
//! Does not: compute hashes (a dict is walked from its first entry on), or look at classes for what an instance has not.

use crate::python::layout::{DICT_KEYS, InstanceDict, Layout, VALUES_VALID};
use crate::python::strings::{self, StringError};
use crate::python::type_flags::{DICT_SUBCLASS, type_flags};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// Flags of a type (object.h): its instances have values behind them, or a dict in front.
const INLINE_VALUES: u64 = 1 << 2;
const MANAGED_DICT: u64 = 1 << 4;

/// The furthest word in front of an instance that is read, in bytes.
const FURTHEST_IN_FRONT: u64 = 32;
/// The most entries of a dict that are looked at. `sys.modules` of a large program has some thousands.
const MAX_ENTRIES: u64 = 1 << 14;
/// After so many keys that cannot be read, the others are not tried: what copies on demand has enough to copy then.
const MAX_MISSES: usize = 256;

/// Why something could not be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupError {
    /// Memory that must be there could not be read.
    Unreadable(ReadError),
    /// It is not there, or what is there is of another kind.
    Absent,
}

impl From<ReadError> for LookupError {
    fn from(error: ReadError) -> Self {
        LookupError::Unreadable(error)
    }
}

/// Keys, and where the value of each is.
#[derive(Debug, Clone, Copy)]
pub struct Entries {
    /// The first key, and how far it is to the next.
    keys: (Addr, u64),
    /// The first value, and how far it is to the next.
    values: (Addr, u64),
    count: u64,
}

impl Entries {
    /// The entries of the dict at `dict`.
    ///
    /// # Errors
    /// That it is none, or cannot be read.
    pub fn of_dict(mem: &impl Memory, layout: &Layout, dict: Addr) -> Result<Entries, LookupError> {
        if type_flags(mem, &layout.object, dict)? & DICT_SUBCLASS == 0 {
            return Err(LookupError::Absent);
        }
        let keys = mem.read_addr(dict.wrapping_add(layout.value.dict_keys))?;
        let values = mem.read_addr(dict.wrapping_add(layout.attributes.dict_values))?;
        let first = values.wrapping_add(layout.attributes.instance.first_value());
        Entries::of_keys(mem, keys, (!values.is_null()).then_some(first))
    }

    /// The attributes of an instance of a Python class.
    ///
    /// # Errors
    /// That it has none of a known form, or that they cannot be read.
    pub fn of_instance(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<Entries, LookupError> {
        let attributes = &layout.attributes;
        // The words in front of it first: what copies on demand then has all of it in one copy.
        let _ = mem.read_u64(Addr(object.0.wrapping_sub(FURTHEST_IN_FRONT)));
        let class = mem.read_addr(object.wrapping_add(layout.object.ob_type))?;
        let flags = mem.read_u64(class.wrapping_add(layout.object.tp_flags))?;
        if flags & MANAGED_DICT == 0 {
            return Err(LookupError::Absent);
        }
        let in_front = |bytes: u64| mem.read_u64(Addr(object.0.wrapping_sub(bytes)));
        let (dict, values) = match attributes.instance {
            InstanceDict::TwoPointers => (in_front(24)?, in_front(FURTHEST_IN_FRONT)?),
            InstanceDict::Tagged => match in_front(24)? {
                tagged if tagged & 1 == 1 => (0, tagged.wrapping_add(1)),
                dict => (dict, 0),
            },
            InstanceDict::Inline(bytes) => match in_front(bytes)? {
                0 if flags & INLINE_VALUES != 0 => {
                    let size = mem.read_u64(class.wrapping_add(attributes.basic_size))?;
                    let values = object.wrapping_add(size);
                    let is_valid = mem.read_u8(values.wrapping_add(VALUES_VALID))? != 0;
                    (0, if is_valid { values.0 } else { 0 })
                }
                dict => (dict, 0),
            },
        };
        if dict != 0 {
            return Entries::of_dict(mem, layout, Addr::of_pointer(dict));
        }
        if values == 0 {
            return Err(LookupError::Absent);
        }
        let keys = mem.read_addr(class.wrapping_add(attributes.cached_keys))?;
        let first = Addr::of_pointer(values).wrapping_add(attributes.instance.first_value());
        Entries::of_keys(mem, keys, Some(first))
    }

    /// The entries of a `PyDictKeysObject`, with their values at `values` where they are not in it.
    pub(super) fn of_keys(mem: &impl Memory, keys: Addr, values: Option<Addr>) -> Result<Entries, LookupError> {
        let index_bytes = mem.read_u8(keys.wrapping_add(DICT_KEYS.log2_index_bytes))?;
        let kind = mem.read_u8(keys.wrapping_add(DICT_KEYS.kind))?;
        let count = mem.read_u64(keys.wrapping_add(DICT_KEYS.entry_count))?.min(MAX_ENTRIES);
        let index_bytes = 1_u64.checked_shl(index_bytes.into()).ok_or(LookupError::Absent)?;
        let first = keys.wrapping_add(DICT_KEYS.indices).wrapping_add(index_bytes);
        // DICT_KEYS_GENERAL has the hash in front of each key; DICT_KEYS_UNICODE and DICT_KEYS_SPLIT have not (pycore_dict.h).
        let (first_key, entry) = if kind == 0 { (first.wrapping_add(8), 24) } else { (first, 16) };
        let values = match values {
            Some(values) => (values, 8),
            None if kind > 1 => return Err(LookupError::Absent),
            None => (first_key.wrapping_add(8), entry),
        };
        Ok(Entries { keys: (first_key, entry), values, count })
    }

    /// How many entries there are, holes included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The keys and values that can be read now; the rest is passed over.
    pub fn iter<'a>(&'a self, mem: &'a impl Memory) -> impl Iterator<Item = (Addr, Addr)> + 'a {
        let entries = (0..self.count).filter_map(|index| self.entry(mem, index));
        entries.filter(|(key, value)| !key.is_null() && !value.is_null())
    }

    /// The key and the value of an entry; null in a hole. `None` where they cannot be read.
    pub(super) fn entry(&self, mem: &impl Memory, index: u64) -> Option<(Addr, Addr)> {
        let at = |(first, step): (Addr, u64)| first.wrapping_add(step.wrapping_mul(index));
        // Both are asked for, so that what lacks of them is copied at once.
        let (key, value) = (mem.read_addr(at(self.keys)), mem.read_addr(at(self.values)));
        Some((key.ok()?, value.ok()?))
    }

    /// Asks for the words of all entries at once: `mem` can then have them copied in one piece.
    pub fn prefetch(&self, mem: &impl Memory) {
        for (first, step) in [self.keys, self.values] {
            let len = usize::try_from(self.count.saturating_mul(step)).unwrap_or(0);
            if len > 0 {
                let _ = mem.read_vec(first, len);
            }
        }
    }

    /// Where the keys are: what has its keys there has each at the same place.
    pub fn keys(&self) -> Addr {
        self.keys.0
    }

    /// The values with these names, as far as there are such.
    pub fn values<const N: usize>(&self, mem: &impl Memory, layout: &Layout, names: [&str; N]) -> [Option<Addr>; N] {
        self.places(mem, layout, names).map(|place| place.and_then(|place| self.value(mem, place)))
    }

    /// The places of these names among the keys, as far as there are such.
    pub fn places<const N: usize>(&self, mem: &impl Memory, layout: &Layout, names: [&str; N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        let mut misses = 0;
        for place in 0..self.count {
            let key = mem.read_addr(self.keys.0.wrapping_add(self.keys.1.wrapping_mul(place)));
            match key.and_then(|key| if key.is_null() { Ok(None) } else { position(mem, layout, key, &names) }) {
                Ok(name) => {
                    if let Some(slot) = name.and_then(|index| found.get_mut(index)) {
                        *slot = Some(place);
                    }
                }
                Err(_) => misses += 1,
            }
            if misses == MAX_MISSES || found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }

    /// The value at a place, if there is one.
    pub fn value(&self, mem: &impl Memory, place: u64) -> Option<Addr> {
        let value = mem.read_addr(self.values.0.wrapping_add(self.values.1.wrapping_mul(place))).ok()?;
        (place < self.count && !value.is_null()).then_some(value)
    }
}

/// Which of these names the string at `object` is. An error is that it cannot be read.
fn position(mem: &impl Memory, layout: &Layout, object: Addr, names: &[&str]) -> Result<Option<usize>, ReadError> {
    // In the order in which they lie: what copies on demand then has one copy of it.
    mem.read_addr(object.wrapping_add(layout.object.ob_type))?;
    let length = mem.read_u64(object.wrapping_add(layout.string.length))?;
    // The names are ASCII: as many characters as bytes.
    if names.iter().all(|name| name.len() as u64 != length) {
        return Ok(None);
    }
    match strings::read(mem, layout, object) {
        Ok(text) => Ok(names.iter().position(|name| **name == text)),
        Err(StringError::Unreadable(error)) => Err(error),
        Err(StringError::NotAString(_) | StringError::Damaged(_)) => Ok(None),
    }
}
