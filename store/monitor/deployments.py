"""What the monitor asks of a deployment: its model, the version that serves it, its revisions."""

from __future__ import annotations

from typing import NamedTuple

import duckdb
import msgspec

from store.catalog import models
from store.protocol import ExitCode, Refusal


class Deployment(NamedTuple):
    model: str
    environment: str


def split(deployment: str) -> Deployment:
    """`model@environment`. Raises `Refusal` when it is not of that form."""
    model, at, environment = deployment.rpartition("@")
    if not (model and at and environment):
        raise Refusal(ExitCode.USAGE, f"{deployment!r} is no deployment", "Deployments are named MODEL@ENVIRONMENT.")
    return Deployment(model, environment)


def serving(connection: duckdb.DuckDBPyConnection, deployment: str) -> str:
    """The version that gets most of the traffic; before the first promotion the newest one ("" if none)."""
    rows = connection.execute(
        "SELECT effective, requested FROM deployment_now WHERE deployment = ?", [deployment]
    ).fetchall()
    for text in rows[0] if rows else ():
        shares = msgspec.json.decode(text, type=dict[str, float]) if text else {}
        if shares:
            return max(shares, key=lambda version: shares[version])
    known = models.versions(connection, split(deployment).model)
    return known[0].version if known else ""
