//! Where a module's separate debug file is.
//!
//! Does: look by build-id and by `.gnu_debuglink`, in the target's root and then among the debug files of the profiler's own, and verify
//! that what is found belongs to the module; likewise for the file that `dwz` makes debug files share.
//! Does not: download anything.
//!
//! What is in the target's root is read with the eyes of its user ([`TargetRoot`]). The profiler's own debug files are for everybody on its
//! system, and so they are when the target is a container that has none of its own: those that all may read are read. The target has a say
//! in which one it is (it chooses its build-ids and links), so nothing else of the profiler's root is looked at: a name that leads out of
//! the folder of debug files is not followed there.
//!
//! Source: GDB manual, "Debugging Information in Separate Files".

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::target::elf::{BuildId, DebugAltLink, DebugLink, ElfFile};
use crate::target::eyes::Refusal;
use crate::target::root::{RootIdentity, TargetRoot};

const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// A module's separate debug file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugFileSource {
    /// Its path, as seen from the root that it was found in.
    pub path: PathBuf,
    /// Whether it was found in the target's root; else in the profiler's own.
    pub in_target: bool,
}

/// Why there is no separate debug file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDebugFile {
    /// The module names none: it has neither a build-id nor a `.gnu_debuglink`.
    #[error("the module names no debug file")]
    NotNamed,
    /// The module names one, and it is not there.
    #[error("no debug file {}", .build_id.as_ref().map_or_else(|| .debug_link.clone().unwrap_or_default(), BuildId::debug_path))]
    Missing {
        /// The module's build-id, by which the debug file is installed.
        build_id: Option<BuildId>,
        /// The name in the module's `.gnu_debuglink`.
        debug_link: Option<String>,
    },
    /// A file of that name may be there, and is not read.
    #[error("{} is not read: {why}", .path.display())]
    NotRead {
        /// Its path, as seen from its root.
        path: PathBuf,
        /// Why.
        why: Refusal,
    },
    /// A file of that name is there, and is another build's.
    #[error("{} belongs to another build", .0.display())]
    Mismatch(PathBuf),
}

pub(super) struct DebugFile {
    pub(super) elf: ElfFile,
    pub(super) source: DebugFileSource,
}

/// The roots in which debug files are looked for.
#[derive(Debug)]
pub(super) struct DebugFiles {
    target: Option<Arc<TargetRoot>>,
    own: Option<TargetRoot>,
}

impl DebugFiles {
    pub(super) fn new(target: Option<Arc<TargetRoot>>) -> DebugFiles {
        DebugFiles { target, own: TargetRoot::at(Path::new("/")).ok().map(TargetRoot::open_to_all) }
    }

    /// Which root the target's own files are in.
    pub(super) fn root_identity(&self) -> Option<RootIdentity> {
        self.target.as_ref()?.identity()
    }

    /// The files of that path, and why one is not read though it may be there.
    fn candidates(&self, path: &Path) -> impl Iterator<Item = Result<DebugFile, NoDebugFile>> {
        let own = self.own.as_ref().filter(|_| is_debug_file(path));
        [(self.target.as_deref(), true), (own, false)].into_iter().filter_map(move |(root, in_target)| {
            match root?.open(path) {
                Ok(file) => {
                    let source = DebugFileSource { path: path.to_owned(), in_target };
                    Some(Ok(DebugFile { elf: ElfFile::open(file).ok()?, source }))
                }
                Err(error) => {
                    let why = *error.get_ref()?.downcast_ref::<Refusal>()?;
                    Some(Err(NoDebugFile::NotRead { path: path.to_owned(), why }))
                }
            }
        })
    }

    /// The separate debug file of a module; `path` is the module's, as the target sees it.
    pub(super) fn find(&self, path: &Path, module: &ElfFile) -> Result<DebugFile, NoDebugFile> {
        let build_id = module.build_id();
        let debug_link = module.debug_link();
        if build_id.is_none() && debug_link.is_none() {
            return Err(NoDebugFile::NotNamed);
        }
        let mut unusable = None;
        let by_id = build_id.iter().flat_map(|id| {
            let path = Path::new(DEBUG_DIRECTORY).join(id.debug_path());
            self.candidates(&path).collect::<Vec<_>>()
        });
        let by_link = debug_link.iter().flat_map(|link| {
            let paths = link_paths(path, &link.name);
            paths.into_iter().flat_map(|path| self.candidates(&path).collect::<Vec<_>>())
        });
        for candidate in by_id.chain(by_link) {
            unusable = Some(match candidate {
                Ok(file) if belongs(&file.elf, build_id.as_ref(), debug_link.as_ref()) => return Ok(file),
                Ok(another) => NoDebugFile::Mismatch(another.source.path),
                Err(refused) => refused,
            });
        }
        let missing = || NoDebugFile::Missing { build_id, debug_link: debug_link.map(|link| link.name) };
        Err(unusable.unwrap_or_else(missing))
    }

    /// The file that the debug file at `path` shares parts of its DWARF with.
    pub(super) fn find_shared(&self, path: &Path, link: &DebugAltLink) -> Option<ElfFile> {
        let stated = path.parent().unwrap_or(Path::new("/")).join(&link.path);
        let by_id = Path::new(DEBUG_DIRECTORY).join(link.build_id.debug_path());
        [stated, by_id].iter().find_map(|path| {
            let found = self.candidates(path).flatten().find(|c| c.elf.build_id().as_ref() == Some(&link.build_id));
            found.map(|f| f.elf)
        })
    }
}

/// Whether a path leads to a file below the folder of debug files, as it is written.
fn is_debug_file(path: &Path) -> bool {
    let mut names: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let folder = Path::new(DEBUG_DIRECTORY).iter().skip(1);
    let count = folder.clone().count();
    names.len() > count && names.into_iter().take(count).eq(folder)
}

fn link_paths(module: &Path, name: &str) -> Vec<PathBuf> {
    let directory = module.parent().unwrap_or(Path::new("/"));
    let below_debug = directory.strip_prefix("/").unwrap_or(directory);
    vec![
        directory.join(name),
        directory.join(".debug").join(name),
        Path::new(DEBUG_DIRECTORY).join(below_debug).join(name),
    ]
}

/// Build-ids decide where both files have one; the checksum costs a read of the whole file.
fn belongs(file: &ElfFile, build_id: Option<&BuildId>, link: Option<&DebugLink>) -> bool {
    match (file.build_id(), build_id) {
        (Some(found), Some(wanted)) => found == *wanted,
        _ => link.is_some_and(|link| file.debug_link_crc() == Ok(link.crc)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::eyes::Who;

    #[test]
    fn a_debug_link_is_looked_for_where_gdb_looks() {
        let paths = link_paths(Path::new("/opt/lib/libx.so"), "libx.debug");
        let expected = ["/opt/lib/libx.debug", "/opt/lib/.debug/libx.debug", "/usr/lib/debug/opt/lib/libx.debug"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }

    #[test]
    fn of_the_profiler_s_own_files_only_those_that_all_may_read_are_opened() {
        let own = DebugFiles::new(None).own.unwrap();
        let file = std::env::temp_dir().join(format!("fpprof-own-debug-files-{}", std::process::id()));
        std::fs::write(&file, "x").unwrap();
        let open_with = |mode| {
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            own.open(&file).map(drop).map_err(|refused| refused.to_string())
        };
        assert_eq!(open_with(0o644), Ok(()));
        assert_eq!(open_with(0o640), Err("some users may not read it".to_owned()));
        std::fs::remove_file(&file).unwrap();
    }

    /// Both roots are looked into, and the reason of the last one is told.
    #[test]
    fn a_debug_file_that_is_not_read_says_why() {
        let root = std::env::temp_dir().join(format!("fpprof-debug-files-{}", std::process::id()));
        let folder = root.join("usr/lib/debug");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("libx.debug");
        std::fs::copy(std::env::current_exe().unwrap(), &file).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let own = TargetRoot::at(&root).map(TargetRoot::open_to_all).ok();
        let files = DebugFiles { target: None, own };
        let path = Path::new("/usr/lib/debug/libx.debug");
        let why = Refusal::MayNotRead(Who::Everybody);
        let found: Vec<_> = files.candidates(path).map(|found| found.map(|file| file.source)).collect();
        assert_eq!(found, [Err(NoDebugFile::NotRead { path: path.to_owned(), why })]);
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(files.candidates(path).all(|found| found.is_ok()) && files.candidates(path).count() == 1);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn of_the_profiler_s_own_files_only_debug_files_are_looked_at() {
        for (path, expected) in [
            ("/usr/lib/debug/.build-id/ab/cd.debug", true),
            ("/usr/lib/debug/.build-id/ab/../../.dwz/x", true),
            ("/usr/lib/debug/opt/../../../../root/secret", false),
            ("/usr/lib/debug", false),
            ("/usr/lib/debugger/x", false),
            ("/opt/lib/libx.debug", false),
            ("/../../usr/lib/debug/x", true),
        ] {
            assert_eq!(is_debug_file(Path::new(path)), expected, "{path}");
        }
    }
}
