"""Files become counts: what is counted, what is left out and said, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from store.monitor import reading, record_reference, scan_labels, scan_predictions, scan_reference
from store.monitor.notes import Note
from store.monitor.reference import load_reference
from store.protocol import ExitCode, Refusal, SpanParams
from tests.store.monitor.conftest import DEPLOYMENT, FLIGHT_COLUMNS, FLIGHT_FEATURES, FLIGHTS, Bench

REFERENCE = "SELECT (i % 40)::DOUBLE AS x, 'c' || (i % 3) AS k FROM range(400) t(i)"
#: Six predictions in two hours.
ROWS = (
    "SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01 10:30:00' + to_minutes((i * 10)::INT) AS timestamp,"
    " i::DOUBLE AS x, 'c' || (i % 4) AS k, 0.1 * i AS score FROM range(6) t(i)"
)


@pytest.fixture
def watched(bench: Bench) -> Bench:
    manifest = bench.register()
    bench.reference(manifest, bench.file(REFERENCE))
    return bench


def described(notes: Iterable[Note]) -> tuple[str, ...]:
    return tuple(note.describe() for note in notes)


def tally(bench: Bench, feature: str) -> list[int]:
    """Counts by slot of one feature over all that was recorded."""
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    found = reference.by_name[feature]
    dense = np.zeros(reference.width, np.int64)
    for (_, _, slot), count in bench.counts().items():
        dense[slot] += count
    return dense[found.offset : found.offset + found.width].tolist()


def test_each_value_is_counted_in_its_bin(watched: Bench) -> None:
    watched.predict(watched.file(ROWS))
    assert tally(watched, "x") == [0, *[1] * 6, *[0] * 34, 0, 0, 0, 0, 0]
    assert tally(watched, "k") == [2, 2, 1, 1, 0]


def test_rows_fall_into_windows_of_their_event_time(watched: Bench) -> None:
    watched.predict(watched.file(ROWS))
    rows = watched.rows("SELECT hour(window_start), row_count FROM monitor_window ORDER BY 1")
    assert rows == [(10, 3), (11, 3)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_every_format_gives_the_same_counts(watched: Bench, suffix: str) -> None:
    watched.predict(watched.file(ROWS, suffix))
    assert tally(watched, "x") == [0, *[1] * 6, *[0] * 34, 0, 0, 0, 0, 0]
    assert tally(watched, "k") == [2, 2, 1, 1, 0]
    assert watched.rows("SELECT count(*), sum(score) FROM monitor_prediction") == [(6, pytest.approx(1.5))]


def test_reordered_and_extra_columns_change_nothing_and_are_said(watched: Bench) -> None:
    taken = watched.predict(watched.file(f"SELECT 7 AS more, score, k, x, timestamp, prediction_id FROM ({ROWS})"))
    assert tally(watched, "k") == [2, 2, 1, 1, 0]
    assert described(taken.notes) == ("version 1: columns not watched: more",)


def test_a_missing_feature_is_counted_nowhere_and_said(watched: Bench) -> None:
    taken = watched.predict(watched.file(f"SELECT * EXCLUDE (x) FROM ({ROWS})"))
    assert sum(tally(watched, "x")) == 0
    assert sum(tally(watched, "k")) == 6
    assert described(taken.notes) == ("version 1: no column for x",)


def test_a_feature_that_turned_to_text_is_counted_as_no_number(watched: Bench) -> None:
    words = f"SELECT * REPLACE (CASE WHEN x < 2 THEN 'hot' ELSE x::VARCHAR END AS x) FROM ({ROWS})"
    taken = watched.predict(watched.file(words))
    assert tally(watched, "x")[-1] == 2
    assert described(taken.notes) == ("column 'x' is VARCHAR, the reference has numbers",)


def test_a_feature_that_turned_to_a_list_is_counted_as_no_number(watched: Bench) -> None:
    watched.predict(watched.file(f"SELECT * REPLACE ([x] AS x) FROM ({ROWS})"))
    assert tally(watched, "x")[-1] == 6


def test_a_category_that_turned_to_a_number_is_another_category(watched: Bench) -> None:
    watched.predict(watched.file(f"SELECT * REPLACE (7.0 AS k) FROM ({ROWS})"))
    assert tally(watched, "k") == [0, 0, 0, 6, 0]


def test_null_nan_and_infinity_are_counted_apart(watched: Bench) -> None:
    odd = "[NULL, 'nan'::DOUBLE, 'inf'::DOUBLE, '-inf'::DOUBLE, 3, -5, 99][i + 1]"
    watched.predict(
        watched.file(
            f"SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, {odd} AS x FROM range(7) t(i)"
        )
    )
    found = tally(watched, "x")
    assert (found[0], found[4], found[-5:]) == (1, 1, [1, 1, 1, 2, 0])


def test_ten_thousand_new_categories_are_one_slot(watched: Bench) -> None:
    watched.predict(
        watched.file(
            "SELECT i AS prediction_id, TIMESTAMP '2024-05-01' AS timestamp, 'new' || i AS k FROM range(10000) t(i)"
        )
    )
    assert tally(watched, "k") == [0, 0, 0, 10_000, 0]


def test_a_repeated_id_counts_once_by_its_earliest_row(watched: Bench) -> None:
    twice = f"SELECT * REPLACE ('p1' AS prediction_id) FROM ({ROWS})"
    taken = watched.predict(watched.file(twice))
    assert watched.rows("SELECT prediction_id, score FROM monitor_prediction") == [("p1", 0.0)]
    assert sum(tally(watched, "x")) == 1
    assert "5 rows repeat a prediction_id: the first counts" in described(taken.notes)


def test_an_id_that_came_in_an_earlier_file_is_not_counted_again(watched: Bench) -> None:
    watched.predict(watched.file(ROWS))
    taken = watched.predict(
        watched.file(
            f"SELECT * FROM ({ROWS}) UNION ALL BY NAME SELECT 'p9' AS prediction_id,"
            " TIMESTAMP '2024-05-01 12:00' AS timestamp, 1.0 AS x"
        )
    )
    assert sum(tally(watched, "x")) == 7
    assert (taken.rows, taken.counted) == (7, 1)


def test_the_same_bytes_twice_are_one_fact(watched: Bench) -> None:
    path = watched.file(ROWS)
    watched.predict(path, "sha256:1")
    assert watched.predict(path, "sha256:1").repeated
    assert sum(tally(watched, "x")) == 6


def test_absent_and_absurd_times_are_left_out_and_counted(watched: Bench) -> None:
    moments = "[NULL, TIMESTAMP '1850-01-01', TIMESTAMP '2200-01-01', TIMESTAMP '2024-05-01'][i + 1]"
    taken = watched.predict(
        watched.file(
            f"SELECT i AS prediction_id, {moments} AS timestamp, 1.0 AS x, 'c1' AS k, 0 AS score FROM range(4) t(i)"
        )
    )
    assert taken.counted == 1
    assert described(taken.notes) == (
        "1 rows without a readable time are left out",
        "2 rows with a time before 1900 or in the future are left out",
    )


@pytest.mark.parametrize(
    "moment",
    [
        "1714557600",
        "1714557600000",
        "'2024-05-01T10:00:00Z'",
        "'2024-05-01T12:00:00+02:00'",
        "'2024-05-01 10:00:00'",
        "'1714557600.0'",
        "TIMESTAMP '2024-05-01 10:00:00'",
        "TIMESTAMPTZ '2024-05-01 10:00:00+00'",
    ],
)
def test_a_time_is_understood_however_it_is_written(watched: Bench, moment: str) -> None:
    watched.predict(watched.file(f"SELECT 1 AS prediction_id, {moment} AS timestamp, 1.0 AS x"))
    assert watched.rows("SELECT epoch(event_at) FROM monitor_prediction") == [(1_714_557_600,)]


def test_rows_without_an_id_are_counted_but_never_labelled(watched: Bench) -> None:
    taken = watched.predict(watched.file(f"SELECT * REPLACE (NULL::VARCHAR AS prediction_id) FROM ({ROWS})"))
    assert sum(tally(watched, "x")) == 6
    assert watched.rows("SELECT count(*) FROM monitor_prediction") == [(0,)]
    assert described(taken.notes) == ("6 rows without a prediction_id can never be labelled",)


@pytest.mark.parametrize(("column", "role"), [("timestamp", "time"), ("prediction_id", "prediction id")])
def test_a_file_without_time_or_id_is_refused_with_what_was_found(watched: Bench, column: str, role: str) -> None:
    path = watched.file(f"SELECT * EXCLUDE ({column}) FROM ({ROWS})")
    with pytest.raises(Refusal, match=f"no {role} column: expected '{column}', found") as refused:
        watched.predict(path)
    assert refused.value.code is ExitCode.USAGE
    assert refused.value.detail["key"] == role


@pytest.mark.parametrize(("suffix", "content"), [("parquet", b"PAR1 no"), ("csv", b"\xff\xfe\x00"), ("jsonl", b"{")])
def test_a_file_that_cannot_be_read_is_refused(watched: Bench, suffix: str, content: bytes) -> None:
    path = watched.folder / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        watched.predict(path)
    assert refused.value.code is ExitCode.USAGE
    assert "bad." in refused.value.message


def test_a_file_named_like_a_pattern_is_only_itself(watched: Bench) -> None:
    path = watched.file(ROWS).rename(watched.folder / "*.parquet")
    watched.predict(path)
    assert watched.rows("SELECT sum(row_count) FROM monitor_window") == [(6,)]


def test_an_empty_file_is_taken_and_counts_nothing(watched: Bench) -> None:
    assert watched.predict(watched.file(f"{ROWS} WHERE i < 0")).counted == 0


def test_a_column_of_versions_divides_the_rows(watched: Bench) -> None:
    second = watched.register("2")
    watched.reference(second, watched.file(REFERENCE.replace("% 40", "% 7")))
    watched.predict(watched.file(f"SELECT *, (1 + x::INT % 2)::VARCHAR AS model_version FROM ({ROWS})"))
    rows = watched.rows("SELECT version, sum(row_count) FROM monitor_window GROUP BY 1 ORDER BY 1")
    assert rows == [("1", 3), ("2", 3)]


def test_a_version_without_reference_has_traffic_only_and_says_so(watched: Bench) -> None:
    taken = watched.predict(watched.file(f"SELECT *, '9' AS model_version FROM ({ROWS})"))
    assert described(taken.notes) == ("version 9 has no reference: only its traffic and performance are counted",)
    assert watched.rows("SELECT version, sum(row_count) FROM monitor_window GROUP BY 1") == [("9", 6)]


def test_a_labels_file_without_labels_is_refused(watched: Bench) -> None:
    path = watched.file("SELECT 1 AS prediction_id")
    with pytest.raises(Refusal, match="no label column: expected 'label', found prediction_id"):
        watched.database.reader.read(lambda c: scan_labels(c, path, "parquet", DEPLOYMENT, "x"))


def test_counts_of_the_flights_equal_numpys(bench: Bench) -> None:
    manifest = bench.register(columns=FLIGHT_COLUMNS, features=FLIGHT_FEATURES)
    bench.reference(manifest, bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 3"))
    path = bench.file(f"SELECT * FROM '{FLIGHTS}' WHERE month(scheduled_at) = 7")
    scan = bench.database.reader.read(lambda c: scan_predictions(c, path, "parquet", DEPLOYMENT, "x"))
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    counted = np.zeros(reference.width, np.int64)
    np.add.at(counted, scan.parts[0].counts.slots, scan.parts[0].counts.counts)
    values = bench.maker.execute(f"SELECT temperature_f FROM '{path}'").fetchnumpy()["temperature_f"].astype(float)
    feature = reference.by_name["temperature_f"]
    full = np.append(feature.edges[:-1], np.nextafter(feature.edges[-1], np.inf))
    present = np.ma.compressed(np.ma.asarray(values))
    expected = np.histogram(present, np.concatenate([[-np.inf], full, [np.inf]]))[0]
    found = counted[feature.offset : feature.offset + feature.width]
    assert found[: feature.bins + 2].tolist() == expected.tolist()
    assert found[feature.null_slot] == len(values) - len(present)


def test_the_reference_of_a_csv_knows_its_numbers(bench: Bench) -> None:
    manifest = bench.register()
    bench.reference(manifest, bench.file(REFERENCE, "csv"))
    reference = bench.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    assert {f.name: f.kind for f in reference.features} == {"x": "numeric", "k": "categorical", "score": "score"}


def test_a_reference_without_any_of_the_features_is_refused(bench: Bench, tmp_path: Path) -> None:
    manifest = bench.register(features={"speed": "numeric"})
    with pytest.raises(Refusal, match="no feature column: expected 'speed', found x, k"):
        bench.reference(manifest, bench.file(REFERENCE))


def test_what_a_file_is_does_not_depend_on_its_name(bench: Bench) -> None:
    reference = bench.file(REFERENCE).rename(bench.folder / "reference-of-1")
    manifest = bench.register()
    found = bench.database.reader.read(lambda c: scan_reference(c, reference, manifest, "parquet"))
    assert found.rows == 400
    bench.database.writer.change(lambda tx: record_reference(tx, "m", "1", found))
    many = ROWS.replace("range(6)", "range(70000)").replace("(i * 10)", "(i % 50)")
    path = bench.file(many).rename(bench.folder / "predictions")
    scan = bench.database.reader.read(lambda c: scan_predictions(c, path, "parquet", DEPLOYMENT, "x"))
    assert scan.counted == 70_000


def test_rows_of_large_files_stand_beside_their_features(watched: Bench) -> None:
    """The time comes from one reader and the feature from another: they must be of the same row."""
    rows = (
        "SELECT 'p' || i AS prediction_id, TIMESTAMP '2024-05-01' + to_hours((i // 10000)::INT) AS timestamp,"
        " (i // 10000)::DOUBLE AS x, 'c1' AS k, 0.5 AS score FROM range(200000) t(i)"
    )
    path = watched.folder / "large.parquet"
    watched.maker.execute(f"COPY ({rows}) TO '{path}' (FORMAT PARQUET, ROW_GROUP_SIZE 20480)")
    watched.predict(path)
    reference = watched.database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert reference is not None
    found = reference.by_name["x"]
    slots = {
        (row[1].hour, row[2] - found.offset - 1): count
        for row, count in watched.counts().items()
        if found.offset <= row[2] < found.offset + found.width
    }
    assert slots == {(hour, hour): 10_000 for hour in range(20)}


def test_of_a_large_files_repeated_ids_the_earliest_counts(watched: Bench) -> None:
    rows = (
        "SELECT 'p' || (i % 70000) AS prediction_id, TIMESTAMP '2024-05-01 12:00' - to_seconds(i) AS timestamp,"
        " CASE WHEN i >= 70000 THEN 1.0 ELSE 2.0 END AS x, 'c1' AS k, 0.5 AS score FROM range(140000) t(i)"
    )
    taken = watched.predict(watched.file(rows))
    assert (taken.rows, taken.counted) == (140_000, 70_000)
    assert tally(watched, "x")[1:4] == [0, 70_000, 0]


def test_windows_keep_a_reference_that_was_recorded_before_its_bins_had_more_fields(watched: Bench) -> None:
    """What an earlier version wrote: five fields a feature, and an identity worked out from those."""
    database = watched.database
    recorded = database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert recorded is not None
    fields = ("name", "kind", "offset", "edges", "categories")
    features = [{field: getattr(feature, field) for field in fields} for feature in recorded.features]
    assert all(not feature.tail_groups for feature in recorded.features)
    digest = hashlib.sha256(msgspec.json.encode(["m", "1", features]) + recorded.counts.tobytes())
    earlier = digest.hexdigest()[:24]
    assert earlier != recorded.identity
    watched.predict(watched.file(ROWS))
    written = [earlier, msgspec.json.encode(features).decode()]
    database.writer.change(lambda tx: tx.execute("UPDATE monitor_reference SET reference = ?, features = ?", written))
    database.writer.change(lambda tx: tx.execute("UPDATE monitor_window SET reference = ?", [earlier]))

    known = database.reader.read(lambda c: load_reference(c, "m", "1"))
    assert known is not None and known.identity == earlier
    rows = database.reader.read(lambda c: list(reading.drift(c, SpanParams(DEPLOYMENT), watched.settings)))
    assert {row.found.feature: row.found.rows for row in rows if row.reference_rows} == {"x": 6, "k": 6}
    assert {row.found.reason for row in rows if row.reference_rows} == {"few_rows"}
