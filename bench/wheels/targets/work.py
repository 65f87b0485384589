"""Does the work of one wheel until it is ended: `work.py PROJECT FOLDER [WORD=VALUE …]`, where the words are PostgreSQL's address.

Does: find the project's work in `workloads/`, do one round of it, say `ready`, go on; and end when its standard input does, so that it
never outlives who has started it. Does not: measure.
"""

import os
import runpy
import sys
import threading
from pathlib import Path


class World:
    """What a workload may use."""

    def __init__(self, folder, words):
        self.folder, self.words = folder, words

    def postgresql_words(self):
        """The address of the PostgreSQL that the bench has started, by libpq's names."""
        if not self.words:
            sys.exit("no PostgreSQL here")
        return dict(self.words)

    def postgresql(self):
        """The same as one string, with TLS and the server's certificate checked."""
        return " ".join(f"{name}={value}" for name, value in self.postgresql_words().items()) + " sslmode=verify-ca"


def workload(project):
    """The function of `workloads/` that has the project's name."""
    for file in sorted((Path(__file__).parent / "workloads").glob("*.py")):
        functions = runpy.run_path(str(file))
        if project in functions:
            return functions[project]
    sys.exit(f"there is no work for {project}")


def main():
    project, folder, *words = sys.argv[1:]
    round_ = workload(project)(World(Path(folder), [word.split("=", 1) for word in words]))
    # What does not work is known before it is recorded.
    round_()
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        round_()


main()
