//! The flags of a type by which it is known what its objects begin as.
//!
//! Does: read them, and name those that are looked for. Does not: look at an object's own words. Source: object.h, `Py_TPFLAGS_…`.

use crate::python::layout::ObjectLayout;
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

pub(super) const LONG_SUBCLASS: u64 = 1 << 24;
pub(super) const LIST_SUBCLASS: u64 = 1 << 25;
pub(super) const TUPLE_SUBCLASS: u64 = 1 << 26;
pub(super) const BYTES_SUBCLASS: u64 = 1 << 27;
pub(super) const UNICODE_SUBCLASS: u64 = 1 << 28;
pub(super) const DICT_SUBCLASS: u64 = 1 << 29;
pub(super) const TYPE_SUBCLASS: u64 = 1 << 31;

/// The flags of an object's type.
pub(super) fn type_flags(mem: &impl Memory, layout: &ObjectLayout, object: Addr) -> Result<u64, ReadError> {
    let object_type = mem.read_addr(object.wrapping_add(layout.ob_type))?;
    mem.read_u64(object_type.wrapping_add(layout.tp_flags))
}
