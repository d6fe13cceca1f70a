"""Bins and counts of a reference frame and another, as the monitor would have them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from store.monitor.bins import CATEGORIES, FeatureBins, Integers, NumericCoder, numeric_edges


@dataclasses.dataclass(frozen=True)
class Counted:
    features: tuple[FeatureBins, ...]
    reference: Integers
    current: Integers
    reference_chunks: Integers
    current_chunks: Integers


def counted(reference: pd.DataFrame, current: pd.DataFrame) -> Counted:
    """Counts of both frames, and of ten equal chunks of each (what remains is one more), in bins of the first."""
    features: list[FeatureBins] = []
    parts: list[list[Integers]] = []
    offset = 0
    for name in reference:
        column = reference[name]
        if pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(np.float64)
            feature = FeatureBins(str(name), "numeric", offset, numeric_edges(values))
        else:
            # Most frequent first, then by name.
            common = column.value_counts().sort_index().sort_values(ascending=False, kind="stable")
            categories = [str(name) for name in common.index[:CATEGORIES]]
            feature = FeatureBins(str(name), "categorical", offset, categories=categories)
        offset += feature.width
        features.append(feature)
        parts.append([_counts(feature, frame[name]) for frame in (reference, current)])
    chunks = [np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1)]
    return Counted(tuple(features), chunks[0].sum(axis=0), chunks[1].sum(axis=0), chunks[0], chunks[1])


def _counts(feature: FeatureBins, column: pd.Series) -> Integers:
    if feature.kind == "categorical":
        place = {category: slot for slot, category in enumerate(feature.categories)}
        slots = np.array(
            [feature.null_slot if pd.isna(value) else place.get(value, feature.bins) for value in column], np.int64
        )
    else:
        values = column.to_numpy(np.float64)
        slots = NumericCoder(feature.edges).slots(values, np.isnan(values), None)
    size = len(column) // 10
    starts = range(0, len(column), size)
    return np.array([np.bincount(slots[start : start + size], minlength=feature.width) for start in starts], np.int64)
