"""Models and their versions: a version's bits, manifest and reference never change once it is registered.

The newest version of a model is the one that says the latest `created_at`; of those that say none (they count as
older) the last in the natural order of their names. When a version was registered does not matter: a folder is read in
any order.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from store.catalog.manifest import ModelManifest
from store.catalog.natural import natural_sql
from store.catalog.objects import StoredFile
from store.database import Actor, Entry, Transaction
from store.database.rows import first_row
from store.protocol import ExitCode, Refusal

log = logging.getLogger(__name__)


class VersionArrival(msgspec.Struct, frozen=True):
    """`digest` is that of the version's folder as kept in `objects/` (model.json and the files beside it), `flagged`
    says why the artifact is treated as opaque although its manifest claims more ("" when it is not).

    `notes` is JSON, what was odd about the folder; `contents` every file of the bits. `named_digest` is the digest of
    model.json and of what it names alone, which is what a version was registered with before schema 16 ("" where there
    is nothing else).
    """

    manifest: ModelManifest
    digest: str
    bytes: int
    files: int
    flagged: str
    reference_digest: str
    source: str
    owner: str
    effective_at: datetime
    notes: str = "[]"
    contents: Sequence[StoredFile] = ()
    named_digest: str = ""


class ModelVersion(msgspec.Struct, frozen=True):
    """`files` counts the bits with model.json; None where it is not known."""

    model: str
    version: str
    digest: str
    flavour: str
    flagged: str
    reference_digest: str
    manifest: ModelManifest
    sequence: int
    files: int | None = None

    @property
    def has_artifact(self) -> bool:
        """Whether anything but model.json came as this version's bits."""
        return bool(self.digest) and (self.files is None or self.files > 1)

    @property
    def lacks_artifact(self) -> bool:
        """Whether it has none and does not declare that its name is all that a target needs."""
        return not self.has_artifact and self.manifest.served_by != "name"


def register(tx: Transaction, arrival: VersionArrival, actor: Actor) -> bool:
    """Record the version; False when exactly this one is registered already.

    Raises `Refusal` when the version exists with other bits: versions are immutable.
    """
    manifest = arrival.manifest
    name = f"{manifest.model}@{manifest.version}"
    known = first_row(
        tx.execute(
            "SELECT digest, contents FROM model_version WHERE model = ? AND version = ?",
            [manifest.model, manifest.version],
        )
    )
    if known:
        if known[0] == arrival.digest:
            return False
        if known[1] is None and known[0] == arrival.named_digest:
            log.warning("%s was registered when files that model.json does not name were not kept: it has none", name)
            return False
        raise _other_bits(name, arrival, known[0], known[1])
    sequence = tx.record(
        Entry(
            actor,
            "register",
            "versions",
            name,
            after={
                "digest": arrival.digest,
                "flavour": manifest.flavour,
                "run": manifest.run,
                "flagged": arrival.flagged,
                "metrics": manifest.metrics,
                "files": arrival.files,
                "notes": msgspec.json.decode(arrival.notes),
            },
        )
    )
    tx.touch("models", manifest.model)
    tx.execute(
        "INSERT INTO object SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM object WHERE digest = ?)",
        [arrival.digest, arrival.bytes, arrival.files, tx.now_db, arrival.digest],
    )
    tx.insert(
        "model_version",
        {
            "sequence": "BIGINT",
            "model": "VARCHAR",
            "version": "VARCHAR",
            "digest": "VARCHAR",
            "flavour": "VARCHAR",
            "task": "VARCHAR",
            "run": "VARCHAR",
            "flagged": "VARCHAR",
            "manifest": "VARCHAR",
            "reference_digest": "VARCHAR",
            "source": "VARCHAR",
            "owner": "VARCHAR",
            "effective_at": "TIMESTAMP",
            "recorded_at": "TIMESTAMP",
            "created_at": "TIMESTAMP",
            "notes": "VARCHAR",
            "contents": "VARCHAR",
        },
        [
            {
                "sequence": sequence,
                "model": manifest.model,
                "version": manifest.version,
                "digest": arrival.digest,
                "flavour": manifest.flavour,
                "task": manifest.task,
                "run": manifest.run,
                "flagged": arrival.flagged,
                "manifest": msgspec.json.encode(manifest).decode(),
                "reference_digest": arrival.reference_digest,
                "source": arrival.source,
                "owner": arrival.owner,
                "effective_at": arrival.effective_at,
                "recorded_at": tx.now,
                "created_at": manifest.created,
                "notes": arrival.notes,
                "contents": msgspec.json.encode([_storable(file) for file in arrival.contents]).decode(),
            }
        ],
    )
    return True


def _other_bits(name: str, arrival: VersionArrival, digest: str, contents: str | None) -> Refusal:
    """What is said of a version that is brought again and is not the same: which of its files differ."""
    stored = msgspec.json.decode(contents or "[]", type=list[StoredFile])
    before = {file.path: file.digest for file in stored}
    now = {file.path: file.digest for file in map(_storable, arrival.contents)}
    changes = [
        f"{path} {'is new' if path not in before else 'is gone' if path not in now else 'differs'}"
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path)
    ]
    which = f": {', '.join(changes[:5])}" if before and now else ""
    more = f" and {len(changes) - 5:,} more" if which and len(changes) > 5 else ""
    return Refusal(
        ExitCode.USAGE,
        f"{name} is registered with other bits ({digest[:19]}…, these are {arrival.digest[:19]}…){which}{more}",
        "A version never changes: bring these as a new version.",
        {"key": "version", "found": arrival.digest, "expected": digest},
    )


def _storable(file: StoredFile) -> StoredFile:
    """With a path that is text: names of files may be bytes that are none."""
    path = file.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return msgspec.structs.replace(file, path=path)


#: How many files the bits of a row of `model_version AS v` have, model.json among them; NULL where nobody knows.
FILES_SQL = "(SELECT any_value(object.files) FROM object WHERE object.digest = v.digest)"
#: The same in words, of rows that have it as `files`: "2 files", "by name" (declared), "none" or "not known".
ARTIFACT_SQL = (
    "CASE WHEN digest <> '' AND files IS NULL THEN 'not known'"
    " WHEN digest <> '' AND files > 1 THEN (files - 1) || CASE WHEN files = 2 THEN ' file' ELSE ' files' END"
    " WHEN coalesce(manifest->>'$.served_by', '') = 'name' THEN 'by name' ELSE 'none' END"
)


_SELECT = (
    "SELECT model, version, digest, flavour, flagged, reference_digest, manifest, sequence,"
    f" {FILES_SQL} FROM model_version AS v"
)
_NATURAL = natural_sql("version")
#: What orders versions of one model, the newest first.
NEWEST_FIRST = f"created_at DESC NULLS LAST, {_NATURAL} DESC, version DESC"


def find(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> ModelVersion | None:
    row = first_row(connection.execute(f"{_SELECT} WHERE model = ? AND version = ?", [model, version]))
    return _version(row) if row else None


def contents(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> list[StoredFile]:
    """The files of the version's bits; empty of one that was registered before they were kept."""
    row = first_row(
        connection.execute("SELECT contents FROM model_version WHERE model = ? AND version = ?", [model, version])
    )
    return msgspec.json.decode(row[0], type=list[StoredFile]) if row and row[0] else []


def versions(connection: duckdb.DuckDBPyConnection, model: str) -> list[ModelVersion]:
    """Every version of `model`, newest first by what they say themselves."""
    rows = connection.execute(f"{_SELECT} WHERE model = ? ORDER BY {NEWEST_FIRST}", [model]).fetchall()
    return [_version(row) for row in rows]


def lacking_artifact(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """(model, version) of those that came without an artifact and do not declare that they are served by name."""
    return connection.execute(
        f"SELECT model, version FROM (SELECT v.*, {FILES_SQL} AS files FROM model_version AS v)"
        f" WHERE {ARTIFACT_SQL} = 'none' ORDER BY model, {NEWEST_FIRST}"
    ).fetchall()


def _version(row: tuple[Any, ...]) -> ModelVersion:
    manifest = msgspec.json.decode(row[6], type=ModelManifest)
    return ModelVersion(row[0], row[1], row[2], row[3], row[4], row[5], manifest, row[7], row[8])
