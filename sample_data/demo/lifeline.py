"""Ties a helper process of the demo to the process that started it, so that a `kill -9` leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping

#: Holds the process id that the helper must not outlive; unset where a script is run by hand.
VARIABLE = "QUARTERDECK_DEMO_PARENT"
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5


def environment_for_child(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment with which this process starts a helper that is to die with it."""
    return {**(os.environ if environment is None else environment), VARIABLE: str(os.getpid())}


def die_with_parent() -> None:
    """Have SIGTERM sent to this process once the parent named in the environment is gone.

    The kernel is asked first (`prctl(2)`, PR_SET_PDEATHSIG), which acts at once; a thread that looks at the parent's
    process id covers systems without it.
    """
    named = os.environ.pop(VARIABLE, "")
    if not named:
        return
    parent = int(named)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have died before the kernel was asked: then this process already has another parent.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()


def set_on(stopping: threading.Event, *numbers: signal.Signals) -> None:
    """Have these signals set the event, from a thread of its own: a handler runs in the middle of whatever the main
    thread does, and in the middle of `stopping.wait()` that holds the event's own lock, for which it would wait for
    ever."""
    for number in numbers:
        signal.signal(number, lambda *_: threading.Thread(target=stopping.set, daemon=True).start())


def _watch(parent: int) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
