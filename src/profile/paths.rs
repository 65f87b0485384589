//! Shortens the paths of files to what tells a reader which file it is.
//!
//! Does: work on paths as text, as the target sees them. Does not: look at any file, or clean text for display.

/// Where a target's files are: paths below one of these are shown relative to it. Absent: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathRoots {
    /// The project: the target's current directory.
    pub project: Option<String>,
    /// The home directory of the target's user.
    pub home: Option<String>,
    /// Show every path in full.
    pub full: bool,
}

impl PathRoots {
    /// A Python file, shortly:
    /// - installed packages from the package's name on: `requests/api.py`,
    /// - the standard library from the module's name on: `json/decoder.py`,
    /// - the project's files relative to the project, those in the home directory with `~`,
    /// - others, and what is no path (`<string>`), unchanged.
    pub fn python_file<'a>(&self, path: &'a str) -> std::borrow::Cow<'a, str> {
        if self.full {
            return path.into();
        }
        if let Some(short) = in_packages(path).or_else(|| in_standard_library(path)) {
            return short.into();
        }
        if let Some(short) = self.project.as_deref().and_then(|project| below(path, project)) {
            return short.into();
        }
        match self.home.as_deref().and_then(|home| below(path, home)) {
            Some(short) => format!("~/{short}").into(),
            None => path.into(),
        }
    }

    /// A native source file, shortly: relative to the project, else its name with the folder it is in
    /// (`Python/ceval.c`, not one `mod.rs` of many).
    pub fn source_file<'a>(&self, path: &'a str) -> &'a str {
        if self.full {
            return path;
        }
        if let Some(short) = self.project.as_deref().and_then(|project| below(path, project)) {
            return short;
        }
        short_source(path)
    }
}

/// A source file's name with the folder that it is in: `Python/ceval.c`.
pub fn short_source(path: &str) -> &str {
    let Some((folders, _)) = path.rsplit_once('/') else { return path };
    let start = folders.rfind('/').map_or(0, |slash| slash + 1);
    let short = path.get(start..).unwrap_or(path);
    let has_folder = !short.starts_with(['/', '.']);
    if has_folder { short } else { file_name(path) }
}

/// The last part of a path; the whole when it ends in a slash.
pub fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| if name.is_empty() { path } else { name })
}

/// What is behind the folder of installed packages in a path, if there is one.
pub fn in_packages(path: &str) -> Option<&str> {
    ["/site-packages/", "/dist-packages/"]
        .iter()
        .filter_map(|folder| path.rfind(folder).and_then(|at| path.get(at + folder.len()..)))
        .min_by_key(|rest| rest.len())
        .filter(|rest| !rest.is_empty())
}

/// What is behind the folder of the standard library (`lib/python3.13/`, `lib/python313.zip/`) in a path.
/// The caller has ruled installed packages out.
pub fn in_standard_library(path: &str) -> Option<&str> {
    let mut rest = path;
    while let Some((folder, below)) = rest.split_once('/') {
        rest = below;
        let Some((python, inside)) = below.split_once('/') else { break };
        let is_lib = matches!(folder, "lib" | "lib32" | "lib64");
        if is_lib && is_python_folder(python) && !inside.is_empty() {
            return Some(inside);
        }
    }
    None
}

/// Whether a folder is named as CPython's installation names the one of its modules: `python3.13`, `python3.14t`
/// (free-threaded), `python3.13d` (debug), `python313.zip`.
fn is_python_folder(name: &str) -> bool {
    let Some(version) = name.strip_prefix("python3") else { return false };
    let digits = match version.strip_prefix('.') {
        Some(minor) => minor.trim_end_matches(['t', 'd']),
        None => version.strip_suffix(".zip").unwrap_or(""),
    };
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The path relative to a folder that it is in. Nothing is relative to `/`: that would only drop the slash.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let folder = folder.trim_end_matches('/');
    if folder.is_empty() {
        return None;
    }
    path.strip_prefix(folder)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> PathRoots {
        PathRoots { project: Some("/home/ada/shop".into()), home: Some("/home/ada/".into()), full: false }
    }

    #[test]
    fn python_files_are_named_as_a_reader_knows_them() {
        for (path, short) in [
            ("/home/ada/shop/orders/models.py", "orders/models.py"),
            ("/home/ada/shopping/list.py", "~/shopping/list.py"),
            ("/home/ada/shop/.venv/lib/python3.13/site-packages/requests/api.py", "requests/api.py"),
            ("/usr/lib/python3/dist-packages/yaml/reader.py", "yaml/reader.py"),
            ("/v/site-packages/pip/_vendor/site-packages/x.py", "x.py"),
            ("/home/ada/.pyenv/versions/3.13.0/lib/python3.13/json/decoder.py", "json/decoder.py"),
            ("/lib/python3.14t/threading.py", "threading.py"),
            ("/opt/tool/run.py", "/opt/tool/run.py"),
            ("script.py", "script.py"),
            ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
            ("<string>", "<string>"),
            ("", ""),
        ] {
            assert_eq!(roots().python_file(path), short, "{path}");
        }
    }

    #[test]
    fn a_path_never_becomes_nothing() {
        for path in ["/home/ada/shop/", "/home/ada/shop", "/v/site-packages/", "/lib/python3.13/", "/", "//"] {
            assert!(!roots().python_file(path).is_empty(), "{path}");
            assert!(!roots().source_file(path).is_empty(), "{path}");
        }
    }

    #[test]
    fn nothing_is_shown_relative_to_the_root_directory() {
        let at_root = PathRoots { project: Some("/".into()), home: Some("/".into()), full: false };
        assert_eq!(at_root.python_file("/srv/run.py"), "/srv/run.py");
        assert_eq!(PathRoots::default().python_file("/srv/run.py"), "/srv/run.py");
    }

    #[test]
    fn full_paths_stay_as_they_are() {
        let roots = PathRoots { full: true, ..roots() };
        for path in ["/usr/lib/python3.13/json/decoder.py", "/home/ada/shop/x.py", "/build/Python/ceval.c", "<string>"]
        {
            assert_eq!(roots.python_file(path), path);
            assert_eq!(roots.source_file(path), path);
        }
    }

    #[test]
    fn native_sources_keep_their_folder() {
        for (path, short) in [
            ("/build/python3.13-3.13.0/Python/ceval.c", "Python/ceval.c"),
            ("./Modules/_json.c", "Modules/_json.c"),
            ("../ceval.c", "ceval.c"),
            ("/ceval.c", "ceval.c"),
            ("ceval.c", "ceval.c"),
            ("/home/ada/shop/native/fast/kernel.c", "native/fast/kernel.c"),
        ] {
            assert_eq!(roots().source_file(path), short, "{path}");
        }
    }
}
