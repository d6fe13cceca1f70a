"""`doctor`: is the store healthy, and if not, what to do."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from store.catalog import models
from store.catalog.objects import Objects
from store.database import Database, Layout, times
from store.governance import journal
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
) -> DoctorReport:
    """Lock, disk, chain, digests and inotify limits; what only the terminal knows the console adds."""
    return DoctorReport(
        [
            CheckResult("lock", "ok", f"held by this agent ({layout.lock})"),
            _python(),
            *(
                CheckResult("start", "failed", found, "log/agent.log has the rest; restart the agent.")
                for found in not_started
            ),
            _writable(database),
            _disk(layout.root),
            _chain(connection),
            *_digests(connection, Objects(layout.objects)),
            *_artifacts(connection),
            _inotify(layout, settings),
            *_messages(connection, layout, settings),
        ]
    )


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


def _chain(connection: duckdb.DuckDBPyConnection) -> CheckResult:
    verified = journal.verify(connection)
    if verified.broken_at is not None:
        return CheckResult(
            "journal",
            "failed",
            f"broken at {verified.broken_at}: {verified.why}",
            "Restore the last backup that verifies.",
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
