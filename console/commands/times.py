"""The TIME of `--at`, `--since` and `--until`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_AGO = re.compile(r"-(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_time(text: str, now: float | None = None) -> float:
    """Seconds since the epoch of `2013-07-03`, `2013-07-03T14:05`, the same with a zone, `-2h` or `now`.

    Without a zone it is UTC. Raises ValueError that says what was expected.
    """
    text = text.strip()
    now = time.time() if now is None else now
    if text == "now":
        return now
    ago = _AGO.fullmatch(text)
    if ago:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time: write 2013-07-03T14:05Z, 2013-07-03 or -2h") from None


def read_future(text: str, now: float | None = None) -> float:
    """Seconds since the epoch of a time to come: `+4h`, `4h`, or a date and time as `read_time` takes it.

    Raises ValueError with examples that are accepted now.
    """
    text = text.strip()
    now = time.time() if now is None else now
    words = f"write {', '.join(future_examples(now)[:-1])} or {future_examples(now)[-1]}"
    ahead = _AGO.fullmatch(f"-{text.removeprefix('+')}")
    if ahead:
        moment = now + float(ahead[1]) * _SECONDS[ahead[2]]
    else:
        try:
            moment = read_time(text, now)
        except ValueError:
            raise ValueError(f"{text!r} is not a time: {words}") from None
    if moment <= now:
        raise ValueError(f"{text!r} is over already: {words}")
    return moment


def future_examples(now: float) -> tuple[str, ...]:
    """Ways to write a time to come, all of them still to come."""
    tomorrow = datetime.fromtimestamp(now + _SECONDS["d"], UTC)
    return f"{tomorrow:%Y-%m-%dT%H:%MZ}", f"{tomorrow:%Y-%m-%d}", "+4h"


def read_duration(text: str) -> float:
    """Seconds of `90s`, `30m`, `4h`, `2d`, `1w`. Raises ValueError that says what was expected."""
    match = _AGO.fullmatch(f"-{text.strip()}")
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a duration: write 30m, 4h or 2d")
    return float(match[1]) * _SECONDS[match[2]]


def time_option(name: str, help_text: str, read: Callable[[str], float] = read_time) -> Callable[[Command], Command]:
    """An option that `read` reads; None when it is not given."""

    def read_option(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from None

    return click.option(name, metavar="TIME", callback=read_option, help=help_text)
