//! A hostile recording: as a file, and as the records inside a block whose checksum is right.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fpprof::profile::recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|records: &[u8]| {
    let _ = recording::read(records, records.len() as u64);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"{\"fpprof_recording\":{\"version\":1}}\n").expect("a vector takes all");
    encoder.write_all(records).expect("a vector takes all");
    let block = encoder.finish().expect("a vector takes all");
    let Ok(read) = recording::read(&block[..], block.len() as u64) else { return };
    for program in &read.programs {
        for sample in &program.samples {
            assert!(program.stack(sample.stack).iter().all(|frame| *frame < program.frames.len()));
        }
    }
});
