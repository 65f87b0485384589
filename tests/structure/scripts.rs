//! A rule for the project's shell scripts.
//!
//! Does: find pipes into a command that stops reading early, in scripts that take a pipe's failure for their own.
//! Does not: parse shell; it looks at lines of text.

/// What stops at the first line that it wants. Its writer then ends by SIGPIPE, or does not, as it happens to be fast or
/// slow, and `set -o pipefail` makes that the pipe's failure. GNU grep stops early for -q and for -m. Read to the end instead
/// (`sed -n 1p`), or read from `< <(command)`, whose end nobody asks for.
fn stops_early(command: &str) -> bool {
    let mut words = command.split_whitespace();
    match words.next() {
        Some("head") => true,
        Some("grep") => words
            .take_while(|word| word.starts_with('-') && *word != "--")
            .any(|word| !word.starts_with("--") && word.contains(['q', 'm'])),
        _ => false,
    }
}

/// The lines of a script, by number from 1, that pipe into what stops early.
pub fn lines_that_stop_early(script: &str) -> Vec<usize> {
    if !script.contains("pipefail") {
        return Vec::new();
    }
    let piped =
        |line: &str| line.replace("||", ";").split('|').skip(1).any(|command| stops_early(command.trim_start()));
    // A pipe may go on in the next line.
    let goes_on = |line: &str| line.trim_end().ends_with('|') && !line.trim_end().ends_with("||");
    let lines: Vec<&str> = script.lines().collect();
    let is_bad = |at: usize| {
        !lines[at].trim_start().starts_with('#')
            && (piped(lines[at]) || at > 0 && goes_on(lines[at - 1]) && stops_early(lines[at].trim_start()))
    };
    (0..lines.len()).filter(|at| is_bad(*at)).map(|at| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::lines_that_stop_early;

    #[test]
    fn pipes_into_what_stops_early_are_found() {
        let script =
            "set -o pipefail\nman x | grep -q y || die\na | grep -v -m1 b\na |\n    head -1\nx=$(a | head -n 1)\n";
        assert_eq!(lines_that_stop_early(script), [2, 3, 5, 6]);
    }

    #[test]
    fn what_reads_to_the_end_is_none() {
        let script = "set -o pipefail\n# a | head -1\na | grep -c q\na | sed -n 1p\ngrep -q y < <(man x) || head -1 file\na | grep -- -q\n";
        assert_eq!(lines_that_stop_early(script), [0_usize; 0]);
    }
}
