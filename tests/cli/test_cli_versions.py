"""Versions on the command line: what came with them, what was odd, and which is the newest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.driver import RunningAgent
from tests.filled_store import quarterdeck, wait_for_rows

KEYS: dict[str, dict[str, Any]] = {
    "10": {"artefact": "net.onnx"},
    "9": {"artifact": "net.onnx", "created_at": "2026-01-01T00:00:00+01:00"},
    "10-rc1": {},
    "2": {"served_by": "name"},
}
FILES = {"10": ["net.onnx"], "9": ["net.onnx", "net.onnx.data"], "10-rc1": [], "2": []}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with RunningAgent(tmp_path_factory.mktemp("store")) as running:
        for version, keys in KEYS.items():
            making = running.store / "making" / version
            making.mkdir(parents=True)
            for name in FILES[version]:
                (making / name).write_text(f"{name} of {version}")
            (making / "model.json").write_text(json.dumps(keys))
            (running.store / "inbox/models/net").mkdir(parents=True, exist_ok=True)
            making.rename(running.store / "inbox/models/net" / version)
        wait_for_rows(running, "versions", len(KEYS))
        yield running.store


def rows(store: Path, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(quarterdeck(store, "ls", *arguments, "--json").stdout)
    return found


def test_versions_are_listed_from_the_newest_with_what_came_of_them(store: Path) -> None:
    listed = [(row["version"], row["rank"], row["artifact"], row["notes"]) for row in rows(store, "versions")]
    assert listed == [("9", 1, "2 files", 0), ("10", 2, "1 file", 1), ("10-rc1", 3, "none", 0), ("2", 4, "by name", 0)]
    assert rows(store, "models")[0]["newest"] == "9"
    by_name = [row["version"] for row in rows(store, "versions", "--sort", "version")]
    assert by_name == ["2", "9", "10-rc1", "10"]


def test_a_version_shows_its_files_its_age_and_what_was_odd(store: Path) -> None:
    shown = quarterdeck(store, "show", "versions", "net@10").stdout
    assert "`artefact` is not a key of model.json: did you mean `artifact`?" in shown
    assert "net.onnx" in shown
    shown = quarterdeck(store, "show", "versions", "net@9").stdout
    assert "net.onnx.data" in shown
    assert "2025-12-31T23:00" in shown or "2025-12-31 23:00" in shown
    assert "no artifact: the target gets only the version's name" in quarterdeck(
        store, "show", "versions", "net@10-rc1"
    ).stdout  # fmt: skip


def test_a_promotion_without_an_artifact_says_so_before_and_after_and_doctor_does(store: Path) -> None:
    arguments = ("promote", "net@10-rc1", "--to", "staging", "--reason", "r")
    assert "warning: no artifact: the target gets only the version's name" in quarterdeck(
        store, *arguments, "--dry-run"
    ).stdout  # fmt: skip
    done = quarterdeck(store, *arguments, "--wait").stdout
    assert "warning: version 10-rc1: no artifact: the target gets only the version's name" in done
    checked = quarterdeck(store, "doctor", check=False).stdout
    assert "no artifact came with net@10-rc1 (serves net@staging)" in checked
    assert "net@2" not in checked


def test_the_files_beside_the_artifact_reach_the_target(store: Path) -> None:
    quarterdeck(store, "promote", "net@9", "--to", "production", "--reason", "r", "--wait")
    served = store / "targets/production/net/current/model"
    assert {path.name for path in served.iterdir()} == {"model.json", "net.onnx", "net.onnx.data"}
