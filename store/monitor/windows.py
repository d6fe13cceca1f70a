"""Windows of event time: their widths by name, their starts, and the same in SQL."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta

from store.protocol import ExitCode, Refusal

MINUTE, HOUR, DAY = 60, 3600, 86_400
WEEK = 7 * DAY
_FIXED = {"m": MINUTE, "h": HOUR, "d": DAY}
_CALENDAR = {"1w": ("week", WEEK), "1mo": ("month", 30 * DAY), "1q": ("quarter", 91 * DAY), "1y": ("year", 365 * DAY)}
#: No answer holds more windows than this.
MAX_WINDOWS = 5_000


@dataclasses.dataclass(frozen=True)
class Window:
    """A width: `seconds` exactly, or nominally where `calendar` names a unit of the UTC calendar."""

    name: str
    seconds: int
    calendar: str = ""

    def sql(self, column: str) -> str:
        """Start of the window that the TIMESTAMP `column` falls into, seconds since the epoch."""
        if self.calendar:
            return f"epoch_us(date_trunc('{self.calendar}', {column}))::BIGINT // 1000000"
        # DuckDB's // truncates toward zero, which before 1970 is the wrong way.
        return f"floor(epoch_us({column}) / {self.seconds * 1_000_000}.0)::BIGINT * {self.seconds}"

    def start(self, at: float) -> int:
        """Start of the window that holds `at`."""
        if not self.calendar:
            return int(at // self.seconds) * self.seconds
        day = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.calendar == "week":
            day -= timedelta(days=day.weekday())
        else:
            month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[self.calendar]
            day = day.replace(month=month, day=1)
        return int(day.timestamp())

    def next(self, start: int) -> int:
        """Start of the window after the one that starts at `start`."""
        if not self.calendar:
            return start + self.seconds
        months = {"week": 0, "month": 1, "quarter": 3, "year": 12}[self.calendar]
        if not months:
            return start + WEEK
        day = datetime.fromtimestamp(start, UTC)
        count = day.year * 12 + day.month - 1 + months
        return int(day.replace(year=count // 12, month=count % 12 + 1).timestamp())

    def starts(self, since: float, until: float) -> list[int]:
        """Starts of the windows that overlap [since, until). Raises `Refusal` when there are too many."""
        start, found = self.start(since), []
        while start < until:
            found.append(start)
            if len(found) > MAX_WINDOWS:
                raise Refusal(
                    ExitCode.USAGE,
                    f"The span holds more than {MAX_WINDOWS:,} windows of {self.name}.",
                    "Take wider windows or a shorter span.",
                )
            start = self.next(start)
        return found

    def back(self, until: float, count: int) -> int:
        """Start of the first of the `count` windows that end at or after `until`, the last one holding it."""
        start = self.start(until)
        for _ in range(max(0, min(count, MAX_WINDOWS) - 1)):
            start = self.start(start - 1)
        return start


def of_seconds(seconds: int) -> Window:
    """The width of so many seconds."""
    for letter, unit in (("d", DAY), ("h", HOUR)):
        if seconds % unit == 0:
            return Window(f"{seconds // unit}{letter}", seconds)
    return Window(f"{seconds // MINUTE}m", seconds)


def window(name: str, base_seconds: int) -> Window:
    """The width called `name`: 15m, 1h, 6h, 1d, 1w, 1mo, 1q, 1y. Raises `Refusal` for others, and for what is not
    a multiple of the finest width that is kept."""
    if name in _CALENDAR:
        unit, seconds = _CALENDAR[name]
        if DAY % base_seconds == 0:
            return Window(name, seconds, unit)
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", name)
    if match:
        seconds = int(match[1]) * _FIXED[match[2]]
        if seconds % base_seconds == 0:
            return Window(name, seconds)
        raise Refusal(
            ExitCode.USAGE,
            f"No windows of {name}: the finest that are kept are of {base_seconds} seconds.",
            "Widths are multiples of it ([monitor] base_window_seconds).",
        )
    raise Refusal(ExitCode.USAGE, f"No window {name!r}.", "Windows are 1m 5m 15m 1h 6h 1d 1w 1mo 1q 1y.")
