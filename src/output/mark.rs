//! Tells fpprof's own files from others, by how they begin.
//!
//! Does: know a mark in each format that no other program writes. Does not: read files, or check that one is whole.

use std::io::Read;

use flate2::bufread::GzDecoder;

use super::{chrome_trace, firefox, flamegraph, html, json_lines, pprof, speedscope};

/// So many bytes of a file's beginning are enough.
pub const ENOUGH: u64 = 1 << 16;

/// How the documents of JSON formats begin.
const JSON: [&str; 4] = [chrome_trace::BEGINNING, firefox::BEGINNING, json_lines::BEGINNING, speedscope::BEGINNING];

/// How a comparison as text begins.
pub const DIFF_BEGINNING: &str = "# fpprof diff: ";

/// How each JSON document begins that names its format: comparisons, dumps, bug reports.
const DOCUMENT: &str = "{\n  \"format\": \"fpprof ";

/// How a snapshot begins.
const SNAPSHOT: &str = "{\n  \"what\": \"fpprof snapshot: ";

/// How the first record of a recording begins.
const RECORDING: &[u8] = b"{\"fpprof_recording\":";

/// Whether a file that begins with these bytes is an output of fpprof.
pub fn is_own(beginning: &[u8]) -> bool {
    if beginning.starts_with(b"\x1f\x8b") {
        return contains(beginning.get(..64).unwrap_or(beginning), pprof::GZIP_COMMENT) || is_recording(beginning);
    }
    let begins_as = |text: &str| beginning.starts_with(text.as_bytes());
    let is_picture = || begins_as("<?xml") && contains(beginning, flamegraph::NOTES);
    let is_collapsed = || begins_as("# command: ") && contains(beginning, "\n# recorded by: fpprof ");
    begins_as(SNAPSHOT)
        || begins_as(html::BEGINNING)
        || begins_as(DIFF_BEGINNING)
        || begins_as(DOCUMENT)
        || JSON.iter().any(|json| begins_as(json))
        || is_picture()
        || is_collapsed()
}

fn is_recording(beginning: &[u8]) -> bool {
    let mut first = [0; RECORDING.len()];
    GzDecoder::new(beginning).read_exact(&mut first).is_ok() && first == RECORDING
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::recording::RecordingWriter;

    #[test]
    fn a_recording_is_own() {
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter::new(&mut bytes).unwrap();
        writer.end_block().unwrap();
        assert!(is_own(&bytes));
        assert!(!is_own(bytes.get(..12).unwrap()), "nothing can be told of a header alone");
    }

    #[test]
    fn a_snapshot_is_own() {
        assert!(is_own(include_bytes!("../../tests/snapshots/sid-3.14-jit.json")));
    }

    #[test]
    fn what_only_speaks_of_fpprof_is_not_own() {
        for other in [
            "",
            "# fpprof\nrecorded by: fpprof 1",
            "{\"x\":\"fpprof\"}",
            "<?xml?><svg>fpprof</svg>",
            "\x1f\u{8b}fpprof",
        ] {
            assert!(!is_own(other.as_bytes()), "{other}");
        }
        assert!(!is_own(b"\x1f\x8b\x08\x00fpprof"));
    }
}
