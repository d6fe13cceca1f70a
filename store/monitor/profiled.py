"""A file is profiled once: versions that name the same bytes as their reference, and ask the same of them, share it."""

from __future__ import annotations

import dataclasses

import duckdb

from store.catalog.manifest import ModelManifest
from store.monitor import slices
from store.monitor.reference import Reference, load_reference, manifest_of
from store.monitor.reference_chunks import PRESET, load_chunks

_LOOKED_AT = 20


def profiled(connection: duckdb.DuckDBPyConnection, digest: str, manifest: ModelManifest) -> Reference | None:
    """The reference of `manifest`'s version, from the profile that another version, or this one, has of the file with
    this digest; null where there is none that says what this one would."""
    if not digest:
        return None
    rows = connection.execute(
        "SELECT model, version FROM monitor_reference WHERE source_digest = ? AND answers_given"
        " ORDER BY recorded_at DESC LIMIT ?",
        [digest, _LOOKED_AT],
    ).fetchall()
    for model, version in rows:
        if _asked(manifest_of(connection, model, version)) != _asked(manifest):
            continue
        found = load_reference(connection, model, version)
        chunks = load_chunks(connection, found.identity, found.width, PRESET) if found is not None else None
        if found is None or chunks is None or not found.has_moments:
            # An older profile says less than one made today.
            continue
        classes = tuple(slices.classes(connection, model, version))
        return dataclasses.replace(
            found,
            model=manifest.model,
            version=manifest.version,
            classes=classes,
            chunks=chunks,
            recorded_as="",
        )
    return None


def _asked(manifest: ModelManifest) -> list[object]:
    """What a profile depends on beside the file."""
    quantiles = manifest.extra.get("quantiles")
    columns = [manifest.features, manifest.columns, manifest.formats]
    answers = [manifest.positive, manifest.threshold, manifest.score_scale]
    return [manifest.task, *columns, *answers, quantiles]
