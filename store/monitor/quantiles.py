"""Predicted quantiles of a regression: which columns of a predictions file hold them, and for which levels."""

from __future__ import annotations

import re

from store.catalog.manifest import ModelManifest
from store.monitor.outcomes import LEVELS
from store.monitor.source import Source, number_sql

MAX_QUANTILES = 20
#: `prediction_q05` is the 5 % quantile, `prediction_q975` the 97.5 %: the digits after "0.".
_NAME = re.compile(r"prediction_q(\d{1,3})")


def quantile_columns(manifest: ModelManifest, names: list[str]) -> dict[int, str]:
    """Level in thousandths → column, of a regression.

    They are named in model.json, `"quantiles": {"0.05": "low", "0.95": "high"}`, or recognised as `prediction_q05`.
    """
    if manifest.task != "regression":
        return {}
    found: dict[int, str] = {}
    declared = manifest.extra.get("quantiles")
    if isinstance(declared, dict):
        for level, column in declared.items():
            try:
                place = round(float(level) * LEVELS)
            except ValueError:
                continue
            if 0 < place < LEVELS and column in names:
                found[place] = str(column)
    for name in names:
        match = _NAME.fullmatch(name)
        if match:
            place = round(float(f"0.{match[1]}") * LEVELS)
            if 0 < place < LEVELS:
                found.setdefault(place, name)
    return dict(sorted(found.items())[:MAX_QUANTILES])


def quantiles_sql(found: Source, columns: dict[int, str]) -> str:
    """The quantiles of a row as MAP(USMALLINT, DOUBLE), by level in thousandths."""
    levels = ", ".join(f"{level}::USMALLINT" for level in columns)
    values = ", ".join(number_sql(found.field(column), found.columns[column])[0] for column in columns.values())
    return f"map([{levels}], [{values}])"
