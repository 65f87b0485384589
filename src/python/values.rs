//! Values of Python objects, in words.
//!
//! Does: show `None`, numbers, strings, bytes and containers of them much as `repr` would, within bounds, with cycles cut; any other
//! object by its type. Does not: run code of the target (`__repr__`), or look into objects whose form only their type knows.

mod containers;
mod numbers;

use crate::python::layout::{Layout, ValueLayout};
use crate::python::strings;
use crate::python::type_flags::{
    BYTES_SUBCLASS, DICT_SUBCLASS, LIST_SUBCLASS, LONG_SUBCLASS, TUPLE_SUBCLASS, TYPE_SUBCLASS, UNICODE_SUBCLASS,
    type_flags,
};
use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The most objects that are looked at for one value, itself among them.
const MAX_OBJECTS: usize = 64;
/// How many containers deep a value is shown.
const MAX_DEPTH: usize = 4;
/// The most characters or bytes of one string that are shown.
const MAX_TEXT: usize = 100;
/// The most characters of the name of a type.
const MAX_TYPE_NAME: usize = 100;

/// What stands for what is left out.
const MORE: &str = "…";

/// The object at `object` in words.
///
/// # Errors
/// When not even its type can be read.
pub fn describe(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<String, ReadError> {
    let mut text = Text { mem, layout, objects_left: MAX_OBJECTS, around: Vec::new(), out: String::new() };
    text.object(object)?;
    Ok(text.out)
}

/// The name of an object's type, as it is defined: `Order`, `collections.OrderedDict`.
pub(super) fn type_name(mem: &impl Memory, layout: &Layout, object: Addr) -> Result<String, ReadError> {
    name_of_type(mem, layout, mem.read_addr(object.wrapping_add(layout.object.ob_type))?)
}

fn name_of_type(mem: &impl Memory, layout: &Layout, type_object: Addr) -> Result<String, ReadError> {
    let name = mem.read_addr(type_object.wrapping_add(layout.object.tp_name))?;
    let mut bytes = Vec::new();
    for index in 0..MAX_TYPE_NAME as u64 {
        match mem.read_u8(name.wrapping_add(index))? {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value that is being written.
struct Text<'a, M> {
    mem: &'a M,
    layout: &'a Layout,
    objects_left: usize,
    /// The containers around what is written.
    around: Vec<Addr>,
    out: String,
}

impl<M: Memory> Text<'_, M> {
    fn values(&self) -> &ValueLayout {
        &self.layout.value
    }

    /// Writes an object, or a mark where a bound is reached. What cannot be read inside a container does not hide the rest of it.
    fn item(&mut self, object: Addr) {
        if self.objects_left == 0 || self.around.contains(&object) {
            self.out.push_str(MORE);
        } else if self.object(object).is_err() {
            self.out.push_str("<unreadable>");
        }
    }

    fn object(&mut self, object: Addr) -> Result<(), ReadError> {
        self.objects_left = self.objects_left.saturating_sub(1);
        let name = type_name(self.mem, self.layout, object)?;
        let flags = type_flags(self.mem, &self.layout.object, object)?;
        let is = |flag| flags & flag != 0;
        match &*name {
            "NoneType" => self.out.push_str("None"),
            "ellipsis" => self.out.push_str("Ellipsis"),
            "NotImplementedType" => self.out.push_str("NotImplemented"),
            "bool" if is(LONG_SUBCLASS) => self.boolean(object)?,
            "int" if is(LONG_SUBCLASS) => self.integer(object)?,
            "float" => self.float(object)?,
            "str" if is(UNICODE_SUBCLASS) => self.string(object),
            "bytes" if is(BYTES_SUBCLASS) => self.bytes(object)?,
            "list" if is(LIST_SUBCLASS) => self.nested(object, Self::list)?,
            "tuple" if is(TUPLE_SUBCLASS) => self.nested(object, Self::tuple)?,
            "dict" if is(DICT_SUBCLASS) => self.nested(object, Self::dict)?,
            "set" | "frozenset" => self.nested(object, |text, set| text.set(set, &name))?,
            _ if is(TYPE_SUBCLASS) => {
                let of = name_of_type(self.mem, self.layout, object)?;
                self.out.push_str(&format!("<class {}>", quoted(&of)));
            }
            // What a subclass adds is its own affair; what it is made of can be shown.
            _ if is(LONG_SUBCLASS) => self.subclass(&name, |text| text.integer(object))?,
            _ if is(UNICODE_SUBCLASS) => self.subclass(&name, |text| {
                text.string(object);
                Ok(())
            })?,
            _ if is(BYTES_SUBCLASS) => self.subclass(&name, |text| text.bytes(object))?,
            _ if is(LIST_SUBCLASS) => self.subclass(&name, |text| text.nested(object, Self::list))?,
            _ if is(TUPLE_SUBCLASS) => self.subclass(&name, |text| text.nested(object, Self::tuple))?,
            _ if is(DICT_SUBCLASS) => self.subclass(&name, |text| text.nested(object, Self::dict))?,
            _ => self.out.push_str(&format!("<{}>", clean(&name))),
        }
        Ok(())
    }

    fn subclass(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Self) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.out.push_str(&clean(name));
        self.out.push('(');
        write(self)?;
        self.out.push(')');
        Ok(())
    }

    /// Writes a container, unless it is too deep.
    fn nested(
        &mut self,
        object: Addr,
        write: impl FnOnce(&mut Self, Addr) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if self.around.len() >= MAX_DEPTH {
            self.out.push_str(MORE);
            return Ok(());
        }
        self.around.push(object);
        let result = write(self, object);
        self.around.pop();
        result
    }

    fn string(&mut self, object: Addr) {
        match strings::read(self.mem, self.layout, object) {
            Ok(text) => {
                let mut characters = text.chars();
                let shown: String = characters.by_ref().take(MAX_TEXT).collect();
                self.out.push_str(&quoted(&shown));
                self.out.push_str(if characters.next().is_some() { MORE } else { "" });
            }
            Err(_) => self.out.push_str("<damaged string>"),
        }
    }

    fn bytes(&mut self, object: Addr) -> Result<(), ReadError> {
        let len = self.mem.read_u64(object.wrapping_add(self.layout.object.ob_size as u64))?;
        let shown = len.min(MAX_TEXT as u64);
        // Bounded by MAX_TEXT.
        let bytes = self.mem.read_vec(object.wrapping_add(self.layout.object.bytes_data), shown as usize)?;
        self.out.push_str(&format!("b'{}'", bytes.escape_ascii()));
        self.out.push_str(if len > shown { MORE } else { "" });
        Ok(())
    }
}

/// A text in quotation marks, those that `repr` chooses, in one line.
fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let escaped: String = text
        .chars()
        .map(|c| match c {
            c if c == mark || c == '\\' => format!("\\{c}"),
            '\n' | '\r' | '\t' => c.escape_default().to_string(),
            // Control characters end at U+009F.
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("{mark}{escaped}{mark}")
}

fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
