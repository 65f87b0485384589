//! Outputs that cannot be written are found out before anything is recorded, and before a program is started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fpprof::output::mark::is_own;

use crate::executables;
use crate::processes::assert_untouched;
use crate::python::{self, BUSY, Program};
use crate::run::{FPPROF, Scratch, fpprof, record, start_command};

/// What fpprof itself has written before.
const OURS: &str = "# command: python3\n# recorded by: fpprof 0.1.0\nmain 1\n";

/// A program that leaves a trace when it is started.
const LEAVES_A_FILE: [&str; 3] = ["--", "touch", "started"];

#[test]
fn an_output_that_cannot_be_written_is_found_out_first() {
    let target = Program::start(&python::newest(), BUSY);
    for (output, words) in
        [("nowhere/o.svg", "No such file"), ("/", "directory"), ("/proc/self/o.svg", "cannot be written")]
    {
        let ended = record(&["-o", output, "-p", &target.pid_text()]);
        ended.assert_refused(&[&format!("the output `{output}` cannot be written"), words, "--output FILE"]);
        let ended = record(&[&["-o", output][..], &LEAVES_A_FILE].concat());
        ended.assert_refused(&["cannot be written"]);
    }
    assert_untouched(target.pid());
}

#[test]
fn a_folder_and_a_file_that_are_read_only_are_found_out_first() {
    let scratch = Scratch::new();
    let program = scratch.path().join("fpprof");
    executables::copy(Path::new(FPPROF), &program);
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let kept = scratch.path().join("kept.svg");
    fs::write(&kept, OURS).unwrap();
    std::os::unix::fs::chown(&kept, Some(65534), None).unwrap();
    for output in [&["-o", "o.svg"][..], &[], &["-o", &kept.to_string_lossy()]] {
        let folder = Scratch::new();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        // Root may write anywhere.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("record");
        command.args(output).args(["--", "touch", "/tmp/never"]);
        let ended = start_command(command, folder).wait();
        ended.assert_refused(&["cannot be written", "denied", "--output FILE"]);
    }
    assert_eq!(fs::read_to_string(kept).unwrap(), OURS);
}

#[test]
fn a_failed_recording_keeps_what_was_there() {
    let scratch = Scratch::new();
    let kept = scratch.path().join("kept.svg");
    fs::write(&kept, OURS).unwrap();
    record(&["-p", "2147483647", "-o", &kept.to_string_lossy()]).assert_refused(&["there is no process"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), OURS);
}

#[test]
fn what_fpprof_has_not_written_is_replaced_only_on_demand() {
    let target = Program::start(&python::newest(), BUSY);
    let scratch = Scratch::new();
    let file = scratch.path().join("o.svg");
    let path = file.to_string_lossy();
    let arguments = ["-d", "100ms", "-o", &path, "-p", &target.pid_text()];
    fs::write(&file, "a list of fpprof's bugs").unwrap();
    record(&arguments).assert_refused(&["o.svg", "fpprof has not written it", "--force"]);
    record(&[&["-f", "fpprof"][..], &arguments].concat()).assert_refused(&["--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "a list of fpprof's bugs");
    assert_eq!(record(&[&["--force"][..], &arguments].concat()).code, 0);
    // Now it is its own, in whatever format.
    for format in ["fpprof", "pprof", "firefox"] {
        let ended = record(&[&["-f", format, "--native", "none"][..], &arguments].concat());
        assert_eq!(ended.code, 0, "{format}: {ended:?}");
        assert!(is_own(&fs::read(&file).unwrap()), "{format}");
    }
    fs::write(&file, "").unwrap();
    assert_eq!(
        record(&[&["-f", "collapsed"][..], &arguments].concat()).code,
        0,
        "an empty file holds nothing that could be lost"
    );
    assert_untouched(target.pid());
}

#[test]
fn samples_for_standard_output_are_kept_in_a_temporary_file_that_is_gone_afterwards() {
    let target = Program::start(&python::newest(), BUSY);
    let folder = Scratch::new();
    let with = |temporary: &Path, program: &[&str]| {
        let mut command = Command::new(FPPROF);
        command.args(["record", "-d", "100ms", "-f", "speedscope", "-o", "-"]).args(program);
        command.env("TMPDIR", temporary);
        start_command(command, Scratch::new()).wait()
    };
    let ended = with(folder.path(), &["-p", &target.pid_text()]);
    assert!(ended.code == 0 && ended.stdout.contains("speedscope"), "{ended:?}");
    assert_eq!(folder.files(), Vec::<String>::new());
    let ended = with(Path::new("/nowhere"), &LEAVES_A_FILE);
    ended.assert_refused(&["temporary file", "TMPDIR"]);
    assert_untouched(target.pid());
}

#[test]
fn an_output_without_a_name_gets_one() {
    let target = Program::start(&python::newest(), BUSY);
    let ended = record(&["-d", "200ms", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let [name] = &ended.files[..] else { panic!("{ended:?}") };
    assert!(name.starts_with(&format!("python3.15-{}-20", target.pid())) && name.ends_with("Z.svg"), "{name}");
    assert!(ended.stderr.contains(&format!("wrote {name}: open it with any web browser")), "{ended:?}");
}

#[test]
fn pipes_and_descriptors_that_are_named_are_written_to() {
    let target = Program::start(&python::newest(), BUSY);
    let fpprof = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script, FPPROF, &target.pid_text()]);
        start_command(command, Scratch::new()).wait()
    };
    let record = "\"$0\" record -d 200ms --native none -f collapsed -p \"$1\" -o";
    for script in [
        // The shell does not wait for what reads here.
        format!("{record} >(cat >got; mv got o.txt); until [ -e o.txt ]; do :; done"),
        format!("mkfifo p; cat p >o.txt & {record} p; wait; rm p"),
        format!("{record} /dev/stdout >o.txt"),
        format!("{record} /dev/stdout | cat >o.txt"),
        format!("{record} /dev/fd/3 3>o.txt"),
        format!("{record} /proc/self/fd/3 3>o.txt"),
    ] {
        let ended = fpprof(&script);
        assert!(ended.recorded().starts_with("# command: "), "{script}: {ended:?}");
        assert_eq!(ended.files, ["o.txt"], "{script}");
    }
    let ended = fpprof(&format!("mkfifo p; {record} p; code=$?; rm p; exit $code"));
    ended.assert_refused(&["nobody reads the pipe `p`", "Start what reads it first"]);
    let ended = fpprof(&format!("{record} /dev/full"));
    ended.assert_refused(&["the output cannot be written: No space left"]);
    let ended = fpprof(&format!("{record} - >/dev/full"));
    ended.assert_refused(&["the output cannot be written: No space left"]);
    assert_untouched(target.pid());
}

#[test]
fn links_and_files_of_others_are_replaced_only_on_demand() {
    let target = Program::start(&python::newest(), BUSY);
    let scratch = Scratch::new();
    let [link, beyond, theirs] = ["link.svg", "beyond.svg", "theirs.svg"].map(|name| scratch.path().join(name));
    fs::write(&beyond, OURS).unwrap();
    std::os::unix::fs::symlink(&beyond, &link).unwrap();
    fs::write(&theirs, OURS).unwrap();
    std::os::unix::fs::chown(&theirs, Some(65534), None).unwrap();
    for (path, words) in [(&link, "is a symbolic link"), (&theirs, "belongs to another user")] {
        let arguments = ["-d", "100ms", "-o", &path.to_string_lossy(), "-p", &target.pid_text()];
        record(&arguments).assert_refused(&[words, "--force"]);
        assert_eq!(record(&[&["--force"][..], &arguments].concat()).code, 0);
        assert!(is_own(&fs::read(path).unwrap()) && path.symlink_metadata().unwrap().is_file());
    }
    assert_eq!(fs::read_to_string(&beyond).unwrap(), OURS, "the link was replaced, and not what it led to");
    assert_untouched(target.pid());
}

#[test]
fn what_holds_sources_or_memory_is_for_its_owner_only() {
    let target = Program::start(&python::newest(), BUSY);
    let scratch = Scratch::new();
    let pid = target.pid_text();
    let mode = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(FPPROF);
        let path = scratch.path().join(name);
        command.args(arguments).arg(&path);
        let ended = start_command(command, Scratch::new()).wait();
        assert_eq!(ended.code, 0, "{ended:?}");
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    fs::write(scratch.path().join("any"), "").unwrap();
    let any = fs::metadata(scratch.path().join("any")).unwrap().permissions().mode() & 0o777;
    let recorded = ["record", "-d", "100ms", "--native", "none", "-p", &pid, "-o"];
    for name in ["o.svg", "o.speedscope.json"] {
        assert_eq!(mode(name, &recorded), any, "{name}");
    }
    assert_eq!([mode("o.html", &recorded), mode("o.fpprof", &recorded)], [0o600; 2]);
    let recording = scratch.path().join("o.fpprof");
    assert_eq!(mode("r.html", &["report", &recording.to_string_lossy(), "-o"]), 0o600);
    assert_eq!(mode("case.json", &["doctor", "--pid", &pid, "--snapshot"]), 0o600);
    assert_eq!(mode("bug.json", &["bug-report", "--pid", &pid, "-o"]), 0o600);
}

/// Who has read the beginning of a profile would not know that it is no whole one. Of a text one may read as much as one likes.
#[test]
fn a_profile_that_its_reader_does_not_take_is_told_and_a_text_is_not() {
    let target = Program::start(&python::newest(), BUSY);
    let pid = target.pid_text();
    let folder = Scratch::new();
    let kept = folder.path().join("kept.fpprof");
    let kept = kept.to_str().expect("it is text");
    assert_eq!(fpprof(&["record", "--hideprogress", "-d", "500ms", "-o", kept, "-p", &pid]).code, 0);
    let run = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        // Nobody reads: the first write fails.
        drop(reader);
        let mut command = Command::new(FPPROF);
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let ended = command.output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let record = ["record", "--hideprogress", "-d", "300ms", "-p", &pid, "-o", "-"];
    let report = ["report", "--hideprogress", kept, "-o", "-"];
    let mut profiles: Vec<Vec<&str>> = vec![record.to_vec()];
    profiles.push([&record[..], &["-f", "collapsed"]].concat());
    for format in ["collapsed", "flamegraph", "html", "speedscope", "pprof", "jsonl"] {
        profiles.push([&report[..], &["-f", format]].concat());
    }
    for format in ["json", "flamegraph"] {
        profiles.push(vec!["diff", "--hideprogress", kept, kept, "-o", "-", "-f", format]);
    }
    for arguments in profiles {
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(141), "{arguments:?}: {said}");
        assert!(said.contains("was closed before all of it was written"), "{arguments:?}: {said}");
    }
    for arguments in [&["dump", "-p", &pid][..], &["doctor", "-p", &pid], &["diff", "--hideprogress", kept, kept]] {
        let (code, said) = run(arguments);
        assert!(code == Some(0) && !said.contains("closed"), "{arguments:?}: {code:?}: {said}");
    }
    assert_untouched(target.pid());
}
