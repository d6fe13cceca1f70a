"""The data on which the presets are held against the monitors they reproduce: real flights, and synthetic columns.

Imported by the tests and, in the peers' environments, by make_presets.py: needs pandas alone.
"""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd

FLIGHTS = Path(__file__).parents[4] / "sample_data" / "flights_2013.parquet"
COLUMNS = [
    "carrier",
    "origin",
    "destination",
    "distance_mi",
    "temperature_f",
    "dew_point_f",
    "humidity_pct",
    "wind_speed_mph",
    "precipitation_in",
    "pressure_mb",
    "visibility_mi",
]
SYNTHETIC_ROWS = 4_000


def cases() -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Name → (reference, current)."""
    flights = pd.read_parquet(FLIGHTS)
    month = {number: flights[flights.scheduled_at.dt.month == number][COLUMNS] for number in (3, 4, 7)}
    march, april, july = (frame.reset_index(drop=True) for frame in month.values())
    even, odd = march[::2].reset_index(drop=True), march[1::2].reset_index(drop=True)
    reference = synthetic(1, SYNTHETIC_ROWS, 0.0)
    return {
        "flights march, april": (march, april),
        "flights march, july": (march, july),
        "flights march, every second": (even, odd),
        "flights small, april": (march[::40].reset_index(drop=True), april[::60].reset_index(drop=True)),
        "flights small, the same": (march[::40].reset_index(drop=True), march[7::40].reset_index(drop=True)),
        "synthetic, the same": (reference, synthetic(2, SYNTHETIC_ROWS, 0.0)),
        "synthetic, moved": (reference, synthetic(3, SYNTHETIC_ROWS, 0.5)),
        "synthetic small, moved": (reference[:800], synthetic(3, 500, 0.25)),
    }


def synthetic(seed: int, rows: int, moved: float) -> pd.DataFrame:
    """Columns of every kind; `moved` shifts them all, each in its own way. Python's generator, which never changes."""
    draw = random.Random(seed)
    frame = pd.DataFrame(
        {
            "normal": [draw.gauss(moved, 1.0) for _ in range(rows)],
            "long_tail": [draw.expovariate(1.0) * (1 + moved) for _ in range(rows)],
            "counted": [sum(draw.random() < 0.3 + moved / 10 for _ in range(12)) for _ in range(rows)],
            "few": [draw.choices([0, 1, 2], [5, 3, 2 + 8 * moved])[0] for _ in range(rows)],
            "halves": [draw.choices([0.5, 1.0, 1.5, 2.0], [4, 3, 2, 1 + 4 * moved])[0] for _ in range(rows)],
            "flag": [int(draw.random() < 0.2 + moved / 5) for _ in range(rows)],
            "colour": [
                draw.choices(["red", "green", "blue", "grey"], [5, 3, 1 + 4 * moved, 1])[0] for _ in range(rows)
            ],
            "yes": ["yes" if draw.random() < 0.4 + moved / 5 else "no" for _ in range(rows)],
            "gaps": [None if draw.random() < 0.1 else draw.gauss(0.0, 2.0) for _ in range(rows)],
        }
    )
    frame["gaps"] = frame["gaps"].astype(float)
    return frame
