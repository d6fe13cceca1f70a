"""`quarterdeck drift`: a whole command on real files, with no store and no agent."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console import cli, comparison
from console.glyphs import glyphs
from store.protocol import DriftRequest, Refusal

DRIFT = [sys.executable, "-m", "console.cli", "drift"]


def rows(path: Path, seed: int, shift: float = 0.0, number: int = 1_000) -> Path:
    draw = random.Random(seed)
    lines = [f"{draw.gauss(shift, 1):.6f},{draw.gauss(0, 1):.6f},{draw.choice('aab')}" for _ in range(number)]
    path.write_text("moved,steady,kind\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return str(rows(tmp_path / "reference.csv", 1)), str(rows(tmp_path / "current.csv", 2, 0.8))


def drift(reference: str, current: str, *options: str) -> int:
    return cli.main(["drift", current, "--reference", reference, *options])


def test_the_table_puts_what_drifted_first(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(*files) == 0
    titles, first, *rest = capsys.readouterr().out.splitlines()
    assert titles.split()[:4] == ["FEATURE", "STATISTIC", "PSI", "NOISE"]
    assert first.startswith("moved")
    assert f"{glyphs().critical} drifted" in first
    assert sum(f"{glyphs().ok} steady" in line for line in rest) == 2
    assert any(line == "1 of 3 features drifted, moved: 1,000 rows against 1,000." for line in rest)
    assert rest[-1].startswith("The guarantee: of windows in which nothing changed, at most 0.5%")


def test_json_rows_have_the_keys_of_every_drift_row(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(*files, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    judged = [row for row in found if row["alarm"] is not None]
    assert [(row["feature"], row["statistic"], row["alarm"]) for row in judged] == [
        ("moved", "psi", True),
        *[(row["feature"], "psi", False) for row in judged[1:]],
    ]
    keys = (
        "deployment version feature window_start window_end statistic value noise_floor threshold reference_rows rows"
    )
    assert all(set(keys.split()) < set(row) for row in found)
    assert {row["statistic"] for row in found if row["feature"] == "moved"} >= {"psi", "js", "ks", "wasserstein"}
    assert (judged[0]["reference_rows"], judged[0]["rows"], judged[0]["deployment"]) == (1_000, 1_000, None)


def test_fail_on_drift_exits_with_1_only_when_something_drifted(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert drift(*files, "--fail-on-drift") == 1
    assert drift(files[0], files[0], "--fail-on-drift") == 0
    assert drift(*files, "--fail-on-drift", "--features", "s*,kind") == 0
    capsys.readouterr()


def test_what_nobody_looked_at_is_not_judged_and_never_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = str(rows(tmp_path / "few.csv", 3, number=60)), str(rows(tmp_path / "many.csv", 1))
    assert drift(many, few) == 6
    told = capsys.readouterr().out
    assert f"{glyphs().unjudged} not judged" in told
    assert "steady  " not in told.replace("steady   psi", "")
    assert "0 of 3 features drifted: 60 rows against 1,000.\n3 of 3 features not judged: 3 too few rows.\n" in told
    assert drift(many, few, "--fail-on-drift") == 6
    assert drift(many, few, "--fail-on-drift", "--allow-unjudged") == 0
    assert drift(many, few, "--allow-unjudged") == 0
    capsys.readouterr()
    assert drift(many, few, "--json") == 6
    found = json.loads(capsys.readouterr().out)
    assert {(row["state"], row["reason"], row["alarm"]) for row in found if row["statistic"] == "psi"} == {
        ("not judged", "few_rows", False)
    }
    assert {row["why"] for row in found if row["statistic"] == "psi"} == {"too few rows: 60"}


@pytest.fixture
def partly(tmp_path: Path) -> str:
    """A file with a column that holds nothing, a time, and names of its rows."""
    lines = [f"{number % 97},,2024-01-01T00:00:{number % 60:02}Z,row-{number}" for number in range(2_500)]
    path = tmp_path / "partly.jsonl"
    names = ("x", "void", "at", "name")
    values = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    path.write_text("\n".join(json.dumps({**one, "x": float(one["x"]), "void": None}) for one in values) + "\n")
    return str(path)


def test_columns_left_out_are_listed_and_counted_apart(partly: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(partly, partly, "--json") == 0
    found = {row["feature"]: row for row in json.loads(capsys.readouterr().out) if row["statistic"] == "psi"}
    assert (found["name"]["state"], found["name"]["reason"], found["name"]["value"]) == ("left out", "row_names", None)
    assert drift(partly, partly) == 0
    assert "left out: " in capsys.readouterr().out.splitlines()[-1]


def test_what_was_asked_for_by_name_and_left_out_fails(partly: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(partly, partly, "--fail-on-drift") == 0
    assert drift(partly, partly, "--fail-on-drift", "--features", "x,name") == 6
    assert drift(partly, partly, "--fail-on-drift", "--features", "x,name", "--allow-unjudged") == 0
    capsys.readouterr()


def test_a_missing_column_fails_whatever_a_preset_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = rows(tmp_path / "whole.csv", 1)
    cut = tmp_path / "cut.csv"
    cut.write_text("\n".join(line.partition(",")[2] for line in whole.read_text().splitlines()) + "\n")
    assert drift(str(whole), str(cut), "--fail-on-drift", "--preset", "evidently") == 1
    assert "beside missing columns (moved)" in capsys.readouterr().out


def test_a_preset_judges_in_its_own_way(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(*files, "--preset", "evidently", "--features", "moved", "--fail-on-drift") == 1
    assert "By the preset evidently the data drifted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--reference", "REFERENCE"], "There is no file, folder or glob 'nowhere.csv'."),
        (["CURRENT", "--reference", "nowhere-*"], "nowhere-*: no .parquet, .csv or .jsonl file there."),
        (["CURRENT", "--reference", "REFERENCE", "--features", "speed"], "The reference has no column 'speed'."),
        (["CURRENT", "--reference", "REFERENCE", "--preset", "alibi"], "No preset 'alibi'."),
        (["CURRENT", "--reference", "BAD"], "bad.parquet cannot be read: "),
        (["CURRENT"], "Missing option '--reference'."),
    ],
)
def test_what_cannot_be_compared_is_said_with_2(
    files: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    named = {"REFERENCE": files[0], "CURRENT": files[1], "BAD": str(tmp_path / "bad.parquet")}
    assert cli.main(["drift", *(named.get(one, one) for one in arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"quarterdeck: {message}")


def test_an_error_of_json_is_an_object(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(files[0], "nowhere.csv", "--json") == 2
    assert json.loads(capsys.readouterr().err)["error"]["name"] == "usage"


def test_names_from_outside_cannot_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\x1b[2Jb\n" + "\n".join(map(str, range(300))) + "\n")
    assert drift(str(path), str(path)) == 0
    assert drift(str(path), str(path), "--json") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_worker_that_is_killed_is_said(files: tuple[str, str]) -> None:
    worker = comparison.start()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    with pytest.raises(Refusal, match="The comparison ended early: status -9"):
        comparison.ask(DriftRequest(files[1], files[0]), lambda done, parts: None)


def test_the_worker_ends_when_nothing_is_asked() -> None:
    worker = comparison.start()
    comparison._early = None
    with worker:
        assert worker.stdin is not None
        worker.stdin.close()
        assert worker.wait(60) == 0


def test_a_reader_that_has_enough_is_no_error(files: tuple[str, str]) -> None:
    command = [*DRIFT, files[1], "--reference", files[0], "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_the_command_imports_nothing_heavy(files: tuple[str, str]) -> None:
    probe = (
        "import sys; from console import cli; cli.main(['drift', sys.argv[2], '--reference', sys.argv[1], '--json']);"
        " print([m for m in ('duckdb', 'numpy', 'pyarrow', 'textual', 'store.monitor') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *files], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_at_80_columns_in_ascii_the_table_still_says_everything(files: tuple[str, str]) -> None:
    environment: dict[str, Any] = {**os.environ, "COLUMNS": "80", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run([*DRIFT, files[1], "--reference", files[0]], check=True, capture_output=True, env=environment)
    text = done.stdout.decode("ascii")
    assert "moved" in text
    assert "drifted" in text


def test_files_of_the_folder_it_is_called_in_are_not_run(files: tuple[str, str], tmp_path: Path) -> None:
    """Data folders hold what anybody wrote; neither the comparison nor an agent that is started imports from there."""
    here = tmp_path / "here"
    here.mkdir()
    for name in ("types.py", "duckdb.py", "store.py"):
        (here / name).write_text("raise SystemExit('a file of the folder was run')")
    quarterdeck = str(Path(sys.executable).with_name("quarterdeck"))
    store = str(tmp_path / "store")
    try:
        for command in (
            ["drift", files[1], "--reference", files[0], "--json"],
            ["init", store],
            ["--store", store, "ls", "runs", "--json"],
        ):
            done = subprocess.run([quarterdeck, *command], cwd=here, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        subprocess.run([quarterdeck, "--store", store, "agent", "stop"], cwd=here, capture_output=True, check=False)
