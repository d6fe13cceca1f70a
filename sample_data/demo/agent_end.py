"""Ends the agent of a demo's store, also one that is only just starting."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from children import Children

#: Seconds that the agent has to end once it was asked to.
PATIENCE = 10.0


def end_agent(store: Path, children: Children) -> None:
    """Ask through `quarterdeck agent stop`; what still runs on this store then gets SIGTERM, at last SIGKILL."""
    try:
        children.command("agent", "stop", "--store", store, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE
        for process in agents_of(store):
            _send(process, number)
        while agents_of(store) and time.monotonic() < deadline:
            time.sleep(0.05)


def agents_of(store: Path) -> list[int]:
    """Processes of this user whose command line is an agent's on exactly this store (none where there is no /proc)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
            ours = entry.stat().st_uid == os.getuid()
        except OSError:
            continue
        if ours and b"store.agent" in words and os.fsencode(store) in words:
            found.append(int(entry.parent.name))
    return found


def _send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
