//! A hostile recording: as a file, and as the records inside a block whose checksum is right, of each version.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fpprof::profile::recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|records: &[u8]| {
    let _ = recording::read(records, records.len() as u64);
    for version in 1..=recording::VERSION {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        writeln!(encoder, "{{\"fpprof_recording\":{{\"version\":{version}}}}}").expect("a vector takes all");
        encoder.write_all(records).expect("a vector takes all");
        let block = encoder.finish().expect("a vector takes all");
        let Ok(read) = recording::read(&block[..], block.len() as u64) else { continue };
        for program in &read.programs {
            for sample in &program.samples {
                assert!((sample.thread as usize) < program.threads.len());
                assert!((sample.state as usize) < program.states.len());
                assert!(program.stack(sample.stack).iter().all(|frame| *frame < program.frames.len()));
            }
        }
    }
});
