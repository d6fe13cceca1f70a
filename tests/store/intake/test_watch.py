"""The kernel tells, the walk catches the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from store.intake import inotify, watch
from store.intake.arrivals import Folder
from store.intake.inotify import Change, Hint, Inotify, LimitReached
from store.intake.watch import Watcher
from tests.store.intake.running import eventually


class Heard:
    """What a watcher reported, and the watcher itself."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.changes: list[Change] = []
        folder.mkdir(exist_ok=True)
        self.watcher = Watcher([Folder(str(folder), "inbox")], self._hear, **options)  # type: ignore[arg-type]

    def _hear(self, _folder: Folder, changes: list[Change]) -> None:
        self.changes += changes

    def of(self, path: Path) -> list[Hint]:
        return [change.hint for change in self.changes if change.path == str(path)]


@pytest.fixture
def heard(tmp_path: Path) -> Callable[..., Heard]:
    started: list[Heard] = []

    def start(**options: object) -> Heard:
        made = Heard(tmp_path / "inbox", **options)
        started.append(made)
        made.watcher.start()
        return made

    yield start
    for made in started:
        made.watcher.stop()


def test_a_rename_into_place_is_told_from_a_write(heard: Callable[..., Heard], tmp_path: Path) -> None:
    made = heard()
    (tmp_path / "made").write_text("x")
    (tmp_path / "made").rename(tmp_path / "inbox/renamed")
    (tmp_path / "inbox/written").write_text("x")
    eventually(lambda: Hint.MOVED in made.of(tmp_path / "inbox/renamed") or made.of(tmp_path / "inbox/renamed"))
    eventually(lambda: Hint.CLOSED in made.of(tmp_path / "inbox/written") or made.of(tmp_path / "inbox/written"))


def test_a_folder_moved_in_is_reported_with_all_its_files(heard: Callable[..., Heard], tmp_path: Path) -> None:
    made = heard()
    (tmp_path / "stage/deep/er").mkdir(parents=True)
    (tmp_path / "stage/deep/er/f").write_text("x")
    (tmp_path / "stage").rename(tmp_path / "inbox/stage")
    eventually(lambda: made.of(tmp_path / "inbox/stage/deep/er/f"))
    (tmp_path / "inbox/stage/deep/er/g").write_text("x")
    eventually(lambda: made.of(tmp_path / "inbox/stage/deep/er/g"))


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside/deep").mkdir(parents=True)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/link").symlink_to(tmp_path / "outside")
    told = Inotify()
    found = list(told.add_tree(str(tmp_path / "inbox")))
    assert [change.path for change in found] == [str(tmp_path / "inbox/link")]
    assert told.watches == 1
    told.close()


def test_used_up_watches_turn_to_polling(
    heard: Callable[..., Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def used_up(_self: Inotify, _folder: str) -> bool:
        raise LimitReached("fs.inotify.max_user_watches is used up after 0 folders")

    monkeypatch.setattr(inotify.Inotify, "_add", used_up)
    monkeypatch.setattr(watch, "_POLL_SECONDS", 0.05)
    made = heard()
    (tmp_path / "inbox/f").write_text("x")
    eventually(lambda: made.of(tmp_path / "inbox/f"))
    assert "max_user_watches" in made.watcher.polling
    assert "the watched folders are polled: fs.inotify.max_user_watches" in caplog.text


def test_an_overflow_of_the_kernel_s_queue_makes_it_walk(heard: Callable[..., Heard], tmp_path: Path) -> None:
    made = heard()
    eventually(lambda: made.watcher._inotify and made.watcher._inotify.watches)
    walks = made.watcher.walks
    made.watcher._inotify._event(-1, 0x4000, "")  # IN_Q_OVERFLOW, as the kernel would say it
    (tmp_path / "inbox/f").write_text("x")
    eventually(lambda: made.watcher.walks > walks)


def test_stopping_ends_every_thread(tmp_path: Path) -> None:
    made = Heard(tmp_path / "inbox")
    made.watcher.start()
    made.watcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("intake")]


def test_a_watched_folder_that_was_made_anew_is_watched_again(heard: Callable[..., Heard], tmp_path: Path) -> None:
    made = heard()
    eventually(lambda: made.watcher._inotify and made.watcher._inotify.watches)
    (tmp_path / "inbox").rmdir()
    (tmp_path / "inbox").mkdir()
    walks = made.watcher.walks
    made.watcher.walk_soon()
    eventually(lambda: made.watcher.walks > walks)
    (tmp_path / "inbox/f").write_text("x")
    eventually(lambda: made.of(tmp_path / "inbox/f"))
