"""Opening a store's database where it may be damaged: nothing is begun anew, cut or dropped without being told to."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from store.database import damage, times
from store.database.damage import Damage
from store.database.database import Database
from store.database.layout import Layout
from store.database.writer import Actor, Entry, Recorder, Transaction
from store.protocol import Refusal

log = logging.getLogger(__name__)


def open_store(
    layout: Layout, recorder: Callable[[duckdb.DuckDBPyConnection], Recorder], accept_loss: bool = False
) -> Database:
    """The store's database, whole. The caller holds the store's lock.

    Raises `Refusal` with what is whole, what is lost and the lines that mend it. With `accept_loss` what cannot be
    used is moved to `backups/damaged-<time>/`, the loss is recorded in the journal, and the store goes on.
    """
    accepted: list[Damage] = []
    found = damage.before_opening(layout)
    if found is not None:
        _accept(layout, found, accept_loss, accepted)
    database = _opened(layout, recorder, accept_loss, accepted)
    if accepted and not database.read_only:
        database.writer.change(lambda tx: _record(tx, layout, accepted))
    return database


def _record(tx: Transaction, layout: Layout, accepted: list[Damage]) -> None:
    for found in accepted:
        log.error("loss accepted: %s; lost: %s", found.found, found.lost)
        reason = f"{found.found}; lost: {found.lost}"
        tx.record(Entry(Actor("agent", "agent"), "accept_loss", "store", layout.root.name, reason=reason))


def _opened(
    layout: Layout,
    recorder: Callable[[duckdb.DuckDBPyConnection], Recorder],
    accept_loss: bool,
    accepted: list[Damage],
) -> Database:
    # A log that DuckDB takes for finished is gone after the first checkpoint: a copy of it is evidence until it has
    # turned out that nothing is missing.
    with _kept(layout.log_of_writes) as kept:
        try:
            database = Database.open(layout.database, recorder)
        except (Refusal, duckdb.Error) as error:
            cause = error.__cause__ if isinstance(error, Refusal) else error
            if not isinstance(cause, duckdb.Error) or not damage.is_damage(cause):
                raise
            found = damage.of_error(layout, cause)
            _accept(layout, found, accept_loss, accepted, cause)
            database = Database.open(layout.database, recorder)
        missing = None if accepted else database.reader.read(lambda c: damage.of_tip(layout, c))
        if missing is None:
            return database
        if not accept_loss:
            if kept is not None:
                folder = _folder_aside(layout)
                kept.rename(folder / layout.log_of_writes.name)
            database.close()
        _accept(layout, missing, accept_loss, accepted)
        return database


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[Path | None]:
    """A copy of the file at `path` while the block runs; None where there is nothing to copy."""
    copy = path.with_name(f"{path.name}.before") if path.exists() and path.stat().st_size else None
    if copy is not None:
        try:
            shutil.copy2(path, copy)
        except OSError as error:
            log.warning("the write-ahead log is not copied: %s", error)
            copy = None
    try:
        yield copy
    finally:
        if copy is not None:
            copy.unlink(missing_ok=True)


def _accept(
    layout: Layout, found: Damage, accept_loss: bool, accepted: list[Damage], cause: BaseException | None = None
) -> None:
    """Moves aside what cannot be used. Raises `Refusal` unless the loss was accepted and that mends it."""
    if not accept_loss or not found.accept:
        log.error("the store is not opened: %s; whole: %s; lost: %s", found.found, found.whole, found.lost)
        raise damage.refusal(layout, found) from cause
    present = [name for name in found.aside if (layout.root / name).exists()]
    if present:
        folder = _folder_aside(layout)
        for name in present:
            (layout.root / name).rename(folder / name)
    layout.tip.unlink(missing_ok=True)
    accepted.append(found)


def _folder_aside(layout: Layout) -> Path:
    folder = layout.backups / f"damaged-{times.now():%Y%m%dT%H%M%S.%fZ}"
    folder.mkdir(parents=True)
    return folder
