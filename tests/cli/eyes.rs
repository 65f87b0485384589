//! What root's fpprof reads because a program of another user names it: only what that user could read itself.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::bufread::MultiGzDecoder;
use nix::sys::stat::Mode;
use serde_json::Value;

use crate::patience::eventually;
use crate::permissions::run_as;
use crate::processes;
use crate::python::{self, Program, outer_and_inner};
use crate::recordings::{self, page_data, report};
use crate::run::{Ended, Scratch, fpprof, record};

/// The user whose program it is, and one who has nothing to do with it.
const ITS: u32 = 65_534;
const ANOTHER: u32 = 65_533;
/// What nobody is to see.
const SECRET: &str = "for_root_alone = 1\n";
const OPEN: &str = "for_everybody = 1\n";

/// Every file that is named has a function which is on the stack all the time.
const NAMES_FILES: &str = "
import os, sys, threading
def wait_for_the_end():
    os.read(0, 1)
    os._exit(0)
def inner():
    n = 0
    for i in range(20000): n += i
def function_of(file, inner):
    space = {'inner': inner}
    exec(compile('def named():\\n    return inner()\\n', file, 'exec'), space)
    return space['named']
work = inner
for file in FILES:
    work = function_of(file, work)
";

/// A folder that the interpreter sees, with files of each kind.
struct Files {
    /// As we see it.
    folder: PathBuf,
    /// As the program sees it.
    seen: PathBuf,
}

/// Each file, and what a page says of it: its text, or why it has none.
const KINDS: [(&str, Result<&str, &str>); 8] = [
    ("open.py", Ok("for_everybody = 1")),
    ("link_to_open.py", Ok("for_everybody = 1")),
    ("secret.py", Err("the program's user (65534) may not read it")),
    ("link_to_secret.py", Err("the program's user (65534) may not read it")),
    ("closed/inside.py", Err("the program's user (65534) may not search a folder on the way to it")),
    ("sticky/its_link.py", Err("the program's user (65534) may not read it")),
    ("sticky/foreign_link.py", Err("a link on the way to it is of another user")),
    ("fifo.py", Err("not a regular file")),
];

impl Files {
    fn new(interpreter: &crate::interpreters::TestInterpreter, name: &str) -> Files {
        let (ours, its) = interpreter.scratch();
        let name = format!("fpprof-eyes-{}-{name}", std::process::id());
        let files = Files { folder: ours.join(&name), seen: its.join(&name) };
        let at = |name: &str| files.folder.join(name);
        let make = |name: &str, text: &str, mode: u32| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        for (folder, mode) in [("", 0o755), ("closed", 0o700), ("sticky", 0o1777)] {
            fs::create_dir(at(folder)).unwrap();
            fs::set_permissions(at(folder), Permissions::from_mode(mode)).unwrap();
        }
        make("open.py", OPEN, 0o644);
        make("secret.py", SECRET, 0o600);
        make("closed/inside.py", SECRET, 0o644);
        let link = |name: &str, to: &str, owner: u32| {
            symlink(files.seen.join(to), at(name)).unwrap();
            std::os::unix::fs::lchown(at(name), Some(owner), Some(owner)).unwrap();
        };
        link("link_to_open.py", "open.py", ITS);
        link("link_to_secret.py", "secret.py", ITS);
        link("sticky/its_link.py", "secret.py", ITS);
        link("sticky/foreign_link.py", "open.py", ANOTHER);
        nix::unistd::mkfifo(&at("fifo.py"), Mode::from_bits_truncate(0o644)).unwrap();
        files
    }

    /// A program that names all of them.
    fn code(&self, then: &str) -> String {
        let names: Vec<String> = KINDS.iter().map(|(name, _)| format!("{:?}", self.seen.join(name))).collect();
        format!("FILES = [{}]\n{NAMES_FILES}{then}", names.join(", "))
    }

    #[track_caller]
    fn assert_shown(&self, page: &str) {
        self.assert_shown_but(page, &[]);
    }

    /// The text of these is not shown either, for whatever reason.
    #[track_caller]
    fn assert_shown_but(&self, page: &str, others: &[&str]) {
        assert!(!page.contains(SECRET.trim_end()), "the text is in the page");
        let page = page_data(page);
        let files = page["files"].as_array().expect("a list");
        for (name, expected) in KINDS {
            let path = self.seen.join(name).to_string_lossy().into_owned();
            let is_it = |file: &&Value| file["name"].as_str().is_some_and(|shown| path.ends_with(shown));
            let found = files.iter().find(is_it).unwrap_or_else(|| panic!("{path}: {page}"));
            match expected {
                _ if others.contains(&name) => assert_eq!(found["lines"], Value::Array(Vec::new()), "{found}"),
                Ok(text) => assert_eq!(found["lines"][0], text, "{found}"),
                Err(why) => {
                    assert_eq!(found["lines"], Value::Array(Vec::new()), "{found}");
                    assert!(found["missing"].as_str().is_some_and(|missing| missing.contains(why)), "{why}: {found}");
                }
            }
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program of that user's, which sees another root.
fn command_of(user: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command.arg(format!("--userspec={user}:{user}")).args(["--groups="]).args(root_and_program()).args(arguments);
    command
}

/// Where the newest interpreter is: its root, which may be ours, and its program there.
fn root_and_program() -> [OsString; 2] {
    let run = python::newest().command();
    let arguments: Vec<_> = run.get_args().collect();
    match arguments[..] {
        [root, program] => [root.to_owned(), program.to_owned()],
        _ => ["/".into(), run.get_program().to_owned()],
    }
}

const SPIN: &str = "
threading.Thread(target=wait_for_the_end, daemon=True).start()
print('ready', flush=True)
while True: work()
";

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let bytes = fs::read(path).unwrap();
    MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_program_cannot_have_root_show_what_it_may_not_read_itself() {
    let files = Files::new(&python::newest(), "page");
    let target = Program::start_command(command_of(ITS, &[]), &files.code(SPIN));
    let page = record(&["-f", "html", "-o", "-", "-d", "1", "--full-filenames", "-p", &target.pid_text()]);
    assert_eq!(page.code, 0, "{page:?}");
    files.assert_shown(&page.stdout);

    let kept = Scratch::new();
    let path = kept.path().join("run.fpprof");
    let path_text = path.to_string_lossy();
    let ended = record(&["-o", &path_text, "-d", "1", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let recording = unpacked(&path);
    assert!(recording.contains(OPEN.trim_end()) && !recording.contains(SECRET.trim_end()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600, "it holds the text of files");
    // What is shown is what was recorded, wherever that is.
    fs::remove_file(files.folder.join("open.py")).unwrap();
    let page = report(&[&path_text, "-f", "html", "-o", "-", "--full-filenames"], Scratch::new());
    assert_eq!(page.code, 0, "{page:?}");
    files.assert_shown(&page.stdout);
}

/// A program that root has started, and that ends as another user before its files are looked at.
#[test]
fn a_program_that_has_given_up_its_rights_names_nothing_of_root_s_any_more() {
    const GIVES_UP: &str = "
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for _ in range(1500): work()
";
    let files = Files::new(&python::newest(), "drop");
    let mut arguments: Vec<String> = ["-f", "html", "-o", "-", "--full-filenames", "--"].map(str::to_owned).to_vec();
    arguments.push("chroot".into());
    arguments.extend(root_and_program().map(|argument| argument.to_string_lossy().into_owned()));
    arguments.extend(["-c".into(), files.code(GIVES_UP)]);
    let page = record(&arguments);
    assert_eq!(page.code, 0, "{page:?}");
    // It was two users, and a link is to be of each of them.
    files.assert_shown_but(&page.stdout, &["sticky/its_link.py"]);
}

/// What systemd's unit in examples/deploy has: another user with two capabilities.
#[test]
fn who_may_trace_and_read_everything_without_being_root_is_shown_the_same() {
    let files = Files::new(&python::newest(), "trace");
    let target = Program::start_command(command_of(ITS, &[]), &files.code(SPIN));
    let ids = [format!("--reuid={ANOTHER}"), format!("--regid={ANOTHER}")];
    let rights = "+sys_ptrace,+dac_read_search";
    let rights = ["--clear-groups".to_owned(), format!("--inh-caps={rights}"), format!("--ambient-caps={rights}")];
    let setpriv: Vec<String> = ids.into_iter().chain(rights).collect();
    let arguments = ["record", "--max-overhead", "none", "-f", "html", "-o", "-", "-d", "1", "--full-filenames", "-p"];
    let page = run_as(&setpriv, &[&arguments[..], &[&target.pid_text()]].concat());
    assert_eq!(page.code, 0, "{page:?}");
    files.assert_shown(&page.stdout);
}

/// Who is root in a user namespace of its own may do there what it wants, and reads nothing more here.
#[test]
fn a_capability_of_another_user_namespace_reads_nothing() {
    let files = Files::new(&python::newest(), "namespace");
    let [root, program] = root_and_program();
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={ITS}"), &format!("--regid={ITS}"), "--clear-groups"]);
    command.args(["unshare", "--user", "--map-root-user"]);
    // No user namespace is made inside of a chroot (unshare(2)), and the way to the root is not for everybody.
    command.current_dir(root).args(["chroot", "."]).arg(program);
    let target = Program::start_command(command, &files.code(SPIN));
    let capabilities = processes::field(target.pid(), "CapEff").and_then(|bits| u64::from_str_radix(&bits, 16).ok());
    assert_eq!(capabilities.map(|bits| bits & 0b110), Some(0b110), "it reads everything where it is root");
    let page = record(&["-f", "html", "-o", "-", "-d", "1", "--full-filenames", "-p", &target.pid_text()]);
    assert_eq!(page.code, 0, "{page:?}");
    files.assert_shown(&page.stdout);
}

#[test]
fn a_perf_map_that_others_can_have_written_names_nothing() {
    const TRAMPOLINES: &str = concat!(
        "import os, threading\n",
        "def wait_for_the_end():\n    os.read(0, 1)\n    os._exit(0)\n",
        outer_and_inner!(),
        "threading.Thread(target=wait_for_the_end, daemon=True).start()\nprint('ready', flush=True)\nouter()\n"
    );
    let mut target = Program::start_command(command_of(ITS, &["-X", "perf"]), TRAMPOLINES);
    let map = python::newest().scratch().0.join(format!("perf-{}.map", target.pid()));
    eventually("it has a map", || map.exists());
    // Not made anew: fs.protected_regular lets nobody open what is another user's in a sticky folder for that.
    let mut file = fs::OpenOptions::new().append(true).open(&map).unwrap();
    file.write_all(b"0 ffffffffffff0000 forged_name\n").unwrap();
    // Names without lines are quickly looked up, and the same for both.
    let dumped = |words: &[&str], is_named: bool| {
        let ended = fpprof(&["dump", "-p", &target.pid_text()]);
        assert_eq!((ended.code, ended.stdout.contains("forged_name")), (0, is_named), "{ended:?}");
        let told = ended.stderr.lines().find(|line| line.starts_with("fpprof: warning: names: "));
        assert_eq!(told.is_some(), !words.is_empty(), "{ended:?}");
        assert!(words.iter().all(|word| told.is_some_and(|told| told.contains(word))), "{ended:?}");
    };
    let owned = |user: u32, mode: u32| {
        chown(&map, Some(user), Some(user)).unwrap();
        fs::set_permissions(&map, Permissions::from_mode(mode)).unwrap();
    };
    owned(ITS, 0o600);
    dumped(&[], true);
    owned(0, 0o644);
    dumped(&[], true);
    let path = format!("/tmp/perf-{}.map: not read: ", target.pid());
    owned(0, 0o600);
    dumped(&[&path, "the program's user (65534) may not read it"], false);
    owned(ANOTHER, 0o644);
    let words = "it is neither of the program's user nor of root";
    dumped(&[&path, words], false);
    let ended: Ended = record(&["-d", "500ms", "-o", "o.txt", "-p", &target.pid_text()]);
    assert!(!ended.recorded().contains("forged_name"), "{ended:?}");
    let told = format!("names: {path}{words}");
    assert!(ended.recorded().contains(&format!("# {told}")) && ended.stderr.contains(&told), "{ended:?}");
    fs::remove_file(&map).unwrap();
    symlink("/etc/hostname", &map).unwrap();
    std::os::unix::fs::lchown(&map, Some(ANOTHER), Some(ANOTHER)).unwrap();
    dumped(&[&path, "a link on the way to it is of another user"], false);
    fs::remove_file(&map).unwrap();
    dumped(&[], false);
    target.say("x");
}

/// A recording without its end holds neither names nor the text of files; those it names may be the reader's own.
#[test]
fn a_recording_that_is_handed_over_has_no_file_of_the_reader_s_opened() {
    const SOURCE: &str = "print('ready', flush=True)\nwhile True:\n    sum(range(10_000))\n";
    let kept = Scratch::new();
    let script = kept.path().join("readers_own.py");
    fs::write(&script, SOURCE).unwrap();
    let mut command = python::shared().command();
    command.arg(&script);
    let mut target = Program::spawn(command);
    assert_eq!(target.line(), "ready");
    let path = kept.path().join("run.fpprof");
    let path_text = path.to_string_lossy().into_owned();
    let ended = record(&["-o", &path_text, "-d", "1", "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let page = |arguments: &[&str]| {
        let page = report(&[&[&*path_text, "-f", "html", "-o", "-"], arguments].concat(), Scratch::new());
        assert_eq!(page.code, 0, "{page:?}");
        let page = page_data(&page.stdout);
        let files = page["files"].as_array().expect("a list").clone();
        let is_it = |file: &Value| file["name"].as_str().is_some_and(|name| name.ends_with("readers_own.py"));
        files.into_iter().find(is_it).expect("it is shown")
    };
    let line = "    sum(range(10_000))";
    assert_eq!(page(&[])["lines"][2], line, "the whole recording holds it");
    let native = |arguments: &[&str]| {
        report(&[&[&*path_text, "-f", "collapsed", "--native", "all"], arguments].concat(), Scratch::new())
    };
    assert!(native(&[]).stdout.contains(";Py_BytesMain"), "the whole recording holds names");

    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let cut = page(&[]);
    assert_eq!(cut["lines"], Value::Array(Vec::new()), "{cut}");
    assert!(cut["missing"].as_str().is_some_and(|why| why.contains("`fpprof report --sources FOLDER`")), "{cut}");
    assert_eq!(page(&["--sources", "/"])["lines"][2], line);
    let folder = kept.path().to_string_lossy().into_owned();
    let elsewhere = page(&["--sources", &folder]);
    assert_eq!(elsewhere["lines"], Value::Array(Vec::new()), "{elsewhere}");
    let cut = native(&[]);
    assert!(cut.code == 0 && !cut.stdout.contains("Py_BytesMain"), "{cut:?}");
    assert!(cut.stderr.contains("`--modules FOLDER`"), "{cut:?}");
    let named = native(&["--modules", "/"]);
    assert!(named.stdout.contains(";Py_BytesMain") && !named.stderr.contains("--modules"), "{named:?}");
    // Only what has the recorded build-id is the recorded file.
    let module = recordings::read(&path).programs.into_iter().flat_map(|program| program.modules);
    let module = module.map(|module| module.path).find(|path| path.contains("libpython")).expect("it is shared");
    let copy = kept.path().join(module.trim_start_matches('/'));
    fs::create_dir_all(copy.parent().expect("it is in a folder")).unwrap();
    for (original, is_named) in [(crate::run::FPPROF, false), (&*module, true)] {
        fs::copy(original, &copy).unwrap();
        let named = native(&["--modules", &folder]);
        assert_eq!(named.stdout.contains(";Py_BytesMain"), is_named, "{original}: {named:?}");
    }
    report(&[&path_text, "--modules", "/nowhere"], Scratch::new()).assert_refused(&["--modules", "/nowhere"]);
    report(&[&path_text, "--sources", "/nowhere"], Scratch::new()).assert_refused(&["--sources", "/nowhere"]);
}

#[test]
fn the_text_of_files_is_left_out_where_that_is_wanted() {
    const SOURCE: &str = "print('ready', flush=True)\nwhile True:\n    sum(range(10_000))\n";
    let kept = Scratch::new();
    let script = kept.path().join("left_out.py");
    fs::write(&script, SOURCE).unwrap();
    let mut command = python::shared().command();
    command.arg(&script);
    let mut target = Program::spawn(command);
    assert_eq!(target.line(), "ready");
    let pid = target.pid_text();
    let page = record(&["--no-sources", "-f", "html", "-o", "-", "-d", "500ms", "-p", &pid]);
    assert!(page.code == 0 && !page.stdout.contains("sum(range(10_000))"), "{page:?}");
    assert!(page.stdout.contains("it was left out (--no-sources)"), "{page:?}");
    let path = kept.path().join("run.fpprof");
    let path_text = path.to_string_lossy().into_owned();
    // A recording that was for all is not any more when it is replaced by one with the text of files.
    for (arguments, holds) in [(&["--no-sources"][..], false), (&[], true)] {
        let ended = record(&[arguments, &["-o", &path_text, "-d", "500ms", "-p", &pid]].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(unpacked(&path).contains("sum(range(10_000))"), holds);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077 == 0, holds);
    }
}
