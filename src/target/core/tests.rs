//! Core files that are written here, of both machines: what is told of them, whole, cut and damaged.

mod written;

use std::fs;
use std::path::{Path, PathBuf};

use self::written::{AARCH64, Written, X86_64, auxv, files, library_with_code_first, status, words};
use super::*;
use crate::target::elf::ElfFile;
use crate::target::maps::Backing;
use crate::target::memory::PAGE;

/// What is opened where nothing is to be found.
fn nowhere() -> CoreSources {
    CoreSources { root: TargetRoot::at(Path::new("/proc/self/fdinfo")).unwrap(), program: None }
}

fn open(core: &Written) -> Result<CoreTarget, CoreError> {
    CoreTarget::open(CoreBytes::Bytes(core.bytes()), nowhere())
}

/// A process of two threads, of which the second has crashed and the first waits for a futex.
fn crashed(machine: u16) -> Written {
    let mut core = Written::new(machine);
    // Of x86-64: orig_rax, rax, rdi and what it waits at; of AArch64: x8, x0 and the instruction at its pc.
    let (waiting, crashing) = match machine {
        AARCH64 => {
            (vec![(8, 98), (0, 0x5000), (31, 0x7000), (32, 0x6000)], vec![(31, 0x7100), (32, 0x6004), (29, 0x77)])
        }
        _ => (
            vec![(15, 202), (10, (-512_i64).cast_unsigned()), (14, 0x5000), (19, 0x7000)],
            vec![(15, u64::MAX), (19, 0x7100), (4, 0x77)],
        ),
    };
    core.note(b"CORE\0", 1, status(machine, 42, 11, &crashing));
    core.note(b"CORE\0", 3, written::process(41, "first", "python3 x.py "));
    core.note(b"CORE\0", 0x5349_4749, words(&[11, 1, 0x8]));
    core.note(b"CORE\0", 6, auxv(&[(25, 0x7fe0), (33, 0x9000)]));
    core.note(b"LINUX\0", 0x401, words(&[0xaaaa]));
    core.note(b"LINUX\0", 0x406, words(&[0, 0x007f_0000_0000_0000]));
    core.note(b"CORE\0", 1, status(machine, 41, 0, &waiting));
    core.load(0x6000, 0x1000, 5, &0xd400_0001_u32.to_le_bytes());
    core.load(0x7000, 0x1000, 6, &[7; 0x1000]);
    core.load(0x9000, 0x1000, 5, &[9; 0x1000]);
    core
}

#[test]
fn a_core_of_either_machine_tells_its_process_its_signal_and_its_threads() {
    for machine in [X86_64, AARCH64] {
        let core = open(&crashed(machine)).unwrap();
        let identity = core.identity();
        assert_eq!((identity.pid, identity.command_line.join(" ")), (Pid(41), "python3 x.py".to_owned()));
        let signal = core.signal().unwrap();
        assert_eq!((signal.tid, signal.number, signal.address), (Tid(42), 11, Some(Addr(8))));
        assert_eq!(core.threads().unwrap(), [Tid(41), Tid(42)]);
        let thread = |tid| core.thread(Tid(tid)).unwrap().still().unwrap().clone();
        let (first, second) = (thread(41), thread(42));
        assert_eq!((first.name.as_deref(), second.name), (Some("first"), None));
        let number = if machine == AARCH64 { 98 } else { 202 };
        assert_eq!(first.call.map(|call| (call.number, call.arguments[0])), Some((number, 0x5000)), "{machine}");
        assert_eq!(second.call, None);
        let (sp, fp) = if machine == AARCH64 { (31, 29) } else { (7, 6) };
        assert_eq!((first.registers.get(sp), second.registers.get(sp)), (Some(0x7000), Some(0x7100)));
        assert_eq!(second.registers.get(fp), Some(0x77));
        let (pointer, mask) = (second.registers.thread_pointer, second.registers.signature_mask);
        match machine {
            AARCH64 => assert_eq!((pointer, mask), (Some(Addr(0xaaaa)), 0x007f_0000_0000_0000)),
            _ => {
                assert_eq!((pointer, mask), (Some(Addr(0)), 0), "fs_base is among the registers, and nothing is signed")
            }
        }
        assert!(core.cut().is_none() && core.thread(Tid(43)).is_err());
    }
}

#[test]
fn the_mappings_are_those_of_the_ranges_and_the_vdso_and_the_stack_are_known() {
    let core = open(&crashed(X86_64)).unwrap();
    let mappings = core.mappings().unwrap();
    let told: Vec<_> = mappings.iter().map(|m| (m.start.0, m.executable, m.backing.clone())).collect();
    assert_eq!(
        told,
        [(0x6000, true, Backing::Anonymous), (0x7000, false, Backing::Stack), (0x9000, true, Backing::Vdso)]
    );
    assert_eq!(core.memory().read_u8(Addr(0x7fff)), Ok(7));
    assert!(core.memory().read_u8(Addr(0x6004)).is_err(), "what is left out is not zero");
}

/// gdb writes the process first, no signal of the kernel's, and a name that is the program's.
#[test]
fn a_core_that_gdb_has_written_has_no_signal_and_no_thread_s_name() {
    let mut core = Written::new(X86_64);
    core.note(b"CORE\0", 3, written::process(41, "python3", "/usr/bin/python3"));
    core.note(b"CORE\0", 1, status(X86_64, 41, 0, &[]));
    core.note(b"CORE\0", 0x5349_4749, words(&[19, 0]));
    let core = open(&core).unwrap();
    assert_eq!((core.signal(), core.thread(Tid(41)).unwrap().name()), (None, None));
}

#[test]
fn what_is_no_core_is_refused_with_words() {
    let refused = |bytes: Vec<u8>| match CoreTarget::open(CoreBytes::Bytes(bytes), nowhere()) {
        Err(CoreError::Headers(error)) => error,
        other => panic!("{other:?}"),
    };
    let changed = |at: usize, value: u8| {
        let mut bytes = crashed(X86_64).bytes();
        bytes[at] = value;
        refused(bytes)
    };
    assert!(matches!(refused(Vec::new()), HeaderError::NotElf));
    assert!(matches!(refused(fs::read("/proc/self/exe").unwrap()), HeaderError::NotCore));
    assert!(matches!(changed(4, 1), HeaderError::ForeignClass), "32-bit");
    assert!(matches!(changed(5, 2), HeaderError::ForeignClass), "big-endian");
    assert!(matches!(changed(18, 8), HeaderError::ForeignMachine(8)));
    assert!(matches!(changed(54, 8), HeaderError::Malformed), "program headers of 8 bytes");
    assert!(matches!(open(&Written::new(X86_64)).unwrap_err(), CoreError::NoThreads));
}

#[test]
fn more_ranges_than_the_file_header_can_count_are_read() {
    let mut core = crashed(X86_64);
    for index in 0..0x1_0000 {
        core.load(0x10_0000 + index * 0x2000, 0x1000, 6, &[]);
    }
    assert_eq!(open(&core).unwrap().mappings().unwrap().iter().count(), 0x1_0003);
}

#[test]
fn a_core_that_is_cut_anywhere_is_used_as_far_as_it_goes() {
    let whole = crashed(X86_64).bytes();
    let mut opened = 0;
    for len in (0..0x1000).chain((0x1000..whole.len()).step_by(61)) {
        let Ok(core) = CoreTarget::open(CoreBytes::Bytes(whole[..len].to_vec()), nowhere()) else { continue };
        opened += 1;
        let cut = core.cut().unwrap_or_else(|| panic!("cut at {len} of {}", whole.len()));
        assert!(cut.missing <= cut.promised);
        assert!(core.threads().unwrap().len() <= 2 && core.mappings().unwrap().iter().count() <= 3);
    }
    assert!(opened > 0x100, "{opened}");
}

#[test]
fn a_core_of_which_any_byte_is_another_ends_in_no_panic() {
    for machine in [X86_64, AARCH64] {
        let whole = crashed(machine).bytes();
        // All of the headers and notes; the memory is not looked at.
        for at in 0..whole.len().min(0x1000) {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let Ok(core) = CoreTarget::open(CoreBytes::Bytes(damaged), nowhere()) else { continue };
                assert!(core.threads().unwrap().len() <= 2);
                for mapping in core.mappings().unwrap().iter() {
                    assert!(mapping.start < mapping.end);
                    let _ = core.memory().read_u64(mapping.start);
                }
            }
        }
    }
}

/// This program's C library, where it is mapped with code.
fn c_library() -> PathBuf {
    let maps = Mappings::parse(&fs::read("/proc/self/maps").unwrap());
    let path = maps.iter().find_map(|mapping| match &mapping.backing {
        Backing::File { path, .. } if mapping.executable && path.to_string_lossy().contains("libc.so") => {
            Some(path.clone())
        }
        _ => None,
    });
    path.expect("this program uses the C library")
}

/// Where the C library is mapped in the core, and its parts.
const LIBRARY: u64 = 0x7f00_0000_0000;

/// A core with the C library's first page and nothing else of it, as the kernel writes it (`is_loaded`) or as gdb does.
fn with_library(path: &Path, page: &[u8], is_loaded: bool) -> (Written, u64) {
    let library = ElfFile::open(File::open(path).unwrap()).unwrap();
    let code = library.load_segments().find(|segment| segment.is_executable()).unwrap();
    // Some linkers put the code into the segment of the headers, whose page is there.
    let first = (code.svma.0 & !(PAGE - 1)).max(PAGE);
    let start = LIBRARY + first;
    let end = LIBRARY + (code.svma.0 + code.memory_size).next_multiple_of(PAGE);
    let mut core = crashed(X86_64);
    let name = path.to_str().unwrap();
    let offset = code.offset.0.wrapping_sub(code.svma.0).wrapping_add(first) / PAGE;
    core.note(b"CORE\0", 0x4649_4c45, files(&[(LIBRARY, LIBRARY + PAGE, 0, name), (start, end, offset, name)]));
    core.load(LIBRARY, PAGE, 4, page);
    if is_loaded {
        core.load(start, end - start, 5, &[]);
    }
    (core, start)
}

fn below_root(core: &Written) -> CoreTarget {
    let sources = CoreSources { root: TargetRoot::at(Path::new("/")).unwrap(), program: None };
    CoreTarget::open(CoreBytes::Bytes(core.bytes()), sources).unwrap()
}

#[test]
fn code_that_the_core_leaves_out_is_the_file_s_where_that_is_the_same() {
    let path = c_library();
    let bytes = fs::read(&path).unwrap();
    for is_loaded in [true, false] {
        let (core, code) = with_library(&path, &bytes[..PAGE as usize], is_loaded);
        let core = below_root(&core);
        assert_eq!(core.not_used().count(), 0, "{:?}", core.not_used().next());
        let mappings = core.mappings().unwrap();
        let mapping = mappings.find(Addr(code)).unwrap();
        assert!(mapping.executable, "gdb's have the rights that the file's headers give them: {mapping:?}");
        let Backing::File { id, path: named, .. } = &mapping.backing else { panic!("{mapping:?}") };
        assert!(named == &path && core.open_mapped(mapping, *id, named).is_some());
        let offset = mapping.offset.0 as usize;
        let mut read = vec![0; 64];
        core.memory().read(Addr(code), &mut read).unwrap();
        assert_eq!(read, bytes[offset..offset + 64]);
    }
}

#[test]
fn a_file_of_another_build_or_without_proof_is_not_used() {
    let path = c_library();
    let page = fs::read(&path).unwrap()[..PAGE as usize].to_vec();
    let library = ElfFile::open(File::open(&path).unwrap()).unwrap();
    let id = library.build_id().expect("it has one").to_string();
    let id: Vec<u8> = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect();
    let at = page.windows(id.len()).position(|bytes| bytes == id).expect("it is in the first page");
    let mut other = page.clone();
    other[at] ^= 1;
    let not_used = |page: &[u8]| {
        let (core, code) = with_library(&path, page, true);
        let core = below_root(&core);
        assert!(core.memory().read_u8(Addr(code)).is_err());
        let mappings = core.mappings().unwrap();
        let mapping = mappings.find(Addr(code)).unwrap();
        let Backing::File { id, path, .. } = &mapping.backing else { panic!("{mapping:?}") };
        assert!(core.open_mapped(mapping, *id, path).is_none());
        core.not_used().map(|(_, why)| why.clone()).next().expect("it says so")
    };
    assert!(matches!(not_used(&other), NotUsed::Different { expected: Some(a), found: Some(b) } if a != b));
    assert!(matches!(not_used(&[]), NotUsed::Unproven));
    let (core, _) = with_library(&path, &page, true);
    let elsewhere = open(&core).unwrap();
    assert!(matches!(elsewhere.not_used().next(), Some((_, NotUsed::Missing(_)))));
}

/// Code that begins with the file is read from it; what the program can have written to is not.
#[test]
fn the_place_of_a_file_is_told_by_its_first_segment_whatever_its_rights() {
    let mut file = library_with_code_first();
    file.resize(0x3000, 0x33);
    file[0x1000..0x2000].fill(0x11);
    let folder = std::env::temp_dir().join(format!("fpprof-core-code-first-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("x.so"), &file).unwrap();
    let mut core = crashed(X86_64);
    let ranges = [(LIBRARY, LIBRARY + 0x2000, 0, "/x.so"), (LIBRARY + 0x3000, LIBRARY + 0x4000, 2, "/x.so")];
    core.note(b"CORE\0", 0x4649_4c45, files(&ranges));
    core.load(LIBRARY, 0x2000, 5, &file[..PAGE as usize]);
    core.load(LIBRARY + 0x3000, 0x1000, 6, &[]);
    let sources = CoreSources { root: TargetRoot::at(&folder).unwrap(), program: None };
    let core = CoreTarget::open(CoreBytes::Bytes(core.bytes()), sources).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(core.not_used().count(), 0, "without build-ids, the first pages are equal");
    assert_eq!(core.memory().read_vec(Addr(LIBRARY + 0xff0), 0x20).unwrap(), [[0x33; 16], [0x11; 16]].concat());
    assert!(core.memory().read_u8(Addr(LIBRARY + 0x3000)).is_err());
}
