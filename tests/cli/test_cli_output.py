"""Tables for people, JSON for programs, and nothing in either that moves a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.commands import output
from console.glyphs import UNICODE, use
from store.protocol import Column, ExitCode, Field, Refusal, Section

COLUMNS = [
    Column("id", priority=0),
    Column("auc", "number", priority=1),
    Column("started", "time", priority=2),
    Column("tags", "json", priority=3),
]


@pytest.fixture(autouse=True)
def _unicode() -> None:
    use(UNICODE)


def test_json_rows_have_stable_names_iso_times_and_real_objects() -> None:
    row = output.row_object(COLUMNS, ["run-1", 0.7, 0.0, '{"a": 1}'])
    assert row == {"id": "run-1", "auc": 0.7, "started": "1970-01-01T00:00:00+00:00", "tags": {"a": 1}}


def test_a_json_cell_that_is_no_json_stays_text() -> None:
    assert output.json_cell("{oops", "json") == "{oops"


def test_a_time_past_the_calendar_stays_a_number() -> None:
    assert output.json_cell(1e300, "time") == 1e300


def test_null_is_null_whatever_the_kind() -> None:
    assert output.json_cell(None, "time") is None


@given(st.text())
def test_json_holds_no_character_that_a_terminal_obeys_and_reads_back_the_same(text: str) -> None:
    printed = output.json_text({"name": text})
    assert all(unicodedata.category(character) != "Cc" for character in printed)
    assert not any(character in printed for character in "\u202e\u2066\u200f\ufeff")
    assert json.loads(printed) == {"name": text}


def test_a_table_is_aligned_numbers_to_the_right() -> None:
    lines = output.table_lines(COLUMNS[:2], [["a", 0.5], ["longer", 12]])
    assert lines == ["ID      AUC", "a       0.5", "longer   12"]


def test_a_table_leaves_out_the_least_important_columns_to_fit() -> None:
    rows = [["run-1", 0.7, 0.0, "{}"]]
    assert output.table_lines(COLUMNS, rows, width=13)[0].split() == ["ID", "AUC"]


def test_a_table_never_leaves_out_what_is_always_shown() -> None:
    assert output.table_lines(COLUMNS, [["a-very-long-name", 0.7, 0.0, "{}"]], width=5)[0] == "ID"


def test_a_table_without_a_width_shows_every_column() -> None:
    assert len(output.table_lines(COLUMNS, [["run-1", 0.7, 0.0, "{}"]])[0].split()) == 4


def test_escape_sequences_and_newlines_in_a_cell_become_pictures() -> None:
    line = output.table_lines([Column("name")], [["a\x1b[31mred\nb"]])[1]
    assert line == "a␛[31mred␊b"


def test_markup_is_text() -> None:
    assert output.table_lines([Column("name")], [["[red]x[/red]"]])[1] == "[red]x[/red]"


def test_an_id_that_another_column_repeats_is_left_out() -> None:
    columns = [Column("id"), Column("name"), Column("status")]
    assert output.table_lines(columns, [["a", "a", "ok"]]) == ["NAME  STATUS", "a     ok"]


def test_shares_of_traffic_and_objects_are_written_plainly() -> None:
    columns = [Column("id"), Column("effective", "json"), Column("metrics", "json")]
    row = ["x", '{"3":0.9,"4":0.1}', '{"auc":0.7}']
    assert output.table_lines(columns, [row])[1] == "x   3 90%, 4 10%  auc 0.7"


def test_a_spark_cell_is_drawn() -> None:
    assert output.cell_text([0.0, 1.0, None], "spark") == "▁█ "


def test_a_section_as_an_object_has_its_fields_and_rows() -> None:
    section = Section("Params", [Field("since", 0.0, "time")], [Column("id")], [["a"]])
    assert output.section_object(section) == {"since": "1970-01-01T00:00:00+00:00", "rows": [{"id": "a"}]}


def test_an_error_is_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(Refusal(ExitCode.REFUSED, "No\x1bsuch model 'x'.", "See: quarterdeck ls models"), False)
    assert capsys.readouterr().err == "quarterdeck: No␛such model 'x'.\n  See: quarterdeck ls models\n"


def test_a_json_error_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(Refusal(ExitCode.CHANGED, "changed", "look again", {"revision": 4}), True)
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "code": 4,
            "name": "changed",
            "message": "changed",
            "hint": "look again",
            "detail": {"revision": 4},
        }
    }


def test_weights() -> None:
    assert output.weights({}) == "nothing"
    assert output.weights({"3": 1.0}) == "3"
    assert output.weights({"3": 0.9, "4": 0.1}) == "3 90%, 4 10%"


def test_headings_of_params_and_metrics_keep_their_case() -> None:
    columns = [Column("name"), Column("metric.AUC", "number", "AUC"), Column("metric.auc", "number", "auc")]
    assert output.table_lines(columns, [["a", 0.5, 0.25]])[0].split() == ["NAME", "AUC", "auc"]
