//! A source file as the rules see it: its code without comments and strings, and which of its lines are tests.
//!
//! Does: split Rust's text lexically. Does not: parse it, or know any rule.

/// One source file.
pub struct Source {
    /// Its path below `src`, with `/`.
    pub name: String,
    /// Its lines as written.
    pub lines: Vec<String>,
    /// The same lines with comments, strings and character literals blanked out.
    pub code: Vec<String>,
    /// The number of lines before the unit tests.
    pub length: usize,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Source {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code: Vec<String> = blank_out(text).lines().map(str::to_owned).collect();
        let is_test_file = name.ends_with("/tests.rs") || name.contains("/tests/");
        // Before the tests, single functions can be for them.
        let opens_tests = |at: &usize| code[*at].trim() == "#[cfg(test)]" && opens_inline_module(&code, *at);
        let tests = (0..code.len()).find(opens_tests);
        let length = if is_test_file { 0 } else { tests.unwrap_or(code.len()) };
        Source { name: name.to_owned(), lines, code, length }
    }

    /// The first folder of its path, or the file's own name without `.rs`: the module of the library it belongs to.
    pub fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn opens_inline_module(code: &[String], attribute: usize) -> bool {
    let next = code.get(attribute + 1).map(|line| line.trim()).unwrap_or_default();
    next.starts_with("mod ") && next.ends_with('{')
}

/// Replaces every character of comments, strings and character literals by a space; line breaks stay.
fn blank_out(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut blanked = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = literal_or_comment(&characters, at);
        if end == at {
            blanked.push(characters[at]);
            at += 1;
        }
        for &character in &characters[at..end.max(at)] {
            blanked.push(if character == '\n' { '\n' } else { ' ' });
        }
        at = end.max(at);
    }
    blanked
}

/// Where the comment, string or character literal that begins at `at` ends; `at` when none begins there.
fn literal_or_comment(text: &[char], at: usize) -> usize {
    let next = |offset: usize| text.get(at + offset).copied();
    match text[at] {
        '/' if next(1) == Some('/') => find(text, at, |rest| rest[0] == '\n'),
        '/' if next(1) == Some('*') => end_of_block_comment(text, at),
        '"' => end_of_string(text, at + 1),
        'r' | 'b' | 'c' if !is_identifier(at.checked_sub(1).and_then(|before| text.get(before))) => {
            end_of_prefixed(text, at)
        }
        '\'' => end_of_character(text, at),
        _ => at,
    }
}

fn is_identifier(character: Option<&char>) -> bool {
    character.is_some_and(|character| character.is_alphanumeric() || *character == '_')
}

fn find(text: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..text.len()).find(|&at| found(&text[at..])).unwrap_or(text.len())
}

/// Block comments nest in Rust.
fn end_of_block_comment(text: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn end_of_string(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Strings with a prefix: `b"…"`, `c"…"`, `r#"…"#`, `br"…"`, and the byte `b'…'`.
fn end_of_prefixed(text: &[char], start: usize) -> usize {
    let prefix = text[start..].iter().take(2).take_while(|character| "rbc".contains(**character)).count();
    let raw = text[start..start + prefix].contains(&'r');
    let hashes = if raw { text[start + prefix..].iter().take_while(|character| **character == '#').count() } else { 0 };
    let open = start + prefix + hashes;
    match text.get(open) {
        Some('"') if raw => {
            let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            (find(text, open + 1, |rest| rest.starts_with(&close)) + close.len()).min(text.len())
        }
        Some('"') => end_of_string(text, open + 1),
        Some('\'') if text[start] == 'b' && prefix == 1 => end_of_character(text, open),
        _ => start,
    }
}

/// A character literal, or `at` when the quote begins a lifetime.
fn end_of_character(text: &[char], at: usize) -> usize {
    match text[at..] {
        ['\'', '\\', ..] => (find(text, at + 3, |rest| rest[0] == '\'') + 1).min(text.len()),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked_out_and_code_is_not() {
        let source = r####"a // unsafe
b /* unsafe /* unsafe */ unsafe */ c
d("unsafe \" unsafe", r#"unsafe " unsafe"#, b"unsafe", br"unsafe", c"unsafe", '"', '\'', b'"', '\u{22}') e
fn f<'a>(x: &'a str) -> r#type { for_br"unsafe" }
"unsafe
unsafe" g"####;
        let code = Source::new("x.rs", source).code;
        assert!(!code.join("\n").contains("unsafe"), "{code:#?}");
        assert_eq!(code.len(), 6);
        for (line, kept) in code.iter().zip(["a", "c", "e", "fn f<'a>(x: &'a str) -> r#type { for_br", "", "g"]) {
            assert!(line.contains(kept), "{line}");
        }
    }

    #[test]
    fn unit_tests_are_not_counted() {
        let source = Source::new("unwind/x.rs", "//! X.\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!((source.length, source.module()), (2, "unwind"));
        let with_helper = "//! X.\n#[cfg(test)]\nfn helper() {}\nfn f() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(Source::new("unwind/x.rs", with_helper).length, 4);
        assert_eq!(Source::new("unwind/tests.rs", "//! X.\nfn f() {}\n").length, 0);
        assert_eq!(Source::new("merge.rs", "//! X.\n#[cfg(test)]\nmod tests;\nfn f() {}\n").length, 4);
        assert_eq!(Source::new("merge.rs", "").module(), "merge");
    }
}
