"""What every small file asks again: which version serves, its manifest, its reference; read once until they change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from store.catalog.manifest import ModelManifest
from store.database import Database
from store.database.reader import Connect
from store.monitor import deployments
from store.monitor.reference import Reference, load_reference, manifest_of

#: Changes of these listings may change the answers.
_TOPICS = frozenset({"versions", "revisions"})


class Answers:
    """Answers from the store, each asked for once; what is known needs no connection. Safe on any thread."""

    def __init__(self) -> None:
        self._serving: dict[str, str] = {}
        self._manifests: dict[tuple[str, str], ModelManifest] = {}
        self._references: dict[tuple[str, str], Reference | None] = {}

    def serving(self, connect: Connect, deployment: str) -> str:
        if deployment not in self._serving:
            self._serving[deployment] = deployments.serving(connect(), deployment)
        return self._serving[deployment]

    def manifest(self, connect: Connect, model: str, version: str) -> ModelManifest:
        key = (model, version)
        if key not in self._manifests:
            self._manifests[key] = manifest_of(connect(), model, version)
        return self._manifests[key]

    def reference(self, connect: Connect, model: str, version: str) -> Reference | None:
        key = (model, version)
        if key not in self._references:
            self._references[key] = load_reference(connect(), model, version)
        return self._references[key]


class Remembered:
    """Keeps `answers` of a database until a version was registered or a revision went on."""

    def __init__(self, database: Database) -> None:
        self.answers = Answers()
        """Take them before the read that they are for begins: what an older snapshot says is then never kept."""
        database.listen(self._committed)

    def _committed(self, topics: Mapping[str, set[str]], _at: datetime) -> None:
        if not _TOPICS.isdisjoint(topics):
            self.answers = Answers()
