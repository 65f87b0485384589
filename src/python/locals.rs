//! The local variables of a frame.
//!
//! Does: read the names from the code object and the values from the frame, those in cells (closures) too.
//! Does not: read the variables of modules and class bodies, which are in dictionaries of their own.

use super::layout::Layout;
use super::strings;
use super::values::{describe, type_name};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most variables of a frame that are looked at.
const MAX_LOCALS: u64 = 128;
/// `CO_FAST_CELL` and `CO_FAST_FREE` (pycore_code.h): the value is in a cell, once the frame has made it.
const IN_CELL: u8 = 0x40 | 0x80;

/// A variable, and its value in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Its name.
    pub name: String,
    /// Its value, in one line.
    pub value: String,
}

/// The variables of the frame at `frame`, which runs the code object at `code`, in the order of their definition. Those without a
/// value and those that the compiler has made are left out; what cannot be read is told in the value's place.
pub fn read(mem: &impl Memory, layout: &Layout, frame: Addr, code: Addr) -> Vec<Local> {
    let variables = Variables::of(mem, layout, code).unwrap_or_default();
    // All are looked at before any is left out: memory that notes what it lacks is told of all of it at once.
    let locals = (0..variables.count).map(|index| variables.read(mem, layout, frame, index));
    locals.collect::<Vec<_>>().into_iter().flatten().collect()
}

#[derive(Debug, Default)]
struct Variables {
    names: Addr,
    kinds: Addr,
    count: u64,
}

impl Variables {
    fn of(mem: &impl Memory, layout: &Layout, code: Addr) -> Result<Variables, ReadError> {
        let names = mem.read_addr(code.wrapping_add(layout.value.local_names));
        let kinds = mem.read_addr(code.wrapping_add(layout.value.local_kinds));
        let (names, kinds) = (names?, kinds?);
        let count = mem.read_u64(names.wrapping_add(layout.object.ob_size as u64))?;
        Ok(Variables { names, kinds, count: count.min(MAX_LOCALS) })
    }

    fn read(&self, mem: &impl Memory, layout: &Layout, frame: Addr, index: u64) -> Option<Local> {
        let kind = mem.read_u8(self.kinds.wrapping_add(layout.object.bytes_data + index));
        let name = mem
            .read_addr(self.names.wrapping_add(layout.value.tuple_items + 8 * index))
            .map(|name| strings::read(mem, layout, name).unwrap_or_else(|_| "?".to_owned()));
        let slot = mem.read_u64(frame.wrapping_add(layout.value.locals + 8 * index));
        let (kind, name, slot) = (kind.ok()?, name.ok()?, slot.ok()?);
        let object = Addr::of_pointer(slot & !layout.frame.tag_bits);
        if object.is_null() || name.starts_with('.') {
            return None;
        }
        let value = match kind & IN_CELL != 0 && type_name(mem, layout, object).is_ok_and(|name| name == "cell") {
            // `PyObject *ob_ref` behind the header (cpython/cellobject.h).
            true => mem.read_addr(object.wrapping_add(layout.value.header)),
            false => Ok(object),
        };
        match value {
            Ok(value) if value.is_null() => None,
            Ok(value) => {
                let value = describe(mem, layout, value).unwrap_or_else(|_| "<unreadable>".to_owned());
                Some(Local { name, value })
            }
            Err(_) => Some(Local { name, value: "<unreadable>".to_owned() }),
        }
    }
}
