"""The files that may be facts soon: which to read now, which to look at again, and when."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import itertools
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from store.intake import opening, settle
from store.intake.arrivals import Folder, Known
from store.intake.facts import Found
from store.intake.inotify import Hint, files_in
from store.intake.quarantine import Open
from store.intake.recognise import Place, place_of
from store.intake.settle import Look, Patience, Settling
from store.intake.trouble import Trouble, Vanished
from store.intake.versions import MANIFEST, MAX_FILES
from store.protocol import ExitCode, Refusal

_TABLES = ("dataset", "predictions", "labels")
#: A file whose writer closed it is given only this long, in seconds: some open and close once a line.
_AFTER_CLOSE = 0.05


@dataclasses.dataclass
class Candidate:
    """One file, or one model version's folder; `source` replaces its path when its kept copy is read."""

    key: int
    place: Place
    folder: Folder
    settling: Settling
    first_seen: float
    hint: Hint = Hint.SEEN
    source: str = ""
    within: str = ""
    forced: bool = False
    busy: bool = False
    again: bool = False
    exclude_known: bool = False
    failures: int = 0
    ticket: int = -1
    """Which of its entries in the queue counts."""
    asked: list[Future[str]] = dataclasses.field(default_factory=list)

    @property
    def path(self) -> str:
        return self.source or f"{self.folder.path}/{self.place.subject}"

    @property
    def found(self) -> Found:
        return Found(self.place, self.folder, self.path, self.within or self.folder.path)


class Candidates:
    """By key, and by when each is due."""

    def __init__(self) -> None:
        self._by_key: dict[int, Candidate] = {}
        self._due: list[tuple[float, int, Candidate]] = []
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: int) -> Candidate | None:
        return self._by_key.get(key)

    def add(self, candidate: Candidate, due: float) -> None:
        self._by_key[candidate.key] = candidate
        self.look_at(candidate, due)

    def look_at(self, candidate: Candidate, due: float) -> None:
        candidate.ticket = next(self._count)
        heapq.heappush(self._due, (due, candidate.ticket, candidate))

    def drop(self, candidate: Candidate) -> None:
        # Another may have taken its place meanwhile.
        if self._by_key.get(candidate.key) is candidate:
            del self._by_key[candidate.key]

    def due(self, now: float, most: int) -> list[Candidate]:
        """Those to look at now, `most` at a time, each once."""
        found: list[Candidate] = []
        while self._due and self._due[0][0] <= now and len(found) < most:
            _, ticket, candidate = heapq.heappop(self._due)
            # An entry that a later `look_at` overtook is void.
            if candidate.ticket == ticket and not candidate.busy and self._by_key.get(candidate.key) is candidate:
                found.append(candidate)
        return found

    def wait(self, now: float) -> float | None:
        """Seconds until something is due, None when nothing ever is."""
        return max(0.0, self._due[0][0] - now) if self._due else None


def of_case(
    case: Open, folders: Sequence[Folder], environments: frozenset[str], patience: Patience
) -> Candidate | None:
    """A quarantined file as a candidate again; None where its folder is not watched any more."""
    folder = next((folder for folder in folders if folder.label == case.folder), None)
    # A model version's subject is its folder.
    relative = f"{case.relative}/{MANIFEST}" if case.kind == "model" else case.relative
    place = place_of(folder.path, relative, environments) if folder else None
    if folder is None or place is None:
        return None
    return Candidate(case.path_key, place, folder, Settling(patience), time.monotonic())


def to_retry(
    case: Open, folders: Sequence[Folder], environments: frozenset[str], patience: Patience, kept: Path
) -> Candidate:
    """A quarantined file to be read again whatever is known of it: where it lies, else its copy below `kept`.

    Raises `Refusal` where there is neither.
    """
    candidate = of_case(case, folders, environments, patience)
    if candidate is None:
        raise Refusal(ExitCode.REFUSED, f"{case.id}: {case.folder} is not watched any more.", "Name it in [watch].")
    candidate.forced = True
    if not os.path.lexists(candidate.path):
        if not case.kept or candidate.place.kind == "model":
            raise Refusal(ExitCode.REFUSED, f"{case.id}: its file is gone and no copy was kept.", "Bring it again.")
        candidate.source = str(kept / case.kept)
        candidate.within = str(kept)
    return candidate


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`look` given: read it. `wait` above 0: look again in so many seconds. Neither: nothing to do.

    `mended`: nothing to read, but what was wrong here no longer is.
    """

    look: Look | None = None
    wait: float = 0.0
    mended: bool = False


def judge(
    candidate: Candidate, patience: Patience, known: Known, now: float, wall: float, *, unreadable: bool = False
) -> Verdict:
    """Whether the candidate is whole and new. Raises `Trouble` for what will never be readable as it is.

    `unreadable`: it is in quarantine because it could not be opened, so what was known of it says nothing.
    """
    waited = now - candidate.first_seen
    kind = candidate.place.kind
    if kind == "unknown":
        return _judge_unknown(candidate, patience, known, waited)
    if unreadable and not candidate.forced and not readable(candidate.path):
        return Verdict()
    try:
        look = version_look(candidate.path) if kind == "model" else file_look(candidate.path, candidate.found.within)
    except Vanished:
        return Verdict()
    except Trouble:
        # A broken link may be waiting for its file.
        if waited < patience.settle:
            return Verdict(wait=patience.settle - waited)
        raise
    if not candidate.forced and not unreadable and known.identity(candidate.key) == look.identity:
        return Verdict()
    if kind == "model":
        wait = candidate.settling.wait(look, now, wall)
        return Verdict(look) if wait <= 0 else Verdict(wait=wait)
    if not look.regular:
        if waited < patience.settle:
            return Verdict(wait=patience.settle - waited)
        return Verdict(look)
    if look.size == 0 and kind != "metrics":
        candidate.settling.wait(look, now, wall)
        if waited < patience.empty and not candidate.forced:
            return Verdict(wait=patience.empty - waited)
        raise Trouble("the file is empty", key="size", found="0 bytes", expected="a whole file")
    if kind not in _TABLES:
        # A document is whole when it parses; metrics are followed.
        candidate.settling.wait(look, now, wall)
        return Verdict(look)
    wait = _table_wait(candidate, look, now, wall)
    return Verdict(look) if wait <= 0 else Verdict(wait=wait)


def _judge_unknown(candidate: Candidate, patience: Patience, known: Known, waited: float) -> Verdict:
    try:
        found = os.lstat(candidate.path)
    except OSError:
        return Verdict()
    place = candidate.place
    if any(os.path.lexists(f"{candidate.folder.path}/{file}") for file in place.unless):
        return Verdict()
    if stat.S_ISDIR(found.st_mode) and place.key == "permission":
        if _allowed(candidate.path, os.R_OK | os.X_OK):
            was_reported = known.identity(candidate.key) is not None
            return Verdict(Look.of(found), mended=True) if was_reported or candidate.forced else Verdict()
        if known.identity(candidate.key) == Look.of(found).identity and not candidate.forced:
            return Verdict()
        raise Trouble.wrong(candidate.place.key, candidate.place.found, candidate.place.expected)
    if not candidate.forced:
        if known.identity(candidate.key) is not None:
            # Reported once: what lies in a wrong place may change there as it likes.
            return Verdict()
        # The first file of a run's folder is not always one of those that are read.
        needed = patience.incomplete if place.key == "run" else patience.unknown
        if waited < needed:
            return Verdict(wait=needed - waited)
    if stat.S_ISLNK(found.st_mode):
        try:
            opening.resolve(candidate.path, candidate.folder.path)
        except Vanished:
            return Verdict()
    raise Trouble.wrong(place.key, place.found, place.expected)


def _table_wait(candidate: Candidate, look: Look, now: float, wall: float) -> float:
    open_end = False
    try:
        with opening.opened(candidate.path, candidate.found.within) as (descriptor, _):
            if candidate.place.format == "parquet":
                if settle.parquet_is_whole(descriptor, look.size):
                    return 0.0
            else:
                open_end = not settle.ends_a_line(descriptor, look.size)
    except (Trouble, Vanished):
        # Reading it says what is wrong.
        return 0.0
    wait = candidate.settling.wait(look, now, wall, open_end=open_end)
    if candidate.hint >= Hint.MOVED and candidate.place.format != "parquet":
        return 0.0
    if candidate.hint == Hint.CLOSED and not open_end and not candidate.settling.pause:
        return min(wait, max(0.0, candidate.settling.since + _AFTER_CLOSE - now))
    return wait


def readable(path: str) -> bool:
    """Whether the agent's user may read the file at `path`, or every file of a version's folder."""
    if not os.path.isdir(path):  # noqa: PTH112
        return _allowed(path, os.R_OK)
    if not _allowed(path, os.R_OK | os.X_OK):
        return False
    waiting, count = [path], 0
    while waiting and count < MAX_FILES:
        for file, _ in files_in(waiting.pop(), waiting):
            if not file.rstrip("/").rpartition("/")[2].startswith("."):
                count += 1
                if file.endswith("/") or not _allowed(file, os.R_OK):
                    return False
    return True


def _allowed(path: str, what: int) -> bool:
    """Whether the agent may do so, by the rights with which it opens files."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def file_look(path: str, folder: str) -> Look:
    """Stat, through a link that stays inside. Raises `Trouble` for a link that does not, `Vanished`."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            found = os.stat(opening.resolve(path, folder))  # noqa: PTH116
    except FileNotFoundError as error:
        raise Vanished(path) from error
    except NotADirectoryError as error:
        raise Vanished(path) from error
    except PermissionError as error:
        raise Trouble.wrong("permission", error.strerror or "denied", "a folder the agent's user may enter") from error
    except OSError as error:
        raise Trouble(f"cannot be looked at: {error.strerror}", key="file", found=error.strerror or "") from error
    return Look.of(found)


def version_look(folder: str) -> Look:
    """One look for a version's whole folder: all sizes, the latest times, and a hash in place of the inode."""
    size = mtime = ctime = count = 0
    state = hashlib.blake2b(digest_size=8)
    waiting = [folder]
    while waiting and count < MAX_FILES:
        for path, _ in sorted(files_in(waiting.pop(), waiting)):
            if path.rpartition("/")[2].startswith("."):
                continue
            try:
                found = Look.of(os.lstat(path))
            except OSError:
                continue
            count += 1
            size += found.size
            mtime, ctime = max(mtime, found.mtime_ns), max(ctime, found.ctime_ns)
            state.update(os.fsencode(path) + found.identity.to_bytes(8, "little", signed=True))
    if not count:
        raise Vanished(folder)
    inode = int.from_bytes(state.digest(), "little")
    return Look(size, mtime, ctime, inode, 0, stat.S_IFDIR)
