//! `fpprof diff`: two recordings of real programs, compared.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::patience::{emulated_or, milliseconds};
use crate::python::{self, Program};
use crate::run::{Ended, FPPROF, Scratch, fpprof, start_command};

/// Works in `small` once and in `large` as often as is asked for, each time as much. It makes no system calls, which draw samples to
/// themselves, more of them where interrupts take longer.
const WORK: &str = "
def spin():
    for _ in range(50_000): pass
def small(): spin()
def large(): spin()
print('ready', flush=True)
while True:
    small()
    for _ in range(TIMES): large()
";

/// A recording of that.
fn recorded(folder: &Scratch, times: usize) -> String {
    let target = Program::start(&python::newest(), &WORK.replace("TIMES", &times.to_string()));
    let path: PathBuf = folder.path().join(format!("{times}.fpprof"));
    let path = path.to_string_lossy().into_owned();
    let time = format!("{}ms", milliseconds(3_000));
    let ended =
        fpprof(&["record", "-d", &time, "-r", "200", "--max-overhead", "none", "-o", &path, "-p", &target.pid_text()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    path
}

fn diff(arguments: &[&str], folder: Scratch) -> Ended {
    let mut command = std::process::Command::new(FPPROF);
    command.arg("diff").args(arguments);
    start_command(command, folder).wait()
}

#[test]
fn a_change_is_found_with_its_size_and_no_other() {
    let kept = Scratch::new();
    let [before, after] = [1, 3].map(|times| recorded(&kept, times));
    let shown = diff(&[&before, &after, "-f", "json"], Scratch::new());
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""), "{shown:?}");
    let document: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
    let function = |name: &str| {
        let functions = document["functions"].as_array().expect("a list");
        functions
            .iter()
            .find(|function| function["name"] == name)
            .cloned()
            .unwrap_or_else(|| panic!("no {name}: {document}"))
    };
    // From 1 of 2 to 3 of 4.
    for (name, before, after) in [("large", 0.5, 0.75), ("small", 0.5, 0.25)] {
        let total = &function(name)["total"];
        for (side, truth) in [("before", before), ("after", after)] {
            let [value, error] = ["value", "error"].map(|part| total[side][part].as_f64().expect("a number"));
            // What is around the work takes some time, too.
            assert!((value - truth).abs() < 4.0 * error + 0.03, "{name} {side}: {value} ± {error}");
        }
        assert_eq!(total["noise"], false, "{name}: {total}");
    }
    for name in ["spin", "<module>"] {
        assert_eq!(function(name)["total"]["noise"], true, "{name}: {document}");
    }
    let table = diff(&[&before, &after], Scratch::new()).stdout;
    let large = table.lines().find(|line| line.contains("large (<string>)")).unwrap_or_else(|| panic!("{table}"));
    assert!(large.contains(" +") && !large.contains('~'), "{large}");
    // What `spin` takes in all does not change. Where processors are emulated its own part may: what it calls gets faster there.
    let (own, totals) = table.split_once("total time of").unwrap_or_else(|| panic!("{table}"));
    assert!(!totals.contains("spin (<string>)"), "{table}");
    assert!(emulated_or(!own.contains("spin (<string>)"), true), "{table}");

    // A recording compared with itself.
    let same = diff(&[&after, &after, "--all", "--unit", "seconds"], Scratch::new()).stdout;
    let rows = || same.lines().filter(|line| line.contains(" s "));
    assert!(rows().count() > 3 && rows().skip(1).all(|row| row.contains('~')), "{same}");
    assert!(same.contains("+0.00 ±"), "{same}");

    let picture = diff(&[&before, &after, "-o", "change.svg", "--stacks", "before"], Scratch::new());
    assert_eq!((picture.code, &picture.files[..]), (0, &["change.svg".to_owned()][..]), "{picture:?}");

    let one = diff(&[&before, &after, "--focus", "large", "-f", "json"], Scratch::new());
    assert!(!one.stdout.contains("\"small\""), "{one:?}");

    for (arguments, words) in [
        (&[&before[..], &after, "-o", &after, "--force"][..], &["is the recording itself"][..]),
        (&[&before, &after, "-f", "flamegraph"], &["for a browser", "--output change.svg"]),
        (&[&before, &after, "--focus", "no such function"], &["nothing to compare", "1.fpprof"]),
        (&[&before, "nowhere.fpprof"], &["nowhere.fpprof", "cannot be read"]),
    ] {
        diff(arguments, Scratch::new()).assert_refused(words);
    }
    let foreign = kept.path().join("foreign.txt");
    fs::write(&foreign, "mine").expect("it can be written");
    let foreign = foreign.to_string_lossy();
    diff(&[&before, &after, "-o", &foreign], Scratch::new()).assert_refused(&["fpprof has not written it", "--force"]);
    for _ in 0..2 {
        let own = diff(&[&before, &after, "--force", "-o", &foreign], Scratch::new());
        assert_eq!(own.code, 0, "{own:?}");
    }
    for name in ["own.txt", "own.json"] {
        let own = kept.path().join(name);
        for _ in 0..2 {
            let written = diff(&[&before, &after, "-o", &own.to_string_lossy()], Scratch::new());
            assert_eq!(written.code, 0, "what fpprof has written is replaced: {written:?}");
        }
    }
}
