"""How many values of a feature were counted apart: null, NaN, infinite, no number, or in no column at all."""

from __future__ import annotations

from store.monitor.bins import FeatureBins, Integers


def dropped_values(feature: FeatureBins, counts: Integers, rows: int) -> dict[str, int]:
    """Rows by reason, those with any: `null`, `nan`, `infinite`, `type_errors`, and `absent` (rows of files without the
    column). `counts` are the feature's own slots, `rows` all rows that were read."""
    slots = {"null": feature.null_slot}
    if feature.kind != "categorical":
        slots |= {"nan": feature.null_slot + 1, "infinite": feature.null_slot + 2, "type_errors": feature.width - 1}
    found = {reason: int(counts[slot]) for reason, slot in slots.items()}
    found["absent"] = max(0, rows - int(counts.sum()))
    return {reason: count for reason, count in found.items() if count}
