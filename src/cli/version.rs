//! What this build of fpprof is: `--version`, and the first lines of a bug report.
//!
//! Does: say it in facts and in words. Does not: find out anything while it runs.

use std::sync::LazyLock;

use serde::Serialize;

use crate::capture::native::MACHINE;
use crate::output::format::Format;
use crate::python::layout::TESTED;
use crate::types::Machine;

/// What this build is.
#[derive(Debug, Serialize)]
pub struct Build {
    /// The version.
    pub version: &'static str,
    /// The commit and its date, where the build was told: `release/build` does.
    pub commit: Option<&'static str>,
    /// Architecture, system and C library.
    pub target: &'static str,
    /// Whether it needs no library of the system that it runs on.
    pub is_static: bool,
    /// Whether it was built to be fast.
    pub is_optimised: bool,
}

/// This build.
pub const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: option_env!("FPPROF_COMMIT"),
    target: TARGET,
    is_static: cfg!(target_feature = "crt-static"),
    is_optimised: !cfg!(debug_assertions),
};

const TARGET: &str = match (MACHINE, cfg!(target_env = "musl")) {
    (Machine::X86_64, false) => "x86_64-linux-gnu",
    (Machine::X86_64, true) => "x86_64-linux-musl",
    (Machine::Aarch64, false) => "aarch64-linux-gnu",
    (Machine::Aarch64, true) => "aarch64-linux-musl",
};

/// What `fpprof --version` prints behind the program's name; `-V` prints the first word of it.
pub fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let linked = if BUILD.is_static { "static" } else { "dynamic" };
        let optimised = if BUILD.is_optimised { "" } else { ", not optimised" };
        let (oldest, newest) = (TESTED[0], TESTED[TESTED.len() - 1]);
        let formats: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        format!(
            "{}\nbuild:  {}\ntarget: {}, {linked}{optimised}\nreads:  CPython {}.{} to {}.{} of the same architecture\nwrites: {}, fpprof",
            BUILD.version,
            BUILD.commit.unwrap_or("from source"),
            BUILD.target,
            oldest.0,
            oldest.1,
            newest.0,
            newest.1,
            formats.join(", "),
        )
    });
    &TEXT
}
