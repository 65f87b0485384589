//! Whole and damaged ELF files.

use super::*;

const CODE: u32 = 5;
const DATA: u32 = 6;

fn segment(flags: u32, offset: u64, svma: u64, size: u64) -> Segment {
    let (offset, svma) = (FileOffset(offset), Svma(svma));
    Segment { kind: elf::PT_LOAD.0, flags, offset, svma, file_size: size, memory_size: size }
}

fn file(segments: Vec<Segment>) -> ElfFile {
    ElfFile { source: Source::bytes(vec![0; 0x100]), machine: Machine::X86_64, segments, sections: Vec::new() }
}

#[test]
fn the_bias_of_a_mapping_is_that_of_its_segment() {
    let file = file(vec![segment(4, 0, 0x40_0000, 0x5000), segment(CODE, 0x6000, 0x40_7000, 0x3000)]);
    let bias = |start, offset| file.load_bias(Addr(start), FileOffset(offset), true);
    assert_eq!(bias(0x7f00_0040_7000, 0x6000), Some(0x7f00_0000_0000));
    assert_eq!(bias(0x7f00_0040_8000, 0x7000), Some(0x7f00_0000_0000), "a part of the segment");
    assert_eq!(bias(0x40_7000, 0x6000), Some(0), "a program that is not relocated");
    assert_eq!(bias(0x1000, 0x6000), Some(0x1000_u64.wrapping_sub(0x40_7000)), "below its own addresses");
    assert_eq!(bias(0x1000, 0x10_0000), None, "behind the last segment");
}

#[test]
fn code_is_a_files_where_its_segment_belongs_and_not_in_the_holes_around_it() {
    let file = file(vec![
        segment(4, 0, 0, 0x5000),
        segment(CODE, 0x6000, 0x1_7340, 0x2_3000),
        segment(DATA, 0x2a000, 0x5_0000, 0x100),
    ]);
    let base = |start, len| file.code_base(Svma(start), len);
    assert_eq!(base(0x1_7000, 0x2_4000), Some(0x1_7340 - 0x6000), "all of it, with pages of 4 KiB");
    assert_eq!(base(0x1_0000, 0x3_0000), Some(0x1_7340 - 0x6000), "and of 64 KiB");
    assert_eq!(base(0x2_0000, 0x1000), Some(0x1_7340 - 0x6000), "a part");
    for (start, len) in
        [(0x1_6000, 0x1000), (0x1_0000, 0x7000), (0x3_b000, 0x5000), (0x3_b000, 0x1000), (0x5_0000, 0x1000)]
    {
        assert_eq!(base(start, len), None, "{start:#x}: a hole, or another segment");
    }
    assert_eq!(base(0, 0x10_0000), None, "more than the segment");
}

#[test]
fn a_page_that_two_segments_share_belongs_to_the_one_with_the_mappings_permissions() {
    // As lld lays files out: the code begins in the page in which the read-only data ends.
    let file =
        file(vec![segment(4, 0, 0, 0x600), segment(CODE, 0x600, 0x1600, 0x400), segment(DATA, 0xa00, 0x2a00, 0x100)]);
    assert_eq!(file.load_bias(Addr(0x7f00_0000), FileOffset(0), false), Some(0x7f00_0000));
    assert_eq!(file.load_bias(Addr(0x7f00_1000), FileOffset(0), true), Some(0x7f00_0000));
}

#[test]
fn the_bias_is_the_same_whatever_the_size_of_the_kernels_pages_is() {
    // As ld lays files out for AArch64: each segment is where pages of 64 KiB can be mapped, and begins inside of one.
    let code = segment(CODE, 0x2340, 0x1_2340, 0x1_5000);
    let data = segment(DATA, 0x1_f8e0, 0x3_f8e0, 0x1000);
    let file = file(vec![code, data]);
    // In the upper half of a space of 52 bits.
    const BIAS: u64 = 0x000f_aaaa_bbb0_0000;
    for page in [1 << 12, 1 << 14, 1 << 16] {
        for (segment, executable) in [(code, true), (data, false)] {
            let start = Addr(BIAS + (segment.svma.0 & !(page - 1)));
            let offset = FileOffset(segment.offset.0 & !(page - 1));
            assert_eq!(file.load_bias(start, offset, executable), Some(BIAS), "pages of {page} bytes");
        }
    }
}

#[test]
fn numbers_at_the_end_of_the_address_space_are_no_trouble() {
    let file = file(vec![segment(CODE, u64::MAX - 1, u64::MAX - 1, u64::MAX)]);
    assert_eq!(file.load_bias(Addr(0), FileOffset(0), true), None);
    assert!(file.is_code(Svma(u64::MAX)));
    assert!(file.loaded_bytes(Svma(u64::MAX), 8, "test").is_err());
    assert!(file.loaded_bytes(Svma(u64::MAX - 1), u64::MAX, "test").is_err());
}

#[test]
fn a_compressed_section_is_not_unpacked_beyond_the_bound() {
    let mut raw = vec![0; 64];
    raw[0] = 1;
    raw[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(decompress(&raw, "test"), Err(ElfError::TooLarge { size: u64::MAX, .. })));
    raw[0] = 9;
    assert_eq!(decompress(&raw, "test"), Err(ElfError::Malformed("test")));
    assert_eq!(decompress(&[], "test"), Err(ElfError::Malformed("test")));
}
