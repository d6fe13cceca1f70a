"""Workers of a real agent: errors expected in the background, all features compared when somebody asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from console import cli
from store.protocol import ListParams, MultivariateParams, PerformanceParams
from tests.driver import RunningAgent, wait_for
from tests.filled_store import wait_for_rows

DEPLOYMENT = "forecast@production"
ROWS = (
    "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' + to_seconds((i * 60)::INT) AS timestamp,"
    " (i * 7919 % 1000) / 1000.0 AS x, ['a', 'b', 'c'][1 + i % 3] AS k, 10 + x AS prediction,"
    " 10 + x + (i * 31 % 101 - 50) / 50.0 * (1 + x) AS label FROM range({first}, {last}) t(i)"
)


def write(path: Path, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}")
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{making}' (FORMAT PARQUET)")
    making.rename(path)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        making = running.store / "making" / "1"
        write(making / "reference.parquet", ROWS.format(first=0, last=2000))
        (making / "model.bin").write_bytes(b"bits")
        manifest = {"model": "forecast", "version": "1", "task": "regression", "artifact": "model.bin",
                    "features": {"x": "numeric", "k": "categorical"}, "reference": "reference.parquet"}  # fmt: skip
        (making / "model.json").write_text(json.dumps(manifest))
        (running.store / "inbox" / "models" / "forecast").mkdir(parents=True)
        making.rename(running.store / "inbox" / "models" / "forecast" / "1")
        wait_for_rows(running, "versions", 1)
        current = ROWS.format(first=5000, last=7000)
        write(
            running.store / "inbox" / "predictions" / DEPLOYMENT / "p.parquet",
            f"SELECT * EXCLUDE (label) FROM ({current})",
        )
        wait_for_rows(running, "windows", 1)
        yield running


def test_errors_of_a_regression_are_expected_in_the_background(agent: RunningAgent) -> None:
    asked = PerformanceParams(DEPLOYMENT, ["mae"], window="1mo")

    def estimated() -> float | None:
        with agent.client() as client:
            lines = client.call("performance", asked).lines
        return next(line for line in lines if line.kind == "estimated").values[0]

    wait_for("an estimate", lambda: estimated() is not None, patience=90)
    with duckdb.connect() as connection:
        current = ROWS.format(first=5000, last=7000)
        realised = connection.execute(f"SELECT avg(abs(label - prediction)) FROM ({current})").fetchall()[0][0]
    assert estimated() == pytest.approx(realised, rel=0.1)
    with agent.client() as client:
        page = client.call("list", ListParams("performance", filter="kind=estimated metric=mae", window="1mo"))
    assert page.total == 1


def test_all_features_are_compared_with_the_reference(agent: RunningAgent) -> None:
    with agent.client() as client:
        found = client.call("multivariate", MultivariateParams(DEPLOYMENT))
    assert (found.version, found.why) == ("1", "")
    assert found.auc is not None
    assert found.rows > 100


def test_rows_that_came_later_are_not_compared_as_of_before(agent: RunningAgent) -> None:
    deployment = "forecast@staging"
    month = MultivariateParams(deployment, since=1_714_521_600.0, until=1_717_200_000.0)

    def take(first: int, rows: int) -> float:
        """A file of 500 predictions; when it was recorded."""
        file = agent.store / "inbox" / "predictions" / deployment / f"{first}.parquet"
        write(file, f"SELECT * EXCLUDE (label) FROM ({ROWS.format(first=first, last=first + 500)})")

        def recorded() -> float | None:
            with agent.client() as client:
                page = client.call("list", ListParams("windows", filter=f"deployment={deployment}", window="1mo"))
            names = [column.name for column in page.columns]
            found = [row for row in page.rows if row[names.index("rows")] == rows]
            return float(str(found[0][names.index("recorded_at")])) if found else None

        wait_for(f"{rows} rows", lambda: recorded() is not None)
        return recorded() or 0.0

    known = take(5000, 500)
    with agent.client() as client:
        before = client.call("multivariate", month)
        take(8000, 1000)
        after = client.call("multivariate", month)
        then = client.call("multivariate", msgspec.structs.replace(month, at=known))
        never = client.call("multivariate", msgspec.structs.replace(month, at=known - 86_400))
    assert (before.rows, after.rows, then.rows) == (500, 1000, 500)
    assert (then.auc, then.error) == (before.auc, before.error)
    assert never.why == f"No predictions of {deployment} have arrived by then."


def test_the_command_shows_what_was_found(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--store", str(agent.store), "show", "drift", DEPLOYMENT, "--multivariate"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "domain classifier" in said
    assert "PCA reconstruction" in said
    assert cli.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["deployment"] == DEPLOYMENT


def test_a_file_that_was_deleted_is_missed_and_said(agent: RunningAgent) -> None:
    path = agent.store / "inbox" / "predictions" / DEPLOYMENT / "p.parquet"
    kept = path.read_bytes()
    path.unlink()
    with agent.client() as client:
        found = client.call("multivariate", MultivariateParams(DEPLOYMENT, rows=777))
    path.write_bytes(kept)
    assert found.auc is None
    assert found.why == "the prediction files of this span are no longer where they were"


def test_multivariate_belongs_to_drift_alone(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--store", str(agent.store), "show", "runs", "x", "--multivariate"]) == 2
    assert "show runs takes no --multivariate." in capsys.readouterr().err
