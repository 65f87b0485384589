//! `.gnu_debugdata`: a small ELF file with a symbol table, compressed with xz and carried by a stripped module.
//!
//! Does: unpack the xz container (one stream, LZMA2 only: what `xz` makes of an ELF file by default) within bounds.
//! Does not: verify xz's checksums; what comes out is parsed as untrusted bytes anyway.
//!
//! Sources: GDB manual, "MiniDebugInfo"; "The .xz File Format" 1.1.0; the LZMA2 chunk headers of xz-embedded.
//!
//! LZMA can expand 7,000-fold and the decoder keeps all its output. The chunks state what they expand to, and the
//! decoder holds them to it, so the sum is known before anything is unpacked.

/// The largest unpacked symbol file, in bytes: Fedora's largest is below 10 MB.
const MAX_UNPACKED: u64 = 128 << 20;
/// Blocks of one stream; `xz` makes one per 24 MB or more.
const MAX_BLOCKS: usize = 64;

const STREAM_MAGIC: &[u8] = b"\xfd7zXZ\0";
const FILTER_LZMA2: u64 = 0x21;

/// Why `.gnu_debugdata` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XzError {
    /// Not an xz stream, or one that contradicts itself.
    #[error("malformed xz data")]
    Malformed,
    /// A filter or check other than those of `xz`'s defaults.
    #[error("unsupported xz filter or check")]
    Unsupported,
    /// More unpacked bytes than the bound allows.
    #[error("xz data unpacks to more than the bound")]
    TooLarge,
}

/// Unpacks an xz stream.
pub fn decompress_xz(data: &[u8]) -> Result<Vec<u8>, XzError> {
    let header = data.get(..12).filter(|h| h.starts_with(STREAM_MAGIC)).ok_or(XzError::Malformed)?;
    // Sizes of the checks none, CRC32, CRC64, SHA-256.
    let check_size = match header.get(7).map(|flags| flags & 0xf) {
        Some(0) => 0,
        Some(1) => 4,
        Some(4) => 8,
        Some(10) => 32,
        _ => return Err(XzError::Unsupported),
    };
    let mut out = Vec::new();
    let mut at = 12_usize;
    for _ in 0..MAX_BLOCKS {
        // A block header begins with its size in words, less one; the index that ends the blocks begins with 0.
        let size = match data.get(at).ok_or(XzError::Malformed)? {
            0 => return Ok(out),
            words => (usize::from(*words) + 1) * 4,
        };
        let chunks_at = at.checked_add(size).ok_or(XzError::Malformed)?;
        check_filters(data.get(at..chunks_at).ok_or(XzError::Malformed)?)?;
        let chunks = data.get(chunks_at..).ok_or(XzError::Malformed)?;
        let (packed, unpacked) = measure(chunks).ok_or(XzError::Malformed)?;
        if unpacked.saturating_add(out.len() as u64) > MAX_UNPACKED {
            return Err(XzError::TooLarge);
        }
        let mut block = chunks.get(..packed).ok_or(XzError::Malformed)?;
        lzma_rs::lzma2_decompress(&mut block, &mut out).map_err(|_| XzError::Malformed)?;
        at = chunks_at.saturating_add(packed).saturating_add(3) & !3;
        at = at.saturating_add(check_size);
    }
    Err(XzError::TooLarge)
}

/// A block header is {size, flags, [packed size], [unpacked size], filters, padding, CRC}; the sizes and the filters'
/// ids are variable-length numbers.
fn check_filters(header: &[u8]) -> Result<(), XzError> {
    let flags = *header.get(1).ok_or(XzError::Malformed)?;
    let mut rest = header.get(2..).ok_or(XzError::Malformed)?;
    for bit in [0x40, 0x80] {
        if flags & bit != 0 {
            variable_length(&mut rest).ok_or(XzError::Malformed)?;
        }
    }
    let only_one = flags & 0x3 == 0;
    match variable_length(&mut rest) {
        Some(FILTER_LZMA2) if only_one => Ok(()),
        Some(_) => Err(XzError::Unsupported),
        None => Err(XzError::Malformed),
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow. At most nine bytes.
fn variable_length(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The packed and the unpacked size of a sequence of LZMA2 chunks, with its end marker.
///
/// A chunk begins with a control byte: 0 ends the sequence; 1 and 2 are {size - 1: 16 bits} and raw bytes; from 0x80
/// on {unpacked - 1: the control's lower 5 bits and 16 more, packed - 1: 16 bits}, from 0xc0 on also a properties byte.
fn measure(chunks: &[u8]) -> Option<(usize, u64)> {
    let size_at = |at: usize| Some(u16::from_be_bytes(chunks.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let (mut at, mut unpacked) = (0_usize, 0_u64);
    loop {
        let control = *chunks.get(at)?;
        let length = match control {
            0 => return Some((at.checked_add(1)?, unpacked)),
            1 | 2 => {
                let size = usize::from(size_at(at.checked_add(1)?)?) + 1;
                unpacked += size as u64;
                3 + size
            }
            0x80.. => {
                let high = u64::from(control & 0x1f) << 16;
                unpacked += high + u64::from(size_at(at.checked_add(1)?)?) + 1;
                let properties = usize::from(control >= 0xc0);
                5 + properties + usize::from(size_at(at.checked_add(3)?)?) + 1
            }
            _ => return None,
        };
        at = at.checked_add(length)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of one block with the given LZMA2 chunks; its checksums and index are left out.
    fn stream(chunks: &[u8]) -> Vec<u8> {
        let mut data = b"\xfd7zXZ\0\0\x04\0\0\0\0".to_vec();
        data.extend_from_slice(&[2, 0, 0x21, 1, 0x16, 0, 0, 0, 0, 0, 0, 0]);
        data.extend_from_slice(chunks);
        data.resize(data.len().next_multiple_of(4) + 8, 0);
        data.push(0);
        data
    }

    #[test]
    fn raw_chunks_come_out_as_they_are() {
        assert_eq!(decompress_xz(&stream(b"\x01\0\x02abc\x02\0\x00d\0")).unwrap(), b"abcd");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut chunks = Vec::new();
        for _ in 0..65 {
            chunks.extend_from_slice(&[0xff, 0xff, 0xff, 0, 0, 0x5d, 0]);
        }
        chunks.push(0);
        assert_eq!(decompress_xz(&stream(&chunks)), Err(XzError::TooLarge));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let whole = stream(b"\x01\0\x02abc\xe0\0\0\0\x05\x5d\0\0\0\0\0\0\0");
        for end in 0..whole.len() {
            let _ = decompress_xz(&whole[..end]);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = decompress_xz(&changed);
            }
        }
        assert_eq!(decompress_xz(b"not xz"), Err(XzError::Malformed));
    }
}
