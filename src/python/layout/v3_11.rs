//! CPython 3.11: offsets of a 64-bit release build, from its own headers (docs/layouts.md has the program): the
//! same ones on x86-64 and AArch64.

use super::*;

pub(super) const LAYOUT: Layout = Layout {
    runtime: RuntimeLayout { finalizing: 24, interpreters_head: 40 },
    interpreter: InterpreterLayout {
        id: 48,
        next: 0,
        threads_head: 16,
        gil: GilLocation::Runtime { start: 360, gil: GilLayout { last_holder: 8, locked: 16, size: GIL_SIZE } },
        gc_collecting: 848,
    },
    thread: ThreadLayout { next: 8, interp: 16, thread_id: 152, native_thread_id: 160, datastack_chunk: 296 },
    frame: FrameLayout {
        previous: 48,
        executable: 32,
        tag_bits: 0,
        instruction: 56,
        owner: 69,
        max_owner: 2,
        bytecode_copy: None,
        read_len: 70,
    },
    chain: ChainLayout::CFrame(CFrameChain {
        cframe: 56,
        current_frame: 8,
        previous: 16,
        entry: CFrameEntry::Flag(68),
    }),
    code: CodeLayout {
        filename: 112,
        name: 120,
        qualname: 128,
        linetable: 136,
        first_line: 72,
        first_traceable: 168,
        version: None,
        bytecode: 184,
    },
    object: ObjectLayout { ob_type: 8, ob_size: 16, tp_name: 24, tp_flags: 168, bytes_data: 32 },
    string: StringLayout { length: 16, state: 32, kind_shifts: &[2], ascii_data: 48, compact_data: 72 },
    value: ValueLayout {
        locals: 72,
        local_names: 96,
        local_kinds: 104,
        header: 16,
        tuple_items: 24,
        list_items: 24,
        dict_keys: 32,
        float_value: 16,
        integer: IntegerForm::SignedSize(16),
        integer_digits: 24,
    },
    attributes: AttributeLayout {
        modules: 888,
        module_dict: 16,
        basic_size: 32,
        cached_keys: 872,
        dict_values: 40,
        instance: InstanceDict::TwoPointers,
    },
    free_threaded: false,
    jit_keeps_frame_pointers: false,
};
