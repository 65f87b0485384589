//! The arguments of `fpprof completions` and `fpprof man`.
//!
//! Does: declare them. Does not: act on them.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `fpprof completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fpprof completions bash >/usr/share/bash-completion/completions/fpprof\n  \
    fpprof completions zsh >/usr/share/zsh/vendor-completions/_fpprof\n  fpprof completions fish >~/.config/fish/completions/fpprof.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `fpprof man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fpprof man /usr/share/man/man1")]
pub struct ManArgs {
    /// The folder: a page of each command goes there, fpprof.1, fpprof-record.1, …
    pub folder: PathBuf,
}
