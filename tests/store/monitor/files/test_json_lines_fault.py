"""Of a JSON lines file that cannot be read, the line at fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.monitor.files.json_lines_fault import refusal


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"a": 1}\n\n{"a": \n',
            "f.jsonl cannot be read: line 3: found '{\"a\":' (Expecting value), expected one JSON",
        ),
        (b'{"a": 1}\n[1]\n', "line 2: found '[1]', expected one JSON object"),
        (b'\xef\xbb\xbf{"a": 1}\nhello\n', "line 2: found 'hello'"),
        (b'{"a": "\xff"}\n', "line 1: found a byte that is not valid UTF-8 (the 8. of the line)"),
        (b'{"a": 1}{"a": 2}\n', "(Extra data)"),
        (b'{"a": 1}\n' * 20_000 + b"x" * 500, "line 20,001: found '" + "x" * 60 + "…'"),
    ],
)
def test_the_first_line_that_is_no_object_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bits"
    path.write_bytes(content)
    found = refusal("f.jsonl", str(path))
    assert found is not None
    assert message in found.message
    assert found.detail["expected"] == "one JSON object"


def test_a_file_of_objects_has_none(tmp_path: Path) -> None:
    path = tmp_path / "bits"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": NaN}')
    assert refusal("f.jsonl", str(path)) is None
    assert refusal("f.jsonl", str(tmp_path / "gone")) is None
