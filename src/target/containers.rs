//! What containers are called: no control group has their names.
//!
//! Does: find the ids of containers by their name in the files that docker, podman and containerd keep of theirs. Does not: ask a
//! service, or look for the container's processes.
//!
//! Sources: docker's `containers/ID/config.v2.json` (`Name`, with a slash before it); podman's `overlay-containers/containers.json` (a list
//! of `id` and `names`); the OCI bundles of containerd's shims, whose `config.json` has the annotations of Kubernetes' CRI
//! (`io.kubernetes.cri.container-name`), or of nerdctl (`nerdctl/name`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::small_file;

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

/// The ids of the containers with this name, each once: none where there is none, or it may not be known. Several where containers are called
/// alike: those of a pod's copies, or of two services. `root`: where the machine's files begin.
pub fn ids_of_name(root: &Path, name: &str) -> Vec<String> {
    let mut ids: Vec<String> = [docker(root, name), podman(root, name), containerd(root, name)].concat();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn docker(root: &Path, name: &str) -> Vec<String> {
    let has_name = |folder: &PathBuf| {
        let config = json(&folder.join("config.v2.json"))?;
        Some(config.get("Name")?.as_str()?.trim_start_matches('/') == name)
    };
    let folders = folders(&root.join(DOCKER)).into_iter().filter(|folder| has_name(folder) == Some(true));
    folders.map(|folder| file_name(&folder)).collect()
}

fn podman(root: &Path, name: &str) -> Vec<String> {
    let has_name = |container: &&Value| {
        container.get("names").and_then(Value::as_array).is_some_and(|names| names.iter().any(|one| one == name))
    };
    let id = |container: &Value| Some(container.get("id")?.as_str()?.to_owned());
    let mut ids = Vec::new();
    for file in PODMAN {
        let containers = json(&root.join(file)).unwrap_or_default();
        let list = containers.as_array().into_iter().flatten().take(MAX_CONTAINERS);
        ids.extend(list.filter(has_name).filter_map(id));
    }
    ids
}

fn containerd(root: &Path, name: &str) -> Vec<String> {
    let has_name = |bundle: &PathBuf| {
        let config = json(&bundle.join("config.json"))?;
        let annotations = config.get("annotations")?;
        Some(ANNOTATIONS.iter().any(|key| annotations.get(key).and_then(Value::as_str) == Some(name)))
    };
    let namespaces = folders(&root.join(CONTAINERD));
    let bundles = namespaces.iter().flat_map(|namespace| folders(namespace)).take(MAX_CONTAINERS);
    bundles.filter(|bundle| has_name(bundle) == Some(true)).map(|bundle| file_name(&bundle)).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.take(MAX_CONTAINERS).filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&small_file::read(path, MAX_FILE).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine's files, removed afterwards.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Machine {
            let folder = std::env::temp_dir().join(format!("fpprof-containers-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Machine(folder)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn bundle(&self, id: &str, annotation: &str, name: &str) {
            let path = format!("{CONTAINERD}/k8s.io/{id}/config.json");
            self.write(&path, &format!(r#"{{"annotations":{{"{annotation}":"{name}"}}}}"#));
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            // A folder that stays behind in a temporary place harms nobody.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_name_is_found_with_each_of_those_that_keep_containers() {
        let machine = Machine::new("each");
        machine.write(&format!("{DOCKER}/aaaa01/config.v2.json"), r#"{"ID":"aaaa01","Name":"/web"}"#);
        machine.write(PODMAN[0], r#"[{"id":"bbbb01","names":["db","data"]},{"id":"bbbb02","names":null}]"#);
        machine.bundle("cccc01", ANNOTATIONS[0], "app");
        machine.bundle("cccc02", ANNOTATIONS[1], "tool");
        for (name, id) in
            [("web", "aaaa01"), ("db", "bbbb01"), ("data", "bbbb01"), ("app", "cccc01"), ("tool", "cccc02")]
        {
            assert_eq!(ids_of_name(&machine.0, name), [id], "{name}");
        }
        assert!(ids_of_name(&machine.0, "/web").is_empty() && ids_of_name(&machine.0, "").is_empty());
        assert!(ids_of_name(Path::new("/nowhere"), "web").is_empty());
    }

    #[test]
    fn containers_that_are_called_alike_are_all_found() {
        let machine = Machine::new("alike");
        machine.bundle("cccc02", ANNOTATIONS[0], "app");
        machine.bundle("cccc01", ANNOTATIONS[0], "app");
        machine.write(PODMAN[0], r#"[{"id":"bbbb01","names":["app"]}]"#);
        machine.write(PODMAN[1], r#"[{"id":"bbbb01","names":["app"]}]"#);
        assert_eq!(ids_of_name(&machine.0, "app"), ["bbbb01", "cccc01", "cccc02"]);
    }

    #[test]
    fn files_that_are_damaged_name_nothing() {
        let machine = Machine::new("damaged");
        machine.write(&format!("{DOCKER}/aaaa01/config.v2.json"), r#"{"Name":["web"]}"#);
        machine.write(&format!("{DOCKER}/aaaa02/config.v2.json"), "{");
        machine.write(PODMAN[0], r#"{"names":["web"],"id":"x"}"#);
        machine.write(PODMAN[1], r#"[1,{"names":["web"]},{"names":["web"],"id":7}]"#);
        assert!(ids_of_name(&machine.0, "web").is_empty());
    }
}
