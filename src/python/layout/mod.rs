//! What differs between versions of CPython, as data: where fields are, and how they behave.
//!
//! Does: define [`Layout`] and choose one. This is the only place where versions are compared.
//! Does not: read interpreter state; the readers beside this folder do, with the data from here.
//!
//! Offsets are in bytes from the start of the object that the struct is named after. All of them are known to be
//! small (at most [`MAX_STRUCT_SIZE`]) and aligned before a [`Layout`] exists.

mod attributes;
mod chain;
pub mod debug_offsets;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod version;

pub use attributes::{AttributeLayout, InstanceDict, VALUES_VALID};
pub use chain::{CFrameChain, CFrameEntry, ChainLayout, OwnerChain};
pub use version::Version;

use crate::target::memory::{Memory, ReadError};
use crate::types::Addr;

/// The largest `_PyRuntimeState` or `PyInterpreterState` that is believed. 3.12's is 460 KB (its static objects are inside).
pub const MAX_STRUCT_SIZE: u64 = 16 << 20;
/// The most bytes of a frame that the walk reads. `_PyInterpreterFrame`'s fixed part has at most 80.
pub const MAX_FRAME_BYTES: usize = 128;
/// The most bytes of a code object in front of its bytecode. 3.15 has 208.
pub const MAX_CODE_BYTES: usize = 512;
/// The most bytes of a thread state that are read. 3.15's `PyThreadState` has 888.
pub const MAX_THREAD_BYTES: usize = 4096;

/// Everything that the readers need to know about one build of CPython.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `_PyRuntimeState`.
    pub runtime: RuntimeLayout,
    /// `PyInterpreterState`.
    pub interpreter: InterpreterLayout,
    /// `PyThreadState`.
    pub thread: ThreadLayout,
    /// `_PyInterpreterFrame`.
    pub frame: FrameLayout,
    /// How the frames of a thread are chained.
    pub chain: ChainLayout,
    /// `PyCodeObject`.
    pub code: CodeLayout,
    /// `PyObject`, `PyVarObject`, `PyTypeObject` and `PyBytesObject`.
    pub object: ObjectLayout,
    /// `PyASCIIObject` and its larger forms.
    pub string: StringLayout,
    /// Where the values of variables are.
    pub value: ValueLayout,
    /// Where modules and attributes are.
    pub attributes: AttributeLayout,
    /// Whether the build runs without a GIL (PEP 703).
    pub free_threaded: bool,
    /// Whether code made by the interpreter's JIT keeps the chain of frame records: 3.15's does, 3.14's has neither
    /// frame records nor unwind tables.
    pub jit_keeps_frame_pointers: bool,
}

/// Fields of `_PyRuntimeState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeLayout {
    /// The thread state that is finalizing the runtime, or null.
    pub finalizing: u64,
    /// The head of the list of interpreters.
    pub interpreters_head: u64,
}

/// Fields of `PyInterpreterState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterpreterLayout {
    /// The interpreter's number; the main one's is 0.
    pub id: u64,
    /// The next in the list of interpreters.
    pub next: u64,
    /// The head of the list of thread states.
    pub threads_head: u64,
    /// Where its GIL is.
    pub gil: GilLocation,
    /// `gc.collecting`, 32 bits: whether a collection of garbage is under way.
    pub gc_collecting: u64,
}

/// Where an interpreter's `_gil_runtime_state` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GilLocation {
    /// One for all interpreters, inside `_PyRuntimeState`.
    Runtime {
        /// Where it begins in `_PyRuntimeState`.
        start: u64,
        /// Its fields.
        gil: GilLayout,
    },
    /// A pointer in the interpreter: its own or, for a subinterpreter that shares it, the main one's (PEP 684).
    Interpreter {
        /// Where the pointer is in `PyInterpreterState`.
        pointer: u64,
        /// Its fields.
        gil: GilLayout,
    },
    /// There is none: a free-threaded build.
    None,
}

/// Fields of `_gil_runtime_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GilLayout {
    /// The thread state that took it last.
    pub last_holder: u64,
    /// 1 while it is held (a 32-bit number).
    pub locked: u64,
    /// Its size in bytes: the words on which threads wait for the GIL (in `cond`, `mutex`, `switch_cond` and
    /// `switch_mutex`, glibc's) are the last things in it.
    pub size: u64,
}

/// `sizeof(struct _gil_runtime_state)` of every version so far, with x86-64's `pthread_mutex_t` of 40 bytes. AArch64's has
/// 48, but all words that are waited on lie below this size there, too.
pub(super) const GIL_SIZE: u64 = 208;

/// Fields of `PyThreadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLayout {
    /// The next in the interpreter's list.
    pub next: u64,
    /// The interpreter that it belongs to.
    pub interp: u64,
    /// `pthread_self()`: the thread pointer (`fs_base`, `tpidr_el0`) with glibc and musl.
    pub thread_id: u64,
    /// `gettid()`, as the target's own pid namespace numbers it.
    pub native_thread_id: u64,
    /// The chunk that new frames are pushed on (`_PyStackChunk *`).
    pub datastack_chunk: u64,
}

/// Fields of `_PyInterpreterFrame`. Each lies within the first [`FrameLayout::read_len`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLayout {
    /// The frame that this one returns to.
    pub previous: usize,
    /// The code object (`f_code`, later `f_executable`).
    pub executable: usize,
    /// Bits of the code object's pointer that are a tag (`_PyStackRef`, from 3.14 on; `Py_TAG_BITS`).
    pub tag_bits: u64,
    /// The instruction that is executing (`prev_instr`, later `instr_ptr`). Both point at it or at one of its inline
    /// cache entries, which have its location: CPython's own `_PyInterpreterFrame_LASTI` adds nothing to either.
    pub instruction: usize,
    /// `enum _frameowner`, one byte.
    pub owner: usize,
    /// The largest valid owner.
    pub max_owner: u8,
    /// The index of the thread's own copy of the bytecode (free-threaded builds from 3.14 on). Only copy 0 is the code
    /// object's own, so the instruction is known only there.
    pub bytecode_copy: Option<usize>,
    /// How many bytes from the frame's start hold all the fields above.
    pub read_len: usize,
}

/// Fields of `PyCodeObject`. Each lies in front of the bytecode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeLayout {
    /// `co_filename`.
    pub filename: usize,
    /// `co_name`.
    pub name: usize,
    /// `co_qualname`.
    pub qualname: usize,
    /// `co_linetable`.
    pub linetable: usize,
    /// `co_firstlineno`, 32 bits.
    pub first_line: usize,
    /// `_co_firsttraceable`, 32 bits, in code units: frames before it are incomplete (`_PyFrame_IsIncomplete`).
    pub first_traceable: usize,
    /// `co_version`, 32 bits, from 3.12 on: a number that no other code object of the interpreter gets. It tells code
    /// objects apart that follow each other at one address, also when their names do so at theirs.
    pub version: Option<usize>,
    /// `co_code_adaptive`: the first instruction, and the end of what identifies a code object.
    pub bytecode: usize,
}

/// Fields of the objects that others are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLayout {
    /// `PyObject.ob_type`.
    pub ob_type: u64,
    /// `PyVarObject.ob_size`.
    pub ob_size: usize,
    /// `PyTypeObject.tp_name`.
    pub tp_name: u64,
    /// `PyTypeObject.tp_flags`.
    pub tp_flags: u64,
    /// `PyBytesObject.ob_sval`.
    pub bytes_data: u64,
}

/// Fields of the string objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringLayout {
    /// `length`, in code points.
    pub length: u64,
    /// `state`, 32 bits.
    pub state: u64,
    /// Where `state.kind` may begin, in bits; `compact` and `ascii` follow its three bits. Before it is `interned`,
    /// whose width varies (2 bits; 8 in free-threaded builds; 16 in early releases of 3.14) and of which only the
    /// lowest two bits are ever set: the first place with a kind is the right one.
    pub kind_shifts: &'static [u32],
    /// `sizeof(PyASCIIObject)`: the data of a compact ASCII string.
    pub ascii_data: u64,
    /// `sizeof(PyCompactUnicodeObject)`: the data of another compact string, or the pointer to it.
    pub compact_data: u64,
}

/// What is needed of frames, code objects and built-in types to show the values of variables, and for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueLayout {
    /// `_PyInterpreterFrame.localsplus`: the first variable.
    pub locals: u64,
    /// `PyCodeObject.co_localsplusnames`, a tuple of strings.
    pub local_names: u64,
    /// `PyCodeObject.co_localspluskinds`, bytes.
    pub local_kinds: u64,
    /// `sizeof(PyObject)`: where the fields of a dict, a set or a cell begin.
    pub header: u64,
    /// `PyTupleObject.ob_item`: the first item.
    pub tuple_items: u64,
    /// `PyListObject.ob_item`: the pointer to the first item.
    pub list_items: u64,
    /// `PyDictObject.ma_keys`.
    pub dict_keys: u64,
    /// `PyFloatObject.ob_fval`.
    pub float_value: u64,
    /// How integers state their size and sign.
    pub integer: IntegerForm,
    /// `PyLongObject.long_value.ob_digit`: the lowest digit.
    pub integer_digits: u64,
}

/// How a `PyLongObject` states its size and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegerForm {
    /// 3.11: the number of digits at this offset, negative for a negative number.
    SignedSize(u64),
    /// 3.12 and later: `lv_tag` at this offset.
    Tag(u64),
}

/// Fields of `PyDictKeysObject` (pycore_dict.h): the same ones in all versions, with and without a GIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictKeysLayout {
    /// `dk_log2_index_bytes`, one byte.
    pub log2_index_bytes: u64,
    /// `dk_kind`, one byte.
    pub kind: u64,
    /// `dk_nentries`.
    pub entry_count: u64,
    /// `dk_indices`, behind which are the entries.
    pub indices: u64,
}

/// See [`DictKeysLayout`].
pub const DICT_KEYS: DictKeysLayout = DictKeysLayout { log2_index_bytes: 9, kind: 10, entry_count: 24, indices: 32 };

/// The versions that the tests run, oldest first.
pub const TESTED: [(u8, u8); 5] = [(3, 11), (3, 12), (3, 13), (3, 14), (3, 15)];

/// How well a version is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has its own table, and the tests run it.
    Known,
    /// The tests do not run it: it is newer than every table (and read with the newest one), or free-threaded. Its
    /// offsets passed validation.
    Untested,
}

/// Why there is no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The version is older than the oldest table.
    #[error("CPython {0} is too old: 3.11 is the oldest that can be read")]
    TooOld(Version),
    /// The debug offsets could not be read.
    #[error("the runtime's debug offsets cannot be read: {0}")]
    Unreadable(#[from] ReadError),
    /// A field's offset is impossible: not CPython's memory, or a version that moved its fields.
    #[error("the runtime's debug offsets are not believable: {group}.{field} is {value}")]
    BadOffset {
        /// The struct, as `_Py_DebugOffsets` names it.
        group: &'static str,
        /// The field in it.
        field: &'static str,
        /// What was read.
        value: u64,
    },
}

/// The layout of a version that has no debug offsets, or `None` when it has.
///
/// # Errors
/// [`LayoutError::TooOld`].
pub fn by_table(version: Version) -> Result<Option<Layout>, LayoutError> {
    match version.series() {
        (3, 11) => Ok(Some(v3_11::LAYOUT)),
        (3, 12) => Ok(Some(v3_12::LAYOUT)),
        older if older < (3, 11) => Err(LayoutError::TooOld(version)),
        _ => Ok(None),
    }
}

/// The layout that the `_Py_DebugOffsets` at `runtime` describe. The caller has checked its cookie.
///
/// # Errors
/// [`LayoutError`], of any kind.
pub fn by_debug_offsets(mem: &impl Memory, runtime: Addr) -> Result<(Version, Layout, Support), LayoutError> {
    let version = debug_offsets::version(mem, runtime)?;
    let order = match version.series() {
        older if older < (3, 13) => return Err(LayoutError::TooOld(version)),
        (3, 13) => &v3_13::ORDER,
        (3, 14) => &v3_14::ORDER,
        _ => &v3_15::ORDER,
    };
    let layout = debug_offsets::layout(mem, runtime, order)?;
    let is_tested = TESTED.contains(&version.series()) && !layout.free_threaded;
    let support = if is_tested { Support::Known } else { Support::Untested };
    Ok((version, layout, support))
}
