//! Patterns in which users say what something is called.
//!
//! Does: compare a text with one. Does not: know what is compared.

/// Whether a text is like a pattern: the parts of the pattern between its `*` are in the text, one behind the other.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.split_once(part) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_part_of_a_name() {
        for (pattern, text) in [("run", "Shop.run"), ("Shop*run", "a.Shop.run_all"), ("", "x"), ("*", ""), ("ä", "ä")]
        {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("Run", "Shop.run"), ("run*Shop", "Shop.run"), ("aa*aa", "aaa")] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}
