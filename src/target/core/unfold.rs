//! Core files as systemd-coredump stores them: compressed with zstd, lz4 or xz.
//!
//! Does: tell by the first bytes, whatever a file is called; unfold it into a file without a name, page by page, with holes where
//! there are only zeros; say how far it is. Does not: keep any of it in memory, or fill a disk.
//!
//! Sources: RFC 8878, 3.1.1 (zstd); lz4's "Frame format", and xz's "The .xz File Format", 2.1.1.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use lz4_flex::frame::FrameDecoder as Lz4;
use lzma_rust2::XzReader;
use nix::sys::statvfs::fstatvfs;
use ruzstd::decoding::StreamingDecoder as Zstd;

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
/// So much is unfolded at a time.
const PIECE: usize = 1 << 20;
/// Zeros of this length and alignment become holes.
const HOLE: usize = 4096;
/// So much of the file system stays free.
const LEAVE_FREE: u64 = 256 << 20;
/// More is not written, holes included: no process has a terabyte that is worth a stack.
const MAX_UNFOLDED: u64 = 1 << 40;
/// How often the room is asked for, in bytes that were written.
const ASK_EVERY: u64 = 64 << 20;
/// The most memory of xz's decoder, in KiB: `xz -9`'s dictionary is 64 MiB, and the rest is below 1 MiB.
const MAX_XZ_KIB: u32 = 65 << 10;
/// The largest window of zstd, in bytes: what `zstd -19` takes. systemd-coredump's own have 2 MiB.
const MAX_ZSTD_WINDOW: u64 = 8 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// By zstd.
    Zstd,
    /// By lz4, in frames.
    Lz4,
    /// By xz.
    Xz,
}

impl Compression {
    /// What the first bytes of a file say.
    pub fn of(first: &[u8]) -> Option<Compression> {
        let known = [(ZSTD, Compression::Zstd), (LZ4, Compression::Lz4), (XZ, Compression::Xz)];
        known.into_iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, compression)| compression)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
            Compression::Xz => "xz",
        }
    }
}

/// What a file has unfolded to.
#[derive(Debug)]
pub struct Unfolded {
    /// The file, which has no name.
    pub file: File,
    /// Why it is not whole, if it is not.
    pub ended: Option<String>,
}

/// Unfolds a file into one without a name in `folder`. `advance` is told how many compressed bytes have been read.
///
/// # Errors
/// When nothing can be written there. What is damaged ends what comes of it.
pub fn unfold(file: File, how: Compression, folder: &Path, advance: &mut dyn FnMut(usize)) -> io::Result<Unfolded> {
    let mut out = without_name(folder)?;
    let source = BufReader::with_capacity(PIECE, Counting { file, advance });
    let result = match how {
        Compression::Zstd => unfold_zstd(source, &mut out),
        Compression::Lz4 => copy(&mut Lz4::new(source), &mut Sparse::new(&mut out)),
        Compression::Xz => copy(&mut XzReader::new_mem_limit(source, true, MAX_XZ_KIB), &mut Sparse::new(&mut out)),
    };
    let ended = result.err().map(|error| error.to_string());
    Ok(Unfolded { file: out, ended })
}

/// A stream of zstd's can be several, one behind the other.
fn unfold_zstd(mut source: impl Read, out: &mut File) -> io::Result<()> {
    let mut out = Sparse::new(out);
    let mut first = [0; 1];
    while source.read(&mut first)? == 1 {
        let again = first.as_slice().chain(&mut source);
        let mut decoder = Zstd::new_with_max_window_size(again, MAX_ZSTD_WINDOW).map_err(io::Error::other)?;
        copy(&mut decoder, &mut out)?;
    }
    Ok(())
}

fn without_name(folder: &Path) -> io::Result<File> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::Mode;
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    Ok(File::from(open(folder, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

fn copy(from: &mut dyn Read, to: &mut Sparse<'_>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        // Filled, so that zeros are met whole.
        let mut len = 0;
        let result = loop {
            match from.read(piece.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break Ok(()),
                Ok(more) => len += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        // What came before the damage is used.
        to.write(piece.get(..len).unwrap_or_default())?;
        result?;
        if len < PIECE {
            return Ok(());
        }
    }
}

/// A file that is written from its beginning to its end, with holes.
struct Sparse<'a> {
    file: &'a mut File,
    len: u64,
    /// Bytes that may be written before the room is asked for again.
    left: u64,
}

impl Sparse<'_> {
    fn new(file: &mut File) -> Sparse<'_> {
        Sparse { file, len: 0, left: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.len.saturating_add(bytes.len() as u64) > MAX_UNFOLDED {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it unfolds to more than a terabyte"));
        }
        for part in bytes.chunks(HOLE) {
            if part.iter().any(|byte| *byte != 0) {
                self.take_room(part.len() as u64)?;
                self.file.write_all(part)?;
            } else {
                self.file.seek(SeekFrom::Current(part.len() as i64))?;
            }
            self.len += part.len() as u64;
        }
        // A hole at the end is there only once the length says so.
        self.file.set_len(self.len)
    }

    fn take_room(&mut self, len: u64) -> io::Result<()> {
        if self.left < len {
            let status = fstatvfs(&*self.file)?;
            let free = status.blocks_available().saturating_mul(status.fragment_size());
            self.left = free.saturating_sub(LEAVE_FREE).min(ASK_EVERY);
            if self.left < len {
                let why = "the file system of the temporary folder is full: TMPDIR names another";
                return Err(io::Error::new(ErrorKind::StorageFull, why));
            }
        }
        self.left -= len;
        Ok(())
    }
}

/// Tells how many bytes are read.
struct Counting<'a> {
    file: File,
    advance: &'a mut dyn FnMut(usize),
}

impl Read for Counting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(into)?;
        (self.advance)(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    /// Zeros, of which a whole number of pages are holes, around some bytes.
    fn content() -> Vec<u8> {
        let mut content = vec![0; 40 * HOLE + 17];
        content[3 * HOLE..3 * HOLE + 4].copy_from_slice(b"core");
        content
    }

    fn unfolded(compressed: &[u8]) -> (Vec<u8>, Option<String>, u64) {
        let folder = std::env::temp_dir();
        let mut file = without_name(&folder).unwrap();
        file.write_all(compressed).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut read = 0;
        let how = Compression::of(compressed).expect("its first bytes say so");
        let out = unfold(file, how, &folder, &mut |len| read += len).unwrap();
        assert!(read <= compressed.len());
        let metadata = out.file.metadata().unwrap();
        let mut bytes = vec![0; metadata.len() as usize];
        out.file.read_exact_at(&mut bytes, 0).unwrap();
        (bytes, out.ended, metadata.blocks() * 512)
    }

    /// `zstd` and `xz` of the content.
    const OF_ZSTD: &str = "28b52ffda411800200940000380000636f7265000200f8cf20d7fb8f07588b000400fbad01b4";
    const OF_XZ: &str = "\
        fd377a585a000004e6d6b4460200210116000000742fe5a3e2801000645d00006ffdffffa3b7ff473e481572396151b89228e6a38607f9eee41e82d3\
        2fc53a3c014bb17ec98a8a4d2fa2cf392c1975601865fbefff2db545ff0fb88317c9e2e2a831455d1b4172189aac310289f5f9994c4750b0b3b99132\
        2a923650cb1a4942f68000001dd1a0443f960e1c0001800191800a007e9ca3feb1c467fb020000000004595a";

    fn compressed() -> [Vec<u8>; 3] {
        let bytes =
            |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&content()).unwrap();
        [bytes(OF_ZSTD), lz4.finish().unwrap(), bytes(OF_XZ)]
    }

    #[test]
    fn each_is_unfolded_with_holes() {
        for compressed in compressed() {
            let (bytes, ended, on_disk) = unfolded(&compressed);
            assert!(bytes == content() && ended.is_none(), "{ended:?}");
            assert!(on_disk <= 4 * HOLE as u64, "{on_disk}");
        }
    }

    #[test]
    fn several_streams_of_zstd_are_one_file() {
        let [zstd, ..] = compressed();
        let (bytes, ended, _) = unfolded(&[zstd.as_slice(), zstd.as_slice()].concat());
        assert!(bytes == [content(), content()].concat() && ended.is_none());
    }

    #[test]
    fn what_is_cut_or_damaged_ends_early_and_says_so() {
        for compressed in compressed() {
            for len in 6..compressed.len() - 1 {
                let (bytes, ended, _) = unfolded(&compressed[..len]);
                let is_told = ended.is_some() || bytes.len() < content().len() || len > compressed.len() - 5;
                assert!(is_told && content().starts_with(&bytes), "cut at {len} of {}", compressed.len());
            }
            for at in 6..compressed.len() {
                let mut damaged = compressed.clone();
                damaged[at] ^= 0x55;
                let (bytes, _, _) = unfolded(&damaged);
                assert!(bytes.len() <= 64 << 20, "{} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn other_files_are_not_compressed() {
        assert_eq!(
            (Compression::of(b"\x7fELF"), Compression::of(b""), Compression::of(&ZSTD[..3])),
            (None, None, None)
        );
    }
}
