"""Times at the database's edge: columns hold naive UTC, the code holds aware UTC datetimes."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def to_db(moment: datetime) -> datetime:
    """An aware datetime as the naive UTC value that a TIMESTAMP column takes."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def from_db(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def from_seconds(seconds: float) -> datetime:
    """Aware UTC of seconds since the epoch. Raises OverflowError or ValueError when absurd."""
    return datetime.fromtimestamp(seconds, UTC)


def seconds(value: datetime | None) -> float | None:
    """Seconds since the epoch of a naive UTC or an aware datetime; null stays null."""
    if value is None:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
