"""Slices and classes: which values of a model's slice columns, and which of its classes, are told apart."""

from __future__ import annotations

import itertools

import duckdb

from store.catalog.manifest import ModelManifest
from store.database import Transaction
from store.monitor.bins import CATEGORY_LENGTH, FeatureBins
from store.monitor.outcomes import MAX_CLASSES
from store.monitor.source import Source, category_sql, literal, number_sql

#: Slice columns that are counted, and values told apart in each; the rest is counted together.
MAX_SLICES, MAX_VALUES = 8, 50
NULL, OTHER = "(null)", "(other)"
#: A numeric slice column with more values than this in the reference is cut at the reference's quartiles.
_FEW = 20


def slice_columns(manifest: ModelManifest) -> list[str]:
    """The columns that performance is told apart by: `slices`, then `protected`, at most MAX_SLICES."""
    return list(dict.fromkeys([*manifest.slices, *manifest.protected]))[:MAX_SLICES]


def slice_sql(found: Source, column: str, feature: FeatureBins | None) -> str:
    """The slice value as text, null values as `(null)`; a null where the file lacks the column."""
    if column not in found.columns:
        return "NULL::VARCHAR"
    kind = found.columns[column]
    if feature is not None and feature.kind == "numeric" and feature.bins > _FEW:
        number = number_sql(found.field(column), kind)[0]
        return _quartile_sql(f"({number} - {feature.origin})" if feature.origin else number, feature)
    text = category_sql(found.field(column), kind)
    if feature is not None and feature.categories and {*feature.categories} <= {"true", "false"}:
        word = f"lower(trim({text}))"
        true = f"WHEN {word} IN ('t', '1', '1.0') THEN 'true'"
        text = f"CASE {true} WHEN {word} IN ('f', '0', '0.0') THEN 'false' ELSE {text} END"
    return f"coalesce(nullif(left(trim({text}), {CATEGORY_LENGTH}), ''), {literal(NULL)})"


def _quartile_sql(number: str, feature: FeatureBins) -> str:
    cuts = [feature.edges[feature.bins * quarter // 4] for quarter in (1, 2, 3)]
    names = [f"< {cuts[0]:g}", *(f"{low:g} … {high:g}" for low, high in itertools.pairwise(cuts))]
    cases = " ".join(f"WHEN {number} < {cut!r} THEN {literal(name)}" for cut, name in zip(cuts, names, strict=True))
    return (
        f"CASE WHEN {number} IS NULL OR NOT isfinite({number}) THEN {literal(NULL)} {cases}"
        f" ELSE {literal(f'≥ {cuts[2]:g}')} END"
    )


def kept_values(tx: Transaction, model: str, version: str, slice: str, incoming: list[str]) -> set[str]:
    """The values of `slice` that are told apart, after those of `incoming` (most frequent first) took what was free."""
    kept = {
        str(row[0])
        for row in tx.execute(
            "SELECT value FROM monitor_slice WHERE model = ? AND version = ? AND slice = ?", [model, version, slice]
        ).fetchall()
    }
    new = [value for value in incoming if value not in kept][: max(0, MAX_VALUES - len(kept))]
    for value in new:
        tx.execute("INSERT INTO monitor_slice VALUES (?, ?, ?, ?, ?)", [model, version, slice, value, tx.now_db])
    return kept.union(new)


def classes(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> list[str]:
    """The classes of a multiclass version, by number."""
    rows = connection.execute(
        "SELECT name FROM monitor_class WHERE model = ? AND version = ? ORDER BY number", [model, version]
    ).fetchall()
    return [str(row[0]) for row in rows]


def add_classes(tx: Transaction, model: str, version: str, incoming: list[str]) -> list[str]:
    """All classes by number, after the new ones among `incoming` got theirs (at most MAX_CLASSES)."""
    known = classes(tx.connection, model, version)
    held = set(known)
    for name in incoming:
        if name not in held and len(known) < MAX_CLASSES:
            tx.execute(
                "INSERT INTO monitor_class VALUES (?, ?, ?, ?, ?)", [model, version, len(known), name, tx.now_db]
            )
            known.append(name)
            held.add(name)
    return known
