"""A watched folder that is a link, a mount, or not there yet is followed as fast as any other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.intake import roots
from store.intake.roots import Mount, Turn, standing
from store.settings import Settings, WatchSettings
from tests.store.intake.capabilities import modes_count
from tests.store.intake.running import Running, eventually

#: Far below the minute between two walks: what is seen within it the kernel told.
SOON = 15.0


def arrives(store: Running, folder: Path, name: str) -> None:
    """A run and a table put into `folder` are recorded before the next walk could find them."""
    walks = store.intake._watcher.walks
    made = store.layout.root / f"made-{name}"
    made.mkdir()
    (made / "run.json").write_text('{"status": "finished"}')
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    # Over a mount a rename is none: written in place it is settled first.
    (folder / "runs" / name).mkdir()
    (folder / "runs" / name / "run.json").write_bytes((made / "run.json").read_bytes())
    # Tables are read by a DuckDB that may read nothing but the watched folders, where they lie now.
    (folder / "datasets" / name).mkdir(parents=True)
    (folder / "datasets" / name / "t.csv").write_text(f"a,b\n1,{name}\n")
    eventually(lambda: store.one("SELECT count(*) FROM run WHERE name = ?", name) > 0, SOON)
    eventually(lambda: store.one("SELECT count(*) FROM dataset_version WHERE dataset = ?", name) > 0, SOON)
    assert store.intake._watcher.walks == walks


def linked(tmp_path: Path, target: str) -> Running:
    """A store whose inbox is a link to `target`."""
    root = tmp_path / "store"
    root.mkdir()
    (root / "inbox").symlink_to(target)
    return Running(root)


@pytest.fixture
def stores() -> Iterator[list[Running]]:
    made: list[Running] = []
    yield made
    for store in made:
        store.close()


def test_an_inbox_that_is_a_link(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "disk").mkdir()
    stores.append(linked(tmp_path, "../disk").start())
    arrives(stores[0], tmp_path / "disk", "a")
    arrives(stores[0], stores[0].inbox, "b")


def test_links_that_lead_to_links(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "disk/inbox").mkdir(parents=True)
    (tmp_path / "current").symlink_to("disk")
    (tmp_path / "way").symlink_to(tmp_path / "current/inbox")
    stores.append(linked(tmp_path, str(tmp_path / "way")).start())
    arrives(stores[0], tmp_path / "disk/inbox", "a")
    # A link in the middle of the way is led elsewhere.
    (tmp_path / "disk2/inbox").mkdir(parents=True)
    (tmp_path / "next").symlink_to("disk2")
    (tmp_path / "next").rename(tmp_path / "current")
    arrives(stores[0], tmp_path / "disk2/inbox", "b")


def test_a_link_that_is_led_elsewhere_leaves_its_old_folder_unwatched(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "one/runs").mkdir(parents=True)
    (tmp_path / "two/runs/before").mkdir(parents=True)
    (tmp_path / "two/runs/before/run.json").write_text("{}")
    store = linked(tmp_path, "../one").start()
    stores.append(store)
    arrives(store, tmp_path / "one", "a")
    (store.layout.root / "new").symlink_to("../two")
    (store.layout.root / "new").rename(store.inbox)
    eventually(lambda: store.one("SELECT count(*) FROM run WHERE name = 'before'"), SOON)
    arrives(store, tmp_path / "two", "b")
    (tmp_path / "one/runs/late").mkdir()
    (tmp_path / "one/runs/late/run.json").write_text("{}")
    arrives(store, tmp_path / "two", "c")
    assert store.one("SELECT count(*) FROM run WHERE name = 'late'") == 0


def test_a_link_whose_target_comes_later_goes_away_and_comes_back(
    tmp_path: Path, stores: list[Running], caplog: pytest.LogCaptureFixture
) -> None:
    store = linked(tmp_path, str(tmp_path / "mnt/disk/inbox")).start()
    stores.append(store)
    eventually(lambda: "does not exist" in caplog.text)
    assert f"{store.inbox} leads to {tmp_path}/mnt, which does not exist" in caplog.text
    (tmp_path / "mnt/disk/inbox").mkdir(parents=True)
    # Its folders are made as those of any inbox are.
    eventually((tmp_path / "mnt/disk/inbox/labels").is_dir, SOON)
    arrives(store, tmp_path / "mnt/disk/inbox", "a")
    (tmp_path / "mnt/disk/inbox").rename(tmp_path / "aside")
    eventually(lambda: not store.intake.watched()[0].told, SOON)
    (tmp_path / "aside").rename(tmp_path / "mnt/disk/inbox")
    arrives(store, tmp_path / "mnt/disk/inbox", "b")


def test_a_plain_inbox_that_is_moved_away_and_made_anew(tmp_path: Path, stores: list[Running]) -> None:
    store = Running(tmp_path / "store").start()
    stores.append(store)
    arrives(store, store.inbox, "a")
    store.inbox.rename(tmp_path / "aside")
    (store.inbox / "runs").mkdir(parents=True)
    arrives(store, store.inbox, "b")


def test_a_root_that_may_be_entered_later(tmp_path: Path, stores: list[Running]) -> None:
    with modes_count():
        (tmp_path / "disk").mkdir(mode=0)
        store = linked(tmp_path, "../disk").start()
        stores.append(store)
        assert "may not be entered" in store.intake.watched()[0].standing.why
        (tmp_path / "disk").chmod(0o755)
        arrives(store, tmp_path / "disk", "a")


def test_a_watched_folder_that_is_a_link_is_followed_where_it_leads(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "feed").symlink_to("one")
    store = Running(tmp_path / "store", Settings(watch=WatchSettings(folders=[str(tmp_path / "feed")]))).start()
    stores.append(store)
    arrives(store, tmp_path / "one", "a")
    (tmp_path / "feed").unlink()
    (tmp_path / "feed").symlink_to("two")
    arrives(store, tmp_path / "two", "b")


def test_two_watched_names_of_one_folder_both_tell(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "feed").symlink_to("disk")
    settings = Settings(watch=WatchSettings(folders=[str(tmp_path / "feed"), str(tmp_path / "disk")]))
    store = Running(tmp_path / "store", settings).start()
    stores.append(store)
    arrives(store, tmp_path / "disk", "a")
    assert all(folder.told for folder in store.intake.watched())


def test_files_known_by_where_a_link_led_keep_that_name(tmp_path: Path, stores: list[Running]) -> None:
    """Earlier versions named a watched folder so: an upgrade reads none of its files again."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "feed").symlink_to("disk")
    settings = Settings(watch=WatchSettings(folders=[str(tmp_path / "disk")]))
    store = Running(tmp_path / "store", settings).start()
    stores.append(store)
    arrives(store, tmp_path / "disk", "a")
    store.settings = Settings(watch=WatchSettings(folders=[str(tmp_path / "feed")]))
    store.restart()
    arrives(store, tmp_path / "disk", "b")
    assert store.one("SELECT count(*) FROM arrival WHERE path LIKE '%/runs/a/run.json'") == 1


def test_links_below_the_root_are_not_followed(tmp_path: Path, stores: list[Running]) -> None:
    (tmp_path / "disk/runs").mkdir(parents=True)
    (tmp_path / "secret/deep").mkdir(parents=True)
    (tmp_path / "secret/run.json").write_text("{}")
    (tmp_path / "disk/runs/leak").symlink_to(tmp_path / "secret")
    store = linked(tmp_path, "../disk").start()
    stores.append(store)
    arrives(store, tmp_path / "disk", "a")
    assert store.rows("SELECT DISTINCT name FROM run") == [("a",)]
    assert "leaves the watched folder" in eventually(store.quarantined)[0]["reason"]


@pytest.fixture
def bind() -> Iterator[object]:
    """mount(8) with --bind, undone at the end; skips where this process may not mount."""
    mounted: list[Path] = []

    def mount(what: Path, where: Path) -> None:
        done = subprocess.run(["mount", "--bind", what, where], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"may not mount: {done.stderr.decode().strip()}")
        mounted.append(where)

    yield mount
    for where in reversed(mounted):
        subprocess.run(["umount", "-l", where], capture_output=True, check=False)


def test_an_inbox_over_which_a_disk_is_mounted_while_the_agent_runs(
    tmp_path: Path,
    stores: list[Running],
    bind,  # type: ignore[no-untyped-def]
) -> None:
    (tmp_path / "disk").mkdir()
    store = Running(tmp_path / "store").start()
    stores.append(store)
    arrives(store, store.inbox, "a")
    bind(tmp_path / "disk", store.inbox)
    arrives(store, store.inbox, "b")
    assert (tmp_path / "disk/runs/b/run.json").exists()
    subprocess.run(["umount", store.inbox], check=True)
    arrives(store, store.inbox, "c")
    assert not (tmp_path / "disk/runs/c").exists()


def test_a_mount_below_the_inbox_and_its_other_place_both_tell(
    tmp_path: Path,
    stores: list[Running],
    bind,  # type: ignore[no-untyped-def]
) -> None:
    (tmp_path / "disk").mkdir()
    store = Running(tmp_path / "store").start()
    stores.append(store)
    bind(tmp_path / "disk", store.inbox / "runs")
    (tmp_path / "disk/a").mkdir()
    (tmp_path / "disk/a/run.json").write_text("{}")
    eventually(lambda: store.one("SELECT count(*) FROM run WHERE name = 'a'"), SOON)
    arrives(store, store.inbox, "b")


@pytest.mark.parametrize(
    ("kind", "remote"),
    [("ext4", ""), ("nfs4", "nfs4"), ("fuse.sshfs", "fuse.sshfs"), ("fuseblk", ""), ("cifs", "cifs")],
)
def test_a_file_system_that_other_hosts_write_is_known_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, remote: str
) -> None:
    mountinfo = tmp_path / "mountinfo"
    folder = tmp_path / "with blank"
    folder.mkdir()
    escaped = str(folder).replace(" ", "\\040")
    mountinfo.write_text(
        f"1 0 0:1 / / rw - overlay overlay rw\n7 1 0:2 / {escaped} rw,relatime shared:3 - {kind} host:/x rw\n"
    )
    monkeypatch.setattr(roots, "_MOUNTS", mountinfo)
    found = standing(str(folder))
    assert found.mounts == {Mount("7", str(folder), kind)}
    assert found.remote == remote


def test_every_entry_that_can_lead_elsewhere_is_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b/../c")
    (tmp_path / "b").mkdir()
    (tmp_path / "c").symlink_to(tmp_path / "d")
    (tmp_path / "d").mkdir()
    found = standing(str(tmp_path / "a"))
    assert found.real == str(tmp_path / "d")
    assert found.turns == {Turn(str(tmp_path), "a"), Turn(str(tmp_path), "c")}


def test_a_link_to_itself_and_a_file_are_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    assert standing(str(tmp_path / "loop")).why == f"{tmp_path}/loop is a link that leads back to itself"
    assert standing(str(tmp_path / "file")).why == f"{tmp_path}/file is not a folder"
