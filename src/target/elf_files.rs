//! The ELF files of all targets that are looked at together, each once.
//!
//! Does: find files that have the same build-id and are the same, byte by byte: what is made of one then serves for all.
//! A build-id alone proves nothing: whoever links a file chooses it.
//! Does not: keep a file that nobody uses any more.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

use super::elf::{BuildId, ElfFile};

/// The most files that claim the same build-id and are compared.
const MAX_OF_ONE_BUILD_ID: usize = 4;

/// ELF files that are in use, by their build-ids.
#[derive(Debug, Default)]
pub struct ElfFiles {
    known: Mutex<FxHashMap<BuildId, Vec<Weak<ElfFile>>>>,
}

impl ElfFiles {
    /// The file that is in use already, if `file` is the same; else `file`.
    pub fn shared(&self, file: ElfFile) -> Arc<ElfFile> {
        let Some(build_id) = file.build_id() else { return Arc::new(file) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.entry(build_id).or_default();
        same.retain(|other| other.strong_count() > 0);
        if let Some(other) = same.iter().filter_map(Weak::upgrade).find(|other| other.is_same_as(&file)) {
            return other;
        }
        let file = Arc::new(file);
        if same.len() < MAX_OF_ONE_BUILD_ID {
            same.push(Arc::downgrade(&file));
        }
        file
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
        let own = std::env::current_exe().unwrap();
        let (copy, forged) = (folder.join("copy"), folder.join("forged"));
        fs::copy(&own, &copy).unwrap();
        fs::copy(&own, &forged).unwrap();
        fs::OpenOptions::new().append(true).open(&forged).unwrap().write_all(b"x").unwrap();
        let files = ElfFiles::default();
        let first = files.shared(open(&own));
        assert!(first.build_id().is_some(), "this program is linked with a build-id");
        assert!(Arc::ptr_eq(&first, &files.shared(open(&own))));
        assert!(Arc::ptr_eq(&first, &files.shared(open(&copy))));
        let other = files.shared(open(&forged));
        assert!(!Arc::ptr_eq(&first, &other));
        drop(first);
        assert!(Arc::ptr_eq(&other, &files.shared(open(&forged))), "it is shared among its own");
        fs::remove_dir_all(folder).unwrap();
    }
}
