"""One whole file becomes a fact: what is read from it here, and the change that records it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from store.catalog import datasets, models, run_metrics
from store.catalog.datasets import DatasetArrival
from store.catalog.manifest import ModelManifest, ReferenceSource
from store.catalog.models import VersionArrival
from store.catalog.objects import Objects, digest_of_files
from store.catalog.runs import RunArrival
from store.database import Actor, Database, Layout, Transaction, times
from store.intake import follow, opening, read, tables, versions
from store.intake.arrivals import Folder
from store.intake.clean import clean_line
from store.intake.follow import Followed
from store.intake.recognise import Place
from store.intake.settle import Look
from store.intake.tables import Sandbox
from store.intake.trouble import Trouble, Vanished
from store.intake.versions import VersionFolder, WaitingElsewhere
from store.monitor.labels import record_labels, scan_labels
from store.monitor.named_reference import NotYet, dataset_file, window_file
from store.monitor.notes import Note
from store.monitor.parts import Format, format_of_bits
from store.monitor.profiled import profiled
from store.monitor.reference import Reference, record_reference, scan_reference
from store.monitor.remembered import Remembered
from store.monitor.scan import PredictionScan, scan_predictions
from store.protocol import ExitCode, Refusal
from store.settings import Settings

log = logging.getLogger(__name__)

INTAKE = Actor("intake", "intake")


@dataclasses.dataclass(frozen=True)
class Found:
    """A whole file: where it was recognised, and the path and folder it is opened by (of the kept copy, on retry)."""

    place: Place
    folder: Folder
    path: str
    within: str


@dataclasses.dataclass(frozen=True)
class Fact:
    """What a file says. Runs and predictions are recorded together, others by `change`; `troubles` are bad lines
    among good ones.

    `change` answers whether it recorded: False asks for the file to be read again, minding what is known.
    """

    digest: str
    run: RunArrival | None = None
    predictions: PredictionScan | None = None
    change: Callable[[Transaction], bool] | None = None
    followed: Followed | None = None
    more: bool = False
    troubles: tuple[Trouble, ...] = ()
    bad_lines: int = 0
    """How many lines of a followed file had a fault; `troubles` are the first of them."""
    restarted: bool = False
    """A followed file began anew."""


@dataclasses.dataclass(frozen=True)
class _Kept:
    """A reference among the objects; `name` is what messages call it."""

    digest: str = ""
    name: str = ""
    format: Format | None = None
    notes: tuple[Note, ...] = ()


class Facts:
    """Reads files of every kind. Raises `Trouble` (quarantine), `Vanished` (look again), OSError (disk)."""

    def __init__(self, database: Database, settings: Settings, layout: Layout, sandbox: Sandbox) -> None:
        self._database = database
        self._settings = settings
        self._layout = layout
        self._sandbox = sandbox
        self._objects = Objects(layout.objects)
        self._remembered = Remembered(database)

    def run(self, found: Found, first: bool = True) -> Fact:
        """run.json or params.json; one that is not read for the `first` time was written again: a sign of life."""
        with opening.opened(found.path, found.within) as (descriptor, look):
            content = opening.read_capped(descriptor, self._settings.watch.max_document_bytes)
        parse = read.run if found.place.kind == "run" else read.params
        arrival = parse(content, found.place.name, _shown(found.path.rpartition("/")[0]))
        if not first:
            arrival = msgspec.structs.replace(arrival, word_at=_written(look))
        return Fact(opening.digest_of_bytes(content), run=arrival)

    def metrics(self, found: Found, known: Followed) -> Fact:
        """The next stretch of metrics.jsonl."""
        with opening.opened(found.path, found.within) as (descriptor, look):
            # Lines that name no time were written when the file was last, which may be long ago.
            now = min(times.now(), _written(look))
            if known.position and not known.metrics:
                # Not kept in the database: read once after a start.
                names = self._database.reader.read(lambda c: run_metrics.names(c, found.place.name))
                known = msgspec.structs.replace(known, metrics=names)
            stretch = follow.read_on(descriptor, look.size, known, now)
        # What is found for the first time may have been written long ago: its own times count, if it names any.
        first = not known.position or stretch.restarted
        named = first and stretch.points and stretch.points[-1].at != now
        run = RunArrival(
            found.place.name,
            points=stretch.points,
            new_attempt=stretch.restarted,
            word_at=stretch.points[-1].at if named else now if stretch.points or not first else None,
        )
        return Fact(
            stretch.followed.prefix,
            run=run,
            followed=stretch.followed,
            more=stretch.more,
            troubles=tuple(stretch.troubles),
            bad_lines=stretch.bad_lines,
            restarted=stretch.restarted,
        )

    def table(self, found: Found, *, exclude_known: bool = False) -> Fact:
        """A dataset, predictions or labels; `exclude_known` leaves out predictions that were recorded before."""
        if found.place.kind == "predictions":
            return self._predictions(found, exclude_known)
        return self._labels(found) if found.place.kind == "labels" else self._dataset(found)

    def _predictions(self, found: Found, exclude_known: bool) -> Fact:
        place, settings = found.place, self._settings.monitor
        form = place.format
        assert form
        with opening.opened(found.path, found.within) as (descriptor, _):
            digest, path = opening.digest_of(descriptor), Path(opening.pinned(descriptor, found.path))
            remembered = self._remembered.answers
            with _refused(path, place.part):
                scan = self._database.reader.read_if_needed(
                    lambda connect: scan_predictions(
                        connect,
                        path,
                        form,
                        place.name,
                        digest,
                        settings,
                        exclude_known=exclude_known,
                        name=place.part,
                        remembered=remembered,
                        shared=Path(found.path),
                    )
                )
        return Fact(digest, predictions=scan)

    def _labels(self, found: Found) -> Fact:
        place, settings = found.place, self._settings.monitor
        form = place.format
        assert form
        with opening.opened(found.path, found.within) as (descriptor, _):
            digest, path = opening.digest_of(descriptor), Path(opening.pinned(descriptor, found.path))
            with _refused(path, place.part):
                scan = self._database.reader.read(
                    lambda c: scan_labels(c, path, form, place.name, digest, settings, name=place.part)
                )

        def change(tx: Transaction) -> bool:
            record_labels(tx, scan)
            return True

        return Fact(digest, change=change)

    def _dataset(self, found: Found) -> Fact:
        place = found.place
        assert place.format
        with opening.opened(found.path, found.within) as (descriptor, look):
            digest = opening.digest_of(descriptor)
            words = self._settings.monitor.null_words
            profile = tables.profile(self._sandbox, opening.pinned(descriptor, found.path), place.format, words)
            owner, written = _owner(descriptor), _written(look)
        arrival = DatasetArrival(
            place.name,
            digest,
            place.format,
            look.size,
            profile.rows,
            profile.columns,
            _shown(found.path),
            owner,
            written,
        )

        def change(tx: Transaction) -> bool:
            datasets.register(tx, arrival, INTAKE)
            return True

        return Fact(digest, change=change)

    def examine_version(self, found: Found) -> VersionFolder:
        limit = self._settings.watch.max_document_bytes
        return versions.examine(found.path, found.within, found.place.name, found.place.part, limit)

    def version(self, found: Found, folder: VersionFolder) -> Fact:
        """Scan the reference, keep the bits by digest, and register.

        The bits come last: a version that waits for its reference is tried again and again, and may never come.
        """
        manifest = folder.manifest
        kept = self._keep_reference(found, folder)
        reference = self._database.reader.read(lambda c: profiled(c, kept.digest, manifest))
        if reference is None:
            reference = self._scan_reference(kept, manifest)
        staged = versions.stage(folder, found.path, found.within, self._layout.objects)
        try:
            digest, files = self._objects.adopt_folder(staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        named = [file for file in files if file.path in folder.named or file.path == versions.MANIFEST]
        arrival = VersionArrival(
            manifest,
            digest,
            sum(file.bytes for file in files),
            len(files),
            folder.flagged,
            kept.digest,
            _shown(found.path),
            _owner_of(found.path),
            times.now(),
            msgspec.json.encode(folder.notes).decode(),
            files,
            digest_of_files(named) if len(named) < len(files) else "",
        )
        for note in folder.notes:
            log.warning("%s@%s: %s", manifest.model, manifest.version, note.describe())

        def change(tx: Transaction) -> bool:
            models.register(tx, arrival, INTAKE)
            record_reference(tx, manifest.model, manifest.version, reference)
            return True

        return Fact(digest, change=change)

    def _keep_reference(self, found: Found, folder: VersionFolder) -> _Kept:
        named = folder.reference
        if not named:
            return _Kept()
        self._layout.objects.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".reference-", dir=self._layout.objects))
        try:
            if isinstance(named, str):
                digest = self._copied(f"{found.path}/{named}", found.within, scratch)
                return _Kept(digest, named, versions.table_format(named))
            return self._keep_named(named, scratch)
        except Refusal as refusal:
            raise versions.from_refusal(refusal) from refusal
        except NotYet as error:
            raise WaitingElsewhere(str(error), key="reference", found="missing", expected=str(named)) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _keep_named(self, named: ReferenceSource, scratch: Path) -> _Kept:
        """What is no file of the version's folder."""
        if named.deployment:
            path, notes = window_file(self._database.reader.read, self._layout, named, scratch)
            digest = self._objects.adopt(path)[0]
        else:
            held, notes = self._database.reader.read(lambda c: dataset_file(c, named)), []
            digest = held.digest
            if not self._objects.holds(digest):
                try:
                    found = self._copied(held.path, held.path.rpartition("/")[0], scratch, digest)
                except (Vanished, Trouble) as error:
                    raise _gone(named, held.path) from error
                if found != digest:
                    raise _gone(named, held.path)
        return _Kept(digest, str(named), format_of_bits(self._objects.path(digest)), _noted(notes))

    def _copied(self, path: str, within: str, scratch: Path, expected: str = "") -> str:
        """The digest under which the file is among the objects now; of one that is not as `expected`, its own."""
        with opening.opened(path, within) as (descriptor, _):
            if expected and (digest := opening.digest_of(descriptor)) != expected:
                return digest
            opening.copy(descriptor, scratch / "bits")
        return self._objects.adopt(scratch / "bits")[0]

    def _scan_reference(self, kept: _Kept, manifest: ModelManifest) -> Reference:
        path = self._objects.path(kept.digest) if kept.digest else None
        cursor = self._sandbox.cursor()
        try:
            with _refused(path or Path(), kept.name):
                reference = scan_reference(
                    cursor, path, manifest, kept.format, kept.digest, self._settings.monitor.null_words
                )
        finally:
            cursor.close()
        return dataclasses.replace(reference, notes=(*kept.notes, *reference.notes))


def _noted(remarks: Sequence[str]) -> tuple[Note, ...]:
    return tuple(Note("reference_files", text) for text in remarks)


def _gone(named: ReferenceSource, path: str) -> Refusal:
    return Refusal(
        ExitCode.USAGE,
        f"reference: {named} is no longer what was registered: {path}",
        "Bring the file back as it was, or name another version.",
        {"key": "reference", "found": "another file or none"},
    )


@contextlib.contextmanager
def _refused(path: Path, name: str) -> Iterator[None]:
    """What another room refuses becomes `Trouble`; the file is called `name`, not by the descriptor it was read by."""
    try:
        yield
    except Refusal as refusal:
        said = refusal.message.replace(str(path), name)
        if path.name and said.startswith((f"{path.name}:", f"{path.name} ")):
            said = name + said.removeprefix(path.name)
        raise versions.from_refusal(Refusal(refusal.code, said, refusal.hint, refusal.detail)) from refusal


def _written(look: Look) -> datetime:
    try:
        return datetime.fromtimestamp(look.mtime_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return times.now()


def _owner(descriptor: int) -> str:
    return _name(os.fstat(descriptor).st_uid)


def _owner_of(path: str) -> str:
    try:
        return _name(os.lstat(path).st_uid)
    except OSError:
        return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _shown(path: str) -> str:
    return clean_line(path, 1_000)
