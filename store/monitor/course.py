"""The course of a rule on one deployment: marks of the last decisions, and when N of M of them open or close."""

from __future__ import annotations

from typing import Literal

import msgspec

from store.monitor.rules import Rule

Move = Literal["open", "close", "stay"]
#: Above the threshold, well below it, in between.
OVER, UNDER, BETWEEN = "x", ".", "-"


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A span of the sequential test that is still counted: from window number `start` of the watch on, which began
    at `begin` (epoch seconds)."""

    start: int
    begin: int
    counts: list[int]


class Evidence(msgspec.Struct, array_like=True):
    """The sequential test of one feature: the spans it still counts."""

    spans: list[Span] = []


class Course(msgspec.Struct):
    """What a rule remembers; it follows from the counts, and is kept so that a decision need not begin anew.

    `marks` holds the last decisions by feature, the latest at the end; features that have long been quiet are
    left out. `version` and `windows` say which watch the evidence is of and how many windows it has seen. `spoken` is
    where the last window ended that held enough rows to be decided by itself, by feature. `well` names the features
    that were once found healthy by a rule that alerts only of those. `past` holds the spans of event time, by feature,
    in which the rule would have had its alert on, had it been there: nothing healthy is learnt from them.
    """

    marks: dict[str, str] = {}
    version: str = ""
    windows: int = 0
    evidence: dict[str, Evidence] = {}
    spoken: dict[str, int] = {}
    well: set[str] = set()
    past: dict[str, list[tuple[float, float]]] = {}

    def step(self, rule: Rule, feature: str, over: bool | None, on: bool) -> Move:
        """Note one decision; what it leads to for the feature's alert, which is `on` or not."""
        mark = BETWEEN if over is None else OVER if over else UNDER
        marks = (self.marks.get(feature, "") + mark)[-rule.memory :]
        recent = marks[-rule.of_windows :]
        if on:
            move: Move = "close" if marks[-rule.close_after :] == UNDER * rule.close_after else "stay"
        else:
            move = "open" if over and recent.count(OVER) >= rule.for_windows else "stay"
        if (on and move == "stay") or move == "open" or OVER in recent:
            self.marks[feature] = marks
        else:
            self.marks.pop(feature, None)
        return move

    def encoded(self) -> str:
        return msgspec.json.encode(self).decode()


def decode(state: str) -> Course:
    """A kept course; what an earlier version wrote and this one cannot read begins anew."""
    try:
        return msgspec.json.decode(state, type=Course)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return Course()
