"""What a training run says of where it came from: code, environment, host, user."""

from __future__ import annotations

import getpass
import hashlib
import socket
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """git_commit and git_dirty (where the code is in a work tree), environment_digest, host, user.

    The environment digest is the SHA-256 of the sorted lines `name==version` of what is installed.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = ""
    return {**_git(), "environment_digest": f"sha256:{_installed_digest()}", "host": socket.gethostname(), "user": user}


def _git() -> dict[str, Any]:
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # An installed copy may lie below an unrelated work tree that does not hold it.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _installed_digest() -> str:
    lines = {f"{item.metadata['Name'].lower()}=={item.version}" for item in metadata.distributions()}
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
