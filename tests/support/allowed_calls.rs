//! Which function can have called which: read from the text of the programs, without running them.
//!
//! Does: judge a pair of Python frames that stand next to each other. Does not: know how fpprof put them there.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

/// What stands in a caller's line for a function that is not called by its own name: names under which it is passed on,
/// and the syntax that calls it.
const OTHER_NAMES: &[(&str, &str)] = &[
    // hashlib: `new = __hash_new`.
    ("__hash_new", "new("),
    // Thread.run calls what it was given.
    ("wait_for_word", "self._target("),
    // numpy.apply_along_axis calls its parameter.
    ("row_norm", "func1d("),
    ("__enter__", "with "),
    ("__exit__", "with "),
    ("__next__", "for "),
    ("__next__", "next("),
    ("__iter__", "for "),
    ("__call__", "("),
];

/// A Python frame: qualified name, file, line.
pub type Frame = (String, String, Option<u32>);

/// Judges pairs of frames.
pub struct AllowedCalls {
    program: String,
    calls: HashSet<(String, String)>,
    /// Where the target's files are, seen from here.
    root: PathBuf,
    sources: HashMap<String, Vec<String>>,
}

impl AllowedCalls {
    /// `calls` are all pairs of `program`'s own functions; other files are found below `root`.
    pub fn new(program: String, calls: &[(String, String)], root: PathBuf) -> AllowedCalls {
        AllowedCalls { program, calls: calls.iter().cloned().collect(), root, sources: HashMap::new() }
    }

    /// Whether `caller`, in the line that it executes, can have called `callee`.
    ///
    /// The program's own pairs are those that it lists. For any other caller the text of its line must name what it
    /// calls; code without a text (frozen modules, the work loop's) is let through when it is a library's.
    pub fn allows(&mut self, caller: &Frame, callee: &Frame) -> bool {
        let own = |frame: &Frame| frame.1 == self.program;
        if own(callee) && (own(caller) || caller.0 == "work") {
            return self.calls.contains(&(caller.0.clone(), callee.0.clone()));
        }
        let name = callee.0.rsplit('.').next().unwrap_or_default().to_owned();
        // A comprehension, lambda or generator expression stands in its caller's text without a name.
        if name.starts_with('<') {
            return callee.1 == caller.1;
        }
        let Some(text) = self.text(caller) else { return true };
        let class = callee.0.rsplit('.').nth(1).unwrap_or_default();
        let constructs = name == "__init__" || name == "__new__";
        // NumPy's C code calls `_f_dispatcher` for `f`, and `_sum` for `x.sum()`.
        let dispatched = name.strip_prefix('_').map(|name| name.strip_suffix("_dispatcher").unwrap_or(name));
        text.contains(&name)
            || (constructs && text.contains(class))
            || dispatched.is_some_and(|function| text.contains(function))
            || OTHER_NAMES.iter().any(|(function, other)| *function == name && text.contains(other))
    }

    /// The line that a frame executes.
    fn text(&mut self, frame: &Frame) -> Option<String> {
        let (_, file, Some(line)) = frame else { return None };
        let root = &self.root;
        let lines = self.sources.entry(file.clone()).or_insert_with(|| {
            let path = root.join(file.trim_start_matches('/'));
            fs::read_to_string(path).map_or_else(|_| Vec::new(), |text| text.lines().map(str::to_owned).collect())
        });
        lines.get((*line as usize).checked_sub(1)?).cloned()
    }
}
