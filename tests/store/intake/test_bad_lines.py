"""Bad lines of metrics.jsonl: counted, the first three quoted, whenever they come; and what is no bad line."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store.catalog.listing import Listings
from store.database import times
from store.intake import follow, quarantine
from store.intake.follow import Followed
from store.protocol import ListParams
from tests.store.intake.running import Running, eventually

LISTING = Listings([quarantine.QUARANTINE])


def listed(store: Running, at: float | None = None) -> list[dict[str, Any]]:
    page = store.database.reader.read(lambda c: LISTING.page(c, ListParams("quarantine", at=at)))
    return [{column.name: cell for column, cell in zip(page.columns, row, strict=True)} for row in page.rows]


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_all_bad_lines_are_counted_and_the_first_three_quoted(store: Running) -> None:
    bad = b'{"step":2,"loss":\n\xff\xfe{"step":3,"loss":0.2}\n{"step":4,"loss":"oops"}\n[1,2]\n{"step":"x","loss":1}\n'
    path = store.put("runs/r/metrics.jsonl", b'{"step":1,"loss":0.5}\n' + bad + b'{"step":7,"loss":0.1}\n')
    (case,) = eventually(lambda: listed(store))
    assert case["reason"].startswith("5 lines with a fault, the first: line 2: no JSON")
    for line in ("line 3: no JSON", 'line 4: loss: found "oops"'):
        assert line in case["reason"]
    assert "line 5" not in case["reason"]
    assert store.rows("SELECT step FROM metric_point ORDER BY step") == [(1,), (7,)]
    then = time.time()
    append(path, 'broken again\n{"step":8,"loss":0.05}\n')
    eventually(lambda: "6 lines with a fault" in listed(store)[0]["reason"])
    assert "5 lines with a fault" in listed(store, at=then)[0]["reason"]
    store.restart()
    append(path, '{"step":9,"loss":"again"}\n')
    eventually(lambda: "7 lines with a fault" in listed(store)[0]["reason"])
    assert [case["state"] for case in listed(store)] == ["open"]


def test_lines_that_turn_bad_one_by_one_are_quoted_up_to_three(store: Running) -> None:
    path = store.put("runs/r/metrics.jsonl", '{"step":1,"loss":0.5}\nfirst\n')
    eventually(lambda: listed(store) and listed(store)[0]["reason"] == 'line 2: no JSON: "first"')
    for number, word in enumerate(("second", "third", "fourth"), 2):
        append(path, f"{word}\n")
        eventually(lambda n=number: f"{n} lines with a fault" in listed(store)[0]["reason"])
    reason = listed(store)[0]["reason"]
    assert [word in reason for word in ("first", '"second"', '"third"', '"fourth"')] == [True, True, True, False]


def test_a_file_that_begins_anew_has_a_case_of_its_own_and_is_the_next_attempt(store: Running) -> None:
    path = store.put("runs/r/metrics.jsonl", '{"step":1,"loss":0.5}\nbad\n')
    eventually(lambda: listed(store))
    path.write_text("")
    eventually(lambda: [case["state"] for case in listed(store)] == ["cleared"])
    path.write_text('{"step":1,"loss":0.4}\nworse\n{"step":2,"loss":0.3}\n')
    eventually(lambda: len(listed(store)) == 2)
    assert [case["state"] for case in listed(store)] == ["open", "cleared"]
    assert store.rows("SELECT attempt, step, value FROM metric_point ORDER BY rowid") == [
        (1, 1, 0.5), (2, 1, 0.4), (2, 2, 0.3)
    ]  # fmt: skip


def test_after_a_decision_later_bad_lines_are_a_new_case(store: Running) -> None:
    from store.database import Actor

    path = store.put("runs/r/metrics.jsonl", '{"step":1,"loss":0.5}\nbad\n')
    eventually(lambda: listed(store))
    store.database.writer.change(lambda tx: quarantine.resolve(tx, "q1", Actor("me", "cli"), "known"))
    append(path, "worse\n")
    eventually(lambda: len(listed(store)) == 2)
    assert listed(store)[0]["reason"] == 'line 3: no JSON: "worse"'


def read(tmp_path: Path, text: str, known: Followed | None = None) -> follow.Stretch:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with path.open("rb") as file:
        return follow.read_on(file.fileno(), os.fstat(file.fileno()).st_size, known or Followed(), times.now())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"])
def test_words_for_what_json_has_no_number_for_are_values(tmp_path: Path, word: str) -> None:
    stretch = read(tmp_path, f'{{"step": 1, "loss": "{word}", "auc": 0.5, "phase": "train"}}\n')
    assert [(point.metric, str(point.value)) for point in stretch.points] == [
        ("loss", str(float(word))),
        ("auc", "0.5"),
    ]
    assert stretch.bad_lines == 0


def test_a_text_in_the_place_of_a_number_is_a_fault_and_the_rest_of_its_line_is_taken(tmp_path: Path) -> None:
    stretch = read(
        tmp_path, '{"step": 1, "loss": 0.5, "phase": "a"}\n{"step": 2, "loss": "n/a", "auc": 1, "phase": "b"}\n'
    )
    assert [(point.step, point.metric) for point in stretch.points] == [(1, "loss"), (2, "auc")]
    assert stretch.bad_lines == 1
    assert stretch.troubles[0].reason == 'line 2: loss: found "n/a", expected a number'


def test_a_small_number_under_time_is_a_duration(tmp_path: Path) -> None:
    stretch = read(tmp_path, '{"step": 1, "time": 0.53, "loss": 2}\n{"step": 2, "time": 1763978400, "loss": 2}\n')
    assert {point.metric for point in stretch.points if point.step == 1} == {"time", "loss"}
    assert stretch.points[0].at > datetime(2020, 1, 1, tzinfo=UTC)
    (last,) = [point for point in stretch.points if point.step == 2]
    assert last.at == datetime(2025, 11, 24, 10, tzinfo=UTC)


def test_a_time_that_cannot_be_read_is_said_and_its_line_taken(tmp_path: Path) -> None:
    stretch = read(tmp_path, '{"step": 1, "time": "half past two", "loss": 2}\n')
    assert [point.metric for point in stretch.points] == ["loss"]
    assert (stretch.bad_lines, stretch.troubles[0].key) == (1, "line 1, time")


def silence(store: Running) -> dict[str, Any]:
    from store.catalog.listings import runs_listing

    page = store.database.reader.read(lambda c: Listings([runs_listing()]).page(c, ListParams("runs")))
    place = [column.name for column in page.columns].index("silence")
    return {str(row[0]): row[place] for row in page.rows}


def test_a_run_found_with_old_metrics_is_silent_until_it_writes_again(store: Running) -> None:
    hours_ago = time.time() - 3 * 3600 - 60
    lines = f'{{"step": 1, "loss": 0.5, "time": {hours_ago}}}\n'
    store.put("runs/named/run.json", '{"status": "running"}')
    path = store.put("runs/named/metrics.jsonl", lines)
    store.put("runs/live/metrics.jsonl", '{"step": 1, "loss": 0.5}\n')
    old = store.inbox / "runs/old"
    old.mkdir()
    (old / ".metrics").write_text('{"step": 1, "loss": 0.5}\n')
    os.utime(old / ".metrics", (hours_ago, hours_ago))
    (old / ".metrics").rename(old / "metrics.jsonl")
    eventually(lambda: silence(store) == {"named": "no word for 3 h", "old": "no word for 3 h", "live": None})
    measured = store.rows("SELECT epoch(last_metric_at) FROM run WHERE superseded_at IS NULL AND name <> 'live'")
    assert measured == [(pytest.approx(hours_ago, abs=0.01),)] * 2
    # Whatever its own clock says: what is appended before our eyes is a word.
    append(path, lines.replace("1,", "2,", 1))
    eventually(lambda: silence(store)["named"] is None)


def test_a_run_json_that_is_written_again_is_a_word(store: Running) -> None:
    started = datetime.fromtimestamp(time.time() - 5 * 3600, UTC).isoformat()
    document = f'{{"status": "running", "started_at": "{started}"'
    store.put("runs/r/run.json", document + "}")
    eventually(lambda: silence(store) == {"r": "no word for 5 h"})
    store.put("runs/r/run.json", document + ', "tags": {"beat": "1"}}')
    eventually(lambda: silence(store) == {"r": None})
