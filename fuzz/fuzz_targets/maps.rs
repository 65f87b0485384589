//! Hostile `/proc/PID/maps` and `/proc/PID/status`, and addresses to look up in what comes of them.

#![no_main]

use fpprof::target::maps::Mappings;
use fpprof::target::status::Status;
use fpprof::types::Addr;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, u64)| {
    let (text, addr) = input;
    let maps = Mappings::parse(&text);
    if let Some(found) = maps.find(Addr(addr)) {
        assert!(found.contains(Addr(addr)));
    }
    for mapping in maps.iter() {
        assert!(mapping.start < mapping.end);
    }
    let _ = Status::parse(&String::from_utf8_lossy(&text));
});
