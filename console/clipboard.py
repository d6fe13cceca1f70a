"""Copying to the operator's own clipboard, over SSH and through tmux, with OSC 52."""

from __future__ import annotations

import base64
import os
from typing import Any

from textual.app import App

#: Terminals drop longer ones without a word.
MAX_BYTES = 74_000


def sequence(text: str, environment: dict[str, str] | None = None) -> str:
    """The escape sequence that puts `text` on the clipboard; inside tmux wrapped so that it passes through."""
    env = os.environ if environment is None else environment
    encoded = base64.b64encode(text.encode()[:MAX_BYTES]).decode()
    plain = f"\x1b]52;c;{encoded}\x07"
    if env.get("TMUX"):
        # Both: tmux with set-clipboard on takes the plain one, with allow-passthrough the wrapped one.
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if env.get("TERM", "").startswith("screen"):
        return "\x1bP" + plain + "\x1b\\"
    return plain


def copy(app: App[Any], text: str) -> None:
    """Copy `text`; whether the terminal took it cannot be known."""
    app._clipboard = text
    driver = app._driver
    if driver is not None and not driver.is_headless:
        driver.write(sequence(text))
        driver.flush()
