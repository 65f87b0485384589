//! Decodes and validates `_Py_DebugOffsets`, the table with which CPython 3.13 and later describes itself.
//!
//! Does: find the words that the readers need by the version's field order, and refuse impossible ones: each field must
//! be aligned and lie inside the size that the table states for its struct. What passes is safe to add to any address.
//! Does not: know which version has which order; that is one file per version beside this one.

use super::*;

/// The first eight bytes of the table (`_Py_Debug_Cookie`).
pub const COOKIE: [u8; 8] = *b"xdebugpy";
/// The cookie, the version and the free-threaded flag come before the first struct.
const HEADER_WORDS: usize = 3;
/// From the end of its `PyTypeObject` to `PyHeapTypeObject.ht_cached_keys`, where the table does not state it: the slots of coroutines,
/// numbers, mappings, sequences and buffers, and three words (cpython/object.h).
const CACHED_KEYS_BEHIND_TYPE: u64 = 8 * (4 + 36 + 3 + 10 + 2 + 3);
/// The most words of a table that are read. 3.15 has 111.
const MAX_WORDS: usize = 512;
/// What is believed of structs other than the runtime's and the interpreter's: `PyThreadState` is the largest.
const MAX_SMALL_STRUCT_SIZE: u64 = 4096;

/// The words of one version's table, in order.
pub(super) struct FieldOrder {
    /// What the offsets do not say.
    pub behaviour: Behaviour,
    /// Struct by struct, the names of its 64-bit words.
    pub groups: &'static [(&'static str, &'static [&'static str])],
}

/// How a version behaves where its table is silent.
pub(super) struct Behaviour {
    /// See [`FrameLayout::tag_bits`].
    pub tag_bits: u64,
    /// See [`OwnerChain::entry_owner`].
    pub entry_owner: u8,
    /// See [`FrameLayout::max_owner`].
    pub max_owner: u8,
    /// Whether free-threaded builds give each thread its own copy of the bytecode.
    pub bytecode_copies: bool,
    /// See [`Layout::jit_keeps_frame_pointers`].
    pub jit_keeps_frame_pointers: bool,
    /// See [`StringLayout::kind_shifts`].
    pub kind_shifts: &'static [u32],
}

/// Whether a table begins at `runtime`.
pub fn has_cookie(mem: &impl Memory, runtime: Addr) -> Result<bool, ReadError> {
    let mut cookie = [0; 8];
    mem.read(runtime, &mut cookie)?;
    Ok(cookie == COOKIE)
}

/// The version that the table at `runtime` states.
pub(super) fn version(mem: &impl Memory, runtime: Addr) -> Result<Version, LayoutError> {
    let value = mem.read_u64(runtime.wrapping_add(8))?;
    let version = u32::try_from(value).map_err(|_| LayoutError::BadOffset { group: "", field: "version", value })?;
    Ok(Version(version))
}

/// Reads the table at `runtime` and turns it into a layout.
pub(super) fn layout(mem: &impl Memory, runtime: Addr, order: &FieldOrder) -> Result<Layout, LayoutError> {
    let count = HEADER_WORDS + order.groups.iter().map(|(_, fields)| fields.len()).sum::<usize>();
    let bytes = mem.read_vec(runtime, 8 * count.min(MAX_WORDS))?;
    let words = bytes.chunks_exact(8).map(|w| w.iter().rev().fold(0, |value, &b| (value << 8) | u64::from(b)));
    let table = Table { words: words.collect(), order };
    let free_threaded = table.words.get(2).is_some_and(|&flag| flag != 0);
    Ok(Layout {
        runtime: RuntimeLayout {
            finalizing: table.offset("runtime_state", "finalizing", 8)?,
            interpreters_head: table.offset("runtime_state", "interpreters_head", 8)?,
        },
        interpreter: table.interpreter(free_threaded)?,
        thread: table.thread()?,
        frame: table.frame(free_threaded)?,
        chain: ChainLayout::Owner(OwnerChain {
            current_frame: table.offset("thread_state", "current_frame", 8)?,
            entry_owner: order.behaviour.entry_owner,
            base_frame: table.optional_offset("thread_state", "base_frame", 8)?,
        }),
        code: table.code(free_threaded)?,
        object: ObjectLayout {
            ob_type: table.offset("pyobject", "ob_type", 8)?,
            // PyVarObject has no words of its own; a tuple's and a code object's size are the same field.
            ob_size: table.small_offset("tuple_object", "ob_size", 8)?,
            tp_name: table.offset("type_object", "tp_name", 8)?,
            tp_flags: table.offset("type_object", "tp_flags", 8)?,
            bytes_data: table.offset("bytes_object", "ob_sval", 1)?,
        },
        string: table.string()?,
        value: table.value()?,
        attributes: table.attributes(free_threaded)?,
        free_threaded,
        jit_keeps_frame_pointers: order.behaviour.jit_keeps_frame_pointers,
    })
}

struct Table<'a> {
    words: Vec<u64>,
    order: &'a FieldOrder,
}

impl Table<'_> {
    /// The word of a field, or `None` when this version's table has no such field.
    fn word(&self, group: &str, field: &str) -> Option<u64> {
        let mut index = HEADER_WORDS;
        for (name, fields) in self.order.groups {
            if *name == group {
                let position = fields.iter().position(|f| *f == field)?;
                return self.words.get(index + position).copied();
            }
            index += fields.len();
        }
        None
    }

    /// The validated offset of a field of `width` bytes, or `None` when this version's table has no such field.
    fn optional_offset(
        &self,
        group: &'static str,
        field: &'static str,
        width: u64,
    ) -> Result<Option<u64>, LayoutError> {
        let Some(value) = self.word(group, field) else { return Ok(None) };
        let size = self.size(group)?;
        let inside = value.checked_add(width).is_some_and(|end| end <= size);
        if inside && value.is_multiple_of(width) {
            Ok(Some(value))
        } else {
            Err(LayoutError::BadOffset { group, field, value })
        }
    }

    fn offset(&self, group: &'static str, field: &'static str, width: u64) -> Result<u64, LayoutError> {
        self.optional_offset(group, field, width)?.ok_or(LayoutError::BadOffset { group, field, value: 0 })
    }

    fn small_offset(&self, group: &'static str, field: &'static str, width: u64) -> Result<usize, LayoutError> {
        let value = self.offset(group, field, width)?;
        usize::try_from(value).map_err(|_| LayoutError::BadOffset { group, field, value })
    }

    /// The stated size of a struct, within what is believed.
    fn size(&self, group: &'static str) -> Result<u64, LayoutError> {
        let limit = match group {
            "runtime_state" | "interpreter_state" => MAX_STRUCT_SIZE,
            _ => MAX_SMALL_STRUCT_SIZE,
        };
        let size = self.word(group, "size").unwrap_or(0);
        if size == 0 || size > limit {
            return Err(LayoutError::BadOffset { group, field: "size", value: size });
        }
        Ok(size)
    }

    fn interpreter(&self, free_threaded: bool) -> Result<InterpreterLayout, LayoutError> {
        let group = "interpreter_state";
        let gil = if free_threaded {
            GilLocation::None
        } else {
            // The holder and the lock are stated from the interpreter's start, for its own GIL; what is wanted is
            // their place in any _gil_runtime_state, since a subinterpreter may point at the main interpreter's.
            let own = self.offset(group, "gil_runtime_state", 8)?;
            let inside = |field, width| {
                let value = self.offset(group, field, width)?;
                value.checked_sub(own).ok_or(LayoutError::BadOffset { group, field, value })
            };
            GilLocation::Interpreter {
                pointer: self.offset(group, "ceval_gil", 8)?,
                gil: GilLayout {
                    last_holder: inside("gil_runtime_state_holder", 8)?,
                    locked: inside("gil_runtime_state_locked", 4)?,
                    size: GIL_SIZE,
                },
            }
        };
        let gc = self.offset(group, "gc", 8)?;
        let collecting = self.offset("gc", "collecting", 4)?;
        let size = self.size(group)?;
        let inside = |field: &u64| field.checked_add(4).is_some_and(|end| end <= size);
        let gc_collecting = gc.checked_add(collecting).filter(inside);
        Ok(InterpreterLayout {
            id: self.offset(group, "id", 8)?,
            next: self.offset(group, "next", 8)?,
            threads_head: self.offset(group, "threads_head", 8)?,
            gil,
            gc_collecting: gc_collecting.ok_or(LayoutError::BadOffset { group, field: "gc", value: gc })?,
        })
    }

    fn thread(&self) -> Result<ThreadLayout, LayoutError> {
        let group = "thread_state";
        Ok(ThreadLayout {
            next: self.offset(group, "next", 8)?,
            interp: self.offset(group, "interp", 8)?,
            thread_id: self.offset(group, "thread_id", 8)?,
            native_thread_id: self.offset(group, "native_thread_id", 8)?,
            datastack_chunk: self.offset(group, "datastack_chunk", 8)?,
        })
    }

    fn frame(&self, free_threaded: bool) -> Result<FrameLayout, LayoutError> {
        let group = "interpreter_frame";
        let behaviour = &self.order.behaviour;
        let previous = self.small_offset(group, "previous", 8)?;
        let executable = self.small_offset(group, "executable", 8)?;
        let instruction = self.small_offset(group, "instr_ptr", 8)?;
        let owner = self.small_offset(group, "owner", 1)?;
        let bytecode_copy = match free_threaded && behaviour.bytecode_copies {
            true => Some(self.small_offset(group, "tlbc_index", 4)?),
            false => None,
        };
        let ends = [previous + 8, executable + 8, instruction + 8, owner + 1, bytecode_copy.map_or(0, |o| o + 4)];
        let read_len = ends.into_iter().max().unwrap_or(0);
        if read_len > MAX_FRAME_BYTES {
            return Err(LayoutError::BadOffset { group, field: "owner", value: read_len as u64 });
        }
        Ok(FrameLayout {
            previous,
            executable,
            tag_bits: behaviour.tag_bits,
            instruction,
            owner,
            max_owner: behaviour.max_owner,
            bytecode_copy,
            read_len,
        })
    }

    fn code(&self, free_threaded: bool) -> Result<CodeLayout, LayoutError> {
        let group = "code_object";
        let bytecode = self.small_offset(group, "co_code_adaptive", 2)?;
        // `int _co_firsttraceable; void *co_extra; [_PyCodeArray *co_tlbc;] char co_code_adaptive[]` in cpython/code.h
        // of 3.13 to 3.15; the table does not state the first.
        let copies = usize::from(free_threaded && self.order.behaviour.bytecode_copies);
        let bad_bytecode = LayoutError::BadOffset { group, field: "co_code_adaptive", value: bytecode as u64 };
        let code = CodeLayout {
            filename: self.small_offset(group, "filename", 8)?,
            name: self.small_offset(group, "name", 8)?,
            qualname: self.small_offset(group, "qualname", 8)?,
            linetable: self.small_offset(group, "linetable", 8)?,
            first_line: self.small_offset(group, "firstlineno", 4)?,
            first_traceable: bytecode.checked_sub(16 + 8 * copies).ok_or(bad_bytecode)?,
            // `uint32_t co_version; PyObject *co_localsplusnames;` in cpython/code.h of 3.13 to 3.15: the table states
            // only the second.
            version: Some(self.small_offset(group, "localsplusnames", 8)?.checked_sub(4).ok_or(bad_bytecode)?),
            bytecode,
        };
        let last =
            [code.version.unwrap_or(0), code.filename, code.name, code.qualname, code.linetable, code.first_line]
                .into_iter()
                .max();
        let ob_size = self.small_offset("tuple_object", "ob_size", 8)?;
        if bytecode > MAX_CODE_BYTES || last.unwrap_or(0).max(ob_size) + 8 > bytecode {
            return Err(bad_bytecode);
        }
        Ok(code)
    }

    fn string(&self) -> Result<StringLayout, LayoutError> {
        let group = "unicode_object";
        let field = "asciiobject_size";
        let ascii_data = self.offset(group, field, 8)?;
        // PyCompactUnicodeObject adds `Py_ssize_t utf8_length; char *utf8` to PyASCIIObject since 3.12.
        let compact_data = self.word(group, "compactunicodeobject_size").unwrap_or(ascii_data + 16);
        if compact_data <= ascii_data || compact_data > self.size(group)? {
            return Err(LayoutError::BadOffset { group, field, value: compact_data });
        }
        Ok(StringLayout {
            length: self.offset(group, "length", 8)?,
            state: self.offset(group, "state", 4)?,
            kind_shifts: self.order.behaviour.kind_shifts,
            ascii_data,
            compact_data,
        })
    }

    fn value(&self) -> Result<ValueLayout, LayoutError> {
        Ok(ValueLayout {
            locals: self.offset("interpreter_frame", "localsplus", 8)?,
            local_names: self.offset("code_object", "localsplusnames", 8)?,
            local_kinds: self.offset("code_object", "localspluskinds", 8)?,
            header: self.size("pyobject")?,
            tuple_items: self.offset("tuple_object", "ob_item", 8)?,
            list_items: self.offset("list_object", "ob_item", 8)?,
            dict_keys: self.offset("dict_object", "ma_keys", 8)?,
            float_value: self.offset("float_object", "ob_fval", 8)?,
            integer: IntegerForm::Tag(self.offset("long_object", "lv_tag", 8)?),
            integer_digits: self.offset("long_object", "ob_digit", 4)?,
        })
    }

    fn attributes(&self, free_threaded: bool) -> Result<AttributeLayout, LayoutError> {
        let stated = self.optional_offset("heap_type_object", "ht_cached_keys", 8)?;
        let header = self.size("pyobject")?;
        Ok(AttributeLayout {
            modules: self.offset("interpreter_state", "imports_modules", 8)?,
            module_dict: header,
            // `const char *tp_name; Py_ssize_t tp_basicsize` (cpython/object.h).
            basic_size: self.offset("type_object", "tp_name", 8)? + 8,
            cached_keys: match stated {
                Some(offset) => offset,
                None => self.size("type_object")? + CACHED_KEYS_BEHIND_TYPE,
            },
            // `PyDictKeysObject *ma_keys; PyDictValues *ma_values` (cpython/dictobject.h).
            dict_values: self.offset("dict_object", "ma_keys", 8)? + 8,
            // Without a GIL, objects have no header of the collector's.
            instance: InstanceDict::Inline(if free_threaded { 8 } else { 24 }),
        })
    }
}
