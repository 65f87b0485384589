//! `.gnu_debugdata`: a small ELF file with a symbol table, compressed with xz and carried by a stripped module.
//!
//! Does: unpack it within bounds. Does not: trust it; what comes out is parsed as untrusted bytes.
//!
//! Source: GDB manual, "MiniDebugInfo".

use std::io::{ErrorKind, Read};

use lzma_rust2::XzReader;

use crate::target::memory_budget::{self, Share};

/// The largest unpacked symbol file, in bytes: Fedora's largest is below 10 MB. LZMA can expand 7,000-fold.
const MAX_UNPACKED: u64 = 128 << 20;
/// The most memory of the decoder, in KiB: `xz -9`'s dictionary is 64 MiB, and the rest is below 1 MiB.
const MAX_DECODER_KIB: u32 = 65 << 10;

/// Why `.gnu_debugdata` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XzError {
    /// Not an xz stream, or one that contradicts itself or its checksums.
    #[error("malformed xz data")]
    Malformed,
    /// More unpacked bytes, or more memory to unpack them, than the bounds allow.
    #[error("xz data unpacks to more than the bound")]
    TooLarge,
    /// More than there is room for in memory.
    #[error("xz data unpacks to more than --max-memory allows")]
    NoRoom,
}

/// Unpacks an xz stream.
///
/// # Errors
/// That it is none, or larger than the bounds.
pub fn decompress_xz(data: &[u8]) -> Result<Vec<u8>, XzError> {
    // What it unpacks to is copied once while it grows, and the decoder has a dictionary beside it.
    let left = memory_budget::left(Share::All);
    let (unpacked, decoder) = (left / 3, u32::try_from(left / 3 / 1024).unwrap_or(u32::MAX));
    match decompress_within(data, MAX_UNPACKED.min(unpacked), MAX_DECODER_KIB.min(decoder)) {
        Err(XzError::TooLarge) if unpacked < MAX_UNPACKED => Err(XzError::NoRoom),
        result => result,
    }
}

fn decompress_within(data: &[u8], max_unpacked: u64, max_decoder_kib: u32) -> Result<Vec<u8>, XzError> {
    let mut out = Vec::new();
    let mut reader = XzReader::new_mem_limit(data, false, max_decoder_kib).take(max_unpacked + 1);
    match reader.read_to_end(&mut out) {
        Ok(length) if length as u64 <= max_unpacked => Ok(out),
        Ok(_) => Err(XzError::TooLarge),
        Err(error) if error.kind() == ErrorKind::OutOfMemory => Err(XzError::TooLarge),
        Err(_) => Err(XzError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abcd | xz --check=crc32`: one block of raw bytes, with a dictionary of 8 MiB.
    const ABCD: &[u8] =
        b"\xfd7zXZ\0\0\x01i\"\xde6\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x03abcd\0\x11\xcd\x82\xed\0\x01\x18\x04k\
        \xe9\xf0\xa5\x90B\x99\r\x01\0\0\0\0\x01YZ";

    #[test]
    fn a_stream_of_xz_is_unpacked() {
        assert_eq!(decompress_xz(ABCD).unwrap(), b"abcd");
    }

    #[test]
    fn what_is_larger_than_the_bounds_is_refused() {
        assert_eq!(decompress_within(ABCD, 4, MAX_DECODER_KIB).unwrap(), b"abcd");
        assert_eq!(decompress_within(ABCD, 3, MAX_DECODER_KIB), Err(XzError::TooLarge));
        assert_eq!(decompress_within(ABCD, 4, 8 << 10), Err(XzError::TooLarge));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_noticed() {
        for end in 0..ABCD.len() {
            assert_eq!(decompress_xz(&ABCD[..end]), Err(XzError::Malformed), "cut at {end}");
        }
        for at in 0..ABCD.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = ABCD.to_vec();
                changed[at] = value;
                assert!(changed == ABCD || decompress_xz(&changed).is_err(), "{value:#x} at {at}");
            }
        }
        assert_eq!(decompress_xz(b"not xz"), Err(XzError::Malformed));
    }
}
