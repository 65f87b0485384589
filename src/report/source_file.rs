//! The text of one Python file.
//!
//! Does: read it, if it is still what was recorded, within bounds. Does not: choose where from.

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use crate::target::root::TargetRoot;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// How the names begin of what is from no file: `<string>`, `<frozen importlib._bootstrap>`.
pub const NO_FILE: char = '<';

/// Reads the file at a path below a root. One that has changed since the recording `started` would show wrong lines.
///
/// # Errors
/// Why there is no text, in words.
pub fn read(root: &TargetRoot, path: &Path, started: Option<SystemTime>) -> Result<String, String> {
    let not_read = |error| format!("{} cannot be read: {error}", path.display());
    let file = root.open(path).map_err(not_read)?;
    let metadata = file.metadata().map_err(not_read)?;
    let has_changed = started.zip(metadata.modified().ok()).is_some_and(|(started, changed)| changed > started);
    if has_changed {
        return Err(format!("{} has changed since it was recorded", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(not_read)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{} is larger than {MAX_FILE} bytes", path.display()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
