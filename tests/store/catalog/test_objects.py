"""Bits by digest: what is kept is what was brought, once, and alterations are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.catalog.objects import Objects, digest_of
from store.protocol import Refusal


def folder(tmp_path: Path) -> Path:
    source = tmp_path / "model"
    (source / "inner").mkdir(parents=True)
    (source / "model.json").write_text("{}")
    (source / "inner" / "weights").write_bytes(b"\0" * 1000)
    return source


def test_a_folder_is_kept_under_its_digest_and_verifies(tmp_path: Path) -> None:
    source, objects = folder(tmp_path), Objects(tmp_path / "objects")
    digest, size, files = objects.keep(source)
    assert (digest, size, files) == (digest_of(source), 1002, 2)
    assert objects.holds(digest)
    assert objects.verify(digest) == ""
    assert objects.keep(source)[0] == digest
    assert not list(objects.root.glob(".incoming-*"))


def test_altered_and_missing_bits_are_named(tmp_path: Path) -> None:
    objects = Objects(tmp_path / "objects")
    digest, _, _ = objects.keep(folder(tmp_path))
    kept = objects.path(digest) / "model.json"
    kept.chmod(0o644)
    kept.write_text("{ }")
    assert "now have digest" in objects.verify(digest)
    assert "missing" in objects.verify("sha256:" + "0" * 64)


def test_a_digest_that_is_none_never_becomes_a_path(tmp_path: Path) -> None:
    for wrong in ("../../etc/passwd", "sha256:../x", "md5:abc", ""):
        with pytest.raises(Refusal, match="is no digest"):
            Objects(tmp_path).path(wrong)


def test_a_renamed_file_changes_the_digest_of_its_folder(tmp_path: Path) -> None:
    source = folder(tmp_path)
    before = digest_of(source)
    (source / "model.json").rename(source / "model2.json")
    assert digest_of(source) != before
