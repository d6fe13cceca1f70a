"""A worker: a large file of predictions is counted by a Dask cluster that sees the same files.

Run as `python -m store.monitor.workers.cluster`. Times and counts travel as files: there may be many.
"""

from __future__ import annotations

import functools

import msgspec
import numpy as np

from store.monitor import kernel, parts, window_files
from store.monitor.binning import Bins
from store.monitor.bins import FeatureBins, Integers, Marks
from store.monitor.cluster import Cluster
from store.monitor.names import Hashes
from store.monitor.parts import Part
from store.monitor.workers import serving
from store.monitor.workers.messages import CountedThere, CountThere
from store.monitor.workers.serving import Progress

_Task = tuple[Part, Integers, Marks | None]


def count(asked: CountThere, progress: Progress) -> CountedThere:
    """Count the file's parts; the sums are in the file `asked.result`."""
    features = msgspec.json.decode(asked.features, type=tuple[FeatureBins, ...])
    width = sum(feature.width for feature in features)
    rare: Hashes | None = np.load(asked.rare) if asked.rare else None
    bins = Bins(features, np.zeros(width, np.int64), rare) if features else None
    times: Integers = np.load(asked.times)
    counted: Marks | None = np.load(asked.counted) if asked.counted else None
    found = parts.parts_of([asked.path])
    tasks: list[_Task] = []
    for part in found:
        rows = slice(part.first_row, part.first_row + (part.rows))
        tasks.append((part, times[rows], counted[rows] if counted is not None else None))
    work = functools.partial(_count, bins=bins, places=asked.places, seconds=asked.seconds)
    done = []
    with Cluster(asked.scheduler) as cluster:
        for partial in cluster.map(work, tasks):
            done.append(partial)
            progress("counting", len(done), len(tasks))
    window_files.save(asked.result, kernel.merge(done, bins))
    return CountedThere(len(tasks))


def _count(task: _Task, bins: Bins | None, places: dict[str, str], seconds: int) -> kernel.Partial:
    part, times, counted = task
    return kernel.count_part(part, bins, places, times, counted, seconds)


if __name__ == "__main__":
    serving.serve(CountThere, count)
