"""Every command against a real agent: what it prints, what it changes, and its exit status."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console import cli
from tests.driver import RunningAgent, wait_for
from tests.filled_store import DEPLOYMENT, MODEL, QUARTERDECK, RUNS, fill, quarterdeck, write_model


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        fill(running)
        yield running


class Command:
    """The command line in this process: `command("ls", "runs")` gives (status, stdout, stderr)."""

    def __init__(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = cli.main(["--store", str(self.store), *arguments])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> Any:
        status, out, err = self(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def command(agent: RunningAgent, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(agent.store, capsys)


def revision(command: Command) -> int:
    rows = command.json("ls", "deployments")
    return int(next(row["revision"] for row in rows if row["deployment"] == DEPLOYMENT))


@pytest.mark.parametrize(
    "kind",
    [
        "datasets",
        "runs",
        "models",
        "versions",
        "deployments",
        "revisions",
        "windows",
        "drift",
        "performance",
        "alerts",
        "quarantine",
        "journal",
    ],
)
def test_ls_lists_every_kind(command: Command, kind: str) -> None:
    assert isinstance(command.json("ls", kind), list)
    status, out, err = command("ls", kind)
    assert (status, err) == (0, "")
    assert out.strip()


def test_ls_runs_filters_sorts_and_limits(command: Command) -> None:
    rows = command.json(
        "ls", "runs", "--filter", "metric.auc>0.6 name:train", "--sort", "metric.auc:desc", "--limit", "3"
    )
    assert [row["name"] for row in rows] == ["train-39", "train-38", "train-37"]
    assert rows[0]["metric.auc"] == pytest.approx(0.89)


def test_ls_shows_as_many_as_the_limit_says(command: Command) -> None:
    assert len(command("ls", "runs", "--limit", "5")[1].splitlines()) == 6


def test_ls_limit_0_is_all(command: Command) -> None:
    assert len(command.json("ls", "runs", "--limit", "0")) == RUNS


def test_ls_times_are_iso_with_a_zone(command: Command) -> None:
    assert command.json("ls", "journal", "--limit", "1")[0]["time"].endswith("+00:00")


def test_ls_at_a_time_before_the_store_is_empty(command: Command) -> None:
    assert command.json("ls", "runs", "--at", "2001-01-01") == []


def test_a_bad_filter_is_an_error_not_everything(command: Command) -> None:
    status, out, err = command("ls", "runs", "--filter", "name:[")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) <= 2


def test_metrics_of_any_name_and_value_are_told_as_they_are(command: Command, agent: RunningAgent) -> None:
    folder = agent.store / "inbox/runs/odd"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "precision@10": 0.123456789012345, "avg score": NaN, "acc%": Infinity}\n'
    )
    wait_for("the run", lambda: command("show", "runs", "odd")[0] == 0)
    (row,) = command.json("ls", "runs", "--filter", "metric.precision@10>0.1 metric.avg score=nan")
    assert (row["metric.avg score"], row["metric.acc%"]) == ("nan", "inf")
    assert command.json("ls", "runs", "--filter", '"metric.acc%">1e300')[0]["name"] == "odd"
    assert command.json("ls", "runs", "--sort", '"metric.avg score":desc')[0]["name"] == "odd"
    assert command.json("show", "runs", "odd")["metrics"] == {
        "acc%": "inf", "avg score": "nan", "precision@10": 0.123456789012345
    }  # fmt: skip
    assert "0.123456789012345" in command("show", "runs", "odd")[1]
    assert "metric.auc" not in command("ls", "runs", "--limit", "1")[1].splitlines()[0]
    for option in ("--filter", "--sort"):
        status, out, err = command("ls", "runs", option, "metric.precison@10" + (">1" if option == "--filter" else ""))
        assert (status, out) == (2, "")
        assert '"metric.precision@10"' in err


def test_deployments_have_their_three_states_as_objects(command: Command) -> None:
    row = next(row for row in command.json("ls", "deployments") if row["deployment"] == DEPLOYMENT)
    assert row["requested"] == row["observed"] == row["effective"]
    assert list(row["effective"].values()) == [1.0]


def test_show_has_sections(command: Command) -> None:
    shown = command.json("show", "deployments", DEPLOYMENT)
    assert (shown["kind"], shown["name"]) == ("deployments", DEPLOYMENT)
    assert len(shown) > 2


def test_show_of_what_is_not_there_is_2(command: Command) -> None:
    status, _, err = command("show", "runs", "no-such-run")
    assert status == 2
    assert "no-such-run" in err


def test_a_dry_run_shows_the_plan_and_changes_nothing(command: Command) -> None:
    before = revision(command)
    status, out, _ = command("promote", f"{MODEL}@2", "--to", "production", "--reason", "try", "--dry-run")
    assert status == 0
    assert "-> 2" in out
    assert revision(command) == before


def test_promote_and_rollback(command: Command, agent: RunningAgent) -> None:
    before = revision(command)
    promoted = command.json("promote", f"{MODEL}@2", "--to", "production", "--reason", "better", "--wait")
    assert (promoted["revision"], promoted["phase"], promoted["after"]) == (before + 1, "effective", {"2": 1.0})
    current = agent.store / "targets" / "production" / MODEL / "current"
    assert json.loads((current / "revision.json").read_text())["version"] == "2"
    rolled = command.json("rollback", DEPLOYMENT, "--reason", "worse", "--wait")
    assert (rolled["phase"], rolled["after"]) == ("effective", {"1": 1.0})
    assert json.loads((current / "revision.json").read_text())["version"] == "1"


def test_an_expected_revision_that_has_passed_is_4_and_says_what_changed(command: Command) -> None:
    status, _, err = command(
        "promote", f"{MODEL}@2", "--to", "production", "--reason", "late", "--expect", "0", "--json"
    )
    error = json.loads(err)["error"]
    assert (status, error["code"], error["name"]) == (4, 4, "changed")
    assert error["detail"]


def test_a_version_that_is_not_there_is_refused(command: Command) -> None:
    status, _, err = command("promote", f"{MODEL}@99", "--to", "production", "--reason", "x")
    assert status in (1, 2)
    assert "99" in err


def test_an_environment_that_is_not_there_is_refused(command: Command) -> None:
    status, _, err = command("promote", f"{MODEL}@1", "--to", "nowhere", "--reason", "x")
    assert status in (1, 2)
    assert "nowhere" in err


def test_a_note_stands_in_the_journal(command: Command) -> None:
    assert command("note", f"deployments/{DEPLOYMENT}", "watching it")[0] == 0
    newest = command.json("ls", "journal", "--limit", "1")[0]
    assert (newest["action"], newest["reason"] or newest["after"]) != ("", "")


def test_the_journal_holds_and_can_be_exported(command: Command) -> None:
    verified = command.json("journal", "verify")
    assert verified["broken_at"] is None
    status, out, _ = command("journal", "export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= verified["rows"]


def test_doctor_is_well(command: Command) -> None:
    checks = {check["name"]: check["status"] for check in command.json("doctor")}
    assert "failed" not in checks.values()
    assert {"lock", "disk", "journal", "inotify", "terminal"} <= checks.keys()


def test_agent_status_tells_the_process(command: Command, agent: RunningAgent) -> None:
    assert agent.process is not None
    assert command.json("agent", "status")["pid"] == agent.process.pid


def test_a_quarantined_model_can_be_retried(command: Command, agent: RunningAgent) -> None:
    broken = agent.store / "inbox" / "models" / MODEL / "3"
    making = agent.store / "making" / "broken"
    making.mkdir(parents=True)
    (making / "model.json").write_text(json.dumps({"task": "guessing"}))
    making.rename(broken)
    rows = wait_for("the quarantine", lambda: command.json("ls", "quarantine"))
    status, _, err = command("retry", rows[0]["id"])
    assert status in (0, 1, 2)
    assert "Traceback" not in err


def test_backup_and_restore_bring_back_what_was(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with RunningAgent(tmp_path / "store") as running:
        write_model(running.store, "1")
        wait_for("the version", lambda: json.loads(quarterdeck(running.store, "ls", "versions", "--json").stdout))
        assert quarterdeck(running.store, "backup", str(backup)).returncode == 0
        busy = quarterdeck(running.store, "restore", str(backup), check=False)
        assert (busy.returncode, "already runs" in busy.stderr) == (3, True)
    other = tmp_path / "other"
    assert quarterdeck(other, "restore", str(backup)).returncode == 0
    try:
        assert [row["version"] for row in json.loads(quarterdeck(other, "ls", "versions", "--json").stdout)] == ["1"]
    finally:
        quarterdeck(other, "agent", "stop")


def test_init_writes_the_commented_settings_and_keeps_those_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", str(tmp_path / "store")]) == 0
    settings = tmp_path / "store" / "quarterdeck.toml"
    assert "# psi_alarm = 0.25" in settings.read_text()
    settings.write_text("# mine\n")
    assert cli.main(["init", str(tmp_path / "store")]) == 0
    assert settings.read_text() == "# mine\n"
    assert "its quarterdeck.toml was kept" in capsys.readouterr().out


def test_a_reader_that_has_enough_is_no_error(agent: RunningAgent) -> None:
    listing = f"{' '.join(QUARTERDECK)} ls runs --limit 0 --json --store {agent.store}"
    line = f"{listing} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[", "0"]
    assert done.stderr == ""


def test_what_was_odd_about_files_is_on_the_page_of_their_deployment(command: Command, agent: RunningAgent) -> None:
    folder = agent.store / "inbox" / "predictions" / DEPLOYMENT
    folder.mkdir(parents=True, exist_ok=True)
    making = agent.store / "future.csv"
    making.write_text("prediction_id,timestamp,score\nf1,2999-01-01T00:00:00Z,0.5\nf2,,0.5\n")
    making.rename(folder / "future.csv")

    def told() -> dict[str, object] | None:
        odd = command.json("show", "deployments", DEPLOYMENT).get("odd about what arrived lately", {"rows": []})
        found = {row["code"]: row["rows"] for row in odd["rows"]}
        return found if "left_out.time" in found else None

    assert wait_for("the file", told)["left_out.implausible_time"] == 1
    assert command.json("show", "deployments", DEPLOYMENT)["State"]["Health"] == "warning"
