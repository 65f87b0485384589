"""A stand-in for a Kubernetes API server with one pod, as much of it as `kubectl debug` asks for.

    api_server.py POD.json PATCH.json     prints its port, then serves until it is killed

Does: hand out the pod, and write the patch that adds the ephemeral container into PATCH.json, merged as the server would for a
pod that has none yet. Does not: run anything, or validate what it gets (kubernetes-validate does).
"""

import http.server
import json
import sys

POD_FILE, PATCH_FILE = sys.argv[1:]
with open(POD_FILE, encoding="utf-8") as file:
    POD = json.load(file)
NAME = POD["metadata"]["name"]
PODS = "/api/v1/namespaces/default/pods"
RESOURCES = [
    {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list", "watch", "patch"]},
    {"name": "pods/ephemeralcontainers", "namespaced": True, "kind": "Pod", "verbs": ["get", "patch", "update"]},
]
ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": RESOURCES},
    f"{PODS}/{NAME}": POD,
}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        body = ANSWERS.get(self.path.partition("?")[0])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self.answer(200 if body else 404, body or missing)

    def do_PATCH(self):
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.partition("?")[0] != f"{PODS}/{NAME}/ephemeralcontainers":
            return self.answer(405, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 405})
        pod = POD | {"spec": POD["spec"] | patch["spec"]}
        for container in pod["spec"]["ephemeralContainers"]:
            # Not of the pod: what strategic merge patches say of the order of lists.
            container.pop("$setElementOrder/volumeMounts", None)
        pod["spec"] = {key: value for key, value in pod["spec"].items() if not key.startswith("$")}
        with open(PATCH_FILE, "w", encoding="utf-8") as file:
            json.dump(pod, file, indent=2)
        self.answer(200, pod)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
