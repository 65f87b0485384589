//! Switches that choose several processes.
//!
//! Does: spell them, and turn them into what is chosen. Does not: look for a process.

use std::path::Path;

use clap::{ArgAction, Args};

use super::failure::Failure;
use super::messages::listed;
use crate::target::containers;
use crate::target::selection::{Selection, is_container_id};
use crate::types::Pid;

/// So many containers of one name are named.
const MAX_NAMED: usize = 5;

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
            containers: self.container.iter().map(|id| container(Path::new("/"), id)).collect::<Result<_, _>>()?,
            all: self.all,
            descendants: self.subprocesses,
            without: self.exclude.clone(),
        })
    }
}

/// The id of a container, or the beginning of one. `root`: where the machine's files begin.
fn container(root: &Path, text: &str) -> Result<String, Failure> {
    // The name of what makes them can stand before an id: `containerd://…`, as Kubernetes shows it.
    let text = text.rsplit_once("://").map_or(text, |(_, id)| id);
    let mut ids = containers::ids_of_name(root, text);
    // A name can look like the beginning of an id: `facade`.
    if ids.is_empty() && is_container_id(text) {
        return Ok(text.to_ascii_lowercase());
    }
    if ids.len() > 1 {
        let what = format!("there are {} containers `{text}`: {}", ids.len(), listed(&ids, MAX_NAMED));
        return Err(Failure::new(what).with_hint(
            "Give the id of the one that is meant, six or more digits of it; `--container` can be given several times.",
        ));
    }
    ids.pop().ok_or_else(|| {
        Failure::new(format_args!("there is no container `{text}` that can be seen here")).with_hint(
            "Give its id, six or more digits of it: `docker ps`, `podman ps`, `crictl ps` or `kubectl describe pod` show it. \
             The names of containers are in files that only root may read.",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_of_several_containers_is_refused_with_their_ids() {
        let root = std::env::temp_dir().join(format!("fpprof-names-{}", std::process::id()));
        let add = |id: &str, name: &str| {
            let bundle = root.join("run/containerd/io.containerd.runtime.v2.task/k8s.io").join(id);
            fs::create_dir_all(&bundle).unwrap();
            let config = format!(r#"{{"annotations":{{"io.kubernetes.cri.container-name":"{name}"}}}}"#);
            fs::write(bundle.join("config.json"), config).unwrap();
        };
        let said = |text: &str| container(&root, text).map_err(|failure| failure.to_string());
        assert!(said("app").unwrap_err().contains("there is no container `app`"));
        add("cccc01", "app");
        assert_eq!(said("app"), Ok("cccc01".to_owned()));
        add("cccc02", "app");
        assert!(said("app").unwrap_err().contains("there are 2 containers `app`: cccc01, cccc02"));
        assert_eq!(said("containerd://CCCC02"), Ok("cccc02".to_owned()));
        assert_eq!(said("facade"), Ok("facade".to_owned()), "an id, as far as is known");
        add("dddd01", "facade");
        assert_eq!(said("facade"), Ok("dddd01".to_owned()));
        fs::remove_dir_all(&root).unwrap();
    }
}
