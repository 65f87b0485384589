//! Outputs on a real file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A folder that is removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("fpprof-output-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_output_that_was_not_written_leaves_nothing() {
    let folder = Folder::new("nothing");
    let path = folder.0.join("x");
    drop(OutputFile::open(&path, false).unwrap());
    assert_eq!(folder.names(), Vec::<String>::new());
    let mut output = OutputFile::open(&path, false).unwrap();
    output.write(|w| w.write_all(b"long contents")).unwrap();
    drop(output);
    let refused = OutputFile::open(&path, false).unwrap_err();
    assert!(refused.hint.contains("--force"));
    let mut output = OutputFile::open(&path, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"long contents", "what was there is kept until it is replaced");
    output.write(|w| w.write_all(b"short")).unwrap();
    drop(output);
    assert_eq!(fs::read(&path).unwrap(), b"short");
    let mut output = OutputFile::open(&path, true).unwrap();
    let failed = output.write(|w| w.write_all(b"half").and(Err(io::ErrorKind::StorageFull.into()))).unwrap_err();
    assert!(failed.hint.contains("`df`"));
    drop(output);
    assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["x".to_owned()], b"short".to_vec()));
}

#[test]
fn an_output_that_cannot_be_written_says_so() {
    let failure = OutputFile::open(Path::new("/nowhere/at/all.svg"), false).unwrap_err();
    assert!(failure.to_string().contains("/nowhere/at/all.svg"));
}

#[test]
fn a_link_is_not_followed() {
    let folder = Folder::new("link");
    let [link, beyond] = ["link.svg", "beyond"].map(|name| folder.0.join(name));
    for is_there in [false, true] {
        if is_there {
            fs::write(&beyond, "").unwrap();
        }
        symlink(&beyond, &link).unwrap();
        let refused = OutputFile::open(&link, false).unwrap_err();
        assert!(refused.message.contains("is a symbolic link") && refused.hint.contains("--force"), "{refused}");
        OutputFile::open(&link, true).unwrap().write(|w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"new");
        assert!(!link.symlink_metadata().unwrap().is_symlink(), "the link itself is replaced");
        assert_eq!(fs::read(&beyond).ok(), is_there.then(Vec::new));
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn what_comes_to_the_name_meanwhile_is_not_replaced() {
    let folder = Folder::new("meanwhile");
    let path = folder.0.join("x.svg");
    let mut output = OutputFile::open(&path, false).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    let refused = output.write(|w| w.write_all(b"ours")).unwrap_err();
    assert!(refused.message.contains("fpprof has not written it"), "{refused}");
    drop(output);
    assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["x.svg".to_owned()], b"somebody else's".to_vec()));
}

#[test]
fn private_outputs_are_for_their_owner_and_others_for_whom_the_mask_lets() {
    let folder = Folder::new("private");
    let mode = |name: &str, is_private| {
        let path = folder.0.join(name);
        OutputFile::open(&path, false).unwrap().private(is_private).write(|w| w.write_all(b"x")).unwrap();
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    fs::write(folder.0.join("any"), "").unwrap();
    let any = folder.0.join("any").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("private", true), mode("other", false)), (0o600, any));
}

#[test]
fn a_recording_has_a_name_of_its_own_until_the_output_is_whole() {
    let folder = Folder::new("recording");
    let path = folder.0.join("x.svg");
    fs::write(folder.0.join("x.svg.partial.fpprof"), "left behind").unwrap();
    let begin = |is| {
        let mut output = OutputFile::open(&path, true).unwrap();
        let mut file = output.recording(is).unwrap().unwrap();
        file.write_all(b"samples").unwrap();
        let name = output.name_recording().unwrap().unwrap();
        assert_eq!(name, folder.0.join("x.svg.2.partial.fpprof"));
        assert_eq!((fs::read(&name).unwrap(), path.exists()), (b"samples".to_vec(), false));
        assert_eq!(name.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        output
    };
    drop(begin(false));
    drop(begin(true));
    assert_eq!(folder.names(), ["x.svg.partial.fpprof"]);
    let mut output = begin(false);
    output.write(|w| w.write_all(b"picture")).unwrap();
    assert_eq!(folder.names(), ["x.svg", "x.svg.partial.fpprof"]);
    assert_eq!(fs::read(&path).unwrap(), b"picture");
    fs::remove_file(&path).unwrap();
    let mut output = begin(true);
    output.commit().unwrap();
    drop(output);
    assert_eq!(folder.names(), ["x.svg", "x.svg.partial.fpprof"]);
    assert_eq!(fs::read(&path).unwrap(), b"samples");
    fs::remove_file(&path).unwrap();
    for is in [false, true] {
        let kept = begin(is).keep_recording().unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"samples");
        fs::remove_file(kept).unwrap();
    }
    let long = folder.0.join("n".repeat(254));
    let mut output = OutputFile::open(&long, false).unwrap();
    output.recording(false).unwrap();
    let name = output.name_recording().unwrap().unwrap();
    assert!(name.ends_with(format!("fpprof-{}.partial.fpprof", std::process::id())), "{name:?}");
}

#[test]
fn a_pipe_that_nobody_reads_is_said_to_be_one() {
    let folder = Folder::new("pipe");
    let path = folder.0.join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = OutputFile::open(&path, false).unwrap_err();
    assert!(refused.message.contains("nobody reads the pipe"), "{refused}");
    let reader = {
        let path = path.clone();
        std::thread::spawn(move || fs::read_to_string(path).unwrap())
    };
    // The reader opens it at some time within what is allowed, or the test tells nothing.
    let open = || OutputFile::open(&path, false).ok();
    let mut output = std::iter::from_fn(|| Some(open())).flatten().next().unwrap();
    assert!(output.can_block());
    output.write(|w| w.write_all(b"through a pipe")).unwrap();
    drop(output);
    assert_eq!(reader.join().unwrap(), "through a pipe");
    assert_eq!(folder.names(), ["pipe"]);
}
