"""Counts by window as a file: what another process counted."""

from __future__ import annotations

import msgspec
import numpy as np

from store.monitor.kernel import WindowCounts
from store.monitor.names import Names
from store.monitor.window_moments import WindowMoments

_COUNTS = ("starts", "rows", "first", "last", "ends", "slots", "counts")
_MOMENTS = ("sums", "lows", "highs")


class _Named(msgspec.Struct, frozen=True, array_like=True):
    window: int
    feature: str
    bound: int
    counts: dict[str, int]
    complete: bool


def save(path: str, counts: WindowCounts) -> None:
    """Write the counts to `path` (its suffix is .npz)."""
    names = [
        _Named(window, feature, names.bound, dict(names.counts), names.complete)
        for (window, feature), names in counts.names.items()
    ]
    arrays = {name: getattr(counts, name) for name in _COUNTS}
    arrays |= {name: getattr(counts.moments, name) for name in _MOMENTS}
    np.savez(path, **arrays, names=np.frombuffer(msgspec.json.encode(names), np.uint8))


def load(path: str) -> WindowCounts:
    """The counts that were saved. Raises OSError when they cannot be read."""
    with np.load(path) as arrays:
        named = msgspec.json.decode(arrays["names"].tobytes(), type=list[_Named])
        return WindowCounts(
            **{name: arrays[name] for name in _COUNTS},
            moments=WindowMoments(*(arrays[name] for name in _MOMENTS)),
            names={(one.window, one.feature): Names(one.bound, one.counts, one.complete) for one in named},
        )
