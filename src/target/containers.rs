//! What containers are called: no control group has their names.
//!
//! Does: find the id of a container by its name in the files that docker, podman and containerd keep of theirs. Does not: ask a
//! service, or look for the container's processes.
//!
//! Sources: docker's `containers/ID/config.v2.json` (`Name`, with a slash before it); podman's `overlay-containers/containers.json` (a list
//! of `id` and `names`); the OCI bundles of containerd's shims, whose `config.json` has the annotations of Kubernetes' CRI
//! (`io.kubernetes.cri.container-name`), or of nerdctl (`nerdctl/name`).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What describes a container is some kilobytes long.
const MAX_FILE: u64 = 4 << 20;
/// More containers than a machine has.
const MAX_CONTAINERS: usize = 10_000;

/// Where docker keeps its containers.
const DOCKER: &str = "var/lib/docker/containers";
/// Where podman does, and other users of containers/storage.
const PODMAN: [&str; 2] = [
    "var/lib/containers/storage/overlay-containers/containers.json",
    "var/lib/containers/storage/vfs-containers/containers.json",
];
/// Where containerd's shims do, by namespace.
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
/// By which annotations a container is called.
const ANNOTATIONS: [&str; 2] = ["io.kubernetes.cri.container-name", "nerdctl/name"];

/// The id of the container with this name; `None` when there is none, or it may not be known. `root`: where the machine's files begin.
pub fn id_of_name(root: &Path, name: &str) -> Option<String> {
    docker(root, name).or_else(|| podman(root, name)).or_else(|| containerd(root, name))
}

fn docker(root: &Path, name: &str) -> Option<String> {
    folders(&root.join(DOCKER)).into_iter().find_map(|folder| {
        let config = json(&folder.join("config.v2.json"))?;
        let is_it = config.get("Name")?.as_str()?.trim_start_matches('/') == name;
        is_it.then(|| file_name(&folder))
    })
}

fn podman(root: &Path, name: &str) -> Option<String> {
    PODMAN.iter().find_map(|file| {
        let containers = json(&root.join(file))?;
        let has_name = |container: &&Value| {
            container.get("names").and_then(Value::as_array).is_some_and(|names| names.iter().any(|one| one == name))
        };
        let found = containers.as_array()?.iter().take(MAX_CONTAINERS).find(has_name)?;
        Some(found.get("id")?.as_str()?.to_owned())
    })
}

fn containerd(root: &Path, name: &str) -> Option<String> {
    let namespaces = folders(&root.join(CONTAINERD));
    namespaces.iter().flat_map(|namespace| folders(namespace)).take(MAX_CONTAINERS).find_map(|bundle| {
        let config = json(&bundle.join("config.json"))?;
        let annotations = config.get("annotations")?;
        let is_it = ANNOTATIONS.iter().any(|key| annotations.get(key).and_then(Value::as_str) == Some(name));
        is_it.then(|| file_name(&bundle))
    })
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.take(MAX_CONTAINERS).filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn json(path: &Path) -> Option<Value> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
