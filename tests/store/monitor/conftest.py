"""A store with a registered model, and files made from rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from store.catalog import models
from store.catalog.manifest import ColumnNames, ModelManifest
from store.database import Actor, Database
from store.governance.journal import Journal
from store.monitor import (
    Labelled,
    Taken,
    record_labels,
    record_predictions,
    record_reference,
    scan_labels,
    scan_predictions,
    scan_reference,
)
from store.settings import MonitorSettings

DEPLOYMENT = "m@production"
FLIGHTS = Path(__file__).parents[3] / "sample_data" / "flights_2013.parquet"


class Bench:
    """One store and a folder of files to feed it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = Database.open(folder / "metadata.duckdb", Journal)
        self.maker = duckdb.connect()
        self.settings = MonitorSettings()
        self._files = 0

    def file(self, select: str, suffix: str = "parquet") -> Path:
        """The rows of a SELECT as a new file."""
        self._files += 1
        path = self.folder / f"f{self._files}.{suffix}"
        kind = {"parquet": "PARQUET", "csv": "CSV, HEADER", "jsonl": "JSON"}[suffix]
        self.maker.execute(f"COPY ({select}) TO '{path}' (FORMAT {kind})")
        return path

    def register(self, version: str = "1", **manifest: Any) -> ModelManifest:
        known = ModelManifest("m", version, **manifest)
        arrival = models.VersionArrival(known, f"sha256:{version}", 1, 1, "", "", "", "me", datetime.now(UTC))
        self.database.writer.change(lambda tx: models.register(tx, arrival, Actor("me", "cli")))
        return known

    def reference(self, manifest: ModelManifest, path: Path | None) -> None:
        found = self.database.reader.read(lambda c: scan_reference(c, path, manifest))
        self.database.writer.change(lambda tx: record_reference(tx, "m", manifest.version, found))

    def predict(self, path: Path, digest: str = "", **options: Any) -> Taken:
        """Take the file in as intake does, scanning again where asked to."""
        format: Any = path.suffix[1:]

        def scan(**more: Any) -> Any:
            return self.database.reader.read(
                lambda c: scan_predictions(
                    c, path, format, DEPLOYMENT, digest or path.name, self.settings, **options, **more
                )
            )

        first = scan()
        taken = self.database.writer.change(lambda tx: record_predictions(tx, first))
        if taken.again:
            second = scan(exclude_known=True)
            taken = self.database.writer.change(lambda tx: record_predictions(tx, second))
        return taken

    def label(self, path: Path, digest: str = "") -> Labelled:
        format: Any = path.suffix[1:]
        scan = self.database.reader.read(
            lambda c: scan_labels(c, path, format, DEPLOYMENT, digest or path.name, self.settings)
        )
        return self.database.writer.change(lambda tx: record_labels(tx, scan))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.reader.read(lambda c: c.execute(sql).fetchall())

    def counts(self) -> dict[tuple[Any, ...], int]:
        """(version, window, slot) → count over everything that was recorded."""
        rows = self.rows(
            "SELECT version, window_start, slot, sum(n) FROM (SELECT version, window_start, unnest(slots) AS slot,"
            " unnest(counts) AS n FROM monitor_window) GROUP BY ALL"
        )
        return {row[:3]: int(row[3]) for row in rows}

    def performance(self) -> dict[tuple[Any, ...], int]:
        rows = self.rows(
            "SELECT version, window_start, slot, sum(n) FROM (SELECT version, window_start, unnest(slots) AS slot,"
            " unnest(counts) AS n FROM monitor_performance) GROUP BY ALL HAVING sum(n) <> 0"
        )
        return {row[:3]: int(row[3]) for row in rows}

    def sums(self) -> list[float]:
        row = self.rows("SELECT " + ", ".join(f"sum(sums[{i + 1}])" for i in range(7)) + " FROM monitor_performance")
        return [value or 0.0 for value in row[0]]

    def close(self) -> None:
        self.maker.close()
        self.database.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


FLIGHT_COLUMNS = ColumnNames("flight_id", "scheduled_at", "late", "p_late", "was_late", "landed_at")
FLIGHT_FEATURES = {
    "carrier": "categorical",
    "origin": "categorical",
    "temperature_f": "numeric",
    "humidity_pct": "numeric",
    "pressure_mb": "numeric",
    "precipitation_in": "numeric",
}
