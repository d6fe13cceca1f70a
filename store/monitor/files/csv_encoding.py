"""Which encoding a text file is in, decided from all its bytes, and the same file as UTF-8."""

from __future__ import annotations

import codecs
import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from store.monitor import parts
from store.monitor.notes import Note
from store.protocol import ExitCode, Refusal

WINDOWS = "windows-1252"
#: Shares of a file past which it is no text: control characters of its beginning, NUL bytes of all of it.
_MOST_CONTROLS = 0.01
_MOST_NULS = 0.01
#: So many of them are never too many.
_FEW = 3
_CHUNK = 1 << 20
_CONTROLS = bytes([*range(9), *range(14, 27), *range(28, 32)])
_ASCII = bytes(range(128))
#: Well-formed sequences of more than one byte (Unicode 16, table 3-7, without its finer limits).
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
#: Longest mark first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK = "quarterdeck.windows-1252"


def _fallback(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8 as Windows-1252, and its five unused ones as C1 controls, as browsers do
    (https://encoding.spec.whatwg.org/#windows-1252)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    found = error.object[error.start : error.end]
    # Any byte is a character of Latin-1, so this ends.
    text = "".join(_WINDOWS_LETTERS[byte] for byte in found)
    return text, error.end


_WINDOWS_LETTERS = [bytes([byte]).decode("cp1252", "ignore") or bytes([byte]).decode("latin-1") for byte in range(256)]
codecs.register_error(_FALLBACK, _fallback)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """`name` is a Python codec. `nuls` and `quotes` count NUL bytes and bytes of `"`; `notes` says what was guessed."""

    name: str
    errors: str = "strict"
    nuls: int = 0
    quotes: bool = False
    empty_quotes: bool = False
    """Whether `\"\"` occurs anywhere."""
    backslash_quotes: bool = False
    """Whether a quote follows a backslash anywhere."""
    line_feeds: bool = True
    size: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def is_utf8(self) -> bool:
        """Whether DuckDB reads the bytes as they stand."""
        return self.name in ("utf-8", "utf-8-sig") and self.errors == "strict"

    def decoder(self) -> codecs.IncrementalDecoder:
        return codecs.getincrementaldecoder(self.name)(self.errors)


def open_bytes(location: str) -> BinaryIO:
    """The file or object for reading. Raises `Refusal` (usage)."""
    try:
        if parts.is_remote(location):
            system, inner = parts.filesystem(location)
            opened: BinaryIO = system.open(inner, "rb")
            return opened
        return Path(location).open("rb")
    except OSError as error:
        raise parts.unreadable(location, error) from error


def examine(location: str, name: str) -> Encoding:
    """Look at every byte of the file once. Raises `Refusal` (usage) where it is no text; `name` is what messages call
    it.

    With a byte order mark the encoding is what that says. Without one it is UTF-8 if all of it is; otherwise
    Windows-1252 (which contains Latin-1), unless most of its non-ASCII text is well-formed UTF-8: then only the other
    bytes are read as Windows-1252.
    """
    with open_bytes(location) as file:
        head = file.read(_CHUNK)
        mark = next((codec for bom, codec in _MARKS if head.startswith(bom)), "")
        codec = mark or _wide(head) or "utf-8"
        found = _Counts(codec)
        chunk = head
        while chunk:
            found.add(chunk)
            chunk = file.read(_CHUNK)
        found.end()
    if codec not in ("utf-8", "utf-8-sig"):
        if found.bad_line is not None:
            raise _refusal(name, found.bad_line, f"bytes that are not valid {codec.upper()}", "text in one encoding")
        notes = () if mark else (Note("encoding", f"{name} is read as {codec.upper()}: it has no byte order mark"),)
        # What a wide encoding holds is not looked for byte by byte: it may be anything.
        return Encoding(codec, "strict", 0, True, True, True, True, found.size, notes)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > max(_FEW, _MOST_CONTROLS * len(head)) or found.nuls > max(_FEW, _MOST_NULS * found.size):
        what = "NUL bytes" if found.nuls else "control characters"
        raise _refusal(name, found.nul_line or 1, f"{what} in such number that this is no text", "text")
    return _narrow(codec, found, name)


def _narrow(codec: str, found: _Counts, name: str) -> Encoding:
    errors, notes = "strict", []
    if found.bad_line is not None:
        if found.multibyte > found.bad_bytes:
            errors = _FALLBACK
            what = f"{found.bad_bytes:,} bytes that are not valid UTF-8 are read as Windows-1252"
            notes.append(Note("encoding", f"{name}: {what}, the first in line {found.bad_line:,}"))
        else:
            codec, errors = WINDOWS, _FALLBACK
            why = f"line {found.bad_line:,} is not valid UTF-8 and there is no byte order mark"
            notes.append(Note("encoding", f"{name} is read as Windows-1252: {why}"))
    return Encoding(
        codec, errors, found.nuls, found.quotes, found.empty_quotes, found.backslash_quotes, found.line_feeds,
        found.size, tuple(notes),
    )  # fmt: skip


def _wide(head: bytes) -> str:
    """UTF-16 without a mark: Latin letters have a zero in every other byte."""
    some = head[: len(head) // 2 * 2]
    if len(some) < 4:
        return ""
    even, odd = some[::2].count(0), some[1::2].count(0)
    half = len(some) // 2
    if odd > 0.3 * half and even < 0.02 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.3 * half and odd < 0.02 * half else ""


def _refusal(name: str, line: int, found: str, expected: str) -> Refusal:
    return refusal(name, line, found, expected, "Save it as UTF-8 and retry.")


def refusal(name: str, line: int, found: str, expected: str, hint: str) -> Refusal:
    """What is wrong with a text file: where, what was found and what was expected."""
    message = f"{name} cannot be read: line {line:,}: found {found}, expected {expected}"
    return Refusal(
        ExitCode.USAGE, message, hint, {"file": name, "line": str(line), "found": found, "expected": expected}
    )


class _Counts:
    """What a file's bytes say, chunk by chunk."""

    def __init__(self, codec: str) -> None:
        self._decoder = codecs.getincrementaldecoder(codec)("strict")
        self._narrow = codec in ("utf-8", "utf-8-sig")
        self._valid = True
        self._lines = 0
        self._last = b""
        self.size = self.nuls = self.multibyte = self.bad_bytes = 0
        self.quotes = self.empty_quotes = self.backslash_quotes = self.line_feeds = False
        self.bad_line: int | None = None
        self.nul_line: int | None = None

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._narrow:
            self._look(chunk)
        if self._valid:
            try:
                # Most files are ASCII, which is told faster than it is decoded.
                if not (self._narrow and chunk.isascii() and not self._pending()):
                    self._decoder.decode(chunk)
            except UnicodeError as error:
                self._valid = False
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                self.bad_line = self._lines + chunk[:start].count(b"\n") + 1
        if self._narrow and not chunk.isascii():
            wide = sum(map(len, sequences)) if (sequences := _MULTIBYTE.findall(chunk)) else 0
            self.multibyte += len(sequences)
            self.bad_bytes += len(chunk.translate(None, _ASCII)) - wide
        self._lines += chunk.count(b"\n")
        self._last = chunk[-1:]

    def _pending(self) -> bool:
        return bool(self._decoder.getstate()[0])

    def _look(self, chunk: bytes) -> None:
        if b"\0" in chunk:
            self.nuls += chunk.count(b"\0")
            if self.nul_line is None:
                self.nul_line = self._lines + chunk[: chunk.index(b"\0")].count(b"\n") + 1
        self.line_feeds = self.line_feeds or b"\n" in chunk
        if b'"' in chunk:
            self.quotes = True
            self.empty_quotes = self.empty_quotes or b'""' in chunk or (self._last + chunk[:1]) == b'""'
            slash = b'\\"' in chunk or (self._last + chunk[:1]) == b'\\"'
            self.backslash_quotes = self.backslash_quotes or slash

    def end(self) -> None:
        if not self._valid:
            return
        try:
            self._decoder.decode(b"", True)
        except UnicodeError:
            self.bad_line = self._lines + 1
            self.bad_bytes = max(1, self.bad_bytes)


def copy_as_utf8(location: str, encoding: Encoding, target: Path) -> None:
    """Write the file's text to `target` in UTF-8 without a mark, in bounded memory."""
    decoder = encoding.decoder()
    with open_bytes(location) as file, target.open("wb") as copy:
        while chunk := file.read(_CHUNK):
            copy.write(decoder.decode(chunk).encode("utf-8", "replace"))
        copy.write(decoder.decode(b"", True).encode("utf-8", "replace"))


def head_of(location: str, encoding: Encoding, size: int) -> tuple[str, bool]:
    """(the text of about the first `size` bytes, whether that is all of it)."""
    with open_bytes(location) as file:
        found = file.read(size)
    whole = len(found) >= encoding.size
    return encoding.decoder().decode(found, whole), whole


def lines_of(location: str, encoding: Encoding) -> Iterator[str]:
    """The file's lines with their ends, which are line feeds, or carriage returns where there is no line feed."""
    with open_bytes(location) as file:
        newline = "\n" if encoding.line_feeds else "\r"
        with io.TextIOWrapper(file, encoding.name, encoding.errors, newline=newline) as text:
            yield from text
