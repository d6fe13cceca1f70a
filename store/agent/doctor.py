"""`doctor`: is the store healthy, and if not, what to do."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from store.catalog import models
from store.catalog.objects import Objects
from store.database import Database, Layout, damage, times
from store.database.backup import known_backups
from store.governance import journal
from store.intake.status import WatchedFolder
from store.protocol import CheckResult, DoctorReport
from store.release.listings import deployment_rows
from store.settings import FILE_NAME, Settings

_LOW_DISK_BYTES = 1 << 30


def examine(
    connection: duckdb.DuckDBPyConnection,
    database: Database,
    layout: Layout,
    settings: Settings,
    not_started: Sequence[str] = (),
    watched: Sequence[WatchedFolder] = (),
) -> DoctorReport:
    """Lock, disk, tables, chain, digests, targets and watched folders; what only the terminal knows the console adds.

    A check that cannot be made is a failed one: it stops none of the others.
    """
    looks: list[tuple[str, Callable[[], list[CheckResult]]]] = [
        ("store", lambda: [_writable(database)]),
        ("disk", lambda: [_disk(layout.root)]),
        ("database", lambda: _tables(connection, layout)),
        ("journal", lambda: [_chain(connection, layout)]),
        ("bits", lambda: _digests(connection, Objects(layout.objects))),
        ("artifacts", lambda: _artifacts(connection)),
        ("targets", lambda: _targets(connection, layout)),
        ("inotify", lambda: [_inotify(layout, settings)]),
        ("watched", lambda: _watched(watched, settings)),
        ("messages", lambda: _messages(connection, layout, settings)),
    ]
    found = [
        CheckResult("lock", "ok", f"held by this agent ({layout.lock})"),
        _python(),
        *(
            CheckResult("start", "failed", words, "log/agent.log has the rest; restart the agent.")
            for words in not_started
        ),
    ]
    for name, look in looks:
        try:
            found += look()
        except (duckdb.Error, OSError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            found.append(CheckResult(name, "failed", f"cannot be checked: {why}", _after_restart(layout)))
            damage.after_error(connection)
    return DoctorReport(found)


def _after_restart(layout: Layout) -> str:
    command = f"quarterdeck --store {shlex.quote(str(layout.root))}"
    return f"`{command} agent stop`, then `{command} doctor` looks at the store's files themselves."


def _tables(connection: duckdb.DuckDBPyConnection, layout: Layout) -> list[CheckResult]:
    whole, damaged, why = damage.unreadable_tables(connection)
    if damaged:
        return damage.checks(layout, damage.of_tables(layout, whole, damaged, why))
    return [CheckResult("database", "ok", f"{len(whole)} tables can be read")]


def _targets(connection: duckdb.DuckDBPyConnection, layout: Layout) -> list[CheckResult]:
    """Whether the store knows of what its local targets serve."""
    known = {
        (str(row[0]), int(row[1]))
        for row in connection.execute("SELECT deployment, revision FROM deployment_revision").fetchall()
    }
    serving = damage.served(layout)
    unknown = [f"{name} revision {number} (version {version})" for name, version, number in serving]
    unknown = [words for words, (name, _, number) in zip(unknown, serving, strict=True) if (name, number) not in known]
    if unknown:
        backups = known_backups(layout)
        command = f"quarterdeck --store {shlex.quote(str(layout.root))}"
        restore = f"`{command} restore {shlex.quote(backups[0].path) if backups else 'FILE'}` brings back a backup"
        hint = f"The store has lost them or is another one: {restore}; promoting anew makes it known again."
        words = f"serving what this store has no record of: {', '.join(unknown[:5])}"
        return [CheckResult("targets", "failed", words, hint)]
    return [CheckResult("targets", "ok", f"{len(serving)} served, each as recorded")]


def _watched(watched: Sequence[WatchedFolder], settings: Settings) -> list[CheckResult]:
    """How what arrives in each watched folder is noticed, and why not at once where it is not."""
    if not watched:
        hint = "The store is starting, read-only, or intake did not start: the lines above and log/agent.log say which."
        return [CheckResult("watched", "warning", "no folder is watched", hint)]
    found = []
    every = f"{settings.watch.rescan_seconds:g} s"
    for folder in watched:
        lies = folder.standing
        real = "" if lies.real in ("", folder.path) else f" (lies in {lies.real})"
        if lies.identity is None:
            hint = "It is taken up as soon as it can be entered."
            found.append(CheckResult("watched", "warning", f"nothing arrives: {lies.why}", hint))
        elif folder.polling:
            hint = "It is walked every second or, with very many files, less often."
            found.append(CheckResult("watched", "ok", f"{folder.path}{real}: polled, {folder.polling}", hint))
        elif not folder.told:
            hint = f"It is walked every {every}: sysctl fs.inotify.max_user_watches, or [watch] polling = true."
            found.append(
                CheckResult("watched", "warning", f"{folder.path}{real}: the kernel does not tell of it", hint)
            )
        elif lies.remote:
            words = f"{folder.path}{real}: on {lies.remote}, where the kernel tells only of what this host writes"
            hint = f"What other hosts write is found every {every}; at once with [watch] polling = true."
            found.append(CheckResult("watched", "warning", words, hint))
        else:
            found.append(CheckResult("watched", "ok", f"{folder.path}{real}: told by the kernel"))
    return found


def _python() -> CheckResult:
    return CheckResult("versions", "ok", f"Python {sys.version.split()[0]}, DuckDB {duckdb.__version__}")


def _writable(database: Database) -> CheckResult:
    if database.read_only:
        return CheckResult(
            "store", "failed", f"read-only: {database.read_only}", "Remount or chown, then restart the agent."
        )
    return CheckResult(
        "store", "ok", f"writable, schema {database.schema}, {database.path.stat().st_size / 1e6:.1f} MB"
    )


def _disk(root: Path) -> CheckResult:
    free = shutil.disk_usage(root).free
    if free < _LOW_DISK_BYTES:
        return CheckResult("disk", "warning", f"{free / 1e6:.0f} MB free", "Free space: a full disk stops intake.")
    return CheckResult("disk", "ok", f"{free / 1e9:.1f} GB free")


def _chain(connection: duckdb.DuckDBPyConnection, layout: Layout) -> CheckResult:
    verified = journal.verify(connection)
    if verified.broken_at is not None:
        backups = known_backups(layout)
        restore = f"quarterdeck --store {shlex.quote(str(layout.root))} restore"
        return CheckResult(
            "journal",
            "failed",
            f"broken at {verified.broken_at}: {verified.why}",
            f"Restore the last backup that verifies: {restore} {shlex.quote(backups[0].path) if backups else 'FILE'}",
        )
    return CheckResult("journal", "ok", f"{verified.rows} rows, chain holds")


def _digests(connection: duckdb.DuckDBPyConnection, objects: Objects) -> list[CheckResult]:
    digests = [str(row[0]) for row in connection.execute("SELECT DISTINCT digest FROM object").fetchall()]
    wrong = [found for digest in digests if (found := objects.verify(digest))]
    if wrong:
        hint = "Bring the artifact again under the same version, or restore a backup; until then it cannot be promoted."
        return [CheckResult("bits", "failed", found, hint) for found in wrong[:20]]
    return [CheckResult("bits", "ok", f"{len(digests)} kept, every digest holds")]


def _artifacts(connection: duckdb.DuckDBPyConnection) -> list[CheckResult]:
    """Versions that came without their model, those that serve first; nothing where there are none."""
    lacking = models.lacking_artifact(connection)
    if not lacking:
        return []
    serving: dict[tuple[str, str], list[str]] = {}
    for row in deployment_rows(connection):
        for version in row.effective:
            serving.setdefault((row.model, version), []).append(row.deployment)
    ordered = sorted(lacking, key=lambda version: version not in serving)
    served = {version: f" (serves {', '.join(deployments)})" for version, deployments in serving.items()}
    named = ", ".join(f"{'@'.join(version)}{served.get(version, '')}" for version in ordered[:5])
    more = f" and {len(ordered) - 5:,} more" if len(ordered) > 5 else ""
    return [
        CheckResult(
            "artifacts",
            "warning",
            f"no artifact came with {named}{more}: a target gets only the version's name",
            'Bring the model\'s files beside model.json as a new version, or declare "served_by": "name" in it.',
        )
    ]


def _inotify(layout: Layout, settings: Settings) -> CheckResult:
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return CheckResult(
            "inotify", "warning", "limits cannot be read", "Set [watch] polling = true if nothing arrives."
        )
    folders = sum(1 for root in layout.watched(settings) if root.exists() for path in root.rglob("*") if path.is_dir())
    if folders > limit * 0.8:
        return CheckResult(
            "inotify",
            "warning",
            f"{folders} folders, limit {limit}",
            "sysctl fs.inotify.max_user_watches, or move old folders.",
        )
    return CheckResult("inotify", "ok", f"{folders} folders watched, limit {limit}")


def _messages(connection: duckdb.DuckDBPyConnection, layout: Layout, settings: Settings) -> list[CheckResult]:
    """Whether alerts can be told; nothing where no route is configured. Urls are secrets: only their number is told."""
    routes = settings.alerts.route
    if not routes:
        return []
    found = f"{len(routes)} routes, {sum(len(route.urls) for route in routes.values())} urls"
    if importlib.util.find_spec("apprise") is None:
        return [CheckResult("messages", "failed", f"{found}, no apprise", "pip install 'quarterdeck[alerts]'")]
    path = layout.root / FILE_NAME
    if path.exists() and path.stat().st_mode & 0o044:
        hint = f"chmod 600 {path}, or name environment variables in it ($NAME)."
        return [CheckResult("messages", "warning", f"{found}; others may read {FILE_NAME}", hint)]
    lost = connection.execute(
        "SELECT count(*) FROM monitor_delivery_attempt WHERE outcome = 'given_up' AND recorded_at > ?",
        [times.to_db(times.now() - timedelta(days=7))],
    ).fetchall()[0][0]
    if lost:
        hint = "`quarterdeck show alerts ID` says why."
        return [CheckResult("messages", "warning", f"{found}; {lost} given up within a week", hint)]
    return [CheckResult("messages", "ok", found)]
