"""The local target: the swap is atomic, the bits are checked, and trouble changes nothing that is served."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from store.catalog.objects import digest_of
from store.release.targets import Intent, Placement, TargetError
from store.release.targets.local import KEPT, LocalTarget

NAME = "flight-delay@production"


class Kept:
    """A few versions' bits by digest."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, Path] = {}

    def make(self, version: str) -> str:
        folder = self.root / version
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"version": version}))
        (folder / "model.skops").write_text(version * 5000)
        digest = digest_of(folder)
        self.paths[digest] = folder
        return digest

    def locate(self, digest: str) -> Path | None:
        return self.paths.get(digest)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


@pytest.fixture
def target(tmp_path: Path, kept: Kept) -> LocalTarget:
    return LocalTarget(tmp_path / "targets", kept.locate, digest_of)


def intent(revision: int, version: str, digest: str) -> Intent:
    placement = Placement(version, 1.0, digest, b'{"version": "by name"}')
    return Intent(NAME, "flight-delay", "production", revision, (placement,))


def apply(target: LocalTarget, wanted: Intent) -> None:
    target.apply(wanted, lambda _step: None)


def test_a_follower_finds_revision_and_bits_below_current(target: LocalTarget, kept: Kept) -> None:
    digest = kept.make("3")
    apply(target, intent(7, "3", digest))
    current = target.folder(NAME) / "current"
    assert json.loads((current / "revision.json").read_text()) == {
        "deployment": NAME,
        "revision": 7,
        "version": "3",
        "digest": digest,
    }
    assert (current / "model" / "model.skops").read_text() == "3" * 5000


def test_a_version_without_bits_is_placed_by_its_name(target: LocalTarget) -> None:
    apply(target, intent(1, "3", ""))
    assert target.observe(NAME, verify=True).versions == {"3": 1.0}
    assert (target.folder(NAME) / "current" / "model" / "model.json").read_text() == '{"version": "by name"}'


def test_a_follower_never_sees_a_missing_or_mixed_folder(target: LocalTarget, kept: Kept) -> None:
    digests = {version: kept.make(version) for version in "12"}
    apply(target, intent(1, "1", digests["1"]))
    current = target.folder(NAME) / "current"
    done = threading.Event()
    wrong: list[str] = []
    looks = 0

    def follow() -> None:
        nonlocal looks
        while not done.is_set() or looks == 0:
            looks += 1
            try:
                folder = current.resolve(strict=True)
                version = json.loads((folder / "revision.json").read_text())["version"]
                bits = (folder / "model" / "model.skops").read_text()
                if bits != version * 5000:
                    wrong.append(f"version {version} with bits of {bits[:1]}")
            except OSError as error:
                wrong.append(repr(error))

    follower = threading.Thread(target=follow)
    follower.start()
    for revision in range(2, 60):
        version = "12"[revision % 2]
        apply(target, intent(revision, version, digests[version]))
    done.set()
    follower.join()
    assert wrong == []


def test_applying_twice_is_applying_once(target: LocalTarget, kept: Kept) -> None:
    wanted = intent(1, "1", kept.make("1"))
    apply(target, wanted)
    inode = (target.folder(NAME) / "current").resolve().stat().st_ino
    apply(target, wanted)
    assert (target.folder(NAME) / "current").resolve().stat().st_ino == inode


def test_bits_with_another_digest_are_not_released(target: LocalTarget, kept: Kept) -> None:
    apply(target, intent(1, "1", kept.make("1")))
    digest = kept.make("2")
    (kept.paths[digest] / "model.skops").write_text("tampered")
    with pytest.raises(TargetError, match=r"not sha256:.*; they were not released"):
        apply(target, intent(2, "2", digest))
    assert target.observe(NAME, verify=True).versions == {"1": 1.0}


def test_missing_bits_are_named(target: LocalTarget) -> None:
    with pytest.raises(TargetError, match=r"The bits of version 2 \(sha256:00\) are not in the store"):
        apply(target, intent(2, "2", "sha256:00"))


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "No space left on the disk of"), (errno.EROFS, "cannot be written"), (errno.EIO, "Input/output")],
)
def test_disk_trouble_is_said_in_words_and_changes_nothing(
    target: LocalTarget, kept: Kept, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    apply(target, intent(1, "1", kept.make("1")))

    def fail(source: Path, destination: Path) -> None:
        Path(destination).mkdir()
        Path(destination, "half").write_text("half")
        raise OSError(number, os.strerror(number), str(destination))

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(TargetError, match=says):
        apply(target, intent(2, "2", kept.make("2")))
    assert target.observe(NAME, verify=True).versions == {"1": 1.0}
    assert [entry.name for entry in (target.folder(NAME) / "revisions").iterdir()] == ["1"]


def test_a_current_that_is_no_link_is_not_overwritten(target: LocalTarget, kept: Kept) -> None:
    mine = target.folder(NAME) / "current"
    mine.mkdir(parents=True)
    with pytest.raises(TargetError, match="is no link; move it away, then retry"):
        apply(target, intent(1, "1", kept.make("1")))


def test_two_versions_at_once_are_refused(target: LocalTarget) -> None:
    halves = tuple(Placement(version, 0.5, "", b"{}") for version in "12")
    with pytest.raises(TargetError, match="serves one version at a time, not 2"):
        apply(target, Intent(NAME, "flight-delay", "production", 1, halves))


def test_old_folders_are_collected_but_the_last_few(target: LocalTarget, kept: Kept) -> None:
    digest = kept.make("1")
    for revision in range(1, KEPT + 6):
        apply(target, intent(revision, "1", digest))
    names = sorted(int(entry.name) for entry in (target.folder(NAME) / "revisions").iterdir())
    assert names == list(range(5, KEPT + 6))


def test_a_spoilt_folder_that_is_served_is_replaced_beside_itself(target: LocalTarget, kept: Kept) -> None:
    wanted = intent(1, "1", kept.make("1"))
    apply(target, wanted)
    served = (target.folder(NAME) / "current").resolve() / "model" / "model.skops"
    served.chmod(0o644)
    served.write_text("spoilt")
    apply(target, wanted)
    assert (target.folder(NAME) / "current" / "model" / "model.skops").read_text() == "1" * 5000
    assert served.read_text() == "spoilt"


def test_a_follower_cannot_reach_the_kept_bits_through_its_folder(target: LocalTarget, kept: Kept) -> None:
    digest = kept.make("1")
    apply(target, intent(1, "1", digest))
    served = target.folder(NAME) / "current" / "model" / "model.skops"
    served.chmod(0o644)
    served.write_text("spoilt")
    assert digest_of(kept.paths[digest]) == digest


def test_nothing_to_serve_takes_the_link_away(target: LocalTarget, kept: Kept) -> None:
    apply(target, intent(1, "1", kept.make("1")))
    apply(target, Intent(NAME, "flight-delay", "production", 2, ()))
    assert target.observe(NAME, verify=False).versions == {}


def test_a_link_to_another_place_is_observed_as_odd(target: LocalTarget, tmp_path: Path) -> None:
    base = target.folder(NAME)
    base.mkdir(parents=True)
    (base / "current").symlink_to(tmp_path)
    observation = target.observe(NAME, verify=False)
    assert observation.versions == {}
    assert observation.message == f"{base / 'current'} points to {tmp_path}: No such file or directory"
