//! The ELF files of all targets that are looked at together: what is made of one serves for all that are the same.
//!
//! Does: find files that have the same build-id and are one file, or have the same bytes. A build-id alone proves nothing: whoever
//! links a file chooses it.
//! Does not: keep a file that nobody uses any more, or compare large files byte by byte.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

use super::elf::{BuildId, ElfFile};

/// The most files that claim the same build-id and are compared.
const MAX_OF_ONE_BUILD_ID: usize = 2;
/// Files that nobody uses any more are forgotten when so many build-ids are known.
const TIDY_AT: usize = 1024;

/// ELF files that are in use, by their build-ids.
#[derive(Debug, Default)]
pub struct ElfFiles {
    known: Mutex<FxHashMap<BuildId, Vec<Weak<ElfFile>>>>,
}

impl ElfFiles {
    /// The file that is in use already, if `file` is the same; else `file`.
    pub fn shared(&self, file: ElfFile) -> Arc<ElfFile> {
        let Some(build_id) = file.build_id() else { return Arc::new(file) };
        // Files are compared without the lock: that can take some milliseconds.
        let others = self.others(&build_id);
        if let Some(other) = others.into_iter().find(|other| other.is_same_as(&file)) {
            return other;
        }
        let file = Arc::new(file);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.entry(build_id).or_default();
        if same.len() < MAX_OF_ONE_BUILD_ID {
            same.push(Arc::downgrade(&file));
        }
        file
    }

    /// The files in use that claim a build-id.
    fn others(&self, build_id: &BuildId) -> Vec<Arc<ElfFile>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TIDY_AT {
            known.retain(|_, files| files.iter().any(|file| file.strong_count() > 0));
        }
        let Some(same) = known.get_mut(build_id) else { return Vec::new() };
        same.retain(|file| file.strong_count() > 0);
        same.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    fn open(path: &std::path::Path) -> ElfFile {
        ElfFile::open(File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_shared_with_its_copy_and_not_with_one_that_only_claims_its_build_id() {
        let folder = std::env::temp_dir().join(format!("fpprof-elf-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let own = maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("libc.so"));
        let own = std::path::PathBuf::from(own.expect("this program uses the C library"));
        let (copy, forged) = (folder.join("copy"), folder.join("forged"));
        fs::copy(&own, &copy).unwrap();
        fs::copy(&own, &forged).unwrap();
        fs::OpenOptions::new().append(true).open(&forged).unwrap().write_all(b"x").unwrap();
        let files = ElfFiles::default();
        let first = files.shared(open(&own));
        assert!(first.build_id().is_some(), "the C library is linked with a build-id");
        assert!(Arc::ptr_eq(&first, &files.shared(open(&own))));
        assert!(Arc::ptr_eq(&first, &files.shared(open(&copy))));
        let other = files.shared(open(&forged));
        assert!(!Arc::ptr_eq(&first, &other));
        drop(first);
        assert!(Arc::ptr_eq(&other, &files.shared(open(&forged))), "it is shared among its own");
        fs::remove_dir_all(folder).unwrap();
    }
}
