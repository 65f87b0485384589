//! Files of `/proc`: small, and of a size that nobody tells.
//!
//! Does: read one with as few system calls as that takes. Does not: know what is in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most are smaller: what is told of a process is some 1,500 bytes. Without room to begin with, one is read in eight pieces.
const ROOM: usize = 4 << 10;
/// A line of `stat` has fifty numbers of up to twenty digits and a name of up to 64 bytes.
pub const MAX_STAT: u64 = 1200;
/// The most bytes of a status: a process has at most 65,536 groups (`NGROUPS_MAX`), of ten digits and a space each.
pub const MAX_STATUS: u64 = 1 << 20;

/// Reads a file, or so many bytes of its beginning.
///
/// # Errors
/// Those of open(2) and read(2).
pub fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ROOM);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole() {
        let status = read("/proc/self/status", 1 << 20).unwrap();
        assert!(status.starts_with(b"Name:") && status.ends_with(b"\n"));
        assert_eq!(read("/proc/self/status", 5).unwrap(), b"Name:");
        assert!(read("/proc/self/nothing", 5).is_err());
    }
}
