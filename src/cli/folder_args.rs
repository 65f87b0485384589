//! Folders in which the user lets what a recording names be looked for.
//!
//! Does: declare the switches, and open the folders. Does not: look for anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::failure::Failure;
use crate::target::root::TargetRoot;

/// Where files of native code are.
#[derive(Debug, Args)]
pub struct ModulesArg {
    /// Look names of native functions that the recording does not hold (it was cut off) up in the files below this folder that have the
    /// recorded paths and build-ids: `/` for those of this system. Without it, no file that the recording names is opened.
    #[arg(long = "modules", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl ModulesArg {
    /// The folder, if one was named.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn root(&self) -> Result<Option<Arc<TargetRoot>>, Failure> {
        self.folder.as_deref().map(|folder| open("--modules", folder).map(Arc::new)).transpose()
    }
}

/// Opens a folder that a switch names; what is read is below it, and links do not lead out of it.
///
/// # Errors
/// When it cannot be opened.
pub fn open(switch: &str, folder: &Path) -> Result<TargetRoot, Failure> {
    TargetRoot::at(folder).map_err(|error| {
        Failure::new(format_args!("the folder of `{switch}`, `{}`, cannot be opened: {error}", folder.display()))
            .with_hint(
                "Give a folder below which files have the paths that the program saw: `/` for this system's own.",
            )
    })
}
