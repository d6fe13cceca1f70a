"""A deployment's health: the worst of what release, alerts, files and data say, with its cause in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: Words from the worst on (each may be followed by a colon and the reason); a word that is not here is the release's
#: own trouble and worse than all of them.
ORDER = ("alarm", "warning", "no data", "not judged", "ok", "healthy")


class Health(NamedTuple):
    """A word, and why ("" where the word says it all)."""

    word: str
    cause: str = ""


def worst(states: Iterable[Health]) -> Health:
    """The worst state; of several as bad the first. The causes of the others that are as bad follow its own."""
    ranked = sorted(states, key=_rank)
    first = ranked[0]
    causes = [one.cause for one in ranked if _rank(one) == _rank(first) and one.cause]
    return Health(first.word, "; ".join(causes))


def _rank(health: Health) -> int:
    word = health.word.partition(":")[0]
    return ORDER.index(word) if word in ORDER else -1
