//! A new file beside the name that it is to have: nobody takes it for a result before it is one.
//!
//! Does: make it, readable by nobody else; give it a name that is free, or put it in the place of what has the name, at once (rename(2)); have nothing left
//! of it otherwise. Does not: look at what has the name, or write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::linkat;

use crate::target::own;

/// For the owner alone.
const PRIVATE: u32 = 0o600;
/// How often to try another name.
const ATTEMPTS: u32 = 100;

/// A file that is being made.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    /// The name that it has meanwhile, if it has one: it goes with this value.
    name: Option<PathBuf>,
    /// Whether its contents are worth something before they are whole.
    is_worth_keeping: bool,
}

impl NewFile {
    /// A new file in the folder of `path`, readable by its owner only.
    ///
    /// It has no name where the file system can do that (O_TMPFILE, open(2)): the kernel removes it, however we end. NFS and FUSE cannot: there it has a name
    /// that nobody else chooses.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn beside(path: &Path) -> io::Result<NewFile> {
        let folder = folder_of(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(PRIVATE);
        let (file, name) = match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
            // Without /proc it could be given no name either.
            Ok(file) if own::path_of(&file).symlink_metadata().is_ok() => (file, None),
            _ => {
                let open = |name: &Path| options.clone().create_new(true).open(name);
                let (file, name) = at_a_free_name(folder, open)?;
                (file, Some(name))
            }
        };
        Ok(NewFile { file, name, is_worth_keeping: false })
    }

    /// The file, to write and to read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it this name, which is taken from it again if nothing comes of it; unless this process panics, for what is there may be read.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something has the name; others when there can be no such name.
    pub fn take_name(&mut self, name: &Path) -> io::Result<()> {
        match &self.name {
            None => link(&self.file, name)?,
            Some(before) => match fs::hard_link(before, name) {
                Ok(()) => fs::remove_file(before)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                // A file system may have no second names (FAT): there two that choose this one at the same moment are not told apart.
                Err(_) if name.symlink_metadata().is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(before, name)?,
            },
        }
        (self.name, self.is_worth_keeping) = (Some(name.to_owned()), true);
        Ok(())
    }

    /// Puts it in the place of whatever is called `path`, whole and at once: readable by its owner only, if it is `private`, else by whom the mask for new
    /// files lets.
    ///
    /// # Errors
    /// When it is not written yet for all that (a disk may be full only now), or the name cannot be had.
    pub fn replace(&mut self, path: &Path, private: bool) -> io::Result<()> {
        // A file system behind a network tells at the end only what it could not write (close(2)).
        nix::unistd::close(self.file.try_clone()?)?;
        if !private && let Some(mask) = own::umask() {
            // One without permissions of its own (FAT) has those that it was mounted with.
            let _ = self.file.set_permissions(Permissions::from_mode(0o666 & !mask));
        }
        if self.name.is_none() {
            let ((), name) = at_a_free_name(folder_of(path), |name| link(&self.file, name))?;
            self.name = Some(name);
        }
        if let Some(name) = &self.name {
            fs::rename(name, path)?;
        }
        self.name = None;
        Ok(())
    }

    /// Leaves it where it is. Returns its name.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.name.take()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(name) = self.name.take_if(|_| !(self.is_worth_keeping && std::thread::panicking())) {
            let _ = fs::remove_file(name);
        }
    }
}

/// The folder that a path's last name is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Names a file without a name, as open(2) describes it.
fn link(file: impl AsFd, name: &Path) -> io::Result<()> {
    Ok(linkat(AT_FDCWD, &own::path_of(file), AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)?)
}

/// Makes something at a name that nothing has: which one, nobody can tell before.
fn at_a_free_name<T>(folder: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    for _ in 0..ATTEMPTS {
        // Its keys are the system's random numbers.
        let random = RandomState::new().build_hasher().finish();
        let name = folder.join(format!(".fpprof-{random:016x}.tmp"));
        match make(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return Ok((result?, name)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("fpprof-new-file-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn files(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// As on a file system on which every file has a name.
    fn with_a_name(path: &Path) -> NewFile {
        let open = |name: &Path| OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(name);
        let (file, name) = at_a_free_name(folder_of(path), open).unwrap();
        NewFile { file, name: Some(name), is_worth_keeping: false }
    }

    #[test]
    fn a_file_comes_into_its_place_whole_or_not_at_all() {
        let folder = Folder::new("whole");
        let path = folder.0.join("x");
        fs::write(&path, "before").unwrap();
        for make in [|path: &Path| NewFile::beside(path).unwrap(), with_a_name] {
            let new = make(&path);
            new.file().write_all(b"half").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"before");
            drop(new);
            assert_eq!((folder.files(), fs::read(&path).unwrap()), (vec!["x".into()], b"before".to_vec()));
            let mut new = make(&path);
            new.file().write_all(b"whole").unwrap();
            new.replace(&path, true).unwrap();
            drop(new);
            assert_eq!((folder.files(), fs::read(&path).unwrap()), (vec!["x".into()], b"whole".to_vec()));
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            fs::write(&path, "before").unwrap();
        }
    }

    #[test]
    fn a_name_is_taken_only_where_it_is_free() {
        let folder = Folder::new("free");
        let [path, name] = ["x", "x.partial"].map(|name| folder.0.join(name));
        for make in [|path: &Path| NewFile::beside(path).unwrap(), with_a_name] {
            fs::write(&name, "somebody's").unwrap();
            let mut new = make(&path);
            new.file().write_all(b"whole").unwrap();
            assert_eq!(new.take_name(&name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&name).unwrap(), b"somebody's");
            fs::remove_file(&name).unwrap();
            new.take_name(&name).unwrap();
            assert_eq!(folder.files(), ["x.partial"]);
            new.replace(&path, false).unwrap();
            assert_eq!((folder.files(), fs::read(&path).unwrap()), (vec!["x".into()], b"whole".to_vec()));
            let mut new = make(&path);
            new.take_name(&name).unwrap();
            assert_eq!(new.keep(), Some(name.clone()));
            drop(new);
            assert_eq!(folder.files(), ["x", "x.partial"]);
            fs::remove_file(&name).unwrap();
            fs::remove_file(&path).unwrap();
        }
    }
}
