"""How pages of the agent's listings are put into words: JSON cells read aloud, the fleet in one line a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from console.screens.values import metrics, traffic_split
from console.text import age, number
from store.protocol import NOT_JUDGED, Cell, Column, Kind, Page

#: Columns that hold versions with their share of the traffic.
_VERSIONS = frozenset({"effective", "requested", "observed", "versions", "before", "after"})

#: Seconds after which running runs are fetched again although nothing came: that time passes is no change to tell of.
SILENCE_INTERVAL = 60.0

#: Points of the fleet's traffic sparkline.
TRAFFIC_POINTS = 10

Cells = Mapping[str, Cell]


class Shown(NamedTuple):
    """A column of a view: the agent's name for it (what sorting uses), and what it says of a row."""

    name: str
    kind: Kind
    title: str
    """`{}` in it is the agent's own title."""
    priority: int
    say: Callable[[Cells, float], Cell] | None = None
    """From the row by column name and the page's time; None shows the agent's own value."""


def in_words(page: Page) -> Page:
    """The page as it came, but for its JSON cells; the id is hidden unless people need it too (an alert's number)."""
    columns = list(page.columns)
    spoken = {index for index, column in enumerate(columns) if column.kind == "json"}
    if len(columns) > 1 and columns[0].priority != 0:
        columns[0] = msgspec.structs.replace(columns[0], priority=-1)
    if not spoken:
        return msgspec.structs.replace(page, columns=columns)
    names = [column.name for column in columns]
    for index in spoken:
        columns[index] = msgspec.structs.replace(columns[index], kind="text")
    rows = [
        [_aloud(names[index], value) if index in spoken else value for index, value in enumerate(row)]
        for row in page.rows
    ]
    return msgspec.structs.replace(page, columns=columns, rows=rows)


def with_silence(page: Page) -> Page:
    """Runs whose status also says how long a running one gave no word; the column that says it alone is left out."""
    names = [column.name for column in page.columns]
    if not {"status", "silence"} <= set(names):
        return page
    status, silence = names.index("status"), names.index("silence")
    columns = list(page.columns)
    columns[silence] = msgspec.structs.replace(columns[silence], priority=-1)
    rows = [
        [*row[:status], f"silent: {row[silence]}", *row[status + 1 :]] if row[silence] else row for row in page.rows
    ]
    return msgspec.structs.replace(page, columns=columns, rows=rows)


def _aloud(name: str, value: Cell) -> Cell:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    return (traffic_split(value) if name in _VERSIONS else "") or metrics(value)


def _shape(page: Page, shown: Sequence[Shown]) -> Page:
    names = [column.name for column in page.columns]
    known = [column for column in shown if column.name in names]
    columns = [Column("id", priority=0 if page.columns[0].priority == 0 else -1)]
    titles = {column.name: column.title for column in page.columns}
    columns += [
        Column(column.name, column.kind, column.title.replace("{}", titles[column.name]), column.priority)
        for column in known
    ]
    rows: list[list[Cell]] = []
    for row in page.rows:
        cells = dict(zip(names, row, strict=False))
        said = [cells[c.name] if c.say is None else c.say(cells, page.at) for c in known]
        rows.append([row[0], *said])
    return msgspec.structs.replace(page, columns=columns, rows=rows)


def _spoken(name: str) -> Callable[[Cells, float], Cell]:
    return lambda cells, _: _aloud(name, cells[name]) or None


def _split(name: str) -> Callable[[Cells, float], Cell]:
    return lambda cells, _: traffic_split(cells[name]) or "none"


def _age(cells: Cells, now: float) -> Cell:
    since = cells.get("since")
    return age(now - since) if isinstance(since, float) else None


def _drift(cells: Cells, _: float) -> Cell:
    value = cells.get("drift")
    if value is None and cells.get("not_judged"):
        return _reason(cells.get("health")) or NOT_JUDGED
    # The value first: where the line is narrow, rather the name is cut.
    return f"{number(value)} {cells.get('drift_feature') or ''}".strip() if isinstance(value, float) else None


def _reason(health: Cell) -> str:
    """The reason of `not judged: no reference`; "" of another health."""
    word, _, reason = str(health or "").partition(": ")
    return reason if word == NOT_JUDGED else ""


def _health(cells: Cells, _: float) -> Cell:
    """Without the reason, which stands where the drift would, and on the page of the deployment."""
    return NOT_JUDGED if _reason(cells["health"]) else cells["health"]


def _unjudged(cells: Cells, _: float) -> Cell:
    """How many features were not judged, of how many; nothing where all were, or nobody predicted."""
    judged, unjudged = cells.get("judged"), cells.get("not_judged")
    if not isinstance(judged, int) or not isinstance(unjudged, int) or not unjudged:
        return None
    return f"{unjudged}/{judged + unjudged}"


def _performance(cells: Cells, _: float) -> Cell:
    value, reference = cells.get("performance"), cells.get("reference")
    if not isinstance(value, float):
        return None
    against = f" ({reference:.2f})" if isinstance(reference, float) else ""
    return f"{cells.get('metric') or ''} {value:.3f}{against}".strip()


def _change(cells: Cells, now: float) -> Cell:
    changed, by = cells.get("changed"), cells.get("by")
    if not isinstance(changed, float):
        return None
    return f"{age(now - changed)} {by or ''}".strip()


def _crossed(cells: Cells, _: float) -> Cell:
    value, threshold = cells.get("value"), cells.get("threshold")
    if not isinstance(value, (int, float)):
        return None
    return f"{number(value)} ({number(threshold)})" if isinstance(threshold, (int, float)) else number(value)


def _opened(cells: Cells, now: float) -> Cell:
    opened = cells.get("opened_at")
    return f"{age(now - opened)} ago" if isinstance(opened, float) else None


def _traffic(cells: Cells, _: float) -> Cell:
    """Half the points, summed in pairs: the line is narrow."""
    points = cells.get("traffic")
    if not isinstance(points, list) or len(points) <= TRAFFIC_POINTS:
        return points
    odd = len(points) % 2
    pairs = zip(points[odd::2], points[odd + 1 :: 2], strict=True)
    summed: list[float | None] = [None if a is None and b is None else (a or 0.0) + (b or 0.0) for a, b in pairs]
    return summed[-TRAFFIC_POINTS:]


FLEET = (
    Shown("deployment", "text", "", 0),
    Shown("health", "health", "", 0, _health),
    Shown("effective", "text", "ver", 0, _split("effective")),
    Shown("since", "text", "age", 2, _age),
    Shown("traffic", "spark", "", 3, _traffic),
    Shown("drift", "text", "drift {}", 1, _drift),
    # As numbers, that they may not be cut.
    Shown("not_judged", "number", "unjudged", 1, _unjudged),
    Shown("performance", "number", "perf (ref)", 1, _performance),
    Shown("alerts", "number", "", 0),
    Shown("changed", "text", "changed", 2, _change),
    Shown("cause", "text", "", 3),
)
ALERTS = (
    Shown("state", "health", "", 0),
    Shown("feature", "text", "", 0),
    Shown("value", "text", "value (limit)", 0, _crossed),
    Shown("deployment", "text", "", 0),
    Shown("opened_at", "text", "opened", 1, _opened),
    Shown("severity", "text", "", 2),
    Shown("version", "text", "ver", 3),
    Shown("rule", "text", "", 3),
    Shown("message", "text", "", 4),
    Shown("muted_until", "time", "quiet until", 4),
    Shown("by", "text", "", 5),
    Shown("note", "text", "", 5),
)
JOURNAL = (
    Shown("sequence", "number", "seq", 0),
    Shown("time", "time", "", 0),
    Shown("actor", "text", "", 0),
    Shown("action", "text", "", 0),
    Shown("subject", "text", "", 0),
    Shown("reason", "text", "", 1),
    Shown("after", "text", "", 2, _spoken("after")),
    Shown("before", "text", "", 3, _spoken("before")),
    Shown("via", "text", "", 3),
    Shown("kind", "text", "", 4),
    Shown("data_age", "duration", "data age", 5),
)
REVISIONS = (
    Shown("revision", "number", "rev", 0),
    Shown("action", "text", "", 0),
    Shown("versions", "text", "", 0, _split("versions")),
    Shown("before", "text", "", 1, _split("before")),
    Shown("phase", "health", "", 0),
    Shown("by", "text", "", 1),
    Shown("at", "time", "", 1),
    Shown("reason", "text", "", 2),
    Shown("message", "text", "", 3),
    Shown("via", "text", "", 4),
)
DEPLOYMENTS = (
    Shown("deployment", "text", "", 0),
    Shown("health", "health", "", 0, _health),
    Shown("requested", "text", "", 0, _split("requested")),
    Shown("observed", "text", "", 0, _split("observed")),
    Shown("effective", "text", "", 0, _split("effective")),
    Shown("phase", "health", "", 1),
    Shown("revision", "number", "rev", 1),
    Shown("since", "time", "", 2),
    Shown("by", "text", "", 2),
    Shown("reason", "text", "", 3),
    Shown("message", "text", "", 3),
    Shown("cause", "text", "", 3),
)


def as_fleet(page: Page) -> Page:
    """What is live, since when, how it is, who put it there: in one line of a hundred cells. How many features were not
    judged takes its room only where any was not."""
    names = [column.name for column in page.columns]
    place = names.index("not_judged") if "not_judged" in names else None
    if place is None or not any(row[place] for row in page.rows):
        return _shape(page, [column for column in FLEET if column.name != "not_judged"])
    return _shape(page, FLEET)


def as_deployments(page: Page) -> Page:
    """What is asked for, what the target reports, what traffic gets."""
    return _shape(page, DEPLOYMENTS)


def as_revisions(page: Page) -> Page:
    """The revisions of one deployment, which need not be named in each row."""
    return _shape(page, REVISIONS)


def as_alerts(page: Page) -> Page:
    """What is wrong where, by how much and since when."""
    return _shape(page, ALERTS)


def as_journal(page: Page) -> Page:
    """When, who, what, on what, and why; then what it was and what it became."""
    return _shape(page, JOURNAL)
