"""Times at the database's edge: columns hold naive UTC, the code holds aware UTC datetimes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

from store.protocol import ExitCode, Refusal


def now() -> datetime:
    return datetime.now(UTC)


@overload
def to_db(moment: datetime) -> datetime: ...


@overload
def to_db(moment: None) -> None: ...


def to_db(moment: datetime | None) -> datetime | None:
    """An aware datetime as the naive UTC value that a TIMESTAMP column takes; null stays null."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None)


def from_db(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def from_seconds(seconds: float) -> datetime:
    """Aware UTC of seconds since the epoch. Raises OverflowError or ValueError when absurd."""
    return datetime.fromtimestamp(seconds, UTC)


def asked(at: float | None) -> datetime | None:
    """A moment that a request names, null for none. Raises `Refusal` for a time that no calendar has."""
    if at is None:
        return None
    try:
        return from_seconds(at)
    except (OverflowError, ValueError, OSError) as error:
        raise Refusal(ExitCode.USAGE, f"{at} is no time: {error}") from error


def seconds(value: datetime | None) -> float | None:
    """Seconds since the epoch of a naive UTC or an aware datetime; null stays null."""
    if value is None:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
