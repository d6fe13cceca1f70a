"""The rooms of a store start one by one, and one that cannot holds up no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.agent.rooms import Rooms
from store.database import Layout
from store.settings import Settings


def test_files_are_let_in_though_another_room_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.create()
    rooms = Rooms(layout, Settings(), lambda _progress: None)

    def stumble() -> None:
        raise RuntimeError("a bug")

    started: list[str] = []
    try:
        monkeypatch.setattr(rooms.judging, "start", stumble)
        monkeypatch.setattr(rooms.intake, "start", lambda: started.append("intake"))
        rooms.start()
    finally:
        rooms.close()
    assert started == ["intake"]
