//! Writes a recording: blocks of records.
//!
//! Does: gather records into blocks, each a gzip member (RFC 1952) with its own checksum, so that all blocks but the last
//! can be read whatever becomes of the writer. Does not: decide when a block ends.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Record, VERSION};

/// A block of so many bytes ends: a reader takes one into memory at once.
const BLOCK: usize = 1 << 20;

/// A recording that is being written.
#[derive(Debug)]
pub struct RecordingWriter<W> {
    out: W,
    /// Records that have not been written: lines of JSON.
    block: Vec<u8>,
    written: u64,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(out: W) -> io::Result<RecordingWriter<W>> {
        let mut writer = RecordingWriter { out, block: Vec::new(), written: 0 };
        writer.add(&Record::FpprofRecording { version: VERSION })?;
        Ok(writer)
    }

    /// Goes on with a recording whose blocks so far are in `out` already.
    pub fn resume(out: W) -> RecordingWriter<W> {
        RecordingWriter { out, block: Vec::new(), written: 0 }
    }

    /// Adds a record to the block.
    ///
    /// # Errors
    /// Those of the writer, when the block is full.
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.block, record)?;
        self.block.push(b'\n');
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    /// Writes the records that were added since the last block.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&self.block)?;
        let bytes = encoder.finish()?;
        self.block.clear();
        self.out.write_all(&bytes)?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        self.out.flush()
    }

    /// The bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}
