"""Files that may not be read yet are shown, and taken in by themselves once they may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.settings import Settings, WatchSettings
from tests.store.intake.capabilities import modes_count
from tests.store.intake.running import Running, eventually

RUN = {"status": "finished"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    with modes_count():
        running = Running(tmp_path / "store").start()
        yield running
        running.close()


def unreadable(store: Running, relative: str, content: object = RUN) -> Path:
    made = store.layout.root / "made"
    store.put("../made", content)  # type: ignore[arg-type]
    made.chmod(0)
    place = store.inbox / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    return made.rename(place)


def runs(store: Running) -> list[str]:
    return [row[0] for row in store.rows("SELECT DISTINCT name FROM run ORDER BY name")]


def open_paths(store: Running) -> list[str]:
    return sorted(str(case["path"]) for case in store.quarantined())


def test_chmod_brings_a_file_in_and_closes_its_case(store: Running) -> None:
    path = unreadable(store, "runs/a/run.json")
    assert "Permission denied" in eventually(store.quarantined)[0]["reason"]
    path.chmod(0o644)
    eventually(lambda: runs(store) == ["a"])
    eventually(lambda: not store.quarantined())


def test_what_was_mended_while_no_agent_ran_is_taken_in_at_the_next_start(store: Running) -> None:
    path = unreadable(store, "runs/a/run.json")
    eventually(store.quarantined)
    store.intake.stop()
    path.chmod(0o644)
    store.restart()
    eventually(lambda: runs(store) == ["a"])
    eventually(lambda: not store.quarantined())


def test_a_folder_that_may_not_be_entered_is_told_at_once_and_taken_in_after_chmod(store: Running) -> None:
    made = store.inbox / "runs/.made"
    made.mkdir()
    (made / "run.json").write_text('{"status": "finished"}')
    made.chmod(0)
    made.rename(store.inbox / "runs/a")
    # Well within the time to the next walk: the kernel told of it.
    eventually(lambda: open_paths(store) == ["runs/a/"], 10)
    (store.inbox / "runs/a").chmod(0o755)
    eventually(lambda: runs(store) == ["a"])
    eventually(lambda: not store.quarantined())


def test_a_folder_that_was_mended_while_no_agent_ran_is_no_open_case_any_more(store: Running) -> None:
    test_folder = store.inbox / "runs/a"
    test_folder.mkdir()
    test_folder.chmod(0)
    eventually(lambda: open_paths(store) == ["runs/a/"])
    store.intake.stop()
    test_folder.chmod(0o755)
    store.restart()
    eventually(lambda: not store.quarantined())


def test_a_model_version_is_taken_in_once_all_its_files_may_be_read(store: Running) -> None:
    made = store.layout.root / "made"
    made.mkdir()
    (made / "model.json").write_text('{"artifact": "model.bin"}')
    (made / "model.bin").write_text("bits")
    (made / "model.bin").chmod(0)
    (store.inbox / "models/m").mkdir()
    made.rename(store.inbox / "models/m/1")
    assert "permission" in eventually(store.quarantined)[0]["reason"]
    (store.inbox / "models/m/1/model.bin").chmod(0o600)
    eventually(lambda: store.one("SELECT count(*) FROM model_version") == 1)
    eventually(lambda: not store.quarantined())


def test_a_link_is_taken_in_once_what_it_points_to_is_there(store: Running) -> None:
    (store.inbox / "runs/a").mkdir()
    (store.inbox / "runs/a/run.json").symlink_to("../../.later.json")
    assert "points to nothing" in eventually(store.quarantined)[0]["reason"]
    (store.inbox / ".later.json").write_text('{"status": "finished"}')
    store.intake.rescan()
    eventually(lambda: runs(store) == ["a"])
    eventually(lambda: not store.quarantined())


def test_walks_over_what_still_may_not_be_read_record_nothing(store: Running) -> None:
    unreadable(store, "runs/a/run.json")
    made = store.inbox / "runs/b"
    made.mkdir()
    (made / "run.json").write_text("{}")
    made.chmod(0o444)
    eventually(lambda: len(store.quarantined()) >= 2)
    events = store.one("SELECT count(*) FROM quarantine_event")
    for _ in range(3):
        walks = store.intake._watcher.walks
        store.intake.rescan()
        eventually(lambda walks=walks: store.intake._watcher.walks > walks)
        eventually(lambda: store.intake.status().waiting == 0)
    assert store.one("SELECT count(*) FROM quarantine_event") == events


def test_polled_folders_notice_it_too(tmp_path: Path) -> None:
    with modes_count():
        settings = Settings(watch=WatchSettings(polling=True, rescan_seconds=0.05))
        store = Running(tmp_path / "store", settings).start()
        path = unreadable(store, "runs/a/run.json")
        eventually(store.quarantined)
        path.chmod(0o644)
        eventually(lambda: runs(store) == ["a"])
        store.close()
