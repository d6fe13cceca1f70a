"""A fleet of monitored deployments: its models with references, and the prediction files that arrive for it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

NUMERIC, CATEGORICAL = 24, 6
CATEGORIES = np.array([f"c{number}" for number in range(12)])
#: Rows of each reference.
REFERENCE_ROWS = 20_000


def name(number: int) -> str:
    return f"model-{number:02d}"


def table(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Random features, column by column: 24 numeric and 6 categorical."""
    columns: dict[str, Any] = {f"n{place:02d}": rng.normal(place, 1 + place, rows) for place in range(NUMERIC)}
    for place in range(CATEGORICAL):
        columns[f"k{place}"] = CATEGORIES[rng.integers(0, len(CATEGORIES) - place, rows)]
    return columns


def write_model(folder: Path, number: int) -> Path:
    """A version 1 with its reference, as a folder to be renamed into `inbox/models/<model>/1`."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rng = np.random.default_rng(number)
    made = folder / f"{name(number)}-made"
    made.mkdir(parents=True)
    features = {f"n{place:02d}": "numeric" for place in range(NUMERIC)}
    features |= {f"k{place}": "categorical" for place in range(CATEGORICAL)}
    manifest = {
        "model": name(number),
        "version": "1",
        "task": "binary",
        "artifact": "model.bin",
        "features": features,
        "reference": "reference.parquet",
    }
    columns = table(rng, REFERENCE_ROWS)
    score = rng.random(REFERENCE_ROWS)
    columns |= {"score": score, "prediction": (score > 0.5).astype(int), "label": (rng.random(len(score)) < score) * 1}
    parquet.write_table(pa.table(columns), made / "reference.parquet")
    (made / "model.bin").write_bytes(name(number).encode())
    (made / "model.json").write_text(json.dumps(manifest))
    return made


@dataclasses.dataclass
class Traffic:
    """Writes one deployment's prediction files; their rows repeat but for time and id, which makes writing cheap."""

    folder: Path
    number: int
    rows: int

    def __post_init__(self) -> None:
        import pyarrow as pa

        rng = np.random.default_rng(1_000 + self.number)
        self._pool = pa.table({**table(rng, self.rows * 8), "score": rng.random(self.rows * 8)})
        self._rng = rng

    def write(self, minute: int, start: float) -> tuple[Path, str]:
        """The file of the minute that begins at `start` (epoch seconds), not yet where the agent looks; its digest."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        times = np.sort(self._rng.random(self.rows)) * 60 + start
        part = self._pool.slice(minute % 8 * self.rows, self.rows)
        part = part.append_column("timestamp", pa.array((times * 1e6).astype("datetime64[us]")))
        part = part.append_column("prediction_id", pa.array([f"{minute}-{row}" for row in range(self.rows)]))
        path = self.folder / f"{self.number:02d}-{minute:05d}.parquet"
        sink = pa.BufferOutputStream()
        parquet.write_table(part, sink, compression="snappy", write_statistics=False)
        content = sink.getvalue().to_pybytes()
        path.write_bytes(content)
        return path, "sha256:" + hashlib.sha256(content).hexdigest()
