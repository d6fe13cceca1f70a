"""Of a version without its model nothing says that it is there, verified or simply effective."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from release_bench import ALICE, DEPLOYMENT, Bench

from store.agent import doctor, fleet
from store.catalog import models
from store.catalog.listing import Listings
from store.catalog.listings import listings
from store.catalog.manifest import parse
from store.database import migrate, times
from store.protocol import ActionParams, ListParams, Plan
from store.release.listings import show_deployment
from store.release.plan import plan
from store.settings import EnvironmentSettings, MonitorSettings

NAME_ONLY = "no artifact: the target gets only the version's name"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "store")
    yield made
    made.close()


def register(bench: Bench, version: str, files: dict[str, str], **keys: Any) -> str:
    folder = bench.layout.root / "made" / version
    for name, text in {**files, "model.json": json.dumps(keys)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    digest, contents = bench.objects.adopt_folder(folder)
    manifest = parse(json.dumps(keys).encode(), "flight-delay", version)
    size = sum(file.bytes for file in contents)
    arrival = models.VersionArrival(
        manifest, digest, size, len(contents), "", "", "", "", times.now(), contents=contents
    )
    bench.database.writer.change(lambda tx: models.register(tx, arrival, ALICE))
    return digest


def planned(bench: Bench, version: str) -> Plan:
    return bench.releases.plan(ActionParams("promote", DEPLOYMENT, version))


def bits(bench: Bench, version: str) -> str:
    return next(str(field.value) for field in planned(bench, version).facts if field.label.startswith("Bits of"))


def checks(bench: Bench) -> dict[str, tuple[str, str]]:
    found = bench.database.reader.read(doctor._artifacts)
    return {check.name: (check.status, check.found) for check in found}


def test_a_version_with_nothing_but_model_json_warns_everywhere(empty: Bench) -> None:
    register(empty, "1", {})
    assert bits(empty, "1") == f"warning: {NAME_ONLY}"
    outcome = empty.act("promote", "1")
    assert (outcome.phase, outcome.warning) == ("effective", f"version 1: {NAME_ONLY}")
    status, found = checks(empty)["artifacts"]
    assert status == "warning"
    assert found.startswith(f"no artifact came with flight-delay@1 (serves {DEPLOYMENT})")
    sections = empty.database.reader.read(lambda c: show_deployment(c, DEPLOYMENT))
    fields = {field.label: field.value for section in sections for field in section.fields}
    assert fields["Message"] == f"version 1: {NAME_ONLY}"
    assert fields["Version 1"] == f"warning: {NAME_ONLY}"
    page = empty.database.reader.read(
        lambda c: Listings([fleet.listing(MonitorSettings())]).page(c, ListParams("deployments"))
    )
    row = dict(zip([column.name for column in page.columns], page.rows[0], strict=True))
    assert row["message"] == f"version 1: {NAME_ONLY}"


def test_a_target_that_came_back_does_not_silence_it(empty: Bench) -> None:
    register(empty, "1", {})
    empty.act("promote", "1")
    empty.current().unlink()
    assert empty.settle() == [DEPLOYMENT]
    empty.act("retry")
    sections = empty.database.reader.read(lambda c: show_deployment(c, DEPLOYMENT))
    assert f"version 1: {NAME_ONLY}" in [field.value for field in sections[0].fields]


def test_a_version_that_declares_to_be_served_by_name_is_said_to_be_and_warns_nowhere(empty: Bench) -> None:
    register(empty, "1", {}, served_by="name")
    assert bits(empty, "1") == "served by name, as model.json declares"
    assert empty.act("promote", "1").warning == ""
    assert checks(empty) == {}


def test_a_named_artifact_is_present_and_verified_with_what_lies_beside_it(empty: Bench) -> None:
    digest = register(empty, "1", {"model.onnx": "x", "model.onnx.data": "y"}, artifact="model.onnx")
    assert bits(empty, "1") == f"{digest[:19]}… present and verified: model.onnx, with 1 more"
    assert empty.act("promote", "1").warning == ""
    served = empty.current().resolve() / "model"
    assert {path.name for path in served.iterdir()} == {"model.json", "model.onnx", "model.onnx.data"}
    assert checks(empty) == {}


def test_files_that_nobody_named_are_told_by_name_and_not_called_verified(empty: Bench) -> None:
    digest = register(empty, "1", {"a": "1", "b/c": "2", "d": "3", "e": "4"})
    assert bits(empty, "1") == f"{digest[:19]}… unchanged: a, b/c, d and 1 more; model.json names no artifact"
    served = empty.act("promote", "1")
    assert served.warning == ""
    assert (empty.current().resolve() / "model/b/c").read_text() == "2"


def test_a_version_without_bits_of_its_own_warns_as_well(empty: Bench) -> None:
    empty.register("1", with_bits=False)
    assert bits(empty, "1") == f"warning: {NAME_ONLY}"


def test_a_store_of_before_keeps_its_versions_and_they_can_be_served(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    digest = bench.register("9")["9"]
    bare = register(bench, "10", {})
    path = bench.layout.database
    bench.close()
    with duckdb.connect(str(path)) as connection:
        # As schema 15 left it.
        for column in ("created_at", "notes", "contents"):
            connection.execute(f"ALTER TABLE model_version DROP COLUMN {column}")
        connection.execute("DELETE FROM migration WHERE number >= 16")
    bench = Bench(tmp_path / "store")
    try:
        assert bench.database.schema == migrate.newest()
        found = bench.database.reader.read(lambda c: models.versions(c, "flight-delay"))
        assert [(version.version, version.digest) for version in found] == [("10", bare), ("9", digest)]
        page = bench.database.reader.read(lambda c: Listings(listings()).page(c, ListParams("versions")))
        rows = [dict(zip([column.name for column in page.columns], row, strict=True)) for row in page.rows]
        assert [(row["version"], row["artifact"], row["created"], row["notes"]) for row in rows] == [
            ("10", "none", None, None),
            ("9", "1 file", None, None),
        ]
        assert bits(bench, "9") == f"{digest[:19]}… present and verified: model.skops"
        assert bits(bench, "10") == f"warning: {NAME_ONLY}"
        assert bench.act("promote", "9").phase == "effective"
        assert bench.served_bits() == "bits of 9"
    finally:
        bench.close()


def test_bits_that_are_gone_refuse_a_version_without_artifact_too(empty: Bench) -> None:
    path = empty.objects.path(register(empty, "1", {}))
    path.rename(path.with_suffix(".away"))
    environment = EnvironmentSettings(danger=1)
    params = ActionParams("promote", DEPLOYMENT, "1")
    found = empty.database.reader.read(lambda c: plan(c, params, environment, empty.objects))
    assert not found.allowed
    assert "are missing" in found.why


def test_the_revision_itself_says_it(empty: Bench) -> None:
    register(empty, "1", {})
    assert empty.act("promote", "1").message == f"version 1: {NAME_ONLY}"
    assert empty.row().message == f"version 1: {NAME_ONLY}"
    now = next(field.value for field in planned(empty, "1").facts if field.label == "Now")
    assert str(now).endswith(f"(revision 1, effective): version 1: {NAME_ONLY}")
