//! Reads a recording, block by block, from a file that nobody vouches for.
//!
//! Does: use a block only when its checksum is right, bound what a block and a file unfold to, tell the version, and keep what
//! comes before damage, and what fits into memory. Does not: check what a record says (`gathered`), repair, or name frames.

use std::io::{BufRead, Read};

use flate2::bufread::GzDecoder;
use serde::Deserialize;

use super::gathered::Gathered;
use super::record::{VERSION, parse};
use super::room::{NO_ROOM, ReadingRoom, samples_in};
use super::{Recording, version_1};
use crate::types::room::Unbounded;

/// The most that one block unfolds to: a writer ends a block at a 32nd of it.
pub(super) const MAX_BLOCK: u64 = 32 << 20;
/// The most that a file unfolds to, as a multiple of its length: real ones stay below a tenth of it.
const MAX_RATIO: u64 = 256;
/// What any file may unfold to, however short it is.
const ALLOWANCE: u64 = 16 << 20;
/// So much of a block is taken into memory at a time.
const CHUNK: u64 = 256 << 10;
/// Why a file gives no recording at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is empty.
    #[error("the file is empty: the recording ended before anything was written")]
    Empty,
    /// It is something else.
    #[error("the file is no recording of fpprof's")]
    Foreign,
    /// A later fpprof has written it.
    #[error("the recording has version {0} of the format, and this fpprof reads versions up to {VERSION}")]
    Newer(u32),
    /// There is nothing usable before the damage.
    #[error("the recording is damaged at its beginning: {0}")]
    Damaged(String),
    /// Nothing of it fits into memory.
    #[error("nothing of the recording fits into the memory that --max-memory allows")]
    NoRoom,
    /// It could not be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

/// All that is read of the first record before its version is known.
#[derive(Deserialize)]
struct First {
    fpprof_recording: FirstValue,
}

#[derive(Deserialize)]
struct FirstValue {
    version: u32,
}

/// Reads a recording of `length` bytes.
///
/// # Errors
/// [`ReadError`] when there is nothing to show; otherwise the recording says itself where it was cut off.
pub fn read(input: impl BufRead, length: u64) -> Result<Recording, ReadError> {
    read_within(input, length, &mut ReadingRoom { samples: &mut Unbounded, rest: &mut Unbounded })
}

/// Reads as much of a recording of `length` bytes as there is room for. What is left out are samples, the last ones, with what only they
/// need; names and the facts at the end are still taken.
///
/// # Errors
/// Those of [`read`], and that nothing fits.
pub fn read_within(mut input: impl BufRead, length: u64, room: &mut ReadingRoom<'_>) -> Result<Recording, ReadError> {
    let mut allowed = length.saturating_mul(MAX_RATIO).saturating_add(ALLOWANCE);
    if input.fill_buf()?.is_empty() {
        return Err(ReadError::Empty);
    }
    let mut gathered = Gathered::default();
    let mut version = None;
    let mut block = Vec::new();
    let damage = loop {
        if input.fill_buf()?.is_empty() {
            break "it ends before its last block";
        }
        block.clear();
        let most = MAX_BLOCK.min(allowed);
        match read_block(GzDecoder::new(&mut input).take(most + 1), &mut block, room) {
            Ok(false) => break NO_ROOM,
            Ok(true) => {}
            Err(_) if version.is_none() => return Err(ReadError::Foreign),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break "it ends within a block",
            Err(_) => break "a block's checksum is wrong",
        }
        if block.len() as u64 > most {
            break "a block is larger than any that fpprof writes";
        }
        allowed = allowed.saturating_sub(block.len() as u64);
        match add_block(&mut gathered, &mut version, &block, room) {
            Ok(()) if gathered.ended => break "",
            Ok(()) => {}
            Err(Unusable::All(error)) => return Err(error),
            Err(Unusable::FromHere(what)) => break what,
        }
    };
    let cut_off = (!damage.is_empty()).then(|| damage.to_owned());
    match gathered.facts {
        Some(facts) => {
            let samples_left_out = gathered.left_out.unwrap_or(0);
            Ok(Recording { programs: gathered.programs, facts, cut_off, samples_left_out })
        }
        None if damage == NO_ROOM => Err(ReadError::NoRoom),
        None => Err(ReadError::Damaged(damage.to_owned())),
    }
}

/// Reads a block to its end, and so its checksum; false where there is no room for it.
fn read_block(mut from: impl Read, block: &mut Vec<u8>, room: &mut ReadingRoom<'_>) -> std::io::Result<bool> {
    let mut chunk = from.by_ref().take(CHUNK);
    loop {
        if chunk.read_to_end(block)? == 0 {
            return Ok(true);
        }
        if !room.rest.take(CHUNK) {
            return Ok(false);
        }
        chunk.set_limit(CHUNK);
    }
}

/// The versions that are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Version {
    One,
    Two,
}

/// How much of a file cannot be used.
pub(super) enum Unusable {
    All(ReadError),
    FromHere(&'static str),
}

/// Adds the records of a block; the first one of all tells the `version`.
pub(super) fn add_block(
    gathered: &mut Gathered,
    version: &mut Option<Version>,
    block: &[u8],
    room: &mut ReadingRoom<'_>,
) -> Result<(), Unusable> {
    let mut lines = block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let version = match version {
        Some(version) => *version,
        None => *version.insert(version_of(lines.next().unwrap_or_default()).map_err(Unusable::All)?),
    };
    let add = |line: &[u8]| match version {
        _ if !room.has_for(line, gathered)? => {
            gathered.leave_samples_out(samples_in(line));
            Ok(())
        }
        Version::One => version_1::add(gathered, line),
        Version::Two => match parse(line).ok_or("a record cannot be understood")? {
            Some(record) => gathered.add(record),
            None => Ok(()),
        },
    };
    lines.try_for_each(add).map_err(Unusable::FromHere)
}

fn version_of(line: &[u8]) -> Result<Version, ReadError> {
    let first: First = serde_json::from_slice(line).map_err(|_| ReadError::Foreign)?;
    match first.fpprof_recording.version {
        0 => Err(ReadError::Foreign),
        1 => Ok(Version::One),
        VERSION => Ok(Version::Two),
        newer => Err(ReadError::Newer(newer)),
    }
}
