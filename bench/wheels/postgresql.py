"""A PostgreSQL server of the bench's own, with TLS.

Does: make a data folder and a certificate, start Debian's server on loopback, end it, remove both. Does not: touch a server that is
there already. The server refuses to run as root, so root starts it as the user `postgres`, whom Debian's package has made.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from places import Unavailable

# How long the server may take to be made and to start, seconds.
PATIENCE = 60


class Server:
    """A server that runs while the `with` block does."""

    def __enter__(self):
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
        if not programs or not shutil.which("openssl"):
            raise Unavailable("no PostgreSQL server, or no openssl, on this machine: apt-get install postgresql openssl")
        self.programs = programs[-1]
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="fpprof-wheels-postgresql-"))
        self.process = None
        try:
            self._make()
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            self.__exit__()
            raise Unavailable(f"PostgreSQL does not start: {error}") from error
        return self

    def words(self, scratch):
        """Its address by libpq's names; the certificate is copied to where the interpreter can read it."""
        shutil.copy(self.folder / "server.crt", scratch.outside / "server.crt")
        address = {"host": "127.0.0.1", "port": self.port, "user": "bench", "dbname": "postgres",
                   "sslrootcert": scratch.inside / "server.crt"}
        return [f"{name}={value}" for name, value in address.items()]

    def _make(self):
        key, certificate = self.folder / "server.key", self.folder / "server.crt"
        self._run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                  "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate)
        key.chmod(0o600)
        if self.user:
            for path in (self.folder, key, certificate):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        self._run(self.programs / "initdb", "--username=bench", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C",
                  "--pgdata", self.folder / "data", as_user=True)

    def _start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off", "ssl": "on",
                   "ssl_cert_file": self.folder / "server.crt", "ssl_key_file": self.folder / "server.key"}
        words = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        for name, value in options.items():
            words += ["-c", f"{name}={value}"]
        log = open(self.folder / "log", "w")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_user())
        log.close()
        # pg_isready says when it is; it is asked until then, not slept for.
        self._run("sh", "-c", f"until {self.programs}/pg_isready -q -h 127.0.0.1 -p {self.port}; do sleep 0.1; done")

    def _as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def _run(self, *words, as_user=False):
        subprocess.run([str(word) for word in words], check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, capture_output=True,
                       cwd="/", **(self._as_user() if as_user else {}))

    def __exit__(self, *_):
        if self.process:
            # Without waiting for clients: theirs are targets that have ended.
            self.process.send_signal(2)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
