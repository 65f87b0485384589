//! The layouts equal what CPython's own headers say, as `tests/fixtures/layouts/offsets.c` printed it. For versions with
//! debug offsets the fixture is a running interpreter's table: what is proved is that each word is taken for what it is.

use std::collections::BTreeMap;

use fpprof::python::layout::{
    CFrameChain, CFrameEntry, ChainLayout, DICT_KEYS, GilLocation, InstanceDict, IntegerForm, Layout, LayoutError,
    OwnerChain, Support, VALUES_VALID, Version, by_debug_offsets, by_table,
};
use fpprof::target::memory::Region;
use fpprof::types::Addr;
use proptest::prelude::*;

const RUNTIME: Addr = Addr(0x5000);

#[test]
fn tables_equal_the_headers() {
    for (version, headers) in [
        (Version::new(3, 11), include_str!("fixtures/layouts/3.11.7.txt")),
        (Version::new(3, 12), include_str!("fixtures/layouts/3.12.1.txt")),
    ] {
        let layout = by_table(version).unwrap().expect("there is a table");
        assert_eq!(facts(&layout), parse(headers), "{version}");
    }
}

#[test]
fn debug_offsets_are_taken_for_what_the_headers_say() {
    for (version, headers, table) in known() {
        let (read, layout, support) = by_debug_offsets(&table, RUNTIME).unwrap();
        assert_eq!((read.to_string().as_str(), support), (version, Support::Known));
        assert_eq!(facts(&layout), parse(headers), "{version}");
    }
}

#[test]
fn a_newer_version_is_tried_with_the_newest_order() {
    let (_, headers, mut table) = known().pop().unwrap();
    table.bytes[10] += 1;
    let (version, layout, support) = by_debug_offsets(&table, RUNTIME).unwrap();
    assert_eq!((version.series(), support), ((3, 16), Support::Untested));
    assert_eq!(facts(&layout), parse(headers));
}

#[test]
fn a_free_threaded_build_is_read_without_a_gil() {
    for (version, _, mut table) in known() {
        table.bytes[16] = 1;
        let (_, layout, support) = by_debug_offsets(&table, RUNTIME).unwrap();
        assert!(layout.free_threaded, "{version}");
        assert_eq!((layout.interpreter.gil, support), (GilLocation::None, Support::Untested), "{version}");
    }
}

#[test]
fn versions_without_a_layout_are_named() {
    assert_eq!(by_table(Version::new(3, 10)), Err(LayoutError::TooOld(Version::new(3, 10))));
    assert_eq!(by_table(Version::new(3, 13)), Ok(None));
}

proptest! {
    /// Whatever a table says, a layout that is accepted is one that the readers can use without further checks.
    #[test]
    fn damaged_debug_offsets_give_a_bounded_layout_or_none(
        version in 0..3usize,
        damages in prop::collection::vec((3..111usize, prop_oneof![any::<u64>(), 0..5000_u64]), 1..4),
    ) {
        let (_, _, mut table) = known().remove(version);
        for (word, value) in damages {
            if let Some(bytes) = table.bytes.get_mut(8 * word..8 * word + 8) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
        }
        if let Ok((_, layout, _)) = by_debug_offsets(&table, RUNTIME) {
            prop_assert!(layout.frame.read_len <= fpprof::python::layout::MAX_FRAME_BYTES);
            prop_assert!(layout.code.bytecode <= fpprof::python::layout::MAX_CODE_BYTES);
            prop_assert!(facts(&layout).values().all(|&fact| fact <= fpprof::python::layout::MAX_STRUCT_SIZE));
        }
    }
}

fn known() -> Vec<(&'static str, &'static str, Region)> {
    let fixtures: [(_, _, &[u8]); 3] = [
        (
            "3.13.0",
            include_str!("fixtures/layouts/3.13.0.txt"),
            include_bytes!("fixtures/layouts/3.13.0.debug_offsets"),
        ),
        (
            "3.14.10",
            include_str!("fixtures/layouts/3.14.10.txt"),
            include_bytes!("fixtures/layouts/3.14.10.debug_offsets"),
        ),
        (
            "3.15.2",
            include_str!("fixtures/layouts/3.15.2.txt"),
            include_bytes!("fixtures/layouts/3.15.2.debug_offsets"),
        ),
    ];
    fixtures.map(|(version, text, table)| (version, text, Region { start: RUNTIME, bytes: table.to_vec() })).into()
}

fn parse(headers: &str) -> BTreeMap<&str, u64> {
    headers
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

/// A layout in the words of `offsets.c`.
fn facts(layout: &Layout) -> BTreeMap<&'static str, u64> {
    let Layout { runtime, interpreter, thread, frame, code, object, string, value, attributes, .. } = layout;
    let mut facts = BTreeMap::from([
        ("runtime.finalizing", runtime.finalizing),
        ("runtime.interpreters_head", runtime.interpreters_head),
        ("interpreter.id", interpreter.id),
        ("interpreter.next", interpreter.next),
        ("interpreter.threads_head", interpreter.threads_head),
        ("interpreter.gc_collecting", interpreter.gc_collecting),
        ("thread.next", thread.next),
        ("thread.interp", thread.interp),
        ("thread.thread_id", thread.thread_id),
        ("thread.native_thread_id", thread.native_thread_id),
        ("thread.datastack_chunk", thread.datastack_chunk),
        ("frame.executable", frame.executable as u64),
        ("frame.instruction", frame.instruction as u64),
        ("frame.previous", frame.previous as u64),
        ("frame.owner", frame.owner as u64),
        ("code.filename", code.filename as u64),
        ("code.name", code.name as u64),
        ("code.qualname", code.qualname as u64),
        ("code.linetable", code.linetable as u64),
        ("code.first_line", code.first_line as u64),
        ("code.first_traceable", code.first_traceable as u64),
        ("code.bytecode", code.bytecode as u64),
        ("object.ob_type", object.ob_type),
        ("object.ob_size", object.ob_size as u64),
        ("object.tp_name", object.tp_name),
        ("object.tp_flags", object.tp_flags),
        ("object.bytes_data", object.bytes_data),
        ("string.length", string.length),
        ("string.state", string.state),
        ("string.ascii_data", string.ascii_data),
        ("string.compact_data", string.compact_data),
        ("value.locals", value.locals),
        ("value.local_names", value.local_names),
        ("value.local_kinds", value.local_kinds),
        ("value.header", value.header),
        // What is behind the header.
        ("value.cell", value.header),
        ("value.dict_used", value.header),
        ("value.set_fill", value.header),
        ("value.tuple_items", value.tuple_items),
        ("value.list_items", value.list_items),
        ("value.dict_keys", value.dict_keys),
        ("value.float", value.float_value),
        ("value.integer_digits", value.integer_digits),
        ("attributes.modules", attributes.modules),
        ("attributes.module_dict", attributes.module_dict),
        ("attributes.basic_size", attributes.basic_size),
        ("attributes.cached_keys", attributes.cached_keys),
        ("attributes.dict_values", attributes.dict_values),
        ("attributes.first_value", attributes.instance.first_value()),
        ("dict_keys.log2_index_bytes", DICT_KEYS.log2_index_bytes),
        ("dict_keys.kind", DICT_KEYS.kind),
        ("dict_keys.entry_count", DICT_KEYS.entry_count),
        ("dict_keys.indices", DICT_KEYS.indices),
    ]);
    let (IntegerForm::SignedSize(integer) | IntegerForm::Tag(integer)) = value.integer;
    facts.insert("value.integer", integer);
    if let InstanceDict::Inline(_) = attributes.instance {
        facts.insert("attributes.values_valid", VALUES_VALID);
    }
    facts.extend(code.version.map(|version| ("code.version", version as u64)));
    match interpreter.gil {
        GilLocation::Runtime { start, gil } => {
            facts.extend([("gil.last_holder", start + gil.last_holder), ("gil.locked", start + gil.locked)]);
            facts.extend([("gil.start", start), ("gil.size", gil.size)]);
        }
        GilLocation::Interpreter { pointer, gil } => {
            facts.extend([("gil.last_holder", gil.last_holder), ("gil.locked", gil.locked)]);
            facts.extend([("gil.pointer", pointer), ("gil.size", gil.size)]);
        }
        GilLocation::None => {}
    }
    match layout.chain {
        ChainLayout::CFrame(CFrameChain { cframe, current_frame, previous, entry }) => {
            let cframe = ("thread.cframe", cframe);
            facts.extend([cframe, ("cframe.current_frame", current_frame), ("cframe.previous", previous)]);
            if let CFrameEntry::Flag(is_entry) = entry {
                facts.insert("frame.is_entry", is_entry as u64);
            }
        }
        ChainLayout::Owner(OwnerChain { current_frame, base_frame, .. }) => {
            facts.insert("thread.current_frame", current_frame);
            facts.extend(base_frame.map(|offset| ("thread.base_frame", offset)));
        }
    }
    facts
}
