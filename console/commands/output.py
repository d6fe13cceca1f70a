"""What commands print: plain aligned tables and labelled values for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

from store.protocol import Column, ExitCode, Field, Kind, Refusal, Section

#: Unescaped by JSON encoders, yet acted upon by terminals: DEL, C1, marks that reorder or hide text.
_UNPRINTED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_RIGHT_ALIGNED = frozenset({"number", "duration", "share", "bytes"})
#: Columns that hold versions with their share of the traffic.
_SHARES = frozenset({"version", "requested", "observed", "effective", "versions"})
#: Widest cell of a table, in characters.
CELL_WIDTH = 60


def says_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` is among the options (known before the command line is parsed, for its errors)."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def iso(seconds: float) -> str | float:
    """Seconds since the epoch as ISO 8601 in UTC; the number itself beyond the calendar's reach."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return seconds


def json_text(value: object) -> str:
    """One line of JSON in which nothing can reach a terminal as a control or reordering character."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNPRINTED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def json_cell(value: object, kind: Kind) -> object:
    """A wire value as programs want it: times as ISO 8601, JSON as JSON."""
    if kind == "time" and isinstance(value, int | float) and not isinstance(value, bool):
        return iso(value)
    if kind == "json" and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def row_object(columns: Sequence[Column], row: Sequence[object]) -> dict[str, object]:
    return {column.name: json_cell(value, column.kind) for column, value in zip(columns, row, strict=True)}


def cell_text(value: object, kind: Kind, limit: int = CELL_WIDTH) -> str:
    """A wire value as one cell of plain text, whatever it holds."""
    from console import text

    if value is None or value == "":
        return text.clean(None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _NUMBERS.get(kind, _number)(value)
    if kind == "spark" and isinstance(value, list):
        return _spark(value)
    if kind == "json":
        value = _plainly(json_cell(value, kind))
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return text.clean(value, limit)


def _plainly(value: object) -> object:
    """An object of plain values as `auc 0.7, log_loss 0.45`."""
    if isinstance(value, dict) and value and not any(isinstance(item, dict | list) for item in value.values()):
        return ", ".join(f"{key} {cell_text(item, 'number')}" for key, item in value.items())
    return value


def _number(value: float) -> str:
    from console import text

    # Identifiers and counts of a table are read digit by digit; only fractions are rounded.
    return f"{value:,}" if isinstance(value, int) else text.number(value)


def _time(value: float) -> str:
    from console import text

    return text.when(value, seconds=True)


def _duration(value: float) -> str:
    from console import text

    return text.duration(value)


def _share(value: float) -> str:
    from console import text

    return text.share(value)


def _bytes(value: float) -> str:
    from console import text

    return text.byte_size(value)


_NUMBERS = {"time": _time, "duration": _duration, "share": _share, "bytes": _bytes}


def _spark(values: Sequence[Any]) -> str:
    from console.glyphs import glyphs

    known = [value for value in values if isinstance(value, int | float)]
    if not known:
        return glyphs().null
    low, high = min(known), max(known)
    levels = glyphs().spark
    step = (high - low) / (len(levels) - 1) or 1.0
    return "".join(levels[round((value - low) / step)] if isinstance(value, int | float) else " " for value in values)


def table_lines(columns: Sequence[Column], rows: Iterable[Sequence[object]], width: int = 0) -> list[str]:
    """An aligned table, titles first. With a `width`, the least important columns are left out to fit it."""
    from rich.cells import cell_len

    from console import text

    titles = [text.clean(_title(column)) for column in columns]
    cells = [[_cell(value, column) for value, column in zip(row, columns, strict=True)] for row in rows]
    widths = [max([cell_len(title), *(cell_len(row[index]) for row in cells)]) for index, title in enumerate(titles)]
    shown = _columns_that_fit(columns, widths, width, 1 if _repeated(cells) else 0)
    lines = []
    for row in [titles, *cells]:
        parts = [text.fit(row[index], widths[index], right=columns[index].kind in _RIGHT_ALIGNED) for index in shown]
        lines.append("  ".join(parts).rstrip())
    return lines


def _title(column: Column) -> str:
    """In capitals, but for what was named by people: metrics AUC and auc are two."""
    title = column.title or column.name.replace("_", " ")
    return title if column.name.startswith(("param.", "metric.")) else title.upper()


def _cell(value: object, column: Column) -> str:
    if column.kind == "json" and column.name in _SHARES:
        shares = json_cell(value, column.kind)
        if isinstance(shares, dict):
            return weights(shares)
    return cell_text(value, column.kind)


def _repeated(cells: Sequence[Sequence[str]]) -> bool:
    """Whether the first column, the row's id, says what another one says."""
    return bool(cells) and any(all(row[place] == row[0] for row in cells) for place in range(1, len(cells[0])))


def _columns_that_fit(columns: Sequence[Column], widths: Sequence[int], width: int, first: int) -> list[int]:
    shown = list(range(first, len(columns)))
    while width and sum(widths[index] + 2 for index in shown) - 2 > width:
        least = max(shown, key=lambda index: (columns[index].priority, index))
        if columns[least].priority == 0:
            break
        shown.remove(least)
    return shown


def terminal_width() -> int:
    """Columns of the terminal that stdout is, 0 when it is none (then nothing is left out)."""
    if not sys.stdout.isatty():
        return 0
    import shutil

    return shutil.get_terminal_size().columns


def redraws(stream: IO[str]) -> bool:
    """Whether a line on `stream` can be written over: a terminal, and not one that knows no control sequences."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def print_fields(fields: Sequence[Field], stream: IO[str] | None = None) -> None:
    """`label  value` lines, aligned."""
    from console import text

    labels = [text.clean(field.label, 40) for field in fields]
    width = max((len(label) for label in labels), default=0)
    for label, field in zip(labels, fields, strict=True):
        print(f"  {text.fit(label, width)}  {_whole(field)}", file=stream)


def _whole(field: Field) -> str:
    """A field's value, its numbers with every digit."""
    value = field.value
    if isinstance(value, float) and field.kind == "number":
        return repr(value)
    return cell_text(value, field.kind, 400)


def print_sections(sections: Iterable[Section]) -> None:
    """One after the other, with an empty line between."""
    for number, section in enumerate(sections):
        if number:
            print()
        print_section(section)


def print_section(section: Section) -> None:
    from console import text

    print(text.clean(section.title))
    print_fields(section.fields)
    if section.columns:
        width = terminal_width()
        for line in table_lines(section.columns, section.rows, max(0, width - 2) if width else 0):
            print(f"  {line}")


def section_object(section: Section) -> dict[str, object]:
    """A section as an object: its fields by label, its table as `rows`."""
    result: dict[str, object] = {field.label: json_cell(field.value, field.kind) for field in section.fields}
    if section.columns:
        result["rows"] = [row_object(section.columns, row) for row in section.rows]
    return result


def weights(versions: Mapping[str, float]) -> str:
    """`3 90%, 4 10%`; `3` alone when it has all the traffic, `nothing` when empty."""
    from console import text

    if not versions:
        return "nothing"
    if len(versions) == 1:
        return text.clean(next(iter(versions)))
    return ", ".join(f"{text.clean(version)} {text.share(share)}" for version, share in versions.items())


def print_error(refusal: Refusal, as_json: bool) -> None:
    """One or two lines on stderr: what was wrong and with what, then what to do next."""
    if as_json:
        error = {
            "code": int(refusal.code),
            "name": ExitCode(refusal.code).name.lower(),
            "message": refusal.message,
            "hint": refusal.hint,
            "detail": refusal.detail,
        }
        print(json_text({"error": error}), file=sys.stderr)
        return
    from console import text

    print(f"quarterdeck: {text.clean(refusal.message, 1_000)}", file=sys.stderr)
    if refusal.hint:
        print(f"  {text.clean(refusal.hint, 1_000)}", file=sys.stderr)
