//! CPython 3.12: offsets of a 64-bit release build, from its own headers (docs/layouts.md has the program): the
//! same ones on x86-64 and AArch64.

use super::*;

pub(super) const LAYOUT: Layout = Layout {
    runtime: RuntimeLayout { finalizing: 24, interpreters_head: 40 },
    interpreter: InterpreterLayout {
        id: 8,
        next: 0,
        threads_head: 72,
        gil: GilLocation::Interpreter { pointer: 384, gil: GilLayout { last_holder: 8, locked: 16, size: GIL_SIZE } },
        gc_collecting: 312,
    },
    thread: ThreadLayout { next: 8, interp: 16, thread_id: 136, native_thread_id: 144, datastack_chunk: 232 },
    frame: FrameLayout {
        previous: 8,
        executable: 0,
        tag_bits: 0,
        instruction: 56,
        owner: 70,
        max_owner: 3,
        bytecode_copy: None,
        read_len: 71,
    },
    // The `_PyCFrame`s are still there, but with frames of owner 3 only the innermost one's place matters.
    chain: ChainLayout::CFrame(CFrameChain { cframe: 56, current_frame: 0, previous: 8, entry: CFrameEntry::Owner(3) }),
    code: CodeLayout {
        filename: 112,
        name: 120,
        qualname: 128,
        linetable: 136,
        first_line: 68,
        first_traceable: 176,
        version: Some(92),
        bytecode: 192,
    },
    object: ObjectLayout { ob_type: 8, ob_size: 16, tp_name: 24, tp_flags: 168, bytes_data: 32 },
    string: StringLayout { length: 16, state: 32, kind_shifts: &[2], ascii_data: 40, compact_data: 56 },
    value: ValueLayout {
        locals: 72,
        local_names: 96,
        local_kinds: 104,
        header: 16,
        tuple_items: 24,
        list_items: 24,
        dict_keys: 32,
        float_value: 16,
        integer: IntegerForm::Tag(16),
        integer_digits: 24,
    },
    attributes: AttributeLayout {
        modules: 944,
        module_dict: 16,
        basic_size: 32,
        cached_keys: 880,
        dict_values: 40,
        instance: InstanceDict::Tagged,
    },
    free_threaded: false,
    jit_keeps_frame_pointers: false,
};
