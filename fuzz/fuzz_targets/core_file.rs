//! Any bytes as a core file: its headers, its notes, the mappings and the memory that come of them.

#![no_main]

use std::path::Path;

use fpprof::target::core::bytes::CoreBytes;
use fpprof::target::core::unfold::Compression;
use fpprof::target::core::{CoreSources, CoreTarget};
use fpprof::target::memory::RangeRead;
use fpprof::target::root::TargetRoot;
use fpprof::target::view::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Compression::of(data);
    // Nothing that it names is there.
    let Ok(root) = TargetRoot::at(Path::new("/proc/self/fdinfo")) else { return };
    let bytes = CoreBytes::Bytes(data.to_vec());
    let Ok(core) = CoreTarget::open(bytes, CoreSources { root, program: None }) else { return };
    let tids = core.threads().unwrap_or_default();
    assert!(tids.is_sorted() && tids.len() as u64 == core.thread_count());
    for tid in tids {
        assert!(core.thread(tid).is_ok_and(|thread| thread.still().is_some()));
    }
    let mut end = 0;
    for mapping in core.mappings().unwrap_or_default().iter() {
        assert!(mapping.start < mapping.end && mapping.start.0 >= end);
        end = mapping.end.0;
        let mut into = [0; 64];
        let copied = core.memory().read_ranges(&mut [RangeRead { addr: mapping.start, into: &mut into }]);
        assert!(copied <= 64);
    }
    assert!(core.cut().is_none_or(|cut| cut.missing <= cut.promised));
    let _ = (core.signal(), core.not_used().count(), core.empty_stacks());
});
