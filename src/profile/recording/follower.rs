//! Reads a recording while it is written.
//!
//! Does: take in the blocks that are whole. Does not: wait for more, or read files.

use flate2::bufread::GzDecoder;
use std::io::Read;

use super::gathered::Gathered;
use super::reader::{MAX_BLOCK, ReadError, Unusable, Version, add_block};
use super::room::ReadingRoom;
use super::{RecordedProgram, RecordingFacts};
use crate::types::room::{Room, Unbounded};

/// What has been read of a recording so far.
#[derive(Debug, Default)]
pub struct Follower {
    gathered: Gathered,
    version: Option<Version>,
}

impl Follower {
    /// Takes in the whole blocks that `bytes` begins with: those behind the ones before. Returns their length in bytes.
    ///
    /// # Errors
    /// When it is no recording, or damaged.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, ReadError> {
        self.follow_within(bytes, &mut Unbounded)
    }

    /// The same; samples for which there is no room are left out.
    ///
    /// # Errors
    /// Those of [`Follower::follow`].
    pub fn follow_within(&mut self, bytes: &[u8], room: &mut dyn Room) -> Result<usize, ReadError> {
        let mut room = ReadingRoom { samples: room, rest: &mut Unbounded };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (mut behind, mut block) = (rest, Vec::new());
            match GzDecoder::new(&mut behind).take(MAX_BLOCK + 1).read_to_end(&mut block) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(_) => return Err(ReadError::Foreign),
            }
            add_block(&mut self.gathered, &mut self.version, &block, &mut room).map_err(|unusable| match unusable {
                Unusable::All(error) => error,
                Unusable::FromHere(what) => ReadError::Damaged(what.to_owned()),
            })?;
            rest = behind;
        }
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    /// The programs. Samples can be taken out.
    pub fn programs(&mut self) -> &mut [RecordedProgram] {
        &mut self.gathered.programs
    }

    /// How many samples were left out for want of room.
    pub fn samples_left_out(&self) -> u64 {
        self.gathered.left_out.unwrap_or(0)
    }

    /// What is known of the recording.
    pub fn facts(&self) -> Option<&RecordingFacts> {
        self.gathered.facts.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::recording::{Program, Record, RecordingWriter};

    #[test]
    fn blocks_are_taken_in_as_they_come() {
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter::new(&mut bytes).unwrap();
        writer.end_block().unwrap();
        writer
            .add(&Record::Program(Program {
                number: 0,
                pid: None,
                again: 0,
                command: None,
                interpreter: 0,
                project: None,
                home: None,
            }))
            .unwrap();
        writer.end_block().unwrap();
        let mut follower = Follower::default();
        let mut at = 0;
        for end in 0..=bytes.len() {
            at += follower.follow(&bytes[at..end]).unwrap();
        }
        assert_eq!((at, follower.programs().len()), (bytes.len(), 1));
        assert!(matches!(Follower::default().follow(b"something else"), Err(ReadError::Foreign)));
    }
}
