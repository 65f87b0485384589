//! Switches that choose several processes.
//!
//! Does: spell them, and turn them into what is chosen. Does not: look for a process.

use std::path::Path;

use clap::{ArgAction, Args};

use super::failure::Failure;
use crate::target::containers;
use crate::target::selection::{Selection, is_container_id};
use crate::types::Pid;

/// Which processes, beside the one that `--pid` names or that is started.
#[derive(Debug, Clone, Default, Args)]
pub struct ProcessArgs {
    /// The processes that the chosen ones start, too, and those that these start: workers, pools, reloaders, for as long as it takes.
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub subprocesses: bool,

    /// All processes whose command line has this in it, `*` standing for any text: `--name gunicorn`, `--name 'celery*worker'`. May be given
    /// several times.
    #[arg(long, value_name = "PATTERN")]
    pub name: Vec<String>,

    /// All processes of this control group and of those below it: a path as /proc/PID/cgroup has it. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub cgroup: Vec<String>,

    /// All processes of this container (docker, containerd, CRI-O, podman), by its id, six or more digits of it, or its name. May be given several times.
    #[arg(long, value_name = "ID|NAME")]
    pub container: Vec<String>,

    /// All processes that can be seen and run Python.
    #[arg(long, action = ArgAction::SetTrue)]
    pub all: bool,

    /// None of the processes whose command line has this in it. May be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
}

/// The same, where more may come for as long as it takes.
#[derive(Debug, Clone, Default, Args)]
pub struct FollowArgs {
    /// Which.
    #[command(flatten)]
    pub processes: ProcessArgs,

    /// Wait for processes that are chosen, also while there are none.
    #[arg(long, action = ArgAction::SetTrue)]
    pub wait: bool,
}

impl FollowArgs {
    /// What is chosen, beside this process.
    ///
    /// # Errors
    /// See [`ProcessArgs::selection`], and where there is nothing to wait for.
    pub fn selection(&self, pid: Option<Pid>) -> Result<Selection, Failure> {
        if self.wait && !self.processes.is_open() {
            return Err(Failure::new("`--wait` waits for processes that are to be, and a process by its id is there")
                .with_hint("Choose them by `--name PATTERN`, `--cgroup PATH` or `--container ID`."));
        }
        self.processes.selection(pid)
    }
}

impl ProcessArgs {
    /// Whether several processes can be meant.
    pub fn is_several(&self) -> bool {
        self.subprocesses || self.is_open()
    }

    /// Whether processes are chosen by more than their ids.
    pub fn is_open(&self) -> bool {
        self.all || !(self.name.is_empty() && self.cgroup.is_empty() && self.container.is_empty())
    }

    /// What is chosen, beside these processes.
    ///
    /// # Errors
    /// When a switch makes no sense without another, or a container is not known.
    pub fn selection(&self, pid: Option<Pid>) -> Result<Selection, Failure> {
        if !self.is_several() && !self.exclude.is_empty() {
            return Err(Failure::new("`--exclude` leaves out some of several processes, and one is chosen")
                .with_hint("Add `--subprocesses`, `--name PATTERN`, `--container ID` or `--all`."));
        }
        Ok(Selection {
            pids: pid.into_iter().collect(),
            names: self.name.clone(),
            cgroups: self.cgroup.clone(),
            containers: self.container.iter().map(|id| container(id)).collect::<Result<_, _>>()?,
            all: self.all,
            descendants: self.subprocesses,
            without: self.exclude.clone(),
        })
    }
}

/// The id of a container, or the beginning of one.
fn container(text: &str) -> Result<String, Failure> {
    // The name of what makes them can stand before an id: `containerd://…`, as Kubernetes shows it.
    let text = text.rsplit_once("://").map_or(text, |(_, id)| id);
    match is_container_id(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => containers::id_of_name(Path::new("/"), text).ok_or_else(|| {
            Failure::new(format_args!("there is no container `{text}` that can be seen here")).with_hint(
                "Give its id, six or more digits of it: `docker ps`, `podman ps`, `crictl ps` or `kubectl describe pod` show it. \
                 The names of containers are in files that only root may read.",
            )
        }),
    }
}
