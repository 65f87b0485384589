//! Which files are shown of a recording that anybody may have made.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::*;
use crate::profile::facts::RecordingFacts;
use crate::profile::frame::{Frame, FrameKind, SourceLine};
use crate::profile::recording::Program;
use crate::sampler::mode::Mode;
use crate::stack::code_cache::Function;
use crate::types::Pid;

/// A folder of its own for one test, removed afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("fpprof-sources-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("srv/app")).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A recording of a program in `/srv/app` with functions from these files, and its stacks.
fn recording(files: &[&str], sources: Vec<RecordedSource>) -> (Recording, Profile) {
    let program = Program {
        number: 0,
        pid: None,
        again: 0,
        command: None,
        interpreter: 0,
        project: Some("/srv/app".into()),
        home: None,
    };
    let mut recorded = RecordedProgram { sources, ..RecordedProgram::new(program) };
    let mut stacks = Profile::new();
    for file in files {
        recorded.functions.push(Function { qualname: "f".into(), filename: (*file).into(), first_line: 1 });
        let name = path_roots(&recorded, true).python_file(file).into_owned();
        let source = SourceLine { file: name.into(), line: Some(1), first_line: None };
        stacks.add([&Frame::python(FrameKind::UserCode, "f", source)], 1);
    }
    let started = Some(SystemTime::now() + Duration::from_secs(3600));
    let facts = RecordingFacts { started, ..RecordingFacts::of_nothing(Pid(7), Mode::Cpu, 100.0) };
    (Recording { programs: vec![recorded], facts, cut_off: None, samples_left_out: 0 }, stacks)
}

fn shown(files: &[&str], sources: Vec<RecordedSource>, others: OtherSources<'_>) -> Vec<Source> {
    let (recording, stacks) = recording(files, sources);
    let found = find(&recording, &stacks, others, true);
    assert_eq!(found.files.len(), files.len());
    let roots = path_roots(&recording.programs[0], true);
    files.iter().map(|file| found.files[&*roots.python_file(file)].clone()).collect()
}

fn text(lines: &[&str]) -> Source {
    Source::Lines(lines.iter().map(|line| (*line).to_owned()).collect())
}

#[track_caller]
fn assert_missing(source: &Source, words: &str) {
    assert!(matches!(source, Source::Missing(why) if why.contains(words)), "{words:?}: {source:?}");
}

#[test]
fn what_the_recording_holds_is_shown_and_nothing_else_is_opened() {
    let scratch = Scratch::new("held");
    let secret = scratch.0.join("secret.py");
    fs::write(&secret, "secret").unwrap();
    let secret = secret.to_string_lossy();
    let held = RecordedSource { file: "a.py".into(), text: Some("one\ntwo\n".into()), missing: None };
    let denied = RecordedSource { file: "/etc/shadow".into(), text: None, missing: Some("not for you".into()) };
    let sources = shown(&["a.py", "/etc/shadow", &secret, "<string>"], vec![held, denied], OtherSources::Missing);
    assert_eq!(sources[0], text(&["one", "two"]));
    assert_eq!(sources[1], Source::Missing("not for you".into()));
    assert_missing(&sources[2], "`fpprof report --sources FOLDER`");
    assert_missing(&sources[3], "not from a file");
}

#[test]
fn a_folder_that_the_user_names_is_not_left() {
    let scratch = Scratch::new("folder");
    fs::write(scratch.0.join("srv/app/a.py"), "whole path").unwrap();
    fs::write(scratch.0.join("b.py"), "from the project on").unwrap();
    fs::write(scratch.0.join("srv/secret"), "secret").unwrap();
    symlink("/srv/app/a.py", scratch.0.join("srv/app/link.py")).unwrap();
    symlink("/etc/passwd", scratch.0.join("srv/app/out.py")).unwrap();
    let root = TargetRoot::at(&scratch.0).unwrap();
    let app = TargetRoot::at(&scratch.0.join("srv/app")).unwrap();
    let files = ["a.py", "/srv/app/b.py", "link.py", "out.py", "../../../../../../etc/passwd", "/etc/passwd"];
    let found = shown(&files, Vec::new(), OtherSources::Below(&root));
    assert_eq!(found[0], text(&["whole path"]));
    assert_eq!(found[1], text(&["from the project on"]));
    assert_eq!(found[2], text(&["whole path"]));
    for source in &found[3..] {
        assert_missing(source, "cannot be read");
    }
    for file in ["../secret", "/srv/app/../secret"] {
        assert_missing(&shown(&[file], Vec::new(), OtherSources::Below(&app))[0], "cannot be read");
    }
    let held = RecordedSource { file: "a.py".into(), text: Some("held".into()), missing: None };
    assert_eq!(shown(&["a.py"], vec![held], OtherSources::Below(&root))[0], text(&["held"]));
    let denied = RecordedSource { file: "a.py".into(), text: None, missing: Some("not for you".into()) };
    assert_eq!(shown(&["a.py"], vec![denied], OtherSources::Below(&root))[0], text(&["whole path"]));
}

#[test]
fn a_file_that_is_another_one_now_or_too_large_is_not_shown() {
    let scratch = Scratch::new("other");
    fs::write(scratch.0.join("srv/app/new.py"), "new").unwrap();
    let later = SystemTime::now() + Duration::from_secs(7200);
    fs::File::options().append(true).open(scratch.0.join("srv/app/new.py")).unwrap().set_modified(later).unwrap();
    fs::write(scratch.0.join("srv/app/full.py"), "x".repeat(1 << 20)).unwrap();
    fs::write(scratch.0.join("srv/app/large.py"), "x".repeat((1 << 20) + 1)).unwrap();
    let root = TargetRoot::at(&scratch.0).unwrap();
    let found = shown(&["new.py", "full.py", "large.py"], Vec::new(), OtherSources::Below(&root));
    assert_missing(&found[0], "has changed since it was recorded");
    assert!(matches!(&found[1], Source::Lines(lines) if lines.len() == 1));
    assert_missing(&found[2], "is larger than 1048576 bytes");
    let left_out = shown(&["full.py"], Vec::new(), OtherSources::LeftOut);
    assert_missing(&left_out[0], "--no-sources");
}
