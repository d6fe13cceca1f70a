"""Names and their counts, bounded however many there are, and the same whatever the order they are added in."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

#: New categories that a profile keeps by name.
NEW_NAMES = 1_000
_SPACE = 2.0**64
Hashes = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True)
class Names:
    """At most `bound` names with exact counts: all there are, or else those whose hashes are the smallest.

    A name among the smallest of everything is among the smallest of each part that holds it, so nothing of
    its count is lost by forgetting the others part by part (the bottom-k sketch of Cohen & Kaplan, 2007).
    """

    bound: int = NEW_NAMES
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    complete: bool = True

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int]], bound: int = NEW_NAMES) -> Names:
        counts: dict[str, int] = {}
        for name, count in pairs:
            counts[name] = counts.get(name, 0) + count
        return cls(bound, counts)._bounded()

    def __add__(self, other: Names) -> Names:
        if not other.counts and other.complete:
            return self
        if not self.counts and self.complete:
            return other
        counts = dict(self.counts)
        for name, count in other.counts.items():
            counts[name] = counts.get(name, 0) + count
        return Names(self.bound, counts, self.complete and other.complete)._bounded()

    def _bounded(self) -> Names:
        if len(self.counts) <= self.bound:
            return self
        names = list(self.counts)
        hashes = _hashes(names)
        farthest = np.partition(hashes, self.bound - 1)[self.bound - 1]
        kept = [names[place] for place in np.flatnonzero(hashes < farthest)]
        tied = sorted(names[place] for place in np.flatnonzero(hashes == farthest))
        return Names(self.bound, {name: self.counts[name] for name in kept + tied[: self.bound - len(kept)]}, False)

    def hashes(self) -> Hashes:
        """Those of the kept names, in their order."""
        return _hashes(list(self.counts))

    @property
    def distinct(self) -> int:
        """How many names there are: counted, or estimated from how closely the kept hashes lie."""
        if self.complete or not self.counts:
            return len(self.counts)
        farthest = float(self.hashes().max())
        return max(len(self.counts), round((len(self.counts) - 1) * _SPACE / max(farthest, 1.0)))

    def top(self, number: int) -> list[tuple[str, int]]:
        """The most frequent of the kept names, then by name."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def name_hashes(feature: str, names: list[str]) -> Hashes:
    """Hashes of the feature's categories that differ from those of other features, in the order of the names."""
    return _hashes([f"{feature}\0{name}" for name in names])


def _hashes(names: list[str]) -> Hashes:
    """Stable hashes of 64 bits: two checksums of each name, then the finalizer of MurmurHash3."""
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    count = len(encoded)
    upper = np.fromiter(map(zlib.crc32, encoded), np.uint64, count)
    lower = np.fromiter(map(zlib.adler32, encoded), np.uint64, count)
    mixed = (upper << np.uint64(32)) | lower
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(multiplier)
    return mixed ^ (mixed >> np.uint64(33))
