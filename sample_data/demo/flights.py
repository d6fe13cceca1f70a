"""The flights task: will a flight from New York land more than 15 minutes late?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

MODEL = "flight-delay"
DATASET = "flights"
LATE_MINUTES = 15

CATEGORICAL = ["carrier", "origin", "destination"]
NUMERIC = [
    "distance_mi",
    "temperature_f",
    "dew_point_f",
    "humidity_pct",
    "wind_speed_mph",
    "precipitation_in",
    "pressure_mb",
    "visibility_mi",
    "scheduled_hour",
    "weekday",
]
FEATURES = CATEGORICAL + NUMERIC
FEATURE_KINDS = {**dict.fromkeys(CATEGORICAL, "categorical"), **dict.fromkeys(NUMERIC, "numeric")}
#: How the files of this model name the columns that the monitor needs (model.json, "columns").
COLUMNS = {
    "id": "flight_id",
    "time": "scheduled_at",
    "prediction": "late",
    "score": "p_late",
    "label": "was_late",
    "label_time": "landed_at",
}


def load(path: Path) -> pd.DataFrame:
    """The flights in time order with what is derived from them.

    `scheduled_hour` and `weekday` (0 = Monday) are New York's, `was_late` is null where the flight was cancelled or
    diverted. A month or a day always means one in UTC, as the monitor's windows do.
    """
    flights = pd.read_parquet(path)
    local = flights["scheduled_at"].dt.tz_convert("America/New_York")
    flights["scheduled_hour"] = local.dt.hour.astype("int16")
    flights["weekday"] = local.dt.day_of_week.astype("int16")
    flights["was_late"] = (flights["arrival_delay_min"] > LATE_MINUTES).astype("Int8")
    return flights.sort_values(["scheduled_at", "flight_id"], ignore_index=True)


def parse_months(text: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """`2013-01..2013-02` or `2013-03` as the half-open span [start of the first, end of the last month), UTC."""
    first, _, last = text.partition("..")
    try:
        start, final = (pd.Period(month, freq="M") for month in (first, last or first))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a span of months such as 2013-01..2013-02: {error}") from error
    if final < start:
        raise ValueError(f"{text!r} ends before it begins")
    return start.start_time.tz_localize("UTC"), (final + 1).start_time.tz_localize("UTC")


def within(flights: pd.DataFrame, span: tuple[pd.Timestamp, pd.Timestamp]) -> pd.DataFrame:
    """The flights scheduled in the half-open span."""
    return flights[(flights["scheduled_at"] >= span[0]) & (flights["scheduled_at"] < span[1])]


def labelled(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights of which it is known whether they were late."""
    return flights[flights["was_late"].notna()]


def hold_out_days(flights: pd.DataFrame, every: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits off each `every`-th day of the year whole: (the rest, the days held out).

    Whole days, because flights of one day share their weather: a random split of the flights would flatter.
    """
    held = flights["scheduled_at"].dt.day_of_year % every == 0
    return flights[~held], flights[held]
