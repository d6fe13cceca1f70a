"""The names of keys, those that terminals keep, and the operator's own choice of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from store.protocol import ExitCode, Refusal

#: Control keys that terminals, multiplexers and shells keep for themselves: never bound, never remapped to.
RESERVED_KEYS: frozenset[str] = frozenset(f"ctrl+{letter}" for letter in "absqhijm")
KEY_LABELS: Mapping[str, str] = {
    "colon": ":",
    "slash": "/",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "minus": "-",
    "exclamation_mark": "!",
    "full_stop": ".",
    "comma": ",",
    "at": "@",
    "escape": "esc",
    "": "",
}
KEY_NAMES: Mapping[str, str] = {label: name for name, label in KEY_LABELS.items() if name}


def load_keys(path: Path) -> dict[str, str]:
    """`id = "key"` lines of the operator's keys.toml; it may be missing. Raises `Refusal` where it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except OSError:
        return {}
    import tomllib

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(ExitCode.USAGE, f"{path} cannot be read: {error}") from error
    return {str(name): str(key) for name, key in found.items()}


def keys_path() -> Path:
    """Where the operator's keys.toml is looked for."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "quarterdeck" / "keys.toml"
