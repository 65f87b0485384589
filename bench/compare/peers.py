"""Installs the other profilers, at pinned versions, into a folder of the cache.

Does: one `pip install --target`, once. Does not: know how they are run (`profilers.py`).
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import places

PINNED = ("py-spy==0.4.3", "austin-dist==4.0.0", "pystack==1.7.2")


def folder():
    """Where they are; installs them when they are not there yet.

    The folder is made aside and moved into place when it is complete, so that it is complete when it exists.
    """
    stamp = hashlib.sha256("\n".join(PINNED).encode()).hexdigest()[:12]
    place = places.cache() / f"peers-{stamp}"
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".peers.", dir=place.parent))
    try:
        python = places.pyenv(13).command[0]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--root-user-action=ignore", "--no-deps", "--only-binary=:all:", "--target", new, *PINNED],
                       check=True)
        new.chmod(0o755)
        new.rename(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return place
