"""What is dropped is a figure: of prediction and label files, with windows or without, in the listing and in health."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from store.agent.fleet import of_losses
from store.agent.health import Health, worst
from store.catalog.listing import Listings
from store.monitor import evaluate, scan_predictions, stored_notes
from store.monitor.listings import listings
from store.monitor.notes import Note
from store.monitor.oddities import oddities
from store.monitor.quality import LIMITS
from store.monitor.recent_files import LAST_FILES, RecentFiles, losses_of
from store.monitor.recording import record_predictions
from store.protocol import ListParams
from store.settings import AlertSettings, MonitorSettings, RuleSettings
from tests.store.monitor.conftest import DEPLOYMENT, Bench

DAY = 86_400
FIRST = 1_704_067_200


def day(number: int, rows: int = 100, moment: str = "", identity: str = "") -> str:
    moment = moment or f"TIMESTAMP '2024-01-01' + to_days({number})"
    identity = identity or f"'{number}-' || i"
    return (
        f"SELECT {moment} AS timestamp, {identity} AS prediction_id, i % 10 AS x, 0.5 AS prediction, '1' AS"
        f" model_version FROM range({rows}) t(i)"
    )


@pytest.fixture
def fed(bench: Bench) -> Bench:
    bench.register(task="regression", features={"x": "numeric"})
    return bench


def listed(bench: Bench, **params: Any) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    """(version, feature, check, day) → row of the listing."""
    every = Listings(listings(bench.settings))
    asked = ListParams("quality", window="1d", limit=1000, **params)
    page = bench.database.reader.read(lambda c: every.page(c, asked))
    assert len({row[0] for row in page.rows}) == len(page.rows)
    rows = [dict(zip([column.name for column in page.columns], row, strict=True)) for row in page.rows]
    return {
        (row["version"], row["feature"], row["check"], int(row["window_start"] - FIRST) // DAY): row for row in rows
    }


def state(bench: Bench) -> Health:
    """What the last files say of the deployment's health, read anew and kept up alike."""
    losses = bench.database.reader.read(lambda c: losses_of(c, DEPLOYMENT))
    assert bench.database.reader.read(lambda c: RecentFiles().losses(c)) == ({DEPLOYMENT: losses} if losses else {})
    return worst([Health("ok"), *of_losses(losses)])


def test_rows_are_counted_by_what_is_wrong_with_them(fed: Bench) -> None:
    moment = "[NULL, NULL, TIMESTAMP '1850-01-01', TIMESTAMP '2024-01-01'][least(i + 1, 4)]"
    fed.predict(fed.file(day(0, moment=moment, identity="CASE WHEN i < 90 THEN i // 2 END")))
    found = listed(fed)
    shares = {check: found["1", "", check, 0]["value"] for check in LIMITS if ("1", "", check, 0) in found}
    assert shares == {
        # 3 are left out; of ids 1 (once: its twin is left out) to 44 there are two rows each.
        "left_out": 0.03, "without_time": 0.02, "implausible_time": 0.01, "without_id": 0.1, "duplicates": 0.43,
    }  # fmt: skip
    assert all(found["1", "", check, 0]["failed"] for check in ("left_out", "without_time", "without_id", "duplicates"))
    assert found["1", "", "implausible_time", 0]["failed"] is False


def test_a_file_of_which_every_row_is_left_out_is_listed_and_is_no_good_health(fed: Bench) -> None:
    fed.predict(fed.file(day(0)))
    assert state(fed) == Health("ok")
    fed.predict(fed.file(day(1, moment="NULL::TIMESTAMP")))
    row = listed(fed)["", "", "left_out", 0]
    assert (row["value"], row["rows"], row["failed"]) == (1.0, 100, True)
    assert row["why"] == "no row of 1 file was counted, in the window that was the newest when it came"
    assert state(fed) == Health(
        "warning",
        "predictions: all 100 rows without a readable time are left out; no row was counted"
        " (1 of the last 2 prediction files)",
    )


def test_where_no_file_was_ever_counted_it_is_listed_at_the_moment_it_came(fed: Bench) -> None:
    fed.predict(fed.file(day(1, moment="NULL::TIMESTAMP")))
    [(came,)] = fed.rows("SELECT epoch(recorded_at) FROM monitor_arrival")
    row = listed(fed)["", "", "left_out", int(came - FIRST) // DAY]
    assert (row["value"], row["failed"]) == (1.0, True)
    assert row["why"] == "no row of 1 file was counted, in the window when it came"
    assert state(fed).word == "warning"


def test_a_file_that_repeats_another_is_listed(fed: Bench) -> None:
    fed.predict(fed.file(day(0)))
    fed.predict(fed.file(f"SELECT * REPLACE (x + 1 AS x) FROM ({day(0)})"))
    assert listed(fed)["", "", "duplicates", 0]["value"] == 1.0
    assert "repeat a prediction_id" in state(fed).cause


LABELS = (
    "SELECT CASE WHEN i >= 2 THEN '0-' || (i % 90) END AS prediction_id, CASE WHEN i < 10 THEN 'n/k' WHEN i < 12 THEN"
    " NULL ELSE i::VARCHAR END AS label, ['soon', '1850-01-01', '2024-01-02'][least(i, 2) + 1] AS timestamp"
    " FROM range(100) t(i)"
)


def test_label_files_have_figures_too(fed: Bench) -> None:
    fed.predict(fed.file(day(0)))
    taken = fed.label(fed.file(LABELS))
    figures = {note.code: (note.rows, note.examples) for note in taken.notes}
    assert figures == {
        "left_out.id": (2, ()),
        "left_out.label": (2, ()),
        # Ids 2 to 9 come as 92 to 99 again; at one time the greater label counts, which is the word.
        "repeated_id": (8, ()),
        "label_not_a_number": (8, ("n/k",)),
        "label_time.unreadable": (1, ()),
        "time_unreadable": (1, ("soon",)),
        "label_time.implausible": (1, ()),
    }
    found = listed(fed)
    values = {check: row["value"] for (version, _, check, at), row in found.items() if not version and at == 0}
    assert values["label_left_out"] == values["label_without_id"] == 0.02
    assert (values["label_missing"], values["label_duplicates"]) == (0.02, 0.08)
    assert (values["label_time_unreadable"], values["label_time_implausible"]) == (0.01, 0.01)
    assert found["", "", "label_missing", 0]["failed"] is False
    assert found["", "", "label_left_out", 0]["failed"] is True
    assert found["", "", "label_left_out", 0]["why"].startswith("of 1 file of labels")


def test_labels_of_a_regression_that_are_no_number_are_counted_with_examples(fed: Bench) -> None:
    fed.predict(fed.file(day(0)))
    words = "CASE WHEN i < 5 THEN 'n/k' WHEN i < 8 THEN 'inf' ELSE i::VARCHAR END"
    taken = fed.label(fed.file(f"SELECT '0-' || i AS prediction_id, {words} AS label FROM range(100) t(i)"))
    [note] = taken.notes
    assert (note.code, note.rows, sorted(note.examples)) == ("label_not_a_number", 8, ["inf", "n/k"])
    row = listed(fed)["", "", "label_not_a_number", 0]
    assert (row["value"], row["threshold"], row["failed"]) == (0.08, 0.01, True)
    assert state(fed).cause == "labels: 8.0% of 100 labels are no number: they count in no metric (the only label file)"


@pytest.mark.parametrize(("positive", "odd"), [(1, 40), ("yes", 0)], ids=["numbers", "words"])
def test_words_among_the_labels_0_and_1_are_counted_where_they_would_pass_for_negative(
    bench: Bench, positive: Any, odd: int
) -> None:
    bench.register(task="binary", features={"x": "numeric"}, positive=positive)
    bench.predict(bench.file(f"SELECT * REPLACE (i % 2 AS prediction) FROM ({day(0)}), (SELECT 1 AS i)"))
    word = "yes" if positive == "yes" else "1"
    taken = bench.label(
        bench.file(
            f"SELECT '0-' || i AS prediction_id, CASE WHEN i < 40 THEN 'n/k' ELSE '{word}' END AS label"
            " FROM range(100) t(i)"
        )
    )
    counted = [(note.rows, note.examples) for note in taken.notes if note.code == "label_not_a_number"]
    assert counted == ([(odd, ("n/k",))] if odd else [])
    assert listed(bench)["", "", "label_not_a_number", 0]["value"] == odd / 100
    assert ("count as negative" in state(bench).cause) == bool(odd)


def test_label_files_stand_in_the_window_that_was_the_newest_when_they_came(fed: Bench) -> None:
    labels = "SELECT '{0}-' || i AS prediction_id, {0} AS label FROM range(50) t(i)"
    fed.label(fed.file(labels.format(7)))
    for number in range(3):
        fed.predict(fed.file(day(number)))
        fed.label(fed.file(labels.format(number)))
    fed.label(fed.file("SELECT '0-' || i AS prediction_id, 1 AS label FROM range(25) t(i)"))
    rows = {at: row["rows"] for (_, _, check, at), row in listed(fed).items() if check == "label_left_out"}
    assert rows == {0: 100, 1: 50, 2: 75}
    later = listed(fed, since=FIRST + DAY, until=FIRST + 2 * DAY)
    assert {at: row["rows"] for (_, _, check, at), row in later.items() if check == "label_left_out"} == {1: 50}


def test_health_forgets_a_loss_after_enough_good_files(fed: Bench) -> None:
    fed.predict(fed.file(day(0, moment="CASE WHEN i > 1 THEN TIMESTAMP '2024-01-01' END")))
    kept = RecentFiles()
    assert fed.database.reader.read(kept.losses)[DEPLOYMENT][0].share == 0.02
    for number in range(1, LAST_FILES):
        fed.predict(fed.file(day(number)))
    [loss] = fed.database.reader.read(kept.losses)[DEPLOYMENT]
    assert (loss.failing, loss.looked_at) == (1, LAST_FILES)
    fed.predict(fed.file(day(LAST_FILES)))
    assert fed.database.reader.read(kept.losses) == {}
    [(first,)] = fed.rows("SELECT min(recorded_at) FROM monitor_arrival")
    assert fed.database.reader.read(lambda c: kept.losses(c, first))[DEPLOYMENT][0].looked_at == 1


def test_a_note_that_no_check_knows_passes_through_untouched(fed: Bench) -> None:
    strange = Note("null_words", "values were read as null", 7, "x", ("NA", "-"))
    whole = Note("guessed", "the file is read as Windows-1252")

    def scan(connection: Any) -> Any:
        return scan_predictions(connection, fed.file(day(0)), "parquet", DEPLOYMENT, "digest")

    found = fed.database.reader.read(scan)
    noted = dataclasses.replace(found, notes=(strange, whole))
    fed.database.writer.change(lambda tx: record_predictions(tx, noted))
    [(text,)] = fed.rows("SELECT notes FROM monitor_arrival")
    assert stored_notes.decode(text) == (strange, whole)
    row = listed(fed)["1", "x", "null_words", 0]
    assert (row["value"], row["failed"], row["threshold"]) == (0.07, None, None)
    assert row["why"] == "values were read as null"
    assert ("1", "", "guessed", 0) not in listed(fed)
    odd = {one.note.code: one for one in fed.database.reader.read(lambda c: oddities(c, DEPLOYMENT))}
    assert (odd["null_words"].note.rows, odd["null_words"].what) == (7, "values were read as null ('NA', '-')")
    assert state(fed) == Health("ok")


@pytest.mark.parametrize(
    ("sentence", "code", "rows"),
    [
        ("1,234 rows without a time are left out", "left_out.time", 1234),
        ("2 rows repeat a prediction_id: the first counts", "repeated_id", 2),
        ("3 rows with a time before 1900 or in the future are left out", "left_out.implausible_time", 3),
        ("5 label times before 1900 or in the future are taken as unknown", "label_time.implausible", 5),
        ("version 1: no column for x", "remark", None),
    ],
)
def test_sentences_of_earlier_versions_are_read_as_figures(sentence: str, code: str, rows: int | None) -> None:
    [note] = stored_notes.decode(msgspec.json.encode([sentence]).decode())
    assert (note.code, note.rows, note.describe()) == (code, rows, sentence)


def test_a_store_with_sentences_counts_as_before(fed: Bench) -> None:
    fed.predict(fed.file(day(0)))
    sentences = msgspec.json.encode(["20 rows repeat a prediction_id: the first counts"]).decode()
    fed.database.writer.change(lambda tx: tx.execute("UPDATE monitor_arrival SET notes = ?", [sentences]))
    assert listed(fed)["1", "", "duplicates", 0]["value"] == 0.2


@pytest.mark.parametrize("metric", ["label_not_a_number", "without_time"])
def test_rules_can_name_the_checks_of_files(fed: Bench, metric: str) -> None:
    settings = MonitorSettings(alert_span=1, open_after=1, close_after=1, min_rows=10)
    alerts = AlertSettings(defaults=False, rule=[RuleSettings(name="mine", metric=metric)])
    for number in range(4):
        bad = number == 2
        moment = f"TIMESTAMP '2024-01-01' + to_days({number})"
        fed.predict(fed.file(day(number, moment=f"CASE WHEN i > 4 THEN {moment} END" if bad else moment)))
        word = "CASE WHEN i < 5 THEN 'n/k' ELSE '1' END" if bad else "i"
        fed.label(fed.file(f"SELECT '{number}-' || i AS prediction_id, {word} AS label FROM range(100) t(i)"))
        fed.database.writer.change(lambda tx: evaluate(tx, DEPLOYMENT, settings, alerts))
    [(feature, value)] = fed.rows("SELECT feature, value FROM monitor_alert_now WHERE rule = 'mine'")
    assert (feature, value) == (metric, pytest.approx(0.05))


def test_health_is_the_worst_with_the_causes_that_are_as_bad() -> None:
    states = [Health("ok"), Health("warning", "a"), Health("no data"), Health("warning", "b")]
    assert worst(states) == Health("warning", "a; b")
    assert worst([*states, Health("alarm", "c")]) == Health("alarm", "c")
    assert worst([*states, Health("failed", "d")]) == Health("failed", "d")
