"""What the agent and its workers say to each other: JSON, one message a line."""

from __future__ import annotations

from typing import Literal

import msgspec

from store.catalog.manifest import ModelManifest

Format = Literal["parquet", "csv", "jsonl"]


class Settings(msgspec.Struct, frozen=True):
    """The first line a worker reads."""

    memory_bytes: int


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker says: how far it is, or (once, last) its result or why it failed."""

    label: str = ""
    done: int = 0
    total: int = 0
    result: msgspec.Raw = msgspec.Raw(b"")
    failed: str = ""
    hint: str = ""


class File(msgspec.Struct, frozen=True):
    """A file of rows; `arrival` is the digest that the monitor knows it by ("" for a reference)."""

    path: str
    format: Format
    arrival: str = ""


class Compared(msgspec.Struct, frozen=True):
    """Which rows to compare: at most `limit` of the reference and of the predictions of `version` in [since, until)
    (seconds since the epoch) among `files`, of the columns `features` (name → numeric or categorical)."""

    manifest: ModelManifest
    version: str
    only_version: bool
    """Rows without a version of their own belong to another one."""
    features: dict[str, str]
    reference: File
    files: list[File]
    since: float
    until: float
    limit: int
    seed: int = 0


class Weight(msgspec.Struct, frozen=True):
    """A feature and how much it tells; `change` says in words how it moved."""

    feature: str
    value: float
    change: str


class Comparison(msgspec.Struct, frozen=True):
    """What `multivariate` found; null values have a `why`. See `protocol.Multivariate`."""

    reference_rows: int
    rows: int
    auc: float | None
    auc_noise: float | None
    telling: list[Weight]
    error: float | None
    error_reference: float | None
    error_lower: float | None
    error_upper: float | None
    components: int
    off: list[Weight]
    notes: list[str]
    why: str = ""
    error_why: str = ""


class Expected(msgspec.Struct, frozen=True):
    """Errors to expect of the rows of `files`: learnt on the labelled reference, `limit` rows a file at most."""

    manifest: ModelManifest
    version: str
    only_version: bool
    features: dict[str, str]
    reference: File
    files: list[File]
    base_seconds: int
    limit: int
    seed: int = 0


class WindowErrors(msgspec.Struct, frozen=True):
    """Sums over the `rows` predictions of a file in a window: Σ|e|, Σe², and the variances of both sums."""

    arrival: str
    start: int
    """Seconds since the epoch."""
    rows: int
    sums: list[float]


class Errors(msgspec.Struct, frozen=True):
    windows: list[WindowErrors]
    learnt_from: int
    notes: list[str]
    why: str = ""


class CountThere(msgspec.Struct, frozen=True):
    """Count the Parquet file at `path` on the cluster. `features` are bins, `places` their columns; `times` and
    `counted` ("" for all rows) are files of numpy's, a value a row of the file, `rare` ("" where nothing is known of
    them) one of the reference's rare categories; the sums go to the file `result`."""

    scheduler: str
    path: str
    features: msgspec.Raw
    places: dict[str, str]
    seconds: int
    times: str
    counted: str
    rare: str
    result: str


class CountedThere(msgspec.Struct, frozen=True):
    """It is done."""

    parts: int
