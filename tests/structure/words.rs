//! What people read is not read back: no code but version 1's reader knows the words for what a thread does.
//!
//! Does: find literals that are the words of a run state, or that they begin with. Does not: see words that are put together.

use fpprof::sampler::run_state::RunState;

use crate::source::Source;

/// The files that have the words: the table of states, and the reader of files that hold words.
pub const WORDS: &[&str] = &["sampler/run_state.rs", "profile/recording/version_1.rs"];

/// A shorter beginning can be that of anything.
const SHORTEST: usize = 5;

/// The words of each state. Of much else it can be unknown what it is, too.
fn all_words() -> Vec<String> {
    let io = RunState::Io { call: "read".into(), file: None };
    RunState::PLAIN.iter().chain([&io]).filter(|state| **state != RunState::Unknown).map(ToString::to_string).collect()
}

/// The lines of a file's code, counted from 1, that have the words for a state, with the literal.
pub fn words(source: &Source) -> Vec<(usize, String)> {
    let all = all_words();
    let lines = source.lines[..source.length].iter().enumerate();
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let literals = code.flat_map(|(line, text)| text.split('"').skip(1).step_by(2).map(move |text| (line + 1, text)));
    // One word can begin any sentence.
    let begins = |words: &String, text: &str| words.contains(' ') && text.starts_with(words.as_str());
    let says = |text: &str| all.iter().any(|words| words.starts_with(text) || begins(words, text));
    literals.filter(|(_, text)| text.len() >= SHORTEST && says(text)).map(|(line, text)| (line, text.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_states_are_found() {
        let count = |text: &str| words(&Source::new("output/x.rs", &format!("//! X.\n{text}\n"))).len();
        for text in [
            r#"state == "sleeping""#,
            r#"state.starts_with("on CPU")"#,
            r#"state.strip_prefix("I/O: ")"#,
            r#"("x", "waiting for the GIL")"#,
            r#"let s = "on CPU: Python, mostly";"#,
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
        for text in [
            r#"// state == "sleeping""#,
            r#"map_or("unknown", f)"#,
            r#"format!("stopped {} a sample", x)"#,
            r#"state == RunState::Sleeping"#,
            "#[cfg(test)]\nmod tests {\n f(\"sleeping\");\n}",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }
}
