"""What has been dealt with already: so that a restart reads nothing twice and loses nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from store.database import Transaction
from store.database.rows import first_row
from store.intake.clean import clean_line
from store.intake.follow import Followed

#: The identity of a path whose file was said to lie in a wrong place and does not any more: what comes there is new.
GONE = 0


@dataclasses.dataclass(frozen=True)
class Folder:
    """A watched folder; `label` names it in the database, so that a store that was moved knows its files."""

    path: str
    label: str

    def relative(self, path: str) -> str | None:
        """`path` below this folder, None when it lies elsewhere."""
        prefix = self.path.rstrip("/") + "/"
        return path[len(prefix) :] if path.startswith(prefix) else None

    def key(self, relative: str) -> int:
        """64 bits (signed) for a path below this folder."""
        whole = os.fsencode(self.label) + b"\0" + os.fsencode(relative)
        return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little", signed=True)


def folders(
    watched: Sequence[Path], inbox: Path, recorded: Callable[[str], bool] = lambda _label: False
) -> list[Folder]:
    """The watched folders with their labels; `recorded` says whether files are known under a label.

    Earlier versions named a folder that is a link by where it led: files known by that name keep it.
    """
    found = []
    for path in dict.fromkeys(watched):
        label = "inbox" if path == inbox else str(path)
        real = os.path.realpath(path)
        if path != inbox and real != label and recorded(real):
            label = real
        found.append(Folder(str(path), label))
    return found


def recorded_under(connection: duckdb.DuckDBPyConnection, label: str) -> bool:
    """Whether a file of the folder `label` was dealt with before."""
    prefix = clean_line(f"{label}/", 1_000)
    row = connection.execute("SELECT 1 FROM arrival WHERE starts_with(path, ?) LIMIT 1", [prefix])
    return first_row(row) is not None


class Arrival(msgspec.Struct, frozen=True):
    """One row of `arrival`; `outcome` is taken, quarantined, waiting or gone."""

    path_key: int
    identity: int
    path: str
    kind: str
    digest: str
    outcome: str
    followed: Followed | None = None


_TYPES = {
    "path_key": "BIGINT",
    "identity": "BIGINT",
    "path": "VARCHAR",
    "kind": "VARCHAR",
    "digest": "VARCHAR",
    "outcome": "VARCHAR",
    "position": "BIGINT",
    "lines": "BIGINT",
    "prefix": "VARCHAR",
    "skipping": "BOOLEAN",
    "recorded_at": "TIMESTAMP",
}


def record(tx: Transaction, arrivals: Sequence[Arrival]) -> None:
    rows: list[dict[str, Any]] = []
    for arrival in arrivals:
        row: dict[str, Any] = {
            "path_key": arrival.path_key,
            "identity": arrival.identity,
            "path": clean_line(arrival.path, 1_000),
            "kind": arrival.kind,
            "digest": arrival.digest,
            "outcome": arrival.outcome,
            "recorded_at": tx.now,
        }
        if arrival.followed is not None:
            row |= msgspec.structs.asdict(arrival.followed)
            del row["metrics"]
        rows.append(row)
    tx.insert("arrival", _TYPES, rows)


def followed(connection: duckdb.DuckDBPyConnection, path_key: int) -> Followed:
    """How far the followed file was taken in; the beginning when it is not known."""
    row = first_row(
        connection.execute(
            "SELECT position, lines, prefix, skipping FROM arrival"
            " WHERE path_key = ? AND position IS NOT NULL ORDER BY rowid DESC LIMIT 1",
            [path_key],
        )
    )
    return Followed(int(row[0]), int(row[1]), str(row[2]), bool(row[3])) if row else Followed()


#: So many paths are remembered in a dict before they are folded into the arrays.
_SINCE = 100_000


class Known:
    """The last identity of every path: 16 bytes each for what the database held at the start, then a dict."""

    def __init__(self, keys: npt.NDArray[np.int64], identities: npt.NDArray[np.int64]) -> None:
        order = np.argsort(keys, kind="stable")
        # Replaced as one: the watcher's threads ask while intake's remembers.
        self._sorted = (keys[order], identities[order])
        self._since: dict[int, int] = {}

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> Known:
        columns = connection.execute(
            "SELECT path_key, arg_max(identity, rowid) AS identity FROM arrival GROUP BY path_key"
        ).fetchnumpy()
        return cls(np.asarray(columns["path_key"], np.int64), np.asarray(columns["identity"], np.int64))

    def remember(self, path_key: int, identity: int) -> None:
        self._since[path_key] = identity
        if len(self._since) >= _SINCE:
            self._fold()

    def identity(self, path_key: int) -> int | None:
        """The identity the file had when it was last dealt with; None for a path never seen, or gone since."""
        identity = self._identity(path_key)
        return None if identity == GONE else identity

    def _identity(self, path_key: int) -> int | None:
        lately = self._since.get(path_key)
        if lately is not None:
            return lately
        keys, identities = self._sorted
        place = int(np.searchsorted(keys, path_key))
        if place < len(keys) and int(keys[place]) == path_key:
            return int(identities[place])
        return None

    def _fold(self) -> None:
        keys, identities = self._sorted
        new = np.fromiter(self._since, np.int64, len(self._since))
        kept = ~np.isin(keys, new)
        keys = np.concatenate([keys[kept], new])
        identities = np.concatenate([identities[kept], np.fromiter(self._since.values(), np.int64, len(new))])
        order = np.argsort(keys, kind="stable")
        self._sorted = (keys[order], identities[order])
        self._since = {}
