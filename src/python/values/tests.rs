//! Values of objects in memory, of 3.12.

use proptest::prelude::*;

use super::*;
use crate::python::layout::{Version, by_table};
use crate::target::memory::Region;

const BASE: u64 = 0x1_0000;
/// Each object and each type has so many bytes for itself.
const ROOM: u64 = 0x200;

/// Memory with objects in it.
struct Heap {
    bytes: Vec<u8>,
}

impl Heap {
    fn new() -> Heap {
        Heap { bytes: Vec::new() }
    }

    fn room(&mut self) -> u64 {
        let start = BASE + self.bytes.len() as u64;
        self.bytes.resize(self.bytes.len() + ROOM as usize, 0);
        start
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = (at - BASE) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, at: u64, word: u64) {
        self.put(at, &word.to_le_bytes());
    }

    fn type_object(&mut self, name: &str, flags: u64) -> u64 {
        let start = self.room();
        self.word(start + 24, start + 0x100);
        self.word(start + 168, flags);
        self.put(start + 0x100, name.as_bytes());
        start
    }

    /// An object of a new type; `words` follow its header.
    fn object(&mut self, name: &str, flags: u64, words: &[u64]) -> u64 {
        let type_object = self.type_object(name, flags);
        let start = self.room();
        self.word(start + 8, type_object);
        for (index, word) in words.iter().enumerate() {
            self.word(start + 16 + 8 * index as u64, *word);
        }
        start
    }

    /// `lv_tag` and one digit.
    fn integer(&mut self, value: u32) -> u64 {
        self.object("int", LONG_SUBCLASS, &[if value == 0 { 1 } else { 8 }, value.into()])
    }

    fn list(&mut self, name: &str, items: &[u64]) -> u64 {
        let table = self.room();
        items.iter().enumerate().for_each(|(index, item)| self.word(table + 8 * index as u64, *item));
        self.object(name, LIST_SUBCLASS, &[items.len() as u64, table])
    }

    fn describe(&self, object: u64) -> String {
        let region = Region { start: Addr(BASE), bytes: self.bytes.clone() };
        let layout = by_table(Version::new(3, 12)).unwrap().unwrap();
        describe(&region, &layout, Addr(object)).unwrap_or_else(|error| error.to_string())
    }
}

#[test]
fn numbers_are_what_repr_says() {
    let mut heap = Heap::new();
    for (tag, digits, text) in [
        (1, [0; 5], "0"),
        (8, [7, 0, 0, 0, 0], "7"),
        (8 | 2, [7, 0, 0, 0, 0], "-7"),
        (2 << 3, [5, 1, 0, 0, 0], "1073741829"),
        (4 << 3, [0, 0, 0, 1, 0], "1237940039285380274899124224"),
        (5 << 3, [1; 5], "<integer of 150 bits or fewer>"),
        (u64::MAX - 1, [0; 5], "-<integer of 18446744073709551615 bits or fewer>"),
    ] {
        let object = heap.object("int", LONG_SUBCLASS, &[tag]);
        digits
            .iter()
            .enumerate()
            .for_each(|(n, digit): (usize, &u32)| heap.put(object + 24 + 4 * n as u64, &digit.to_le_bytes()));
        assert_eq!(heap.describe(object), text);
    }
    for (value, text) in [
        (1.5, "1.5"),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
        (1.5e-7, "1.5e-07"),
        (f64::NAN, "nan"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let object = heap.object("float", 0, &[value.to_bits()]);
        assert_eq!(heap.describe(object), text);
    }
    let (yes, color) = (heap.object("bool", LONG_SUBCLASS, &[8, 1]), heap.object("Color", LONG_SUBCLASS, &[8, 3]));
    assert_eq!((heap.describe(yes), heap.describe(color)), ("True".into(), "Color(3)".into()));
}

#[test]
fn containers_are_cut_at_their_bounds() {
    let mut heap = Heap::new();
    let one = heap.integer(1);
    let short = heap.list("list", &[one, one]);
    assert_eq!(heap.describe(short), "[1, 1]");
    let long = heap.list("list", &[one; 30]);
    assert_eq!(heap.describe(long), "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, … 20 more]");
    let deep = (0..10).fold(one, |inner, _| heap.list("list", &[inner]));
    assert_eq!(heap.describe(deep), "[[[[…]]]]");
    let wide = (0..4).fold(one, |inner, _| heap.list("list", &[inner; 10]));
    assert!(heap.describe(wide).matches('1').count() <= MAX_OBJECTS, "{}", heap.describe(wide));
    let own = heap.list("Orders", &[short]);
    assert_eq!(heap.describe(own), "Orders([[1, 1]])");
}

#[test]
fn a_cycle_is_cut() {
    let mut heap = Heap::new();
    let one = heap.integer(1);
    let list = heap.list("list", &[one, 0]);
    let table = u64::from_le_bytes(heap.bytes[(list + 24 - BASE) as usize..][..8].try_into().unwrap());
    heap.word(table + 8, list);
    assert_eq!(heap.describe(list), "[1, …]");
}

#[test]
fn dictionaries_show_what_is_in_them() {
    let mut heap = Heap::new();
    let (one, two) = (heap.integer(1), heap.integer(2));
    let keys = heap.room();
    // 8 one-byte indices; three entries with hashes, the second one removed.
    heap.put(keys + 9, &[3, 0]);
    heap.word(keys + 24, 3);
    for (index, (key, value)) in [(one, two), (0, 0), (two, one)].into_iter().enumerate() {
        let entry = keys + 32 + 8 + 24 * index as u64;
        heap.word(entry + 8, key);
        heap.word(entry + 16, value);
    }
    let dict = heap.object("dict", DICT_SUBCLASS, &[2, 0, keys]);
    assert_eq!(heap.describe(dict), "{1: 2, 2: 1}");
    heap.put(keys + 10, &[2]);
    assert_eq!(heap.describe(dict), "{… 2 more}", "an instance's attributes are elsewhere");
}

#[test]
fn what_has_no_form_of_its_own_is_told_by_its_type() {
    let mut heap = Heap::new();
    let order = heap.object("Order\n", 0, &[]);
    assert_eq!(heap.describe(order), "<Order\u{fffd}>");
    let class = heap.type_object("Order", 0);
    let metatype = heap.type_object("type", TYPE_SUBCLASS);
    heap.word(class + 8, metatype);
    assert_eq!(heap.describe(class), "<class 'Order'>");
    let list = heap.list("list", &[order, 0x10]);
    assert_eq!(heap.describe(list), "[<Order\u{fffd}>, <unreadable>]");
    assert!(heap.describe(0x10).contains("cannot be read"));
}

#[test]
fn text_stays_in_its_line() {
    assert_eq!(quoted("\n\x1b[2J\\é\u{9b}"), "'\\n\\x1b[2J\\\\é\\x9b'");
    assert_eq!((quoted("it's"), quoted("it's \"x\"")), ("\"it's\"".into(), "'it\\'s \"x\"'".into()));
}

proptest! {
    /// Whatever objects lead to: a text of bounded length, and no panic.
    #[test]
    fn garbage_gives_a_bounded_text(
        words in prop::collection::vec(prop_oneof![
            (0..0x400_u64).prop_map(|n| BASE + 8 * n), any::<u64>(), 0..16_u64,
        ], 0x400),
        flags in any::<u64>(),
        names in prop::collection::vec(prop::sample::select(vec!["int", "float", "str", "list", "dict", "set", "x"]), 4),
    ) {
        let mut heap = Heap::new();
        let types: Vec<u64> = names.iter().map(|name| heap.type_object(name, flags)).collect();
        let first = BASE + heap.bytes.len() as u64;
        heap.bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        // Each fourth word is a type, so that most of it is objects.
        for index in (1..words.len() as u64).step_by(4) {
            heap.word(first + 8 * index, types[index as usize / 4 % types.len()]);
        }
        for index in (0..words.len() as u64).step_by(4) {
            prop_assert!(heap.describe(first + 8 * index).chars().count() <= MAX_OBJECTS * (MAX_TEXT * 6 + 200));
        }
    }
}
