//! Tables in small files of either architecture, whole and damaged.

use super::*;

/// Where the parts of a file are: its strings, its code, its data, the relocations of that. Addresses are 0x1000 above offsets, but for
/// the strings.
const CODE: u64 = 0x400;
const DATA: u64 = 0x500;
const RELOCATIONS: usize = 0x900;
const SECTION_NAMES: usize = 0xd00;
const SECTIONS: usize = 0xe00;
const BIAS: u64 = 0x1000;

const X86_64: (u16, u64) = (62, 8);
const AARCH64: (u16, u64) = (183, 1027);

/// A file whose data are these words; those that are pointers have relocations.
fn file((machine, relative): (u16, u64), strings: &[(u64, &str)], words: &[(u64, u64, bool)]) -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    let mut put = |at: u64, data: &[u8]| bytes[at as usize..at as usize + data.len()].copy_from_slice(data);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &3_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(40, &(SECTIONS as u64).to_le_bytes());
    for (at, value) in [(52, 64_u16), (54, 56), (56, 3), (58, 64), (60, 3), (62, 2)] {
        put(at, &value.to_le_bytes());
    }
    let segments = [(4_u32, 0, 0, CODE), (5, CODE, CODE + BIAS, 0x100), (6, DATA, DATA + BIAS, 0x400)];
    for (number, (flags, offset, svma, size)) in (0..).zip(segments) {
        let at = 64 + 56 * number;
        put(at, &[1_u32.to_le_bytes(), flags.to_le_bytes()].concat());
        put(at + 8, &[offset, svma, svma, size, size].map(u64::to_le_bytes).concat());
    }
    for (at, string) in strings {
        put(*at, string.as_bytes());
    }
    let mut relocations = 0;
    for (place, value, is_pointer) in words {
        if *is_pointer {
            put(RELOCATIONS as u64 + relocations, &[place + BIAS, relative, *value].map(u64::to_le_bytes).concat());
            relocations += 24;
        } else {
            put(*place, &value.to_le_bytes());
        }
    }
    put(SECTION_NAMES as u64, b"\0.rela.dyn\0.shstrtab\0");
    for (number, name, kind, offset, size) in
        [(1, 1_u32, 4_u32, RELOCATIONS as u64, relocations), (2, 11, 3, SECTION_NAMES as u64, 21)]
    {
        let at = SECTIONS as u64 + 64 * number;
        put(at, &[name.to_le_bytes(), kind.to_le_bytes()].concat());
        put(at + 24, &[offset, size].map(u64::to_le_bytes).concat());
    }
    bytes
}

fn entry(at: u64, name: u64, function: u64, flags: u64) -> [(u64, u64, bool); 3] {
    [(at, name, true), (at + 8, function, true), (at + 16, flags, false)]
}

const STRINGS: [(u64, &str); 5] =
    [(0x200, "compress"), (0x210, "zlib"), (0x220, "copy"), (0x230, "zlib.Compress"), (0x240, "no name")];
const COMPRESS: u64 = CODE + BIAS;
const COPY: u64 = CODE + BIAS + 0x40;

/// `zlib`, with a module's table and one of a type with slots.
fn zlib(machine: (u16, u64)) -> Vec<u8> {
    let (module, methods, of_type, slots, spec) = (DATA, DATA + 0x80, DATA + 0x100, DATA + 0x180, DATA + 0x200);
    let mut words = entry(methods, 0x200, COMPRESS, 0x82).to_vec();
    words.extend(entry(of_type, 0x220, COPY, 0x4));
    words.extend([(module + 40, 0x210, true), (module + 64, methods + BIAS, true)]);
    words.extend([(slots, 56, false), (slots + 16, METHODS_SLOT, false), (slots + 24, of_type + BIAS, true)]);
    words.extend([(spec, 0x230, true), (spec + 24, slots + BIAS, true)]);
    file(machine, &STRINGS, &words)
}

fn names(bytes: Vec<u8>) -> Vec<(u64, String)> {
    let Ok(file) = ElfFile::from_bytes(bytes) else { return Vec::new() };
    let mut names: Vec<_> = find(&file, &FxHashSet::from_iter([COMPRESS, COPY])).into_iter().collect();
    names.sort();
    names
}

#[test]
fn methods_have_the_names_of_their_modules_and_types() {
    for machine in [X86_64, AARCH64] {
        let expected = [(COMPRESS, "zlib.compress".to_owned()), (COPY, "zlib.Compress.copy".to_owned())];
        assert_eq!(names(zlib(machine)), expected);
    }
}

#[test]
fn what_is_no_whole_table_names_nothing() {
    let only = |words: &[(u64, u64, bool)]| names(file(X86_64, &STRINGS, words));
    let whole = entry(DATA, 0x200, COMPRESS, 0x82);
    assert_eq!(only(&whole), [(COMPRESS, "compress".to_owned())], "whose it is nobody says");
    let no_end = [&whole[..], &[(DATA + 40, 1, false)]].concat();
    let in_no_code = entry(DATA, 0x200, DATA + BIAS, 0x82);
    let no_convention = entry(DATA, 0x200, COMPRESS, 0x40);
    let no_identifier = entry(DATA, 0x240, COMPRESS, 0x82);
    for words in [&no_end[..], &in_no_code, &no_convention, &no_identifier, &[]] {
        assert_eq!(only(words), []);
    }
    // The same function under two names.
    let two = [whole, entry(DATA + 32, 0x220, COMPRESS, 0x82)].concat();
    assert_eq!(only(&two), []);
}

#[test]
fn damaged_files_name_nothing_else() {
    let right = ["zlib.compress", "zlib.Compress.copy", "compress", "copy"];
    let zlib = zlib(X86_64);
    for at in (0..zlib.len()).filter(|at| !(0x200..0x250).contains(at)) {
        for value in [0, 0xff, zlib[at] ^ 0x10] {
            let mut damaged = zlib.clone();
            damaged[at] = value;
            for (_, name) in names(damaged) {
                let is_part = right.iter().any(|right| right.contains(name.trim_start_matches("name.")));
                assert!(is_part || name.split('.').all(|part| STRINGS.iter().any(|(_, s)| s.contains(part))), "{name}");
            }
        }
    }
}
