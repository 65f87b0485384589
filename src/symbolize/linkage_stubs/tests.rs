//! Entries in small files of either architecture, with section headers and without. What linkers really write is held against objdump
//! by `tests/symbols`.

use super::*;

/// Where the parts of a file are. Addresses are offsets.
const CODE: u64 = 0x400;
const OTHER_CODE: u64 = 0x480;
const SLOTS: u64 = 0x500;
const RELOCATIONS: u64 = 0x600;
const SYMBOLS: u64 = 0x700;
const NAMES: u64 = 0x800;
const DYNAMIC: u64 = 0x900;
const SECTION_NAMES: u64 = 0xa00;
const SECTIONS: u64 = 0xb00;
const RESOLVER: u64 = 0x4f0;

/// A machine, and its kinds of relocations: `JUMP_SLOT`, `GLOB_DAT`, `IRELATIVE`.
type Kinds = (u16, [u64; 3]);
const X86_64: Kinds = (62, [7, 6, 37]);
const AARCH64: Kinds = (183, [1026, 1025, 1032]);

/// The names of the symbols, by number from 1; the last one is the function that the resolver chooses.
const FUNCTIONS: [&str; 4] = ["write", "_ZN3fooC1Ev", "", "memcpy"];
const TABLE: &str = "\0.plt\0.text\0.rela.plt\0.dynsym\0.dynstr\0.shstrtab\0";

/// A file with this code in `.plt`, other code in `.text`, and what fills its slots: a kind, and a symbol or an addend.
struct Parts<'a> {
    kinds: Kinds,
    plt: &'a [u8],
    text: &'a [u8],
    fillings: &'a [(u64, usize, u64)],
    has_sections: bool,
}

fn file(parts: &Parts<'_>) -> ElfFile {
    ElfFile::from_bytes(bytes(parts)).unwrap()
}

fn bytes(parts: &Parts<'_>) -> Vec<u8> {
    let (machine, kinds) = parts.kinds;
    let mut bytes = vec![0; 0x1000];
    let mut put = |at: u64, data: &[u8]| bytes[at as usize..at as usize + data.len()].copy_from_slice(data);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(40, &if parts.has_sections { SECTIONS } else { 0 }.to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 2), (58, 64), (60, 7), (62, 6)] {
        put(at, &value.to_le_bytes());
    }
    for (at, kind, from, size) in [(64, 1_u32, 0, 0x1000_u64), (120, 2, DYNAMIC, 0x100)] {
        put(at, &[kind.to_le_bytes(), 5_u32.to_le_bytes()].concat());
        put(at + 8, &[from, from, from, size, size].map(u64::to_le_bytes).concat());
    }
    put(CODE, parts.plt);
    put(OTHER_CODE, parts.text);
    let mut relocations = Vec::new();
    for (slot, kind, value) in parts.fillings {
        let (symbol, addend) = if *kind == 2 { (0, *value) } else { (*value, 0) };
        relocations.extend([*slot, symbol << 32 | kinds[*kind], addend].map(u64::to_le_bytes).concat());
    }
    put(RELOCATIONS, &relocations);
    let mut names = vec![0_u8];
    for (number, name) in (1..).zip(FUNCTIONS) {
        // Undefined functions, and one that is defined by its resolver.
        let (kind, section, value) = if name == "memcpy" { (10_u8, 1_u16, RESOLVER) } else { (2, 0, 0) };
        put(SYMBOLS + 24 * number, &(names.len() as u32).to_le_bytes());
        put(SYMBOLS + 24 * number + 4, &[0x10 | kind, 0]);
        put(SYMBOLS + 24 * number + 6, &section.to_le_bytes());
        put(SYMBOLS + 24 * number + 8, &value.to_le_bytes());
        names.extend(name.bytes().chain([0]));
    }
    put(NAMES, &names);
    let (symbols_size, names_size) = (24 * 5, names.len() as u64);
    // A hash table with no bucket and a chain for each symbol.
    put(DYNAMIC + 0x80, &[1_u32, 5, 0, 0, 0, 0].map(u32::to_le_bytes).concat());
    let relocations_size = relocations.len() as u64;
    let dynamic =
        [(5, NAMES), (6, SYMBOLS), (10, names_size), (4, DYNAMIC + 0x80), (23, RELOCATIONS), (2, relocations_size)];
    for (number, (tag, value)) in (0..).zip(dynamic) {
        put(DYNAMIC + 16 * number, &[tag, value].map(u64::to_le_bytes).concat());
    }
    put(SECTION_NAMES, TABLE.as_bytes());
    let sections = [
        (".plt", 1_u32, 6_u64, CODE, parts.plt.len() as u64, 0_u32),
        (".text", 1, 6, OTHER_CODE, 0x80, 0),
        (".rela.plt", 4, 2, RELOCATIONS, relocations_size, 4),
        (".dynsym", 11, 2, SYMBOLS, symbols_size, 5),
        (".dynstr", 3, 2, NAMES, names_size, 0),
        (".shstrtab", 3, 0, SECTION_NAMES, TABLE.len() as u64, 0),
    ];
    for (number, (name, kind, flags, from, size, link)) in (1..).zip(sections) {
        let name = TABLE.find(&format!("\0{name}\0")).unwrap() as u32 + 1;
        let at = SECTIONS + 64 * number;
        put(at, &[name, kind].map(u32::to_le_bytes).concat());
        put(at + 8, &[flags, from, from, size].map(u64::to_le_bytes).concat());
        put(at + 40, &link.to_le_bytes());
    }
    bytes
}

/// The name of the stub at an address.
fn name(elf: &ElfFile, at: u64) -> Option<String> {
    let all: Vec<Svma> = (CODE - 8..CODE + 0x100).map(Svma).collect();
    let alone = find(elf, [Svma(at)].into_iter()).remove(&at);
    assert_eq!(find(elf, all.into_iter()).remove(&at), alone, "{at:#x}, whatever else is asked for");
    alone
}

/// `jmp *slot`, `push $n`, `jmp` to the first entry.
fn lazy(number: u64) -> Vec<u8> {
    let at = CODE + 16 * (number + 1);
    let slot = (SLOTS + 8 * number).wrapping_sub(at + 6) as u32;
    let first = CODE.wrapping_sub(at + 16) as u32;
    [&[0xff, 0x25][..], &slot.to_le_bytes(), &[0x68], &(number as u32).to_le_bytes(), &[0xe9], &first.to_le_bytes()]
        .concat()
}

/// `endbr64`, `push $n`, `jmp` to the first entry.
fn numbered(number: u64) -> Vec<u8> {
    let first = CODE.wrapping_sub(CODE + 16 * (number + 1) + 14) as u32;
    [&[0xf3, 0x0f, 0x1e, 0xfa, 0x68][..], &(number as u32).to_le_bytes(), &[0xe9], &first.to_le_bytes(), &[0x66, 0x90]]
        .concat()
}

/// `push *`, `jmp *`, a `nop`: what hands on to the loader.
const FIRST: [u8; 16] = [0xff, 0x35, 0, 1, 0, 0, 0xff, 0x25, 0, 1, 0, 0, 0x0f, 0x1f, 0x40, 0];

/// `adrp`, `ldr`, `add`, `br`.
fn on_aarch64(number: u64) -> Vec<u8> {
    let low = (SLOTS + 8 * number) as u32;
    [0x9000_0010, 0xf940_0211 | (low / 8) << 10, 0x9100_0210 | low << 10, 0xd61f_0220].map(u32::to_le_bytes).concat()
}

/// What fills the slots: a function, one with a mangled name, one without a name, and one that is chosen when it is loaded.
fn fillings() -> [(u64, usize, u64); 4] {
    [(SLOTS, 0, 1), (SLOTS + 8, 0, 2), (SLOTS + 16, 0, 3), (SLOTS + 24, 2, RESOLVER)]
}

#[test]
fn entries_are_named_by_what_fills_their_slots() {
    let plt = [&FIRST[..], &lazy(0), &lazy(1), &lazy(2), &lazy(3)].concat();
    let elf = file(&Parts { kinds: X86_64, plt: &plt, text: &[], fillings: &fillings(), has_sections: true });
    for at in [0, 6, 15] {
        assert_eq!(name(&elf, CODE + at), None, "the first entry leads to the loader");
        assert_eq!(name(&elf, CODE + 16 + at).as_deref(), Some("write@plt"));
        assert_eq!(name(&elf, CODE + 32 + at).as_deref(), Some("foo::foo@plt"));
        assert_eq!(name(&elf, CODE + 48 + at), None, "its symbol has no name");
        assert_eq!(name(&elf, CODE + 64 + at).as_deref(), Some("memcpy@plt"));
    }
    assert_eq!((name(&elf, CODE - 1), name(&elf, CODE + 80)), (None, None));
    let plt = [on_aarch64(0), on_aarch64(1), on_aarch64(2), on_aarch64(3)].concat();
    let elf = file(&Parts { kinds: AARCH64, plt: &plt, text: &[], fillings: &fillings(), has_sections: true });
    for at in [0, 4, 12] {
        assert_eq!(name(&elf, CODE + at).as_deref(), Some("write@plt"));
        assert_eq!(name(&elf, CODE + 32 + at), None);
        assert_eq!(name(&elf, CODE + 48 + at).as_deref(), Some("memcpy@plt"));
    }
}

#[test]
fn entries_that_have_a_number_alone_are_named_by_its_relocation() {
    let plt = [&FIRST[..], &numbered(0), &numbered(1), &numbered(9)].concat();
    let elf = file(&Parts { kinds: X86_64, plt: &plt, text: &[], fillings: &fillings(), has_sections: true });
    assert_eq!(name(&elf, CODE + 16).as_deref(), Some("write@plt"));
    assert_eq!(name(&elf, CODE + 36).as_deref(), Some("foo::foo@plt"));
    assert_eq!(name(&elf, CODE + 48), None, "there is no such relocation");
}

#[test]
fn without_section_headers_only_lazy_slots_tell_that_code_is_an_entry() {
    for (kinds, plt) in [(X86_64, [FIRST.to_vec(), lazy(0)].concat()), (AARCH64, [vec![0; 16], on_aarch64(0)].concat())]
    {
        let jump = Parts { kinds, plt: &plt, text: &[], fillings: &[(SLOTS, 0, 1)], has_sections: false };
        let data = Parts { fillings: &[(SLOTS, 1, 1)], ..jump };
        for at in [0, 4, 12] {
            assert_eq!(name(&file(&jump), CODE + 16 + at).as_deref(), Some("write@plt"));
            assert_eq!(name(&file(&data), CODE + 16 + at), None, "a function may jump so, too");
            assert_eq!(name(&file(&jump), CODE + at), None);
        }
    }
}

#[test]
fn code_outside_the_table_is_no_entry_and_two_fillings_are_none() {
    let code = on_aarch64(0);
    let parts = Parts { kinds: AARCH64, plt: &code, text: &code, fillings: &[(SLOTS, 1, 1)], has_sections: true };
    assert_eq!(name(&file(&parts), CODE).as_deref(), Some("write@plt"));
    assert_eq!(name(&file(&parts), OTHER_CODE), None, "a function that only hands on");
    let twice = Parts { fillings: &[(SLOTS, 0, 1), (SLOTS, 0, 2)], ..parts };
    assert_eq!(name(&file(&twice), CODE), None);
    let none = Parts { fillings: &[], ..twice };
    assert_eq!(name(&file(&none), CODE), None);
}

#[test]
fn damaged_files_have_fewer_names_and_no_others() {
    let plt = [&FIRST[..], &lazy(0), &numbered(1)].concat();
    for has_sections in [true, false] {
        let whole = bytes(&Parts { kinds: X86_64, plt: &plt, text: &[], fillings: &fillings(), has_sections });
        let all: Vec<Svma> = (CODE..CODE + 0x40).map(Svma).collect();
        for at in (0..whole.len()).step_by(3) {
            for value in [0, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let Ok(elf) = ElfFile::from_bytes(damaged) else { continue };
                for name in find(&elf, all.iter().copied()).values() {
                    assert!(name.ends_with("@plt"), "{at:#x}: {name}");
                }
            }
        }
    }
}
