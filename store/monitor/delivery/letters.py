"""What the agent hands to the delivery worker, and what the worker says of it."""

from __future__ import annotations

import msgspec

from store.settings import Severity


class Letter(msgspec.Struct, frozen=True):
    """One message to one url. The url is a secret: it goes to the worker's standard input and nowhere else."""

    url: str
    title: str
    body: str
    severity: Severity
    over: bool = False

    def __repr__(self) -> str:
        return f"Letter({self.title!r})"


class Letters(msgspec.Struct, frozen=True):
    letters: list[Letter]


class Delivered(msgspec.Struct, frozen=True):
    """`detail` is what the receiver's side said, without any part of the url."""

    delivered: bool
    detail: str = ""


class Deliveries(msgspec.Struct, frozen=True):
    """One entry a letter, in their order."""

    outcomes: list[Delivered]
