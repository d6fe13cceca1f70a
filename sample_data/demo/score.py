"""Scores flights day after day with whatever version the deployment's pointer names, and writes them as files.

    python score.py --data flights_2013.parquet --store STORE --inbox INBOX --from 2013-03-01 --until 2013-12-31

Each day of flights becomes predictions/flight-delay@production/<day>.parquet. One day of event time later what landed
that day becomes labels/flight-delay@production/<day>.parquet. A line of JSON on standard output says each day what
was done. Days that already have their file are passed over, so the script can be stopped and started at any time.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta

import flights
import pandas as pd
from lifeline import die_with_parent
from serving import Serving, Work, add_serving_options, serve
from train import score_flights

DAY = timedelta(days=1)


def main(arguments: list[str] | None = None) -> int:
    die_with_parent()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_serving_options(parser, flights.MODEL, date(2013, 3, 1), date(2013, 12, 31))
    options = parser.parse_args(arguments)
    work = days_of_flights(flights.load(options.data), options.first, options.last)
    return serve(
        work, Serving(options.targets or options.store / "targets", options.deployment), options.inbox, options.speed
    )


def days_of_flights(everything: pd.DataFrame, first: date, last: date) -> Work:
    """The flights scheduled from `first` to `last`, each day of them, and the labels of those that landed, by day."""
    span = (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC") + DAY)
    served = flights.within(everything, span)
    landed = flights.labelled(served)[["flight_id", "was_late", "landed_at"]].astype({"was_late": "int8"})
    landed = landed.sort_values(["landed_at", "flight_id"])
    return Work(
        first,
        last,
        DAY,
        dict(iter(served.groupby(served["scheduled_at"].dt.date))),
        dict(iter(landed.groupby(landed["landed_at"].dt.date))),
        score_flights,
    )


if __name__ == "__main__":
    sys.exit(main())
