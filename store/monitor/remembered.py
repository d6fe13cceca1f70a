"""What every small file asks again: which version serves, its manifest, its reference; read once until they change."""

from __future__ import annotations

import threading
from typing import Any

import duckdb

from store.catalog.manifest import ModelManifest
from store.monitor import deployments
from store.monitor.reference import Reference, load_reference, manifest_of


class Remembered:
    """Answers about one store, kept until a version, a reference or a release was recorded. Safe on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: Any = None
        self._serving: dict[str, str] = {}
        self._manifests: dict[tuple[str, str], ModelManifest] = {}
        self._references: dict[tuple[str, str], Reference | None] = {}

    def look(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Forget everything if anything has changed: these tables only ever grow."""
        stamp = connection.execute(
            "SELECT (SELECT count(*) FROM deployment_revision), (SELECT count(*) FROM deployment_event),"
            " (SELECT count(*) FROM model_version), (SELECT count(*) FROM monitor_reference)"
        ).fetchall()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                # New ones, not emptied ones: an older snapshot may still be writing into those.
                self._serving, self._manifests, self._references = {}, {}, {}

    def serving(self, connection: duckdb.DuckDBPyConnection, deployment: str) -> str:
        kept = self._serving
        if deployment not in kept:
            kept[deployment] = deployments.serving(connection, deployment)
        return kept[deployment]

    def manifest(self, connection: duckdb.DuckDBPyConnection, model: str, version: str) -> ModelManifest:
        kept, key = self._manifests, (model, version)
        if key not in kept:
            kept[key] = manifest_of(connection, model, version)
        return kept[key]

    def reference(self, connection: duckdb.DuckDBPyConnection, model: str, version: str) -> Reference | None:
        kept, key = self._references, (model, version)
        if key not in kept:
            kept[key] = load_reference(connection, model, version)
        return kept[key]
