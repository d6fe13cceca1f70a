"""A model version's folder is taken whole, or it is said what is missing of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.catalog import models
from store.catalog.listing import Listings
from store.catalog.listings import listings
from store.catalog.objects import Objects, tree_digest
from store.protocol import ListParams
from tests.store.intake.running import Running, eventually


def bring(store: Running, version: str, files: dict[str, bytes | str], manifest: Any = None, model: str = "m") -> Path:
    """A version's folder, made elsewhere and renamed into place."""
    making = store.layout.root / f"making-{model}-{version}"
    for name, content in {**files, "model.json": msgspec.json.encode(manifest or {})}.items():
        path = making / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    folder = store.inbox / "models" / model / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    making.rename(folder)
    return folder


def registered(store: Running, version: str = "1", model: str = "m") -> models.ModelVersion:
    def find() -> models.ModelVersion | None:
        assert store.quarantined() == []
        return store.database.reader.read(lambda c: models.find(c, model, version))

    found: models.ModelVersion = eventually(find)
    return found


def kept(store: Running, version: models.ModelVersion) -> dict[str, bytes]:
    bits = Objects(store.layout.objects).path(version.digest)
    return {path.relative_to(bits).as_posix(): path.read_bytes() for path in bits.rglob("*") if path.is_file()}


def notes(store: Running, version: str = "1") -> list[str]:
    text = store.one("SELECT notes FROM model_version WHERE version = ?", version)
    return [note["text"] for note in msgspec.json.decode(text)]


def case(store: Running) -> dict[str, Any]:
    return eventually(store.quarantined)[0]


def listed(store: Running, **params: Any) -> list[dict[str, Any]]:
    page = store.database.reader.read(lambda c: Listings(listings()).page(c, ListParams("versions", **params)))
    return [dict(zip([column.name for column in page.columns], row, strict=True)) for row in page.rows]


def test_files_that_model_json_does_not_name_are_bits(store: Running) -> None:
    files = {"model.onnx": b"ONNX", "model.onnx.data": b"weights", "deep/er/to ken+izer é.json": b"{}", "empty": b""}
    folder = bring(store, "1", files)
    version = registered(store)
    assert kept(store, version) == {**files, "model.json": b"{}"}
    # Nothing hidden lies there: the digest is that of the folder as it was brought.
    assert version.digest == tree_digest(folder)
    assert version.has_artifact


@pytest.mark.parametrize("manifest", [{}, {"artifact": "model.onnx"}])
def test_versions_that_differ_in_a_file_that_nobody_names_have_two_digests(store: Running, manifest: Any) -> None:
    for version, extra in (("1", b"one"), ("2", b"two")):
        bring(store, version, {"model.onnx": b"same", "scaler.bin": extra}, manifest)
    first, second = registered(store, "1"), registered(store, "2")
    assert first.digest != second.digest
    assert kept(store, second)["scaler.bin"] == b"two"


def test_a_named_file_alone_is_kept_as_it_was_before_other_files_counted(store: Running) -> None:
    folder = bring(store, "1", {"model.bin": b"bits", "reference.csv": "x\n1\n"}, ONLY := {
        "artifact": "model.bin", "reference": "reference.csv"})  # fmt: skip
    version = registered(store)
    assert kept(store, version) == {"model.json": msgspec.json.encode(ONLY), "model.bin": b"bits"}
    assert folder.is_dir()


def test_an_mlflow_folder_is_taken_with_all_that_lies_in_it(store: Running) -> None:
    files = {"MLmodel": b"flavors: {}", "conda.yaml": b"name: x", "data/model.xgb": b"xgb", "requirements.txt": b""}
    bring(store, "1", files, {"flavour": "mlflow"})
    assert set(kept(store, registered(store))) == {*files, "model.json"}


def test_a_named_folder_and_what_lies_beside_it_are_taken(store: Running) -> None:
    files = {"model/a": b"1", "model/.hidden": b"2", "beside.txt": b"3", ".DS_Store": b"4", "notes.md~": b"5"}
    bring(store, "1", files, {"artifact": "model"})
    assert set(kept(store, registered(store))) == {"model/a", "model/.hidden", "beside.txt", "model.json"}
    assert notes(store) == ["2 hidden or left by an editor, not among the bits"]


def test_the_reference_is_no_part_of_the_bits(store: Running) -> None:
    bring(store, "1", {"data/ref.csv": "x\n1\n", "model.bin": b"b"}, {"reference": "data/ref.csv"})
    version = registered(store)
    assert set(kept(store, version)) == {"model.json", "model.bin"}
    assert version.reference_digest


def test_a_version_with_only_a_reference_is_said_to_have_no_artifact(store: Running) -> None:
    bring(store, "1", {"ref.csv": "x\n1\n"}, {"reference": "ref.csv"})
    bring(store, "2", {"ref.csv": "x\n1\n"}, {"reference": "ref.csv", "served_by": "name"})
    bring(store, "3", {"a": b"1", "b": b"2"})
    versions = [registered(store, version) for version in "123"]
    assert [version.has_artifact for version in versions] == [False, False, True]
    assert [version.lacks_artifact for version in versions] == [True, False, False]
    assert {row["version"]: row["artifact"] for row in listed(store)} == {"1": "none", "2": "by name", "3": "2 files"}
    assert store.database.reader.read(models.lacking_artifact) == [("m", "1")]


def test_a_named_artifact_that_is_missing_is_waited_for_and_then_said(store: Running) -> None:
    bring(store, "1", {"other.onnx": b"bits"}, {"artifact": "model.onnx"})
    assert case(store)["reason"] == "waits for its artifact model.onnx"
    store.put("models/m/1/model.onnx", b"late")
    eventually(lambda: not store.quarantined())
    assert set(kept(store, registered(store))) == {"model.json", "model.onnx", "other.onnx"}


@pytest.mark.parametrize("name", ["model.onnx.part", ".model.onnx.aB3xY9", "deep/weights.tmp"])
def test_what_is_still_being_written_is_waited_for(store: Running, name: str) -> None:
    folder = bring(store, "1", {name: b"half", "other": b"1"})
    found = case(store)
    assert (found["reason"], found["found"]) == (f"waits for {name}, which is still being written", name)
    (folder / name).rename(folder / "model.onnx")
    eventually(lambda: not store.quarantined())
    assert kept(store, registered(store))["model.onnx"] == b"half"


def test_a_hidden_file_that_nobody_writes_to_holds_nothing_up(store: Running) -> None:
    making = store.layout.root / ".model.sha256"
    making.write_text("1234")
    os.utime(making, (time.time() - 3600,) * 2)
    folder = store.inbox / "models/m/1"
    folder.mkdir(parents=True)
    making.rename(folder / ".model.sha256")
    store.put("models/m/1/model.bin", b"bits")
    store.put("models/m/1/model.json", {"artifact": "model.bin"})
    assert set(kept(store, registered(store))) == {"model.json", "model.bin"}


def test_a_file_that_comes_later_is_not_silently_left_out(store: Running) -> None:
    bring(store, "1", {"model.onnx": b"bits"})
    before = registered(store)
    store.put("models/m/1/model.onnx.data", b"late")
    found = case(store)
    assert "is registered with other bits" in found["reason"]
    assert "model.onnx.data is new" in found["reason"]
    assert registered_digest(store) == before.digest


def test_a_file_that_changes_after_it_was_taken_is_named(store: Running) -> None:
    bring(store, "1", {"model.onnx": b"bits", "scaler": b"one"})
    registered(store)
    store.put("models/m/1/scaler", b"two")
    assert "scaler differs" in case(store)["reason"]


def registered_digest(store: Running) -> str:
    return str(store.one("SELECT digest FROM model_version"))


def test_files_that_are_all_empty_are_no_model_yet(store: Running) -> None:
    bring(store, "1", {"model.onnx": b""})
    assert case(store)["reason"] == "its files are all empty"
    store.put("models/m/1/model.onnx", b"bits")
    eventually(lambda: not store.quarantined())
    assert registered(store).has_artifact


def test_a_link_to_a_folder_is_refused_by_name(store: Running) -> None:
    shared = store.inbox / "models/m/shared"
    folder = store.inbox / "models/m/1"
    bring(store, "shared", {"weights": b"w"})
    registered(store, "shared")
    folder.mkdir()
    (folder / "weights").symlink_to(shared)
    store.put("models/m/1/model.json", {})
    assert case(store)["reason"] == 'link: found "weights", a link to a folder, expected the folder itself'


def test_a_link_out_of_the_watched_folder_is_refused_though_nobody_names_it(store: Running, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden")
    folder = store.inbox / "models/m/1"
    folder.mkdir(parents=True)
    (folder / "model.bin").symlink_to(tmp_path / "secret")
    store.put("models/m/1/model.json", {})
    assert "leaves the watched folder" in case(store)["reason"]


def test_model_json_is_not_its_own_artifact(store: Running) -> None:
    bring(store, "1", {}, {"artifact": "model.json"})
    assert case(store)["expected"] == "another file than model.json itself"


def test_too_many_files_are_refused(store: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.intake.versions.MAX_FILES", 20)
    bring(store, "1", {f"{number // 7}/{number}": b"x" for number in range(21)})
    assert case(store)["found"] == "more than 20 files"


def test_a_thousand_files_are_taken(store: Running) -> None:
    bring(store, "1", {f"{number % 9}/{number}": b"x" for number in range(1_000)})
    assert registered(store).files == 1_001


def test_a_pickle_that_nobody_names_is_flagged(store: Running) -> None:
    bring(store, "1", {"model.onnx": b"bits", "scaler.pkl": b"x"}, {"artifact": "model.onnx", "flavour": "onnx"})
    assert registered(store).flagged == "scaler.pkl is a pickle: never loaded"


def test_only_the_skops_file_has_to_be_one(store: Running) -> None:
    zipped = b"PK\x03\x04rest"
    bring(store, "1", {"model.skops": zipped, "readme.txt": b"x"}, {"flavour": "skops"})
    bring(store, "2", {"model.skops": zipped, "readme.txt": b"x"}, {"flavour": "skops", "artifact": "model.skops"})
    bring(store, "3", {"readme.txt": b"x"}, {"flavour": "skops"})
    assert [registered(store, version).flagged for version in "123"] == ["", "", "no skops file is among its files"]


def test_a_slip_in_a_key_is_noted_in_the_store_and_in_the_journal(store: Running) -> None:
    bring(store, "1", {"net.onnx": b"x"}, {"artefact": "net.onnx", "columns": {"labels": "y"}, "team": "core"})
    registered(store)
    said = [
        "`artefact` is not a key of model.json: did you mean `artifact`?",
        "`columns.labels` is not a key of model.json: did you mean `columns.label`?",
    ]
    assert notes(store) == said
    after = msgspec.json.decode(store.one("SELECT after FROM journal WHERE kind = 'versions'"))
    assert [note["text"] for note in after["notes"]] == said
    assert listed(store)[0]["notes"] == 2


def test_a_version_of_an_earlier_schema_is_still_the_same_when_it_is_read_again(store: Running) -> None:
    folder = bring(store, "1", {"model.bin": b"bits", "extra": b"more"}, {"artifact": "model.bin"})
    now = registered(store)
    # As it was registered before unnamed files counted: model.json and the named file only.
    earlier = store.layout.root / "earlier"
    earlier.mkdir()
    for name in ("model.json", "model.bin"):
        (earlier / name).write_bytes((folder / name).read_bytes())
    digest, _, _ = Objects(store.layout.objects).keep(earlier)
    assert digest != now.digest
    store.database.writer.change(
        lambda tx: tx.execute("UPDATE model_version SET digest = ?, contents = NULL, notes = NULL", [digest])
    )
    taken = store.intake.status().taken
    os.utime(folder / "model.bin")
    store.put("models/m/1/extra", b"more")
    eventually(lambda: store.intake.status().taken > taken)
    assert store.quarantined() == []
    assert registered(store).digest == digest
    assert listed(store)[0]["notes"] is None
