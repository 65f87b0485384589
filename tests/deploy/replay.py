"""Says by podman's switches what a Kubernetes manifest says of one of its containers.

    replay.py flags MANIFEST CONTAINER [--without CAPABILITY]    a line for each word
    replay.py command MANIFEST CONTAINER
    replay.py image MANIFEST CONTAINER
    replay.py added MANIFEST CONTAINER                           the capabilities that it adds

Does: the security context (of the container, else of its pod), the environment, volumes of the pod; and it refuses what podman
would be more generous with than Kubernetes. A setting that it does not know is an error: nothing is left out in silence.
Does not: namespaces (the caller names them), resources.
"""

import argparse
import sys

import yaml

POD_KINDS = {"Pod", "Deployment", "DaemonSet"}
# What is of no weight for what a container may do.
IRRELEVANT = {"name", "image", "command", "args", "resources", "targetContainerName", "terminationMessagePolicy"}
CONTEXT = {"runAsUser", "runAsGroup", "runAsNonRoot", "capabilities", "allowPrivilegeEscalation", "readOnlyRootFilesystem",
           "seccompProfile"}


def find(path, name):
    """The pod's specification, and the container in it. A file that is a container's part alone is not known here."""
    with open(path, encoding="utf-8") as file:
        for document in yaml.safe_load_all(file):
            if document["kind"] not in POD_KINDS:
                continue
            pod = document["spec"] if document["kind"] == "Pod" else document["spec"]["template"]["spec"]
            for container in pod["containers"] + pod.get("ephemeralContainers", []):
                if container["name"] == name:
                    return pod, container
    sys.exit(f"{path}: no container {name}")


def context_of(pod, container):
    context = pod.get("securityContext", {}) | container.get("securityContext", {})
    if unknown := context.keys() - CONTEXT:
        sys.exit(f"{container['name']}: securityContext: not known here: {sorted(unknown)}")
    if context.get("runAsNonRoot") and context.get("runAsUser") == 0:
        sys.exit(f"{container['name']}: Kubernetes does not start root where runAsNonRoot is")
    # podman makes them ambient; the runtimes of Kubernetes do not, and they are lost when the program is executed.
    if context.get("runAsUser", 0) != 0 and context.get("capabilities", {}).get("add"):
        sys.exit(f"{container['name']}: an added capability is in force for root alone")
    return context


def flags(pod, container, without):
    if unknown := container.keys() - IRRELEVANT - {"securityContext", "env", "volumeMounts"}:
        sys.exit(f"{container['name']}: not known here: {sorted(unknown)}")
    context = context_of(pod, container)
    words = []
    if "runAsUser" in context:
        words += ["--user", f"{context['runAsUser']}:{context.get('runAsGroup', 0)}"]
    capabilities = context.get("capabilities", {})
    words += [word for name in capabilities.get("drop", []) for word in ("--cap-drop", name)]
    words += [word for name in capabilities.get("add", []) if name != without for word in ("--cap-add", name)]
    if not context.get("allowPrivilegeEscalation", True):
        words += ["--security-opt", "no-new-privileges"]
    if context.get("readOnlyRootFilesystem"):
        # podman would mount writable folders for it.
        words += ["--read-only", "--read-only-tmpfs=false"]
    # Without one Kubernetes filters nothing; podman filters unless told.
    if context.get("seccompProfile", {"type": "Unconfined"})["type"] == "Unconfined":
        words += ["--security-opt", "seccomp=unconfined"]
    for variable in container.get("env", []):
        words += ["--env", f"{variable['name']}={variable['value']}"]
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if "emptyDir" not in volumes[mount["name"]]:
            sys.exit(f"{container['name']}: volume {mount['name']}: not known here")
        words += ["--tmpfs", f"{mount['mountPath']}:rw,mode=1777"]
    return words


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["flags", "command", "image", "added"])
    parser.add_argument("manifest")
    parser.add_argument("container")
    parser.add_argument("--without")
    arguments = parser.parse_args()
    pod, container = find(arguments.manifest, arguments.container)
    words = {
        "flags": lambda: flags(pod, container, arguments.without),
        "command": lambda: container.get("command", []) + container.get("args", []),
        "image": lambda: [container["image"]],
        "added": lambda: context_of(pod, container).get("capabilities", {}).get("add", []),
    }[arguments.what]()
    for word in words:
        print(word)


main()
