"""`show drift MODEL@ENV --feature NAME`: through files, intake and agent to what is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest

from tests.cli.test_cli_with_agent import Command
from tests.driver import RunningAgent
from tests.filled_store import quarterdeck, wait_for_rows

DEPLOYMENT = "fares@production"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        making = running.store / "making" / "1"
        making.mkdir(parents=True)
        manifest = {"model": "fares", "version": "1", "reference": "reference.parquet"}
        manifest["features"] = {"price": "numeric", "carrier": "categorical"}  # type: ignore[assignment]
        (making / "model.json").write_text(json.dumps(manifest))
        rows = "SELECT i AS prediction_id, (i % 50)::DOUBLE AS price, 'c' || (i % 3) AS carrier FROM range(1000) t(i)"
        duckdb.sql(rows).write_parquet(str(making / "reference.parquet"))
        (running.store / "inbox" / "models" / "fares").mkdir(parents=True)
        making.rename(running.store / "inbox" / "models" / "fares" / "1")
        wait_for_rows(running, "versions", 1)
        quarterdeck(running.store, "promote", "fares@1", "--to", "production", "--reason", "first", "--wait")
        folder = running.store / "inbox" / "predictions" / DEPLOYMENT
        folder.mkdir(parents=True)
        duckdb.sql(
            "SELECT i AS prediction_id, TIMESTAMP '2024-05-01 10:00:00' + to_seconds(i) AS timestamp,"
            " (100 + i % 11)::DOUBLE AS price, CASE WHEN i % 4 = 0 THEN 'zz' ELSE 'c1' END AS carrier"
            " FROM range(440) t(i)"
        ).write_parquet(str(running.store / "making" / "p.parquet"))
        (running.store / "making" / "p.parquet").rename(folder / "p.parquet")
        wait_for_rows(running, "windows", 1)
        yield running


@pytest.fixture
def command(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(agent.store, capsys)


SPAN = ("--since", "2024-05-01T10:00Z", "--until", "2024-05-01T11:00Z")


def test_a_number_has_its_moments_beside_the_references(command: Command) -> None:
    found = command.json("show", "drift", DEPLOYMENT, "--feature", "price", *SPAN)
    assert found["summary"] == {
        "values": 440, "mean": pytest.approx(105.0), "deviation": pytest.approx(10**0.5), "low": 100.0, "high": 110.0,
    }  # fmt: skip
    assert found["reference_summary"]["mean"] == pytest.approx(24.5)
    assert (found["rows"], found["reference_rows"], found["since"]) == (440, 1000, "2024-05-01T10:00:00+00:00")


def test_a_category_has_its_new_ones_by_name(command: Command) -> None:
    found = command.json("show", "drift", DEPLOYMENT, "--feature", "carrier", *SPAN)
    assert (found["new"], found["new_total"], found["new_estimated"]) == ([{"name": "zz", "rows": 110}], 1, False)


def test_it_is_printed_in_sections(command: Command) -> None:
    status, out, err = command("show", "drift", DEPLOYMENT, "--feature", "price", *SPAN)
    assert (status, err) == (0, "")
    assert "bins that changed most" in out
    assert any(line.split() == ["mean", "105", "24.5"] for line in out.splitlines())
    _, out, _ = command("show", "drift", DEPLOYMENT, "--feature", "carrier", *SPAN)
    assert any(line.split() == ["zz", "110"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "drift", DEPLOYMENT, "--feature", "nothing"), "Version 1 has no feature 'nothing'."),
        (("show", "runs", "x", "--feature", "price"), "show runs takes no --feature."),
        (("show", "drift", DEPLOYMENT, "--feature", "price", "--multivariate"), "Leave one of them out."),
        (("show", "drift", "x", "--since", "-2h"), "--since and --until need --multivariate or --feature."),
    ],
)
def test_what_cannot_be_shown_is_said(command: Command, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert said in err
