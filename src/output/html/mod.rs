//! One self-contained page: flame graph, functions, lines of source, threads over time.
//!
//! Does: put the page together from its own files and one block of data, so that nothing is loaded from anywhere and no name of the
//! target can be more than text. Does not: compute what is shown (`data`), or draw; the page's scripts do.

mod data;
mod functions;
mod heat;
mod kinds;
mod threads;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use sha2::{Digest, Sha256};

use super::label::LabelOptions;
use super::{SampledProfile, ShownProfile};
use crate::profile::sources::Sources;

/// How the page begins, by which it can be told to be fpprof's.
pub(super) const BEGINNING: &str = "<!DOCTYPE html>\n<!-- fpprof: ";

const STYLE: &str = include_str!("style.css");
/// In the order in which they use each other.
const SCRIPT: &str = concat!(
    "'use strict';\n",
    include_str!("text.js"),
    include_str!("flame.js"),
    include_str!("functions.js"),
    include_str!("processes.js"),
    include_str!("source.js"),
    include_str!("threads.js"),
    include_str!("page.js"),
);
const BODY: &str = include_str!("page.html");

/// Writes the page, also of an empty profile.
///
/// # Errors
/// Those of the writer.
pub(super) fn write(
    shown: &ShownProfile<'_>,
    sampled: SampledProfile<'_>,
    options: &LabelOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let none = Sources::default();
    let data = data::Data::new(sampled, shown.sources.unwrap_or(&none), options);
    // Nothing in JSON but texts holds a `<`, and in a text this is the same: no name can end the block that it stands in.
    let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let title = shown.facts.title();
    // Only this style and this script count; nothing is loaded (https://www.w3.org/TR/CSP3/).
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    write!(
        out,
        "{BEGINNING}what a program spent its time with; open it in any browser -->\n<html lang=\"en\">\n<head>\n\
         <meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n",
        escape(title.as_str())
    )?;
    write!(
        out,
        "{BODY}<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )?;
    out.flush()
}

/// As a content security policy names a text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing() {
        for part in [STYLE, SCRIPT, BODY] {
            for address in ["http:", "https:", "//cdn", "url(", "@import", "fetch(", "XMLHttpRequest"] {
                assert!(!part.contains(address), "{address}");
            }
        }
    }

    #[test]
    fn the_scripts_write_no_markup() {
        // Names of the target become text nodes.
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }

    #[test]
    fn hashes_are_those_of_the_policy() {
        // The example of CSP Level 3, section 8.4.
        assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
    }
}
