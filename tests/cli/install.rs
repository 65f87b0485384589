//! What packages install beside the program: real shells complete with it, and man shows the pages.

use std::process::Command;

use crate::run::{Scratch, fpprof};

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    text
}

#[test]
fn bash_completes_commands_and_switches() {
    let folder = Scratch::new();
    let script = folder.path().join("fpprof.bash");
    std::fs::write(&script, fpprof(&["completions", "bash"]).stdout).expect("it can be written");
    let completed = |words: &[&str]| {
        let number = words.len() - 1;
        let program = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={number}; _fpprof fpprof '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.join(" "),
            words[number],
            words[number - 1],
        );
        let text = run(Command::new("bash").args(["--norc", "-c", &program]));
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed(&["fpprof", "rec"]), ["record"]);
    assert_eq!(completed(&["fpprof", "record", "--max-o"]), ["--max-overhead"]);
    assert_eq!(completed(&["fpprof", "record", "--mode", "w"]), ["wall"]);
    assert_eq!(completed(&["fpprof", "diff", "--unit", ""]), ["share", "seconds"]);
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = fpprof(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script:?}");
        assert!(script.stdout.contains("max-overhead"), "{shell}");
    }
}

#[test]
fn the_version_says_what_the_build_is() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(fpprof(&["-V"]).stdout, format!("fpprof {version}\n"));
    let long = fpprof(&["--version"]).stdout;
    let machine = format!("target: {}-linux-gnu, ", std::env::consts::ARCH);
    for words in [&format!("fpprof {version}\nbuild:  "), &machine, "reads:  CPython 3.11 to 3.15", "flamegraph, "] {
        assert!(long.contains(words), "{words:?} is missing in {long}");
    }
}

#[test]
fn each_command_has_a_page_that_man_shows() {
    let folder = Scratch::new();
    let path = folder.path().to_string_lossy().into_owned();
    let made = fpprof(&["man", &path]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{made:?}");
    for (page, words) in [
        ("fpprof.1", "fpprof-record(1)"),
        ("fpprof-record.1", "--max-overhead <PERCENT>"),
        ("fpprof-diff.1", "1 one of them cannot be read"),
        ("fpprof-top.1", "Press ? for the keys"),
    ] {
        let file = folder.path().join(page);
        let shown =
            run(Command::new("man").args(["--warnings=all", "-P", "cat", "-l"]).arg(&file).env("MANWIDTH", "100"));
        // Spaces are for the layout, and hyphens may break.
        let text = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{page}: {text}");
    }
    fpprof(&["man", "/dev/null/pages"]).assert_refused(&["/dev/null/pages", "a folder that is there"]);
}
