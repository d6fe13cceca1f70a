"""Every kind of bad file: intake lives, the file is in quarantine with its reason or taken in cleaned, nothing runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.store.intake.running import Running, eventually

ESCAPES = "\x1b[31mred\x1b[0m\x07\x9b"


def parquet(sql: str, tmp_path: Path) -> bytes:
    path = tmp_path / "made.parquet"
    duckdb.connect().execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def only_case(store: Running) -> dict[str, Any]:
    cases = eventually(store.quarantined)
    assert len(cases) == 1, cases
    return dict(cases[0])


def lives(store: Running) -> None:
    """Intake takes in a good run after whatever came before."""
    store.put("runs/good/run.json", {"status": "finished"})
    eventually(lambda: store.rows("SELECT 1 FROM run WHERE name = 'good'"))


DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
DEEP_LIST = b"[" * 10_000 + b"]" * 10_000

#: path, content, what the reason says
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "csv of another table": ("predictions/m@production/f.csv", b"a,b\n1,2\n", "no time column"),
    "csv with ragged rows": ("datasets/d/f.csv", b"a,b\n1,2\n3,4,5,6\n7\n", "cannot be read as csv"),
    "csv that is no text": ("datasets/d/f.csv", b"a,b\n" + bytes(range(32)) * 4 + b",2\n", "cannot be read as csv"),
    "predictions that are no text": (
        "predictions/m@production/f.csv",
        b"timestamp,prediction_id\n2013-01-01," + bytes(range(32)) * 4 + b"\n",
        "line 2: found NUL bytes in such number that this is no text, expected text",
    ),
    "predictions of which no row fits": (
        "predictions/m@production/f.csv",
        b"timestamp,prediction_id\n2013-01-01,1,2,3\n2013-01-02,1,2,3\n",
        "line 2: found 4 fields, expected 2 as the header has (timestamp, prediction_id)",
    ),
    "predictions with a quote left open": (
        "predictions/m@production/f.csv",
        b'timestamp,prediction_id\n2013-01-01,"1\n2013-01-02,2\n',
        "line 2: found a quote that is not closed",
    ),
    "labels with a line that is no object": (
        "labels/m@production/f.jsonl",
        b'{"prediction_id": 1, "label": 1}\n{"prediction_id": 2,\n',
        "line 2: found '{\"prediction_id\": 2,'",
    ),
    "parquet that is none": (
        "datasets/d/f.parquet",
        b"PAR1 this is no parquet at all PAR1",
        "cannot be read as parquet",
    ),
    "parquet footer that lies": (
        "datasets/d/f.parquet",
        b"PAR1" + b"\0" * 100 + (90).to_bytes(4, "little") + b"PAR1",
        "cannot be read as parquet",
    ),
    "jsonl of deep nesting": ("datasets/d/f.jsonl", DEEP + b"\n", "cannot be read as jsonl"),
    "jsonl that is no json": ("datasets/d/f.jsonl", b"hello\nworld\n", "cannot be read as jsonl"),
    "labels without a label": ("labels/m@production/f.csv", b"prediction_id,x\n1,2\n", "no label column"),
    "run.json that is no json": ("runs/r/run.json", b"{status: finished}", "no JSON"),
    "run.json in invalid utf-8": ("runs/r/run.json", b'{"status": "\xff\xfe"}', "no JSON"),
    "run.json that is a list": ("runs/r/run.json", b"[1, 2]", "found a list, expected an object"),
    "run.json nested 10,000 deep": ("runs/r/run.json", DEEP, "nested too deeply"),
    "params.json nested 10,000 deep": ("runs/r/params.json", DEEP_LIST, "nested too deeply"),
    "run.json with a wrong status": ("runs/r/run.json", b'{"status": 7}', "status: found 7, expected running"),
    "run.json with a wrong time": ("runs/r/run.json", b'{"started_at": "soon"}', 'started_at: found "soon"'),
    "params.json beyond its size": ("runs/r/params.json", b'{"a": "' + b"x" * (5 << 20) + b'"}', "at most 4,194,304"),
    "integer of 5,000 digits": ("runs/r/params.json", b'{"a": ' + b"9" * 5_000 + b"}", "no JSON"),
    "metrics without a newline at all": ("runs/r/metrics.jsonl", b"x" * 3_000_000, "line 1"),
    "metrics nested 10,000 deep": ("runs/r/metrics.jsonl", DEEP + b"\n", "line 1: nested too deeply"),
    "binary metrics": ("runs/r/metrics.jsonl", bytes(range(256)) * 20, "line 1"),
    "model.json with a wrong task": ("models/m/1/model.json", b'{"task": "guessing"}', "Invalid enum value"),
    "model.json with a number for a text": ("models/m/1/model.json", b'{"artifact": 3}', "Expected `str`, got `int`"),
    "model.json of another version": ("models/m/1/model.json", b'{"version": "2"}', "expected '1' from the folder"),
    "model.json nested 10,000 deep": ("models/m/1/model.json", DEEP, "recursion"),
    "artifact outside the folder": (
        "models/m/1/model.json",
        b'{"artifact": "../../../../etc/passwd"}',
        "a path inside the version's folder",
    ),
    "absolute artifact": ("models/m/1/model.json", b'{"artifact": "/etc/passwd"}', "a path inside"),
    "a folder nobody knows": ("surprise/f.csv", b"a\n1\n", "one of the folders"),
    "a format nobody reads": ("datasets/d/f.xlsx", b"PK", "a file ending in .parquet, .csv or .jsonl"),
    "a dataset's name with a space": ("datasets/a b/f.csv", b"a\n1\n", "1 to 128 of A-Z"),
    "a deployment without environment": ("predictions/m/f.csv", b"a\n1\n", "model@environment"),
    "an environment nobody knows": ("predictions/m@moon/f.csv", b"a\n1\n", "one of production, staging"),
    "zero bytes of csv": ("datasets/d/f.csv", b"", "empty"),
    "zero bytes of parquet": ("datasets/d/f.parquet", b"", "empty"),
    "zero bytes of run.json": ("runs/r/run.json", b"", "empty"),
    "zero bytes of model.json": ("models/m/1/model.json", b"", "no JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_goes_to_quarantine_with_its_reason(store: Running, name: str) -> None:
    path, content, reason = REFUSED[name]
    store.put(path, content)
    case = only_case(store)
    assert reason in case["reason"]
    assert case["reason"].isprintable()
    lives(store)


def test_a_truncated_parquet_goes_to_quarantine_and_its_bytes_are_kept(store: Running, tmp_path: Path) -> None:
    whole = parquet("SELECT range AS i FROM range(10000)", tmp_path)
    store.put("datasets/d/f.parquet", whole[: len(whole) // 2])
    case = only_case(store)
    assert "cannot be read as parquet" in case["reason"]
    assert (store.layout.quarantine / case["kept"]).read_bytes() == whole[: len(whole) // 2]


def test_a_whole_file_in_place_of_a_bad_one_clears_its_case(store: Running, tmp_path: Path) -> None:
    whole = parquet("SELECT range AS i FROM range(100)", tmp_path)
    store.put("datasets/d/f.parquet", whole[:-20])
    only_case(store)
    store.put("datasets/d/f.parquet", whole)
    eventually(lambda: not store.quarantined())
    assert store.rows("SELECT row_count FROM dataset_version") == [(100,)]


def test_nan_and_infinite_metrics_are_taken_in_as_they_are(store: Running) -> None:
    lines = (
        '{"step": 0, "a": NaN, "b": Infinity, "c": -Infinity, "d": null}\n{"step": 1, "metric": "a", "value": "NaN"}\n'
    )
    store.put("runs/r/metrics.jsonl", lines)
    found = eventually(lambda: store.rows("SELECT metric, value::VARCHAR FROM metric_point ORDER BY step, metric"))
    assert found == [("a", "nan"), ("b", "inf"), ("c", "-inf"), ("d", "nan"), ("a", "nan")]
    assert store.quarantined() == []


def test_a_single_line_larger_than_any_limit_is_refused_without_being_read(store: Running) -> None:
    # Sparse, so that 200 MB cost neither disk nor time: only its beginning and end are written.
    path = store.inbox / "runs/r/run.json"
    path.parent.mkdir()
    unfinished = path.with_name(".unfinished")
    with unfinished.open("wb") as file:
        file.write(b'{"a": "')
        file.seek(200_000_000)
        file.write(b'"}')
    unfinished.rename(path)
    assert only_case(store)["found"] == "200,000,002 bytes"
    lives(store)


def test_a_200_mb_line_of_metrics_is_skipped_and_the_next_line_taken(store: Running) -> None:
    path = store.inbox / "runs/r/metrics.jsonl"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b'{"step": 1, "auc": 0.5}\n{"a": "')
        file.seek(200_000_000)
        file.write(b'"}\n{"step": 2, "auc": 0.6}\n')
    eventually(lambda: store.one("SELECT count(*) FROM metric_point") == 2)
    assert "line 2: line: found more than 1,048,576 bytes" in only_case(store)["reason"]


def test_links_out_of_the_folder_are_not_followed(store: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nhidden\n")
    (store.inbox / "datasets/d").mkdir()
    (store.inbox / "datasets/d/f.csv").symlink_to(secret)
    assert "leaves the watched folder" in only_case(store)["reason"]
    assert store.rows("SELECT * FROM dataset_version") == []


def test_a_link_to_the_root_makes_nobody_walk_the_disk(store: Running) -> None:
    stage = store.layout.root / "stage"
    stage.mkdir()
    (stage / "all").symlink_to("/")
    stage.rename(store.inbox / "datasets/d")
    case = only_case(store)
    assert case["path"] == "datasets/d/all"
    lives(store)


@pytest.mark.parametrize("target", ["f.csv", "../d/f.csv"])
def test_a_link_to_itself_is_refused(store: Running, target: str) -> None:
    (store.inbox / "datasets/d").mkdir()
    (store.inbox / "datasets/d/f.csv").symlink_to(target)
    assert "leads back to itself" in only_case(store)["reason"]


def test_a_link_within_the_folder_is_followed(store: Running) -> None:
    store.put("datasets/d/f.csv", "a\n1\n")
    eventually(lambda: store.rows("SELECT * FROM dataset_version"))
    (store.inbox / "datasets/e").mkdir()
    (store.inbox / "datasets/e/f.csv").symlink_to("../d/f.csv")
    eventually(lambda: store.rows("SELECT * FROM dataset_version WHERE dataset = 'e'"))
    assert store.quarantined() == []


@pytest.mark.parametrize("link", ["model.bin", "sub/deep.bin"])
def test_an_artifact_that_links_out_is_not_kept(store: Running, tmp_path: Path, link: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    folder = store.inbox / "models/m/1"
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(secret)
    store.put("models/m/1/model.json", {"artifact": link.split("/")[0]})
    assert "leaves the watched folder" in only_case(store)["reason"]
    assert not [file for file in store.layout.objects.rglob("*") if file.is_file()]


def test_a_pipe_is_never_opened(store: Running) -> None:
    (store.inbox / "datasets/d").mkdir()
    os.mkfifo(store.inbox / "datasets/d/f.csv")
    assert only_case(store)["found"] == "a pipe"
    lives(store)


def test_a_socket_is_never_opened(store: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.inbox / "runs/r"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("run.json")
        assert only_case(store)["found"] == "a socket"


class Touches:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.bin", "model.skops"])
def test_a_pickle_is_kept_and_flagged_but_never_loaded(store: Running, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "executed"
    store.put(f"models/m/1/{name}", pickle.dumps(Touches(trap)))
    store.put("models/m/1/model.json", {"artifact": name, "flavour": "skops"})
    flagged = eventually(lambda: store.rows("SELECT flagged FROM model_version"))[0][0]
    assert "pickle" in flagged
    assert not trap.exists()


NAMES = ["[red]bold", ESCAPES, "two\nlines", "\u202ereversed", "..", "x" * 200, "-rf", "a;b|c `d` $(e)", "\u200b"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != ".."])
def test_a_run_of_any_name_is_shown_in_printable_letters(store: Running, name: str) -> None:
    store.put(f"runs/{name}/run.json", {"status": "finished"})
    shown = eventually(lambda: store.rows("SELECT name FROM run"))[0][0]
    assert shown.isprintable()
    assert len(shown.encode()) <= 255


def test_a_run_named_in_bytes_that_are_no_text_is_taken_in(store: Running) -> None:
    folder = os.fsencode(store.inbox / "runs") + b"/\xff\xfe"
    os.mkdir(folder)  # noqa: PTH102
    Path(os.fsdecode(folder + b"/run.json")).write_bytes(b"{}")
    assert eventually(lambda: store.rows("SELECT name FROM run"))[0][0].isprintable()


@pytest.mark.parametrize("name", [name for name in NAMES if name != ".." and "/" not in name and name != "-rf"])
def test_a_dataset_of_a_bad_name_is_refused_and_its_name_cleaned(store: Running, name: str) -> None:
    store.put(f"datasets/{name}/f.csv", "a\n1\n")
    case = only_case(store)
    assert case["key"] == "dataset"
    assert (case["reason"] + case["path"] + case["found"]).isprintable()


def test_names_of_100_kb_inside_a_file_are_cut_and_stay_apart(store: Running) -> None:
    long = "n" * 100_000
    store.put("runs/r/params.json", {long + "1": 1, long + "2": 2, "..": 3, "../../x": 4, ESCAPES: 5, "[red]": 6})
    keys = eventually(lambda: store.rows("SELECT key FROM run_column"))
    assert len(keys) == 6
    assert all(len(key.encode()) <= 265 and key.isprintable() for (key,) in keys)


def test_values_of_a_megabyte_and_escape_sequences_are_cut_and_cleaned(store: Running) -> None:
    store.put("runs/r/run.json", {"host": ESCAPES, "tags": {"note": "x" * 1_000_000}, "git_commit": "\u202e[red]\n"})
    host, tags, revision = eventually(lambda: store.rows("SELECT host, tags, revision FROM run"))[0]
    assert host.isprintable()
    assert revision.isprintable()
    assert len(tags) < 20_000


def test_metric_names_are_cleaned(store: Running) -> None:
    store.put("runs/r/metrics.jsonl", json.dumps({"metric": ESCAPES, "value": 1}) + '\n{"\\ud800": 1.5}\n')
    names = eventually(lambda: store.rows("SELECT metric FROM metric_point"))
    assert len(names) == 2
    assert all(name.isprintable() for (name,) in names)


def test_column_names_with_escape_sequences_are_cleaned(store: Running) -> None:
    store.put("datasets/d/f.csv", f"{ESCAPES},[red]\n1,2\n")
    columns = eventually(lambda: store.rows("SELECT columns FROM dataset_version"))[0][0]
    assert "\\u001b" not in columns
    assert columns.isprintable()


@pytest.mark.parametrize("name", ["*.csv", "a[1].csv", "?.csv", "{a,b}.csv", "it's.csv", "a b.csv", "https:x.csv"])
def test_a_file_named_like_a_pattern_reads_just_itself(store: Running, name: str) -> None:
    store.put("datasets/e/a1.csv", "a\n1\n2\n3\n")
    eventually(lambda: store.rows("SELECT 1 FROM dataset_version WHERE dataset = 'e'"))
    store.put(f"datasets/e/{name}", "a\n1\n")
    eventually(lambda: store.rows("SELECT 1 FROM dataset_version WHERE version = 2"))
    assert store.rows("SELECT row_count FROM dataset_version ORDER BY version") == [(3,), (1,)]


def test_a_file_that_vanishes_leaves_no_trace(store: Running) -> None:
    for number in range(50):
        path = store.put(f"datasets/d/{number}.csv", "a\n1\n", rename=False)
        path.unlink()
    lives(store)
    eventually(lambda: store.intake.status().waiting == 0)
    assert store.quarantined() == []


def test_a_folder_that_vanishes_leaves_no_trace(store: Running) -> None:
    store.put("models/m/1/model.bin", b"bits")
    (store.inbox / "models/m/1").rename(store.layout.root / "elsewhere")
    lives(store)
    eventually(lambda: store.intake.status().waiting == 0)
    assert store.quarantined() == []


@pytest.fixture
def unprivileged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes bind root too: opening what nobody may read fails as it does for everybody else."""
    if os.geteuid() != 0:
        return
    real = os.open

    def checked(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if isinstance(path, str) and os.path.lexists(path) and not os.lstat(path).st_mode & 0o777:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", checked)


def test_a_file_that_may_not_be_read_is_taken_in_once_it_may(store: Running, unprivileged: None) -> None:
    folder = store.inbox / "runs/r"
    folder.mkdir()
    hidden = folder / ".unfinished"
    hidden.write_text('{"status": "finished"}')
    hidden.chmod(0)
    hidden.rename(folder / "run.json")
    assert "permission" in only_case(store)["reason"]
    (folder / "run.json").chmod(stat.S_IRUSR)
    store.intake.retry("q1", actor_of("ada")).result(20)
    assert store.rows("SELECT name FROM run") == [("r",)]
    assert store.quarantined() == []


def actor_of(name: str) -> Any:
    from store.database import Actor

    return Actor(name, "test")


def test_a_zip_of_nothing_is_flagged_as_no_skops_file(store: Running) -> None:
    store.put("models/m/1/model.skops", io.BytesIO(b"not a zip").getvalue())
    store.put("models/m/1/model.json", {"artifact": "model.skops", "flavour": "skops"})
    assert "no skops file" in eventually(lambda: store.rows("SELECT flagged FROM model_version"))[0][0]


def test_a_folder_that_may_not_be_entered_is_shown_until_it_may(
    store: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = str(store.inbox / "runs/closed")
    real_scan, real_access = os.scandir, os.access
    shut = [True]

    def scan(path: Any = ".") -> Any:
        if shut and path == closed:
            raise PermissionError(13, "Permission denied", path)
        return real_scan(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode, **_how: not (shut and path == closed + "/") and real_access(path, mode),
    )
    stage = store.layout.root / "closed"
    stage.mkdir()
    (stage / "run.json").write_text("{}")
    stage.rename(closed)
    assert "a folder that may not be entered" in only_case(store)["reason"]
    shut.clear()
    Path(closed).chmod(0o700)
    eventually(lambda: store.rows("SELECT name FROM run"))
    eventually(lambda: not store.quarantined())
