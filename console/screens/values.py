"""Values of rows and fields in words: weights of versions, metrics, anything a field may hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from console.text import clean, number, share
from console.widgets.cells import cell
from store.protocol import Field


def decoded(value: Any) -> dict[str, Any]:
    """A mapping that came as one or as its JSON; a plain word stands for itself alone."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value:
        try:
            found = msgspec.json.decode(value)
        except msgspec.MsgspecError:
            return {value: 1.0}
        return found if isinstance(found, dict) else {str(found): 1.0}
    return {}


def weights(versions: Any) -> str:
    """Versions with their share of the traffic: `version 2`, or `version 1 90%, version 2 10%`."""
    found = decoded(versions)
    if not found:
        return "nothing"
    if len(found) == 1:
        return f"version {clean(next(iter(found)), 40)}"
    return ", ".join(f"version {clean(version, 20)} {share(weight)}" for version, weight in found.items())


def traffic_split(versions: Any) -> str:
    """The same in the least room: `2`, or `1 90%, 2 10%`; "" when these are no shares."""
    found = decoded(versions)
    if not all(isinstance(weight, (int, float)) and 0 <= weight <= 1 for weight in found.values()):
        return ""
    if len(found) == 1:
        return clean(next(iter(found)), 40)
    return ", ".join(f"{clean(version, 20)} {share(weight)}" for version, weight in found.items())


def metrics(values: Any) -> str:
    """Metrics in one line: `auc 0.7021  log_loss 0.44`."""
    return "  ".join(f"{clean(name, 20)} {_plain(value)}" for name, value in decoded(values).items())


def value_text(field: Field) -> str:
    """A field's value in one line."""
    value = field.value
    if isinstance(value, dict):
        return "  ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return value if isinstance(value, str) and field.kind == "text" else cell(field.kind, value).text


def _plain(value: Any) -> str:
    if isinstance(value, (int, float)) or value is None:
        return number(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
