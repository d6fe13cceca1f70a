"""The revisions of a deployment in the database: numbered, append-only, changed by compare-and-swap."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from store.catalog import models
from store.database import Actor, Entry, Transaction
from store.database.rows import first_row
from store.database.times import from_db, to_db
from store.protocol import ActionParams, ExitCode, Refusal
from store.release.state import NO_ARTIFACT, Phase, Revision, Situation, Versions, compare, decide, follows
from store.release.targets import Intent, Observation, Placement

#: Who the journal names for what the agent did by itself.
AGENT = Actor("agent", "agent")

_NAME = re.compile(r"(?!\.+@)[A-Za-z0-9._-]{1,128}@(?!\.+$)[A-Za-z0-9._-]{1,128}")
#: Narrowed to one deployment before anything is joined: every change reads this three times.
_SELECT = (
    "SELECT r.deployment, revision, r.action, r.versions, r.digests, r.restores, r.actor, r.via, r.reason,"
    " r.request_id, r.recorded_at, e.phase, e.message, e.effective"
    " FROM (SELECT * FROM deployment_revision WHERE deployment = $1 AND revision >= $2) AS r"
    " JOIN (SELECT revision, arg_max(phase, step) AS phase, arg_max(message, step) AS message,"
    " bool_or(phase = 'effective') AS effective"
    " FROM deployment_event WHERE deployment = $1 AND revision >= $2 GROUP BY revision) AS e USING (revision)"
    " ORDER BY revision"
)
_decode_versions = msgspec.json.Decoder(dict[str, float]).decode
_decode_digests = msgspec.json.Decoder(dict[str, str]).decode


class Request(msgspec.Struct, frozen=True):
    """A recorded request: what `ActionParams` became, or what its first arrival became (`repeated`)."""

    revision: Revision
    before: Versions
    sequence: int
    repeated: bool
    warning: str = ""
    """That a version came without an artifact, "" where none did."""


def split(deployment: str) -> tuple[str, str]:
    """Model and environment of `model@environment`. Raises `Refusal` (usage)."""
    if not _NAME.fullmatch(deployment):
        raise Refusal(
            ExitCode.USAGE,
            f"{deployment[:200]!r} is no deployment.",
            "Expected MODEL@ENVIRONMENT of letters, digits, dot, dash and underscore.",
        )
    model, _, environment = deployment.partition("@")
    return model, environment


def situation(connection: duckdb.DuckDBPyConnection, deployment: str, served: bool = True) -> Situation:
    """The deployment as it is now; with `served`, also every revision that was effective."""
    state = first_row(
        connection.execute(
            "SELECT observed, effective, effective_revision, since, trouble, message FROM deployment_event"
            " WHERE deployment = ? ORDER BY step DESC LIMIT 1",
            [deployment],
        )
    )
    if state is None:
        return Situation(deployment)
    newest = connection.execute(
        "SELECT max(revision) FROM deployment_revision WHERE deployment = ?", [deployment]
    ).fetchall()
    past = since(connection, deployment, 1 if served else newest[0][0])
    return Situation(
        deployment,
        past[-1],
        _decode_versions(state[0]),
        _decode_versions(state[1]),
        state[2],
        from_db(state[3]) if state[3] else None,
        state[4],
        state[5],
        [revision for revision in past if revision.became_effective] if served else (),
    )


def since(connection: duckdb.DuckDBPyConnection, deployment: str, revision: int) -> list[Revision]:
    """`revision` and those after it, oldest first."""
    rows = connection.execute(_SELECT, [deployment, revision]).fetchall()
    return [_revision(row) for row in rows]


def request(tx: Transaction, params: ActionParams, actor: Actor, target: Callable[[str], str]) -> Request:
    """Record the intent of `params` as the next revision: the first of the two transactions of a release.

    `target` names the target of an environment, or raises `Refusal`. Raises `Refusal` before any write:
    changed (another revision came in between), refused (nothing to do) or usage (no such thing).
    A `request_id` that is known returns the revision it made the first time.
    """
    model, environment = split(params.subject)
    target_name = target(environment)
    known = _repeated(tx, params)
    if known is not None:
        return known
    held = situation(tx.connection, params.subject, served=params.action in ("rollback", "abort"))
    if params.expect is not None and params.expect != held.revision:
        compare(held, params.expect, since(tx.connection, params.subject, params.expect))
    decision = decide(held, params.action, params.version)
    digests = decision.digests
    if digests is None:
        digests = registered(tx.connection, model, list(decision.versions))
    number = held.revision + 1
    superseded = held.latest if held.latest is not None and held.latest.phase is Phase.REQUESTED else None
    sequence = tx.record(
        Entry(
            actor,
            params.action,
            "deployments",
            params.subject,
            before={
                "revision": held.revision,
                "requested": dict(held.latest.versions) if held.latest else {},
                "effective": dict(held.effective),
            },
            after={
                "revision": number,
                "requested": dict(decision.versions),
                **({"restores": decision.restores} if decision.restores else {}),
                **({"supersedes": superseded.revision} if superseded else {}),
            },
            reason=params.reason,
            data_age=params.data_age,
            request_id=params.request_id,
        )
    )
    tx.touch("revisions", params.subject)
    if superseded is not None:
        _append(tx, held, superseded.revision, Phase.ABORTED, f"superseded by revision {number}", sequence)
    tx.execute(
        "INSERT INTO deployment_revision BY NAME SELECT ? AS deployment, ? AS revision, ? AS model,"
        " ? AS environment, ? AS target, ? AS action, ? AS versions, ? AS before, ? AS digests, ? AS restores,"
        " ? AS actor, ? AS via, ? AS reason, ? AS request_id, ? AS data_age, ? AS sequence, ? AS recorded_at",
        [
            params.subject,
            number,
            model,
            environment,
            target_name,
            params.action,
            _text(decision.versions),
            _text(held.effective),
            _text(digests),
            decision.restores,
            actor.name,
            actor.via,
            params.reason,
            params.request_id,
            params.data_age,
            sequence,
            tx.now_db,
        ],
    )
    _append(tx, held, number, Phase.REQUESTED, "", sequence)
    made = Revision(
        params.subject,
        number,
        params.action,
        decision.versions,
        digests,
        decision.restores,
        actor.name,
        actor.via,
        params.reason,
        params.request_id,
        tx.now,
        Phase.REQUESTED,
    )
    return Request(made, held.effective, sequence, False, _warning(tx.connection, model, decision.versions))


def _warning(connection: duckdb.DuckDBPyConnection, model: str, versions: Versions) -> str:
    found = [models.find(connection, model, version) for version in versions]
    lacking = [known.version for known in found if known is not None and known.lacks_artifact]
    return "; ".join(f"version {version}: {NO_ARTIFACT}" for version in lacking)


def registered(connection: duckdb.DuckDBPyConnection, model: str, versions: Sequence[str]) -> dict[str, str]:
    """The digest of each version's bits. Raises `Refusal` (usage) for a version that is not registered."""
    digests = {}
    for version in versions:
        found = models.find(connection, model, version)
        if found is None:
            there = [known.version for known in models.versions(connection, model)][:5]
            hint = f"Registered are {', '.join(there)}." if there else "Nothing is registered under that model."
            raise Refusal(ExitCode.USAGE, f"There is no version {version[:128]!r} of {model}.", hint)
        if found.digest:
            digests[version] = found.digest
    return digests


def begin(tx: Transaction, deployment: str, revision: int) -> Intent | None:
    """Mark the revision as being applied and say what to apply; None when it is no longer to be applied."""
    held = situation(tx.connection, deployment, served=False)
    latest = held.latest
    if latest is None or latest.revision != revision or not latest.phase.open:
        return None
    model, environment = split(deployment)
    placements = []
    for version, weight in latest.versions.items():
        found = models.find(tx.connection, model, version)
        manifest = msgspec.json.encode(found.manifest) if found else b"{}"
        placements.append(Placement(version, weight, latest.digests.get(version, ""), manifest))
    sequence = tx.record(
        Entry(AGENT, "apply", "deployments", deployment, after={"revision": revision, "phase": Phase.APPLYING})
    )
    _append(tx, held, revision, Phase.APPLYING, "", sequence)
    warning = _warning(tx.connection, model, latest.versions)
    return Intent(deployment, model, environment, revision, tuple(placements), warning)


def finish(
    tx: Transaction,
    deployment: str,
    revision: int,
    phase: Phase,
    message: str,
    observation: Observation | None,
    trouble: str = "",
) -> int:
    """Record what came of a revision, or what was seen of it later; returns the journal's sequence.

    Without an `observation` (the target could not be read) observed and effective stay what they were.
    Raises ValueError when the revision cannot go to `phase` from where it is.
    """
    held = situation(tx.connection, deployment, served=False)
    row = first_row(
        tx.execute(
            "SELECT arg_max(phase, step) FROM deployment_event WHERE deployment = ? AND revision = ?",
            [deployment, revision],
        )
    )
    before = Phase(row[0]) if row and row[0] else None
    if not follows(before, phase):
        raise ValueError(f"revision {revision} of {deployment} cannot go from {before} to {phase}")
    sequence = tx.record(
        Entry(
            AGENT,
            "observe" if before == phase else str(phase),
            "deployments",
            deployment,
            before={"observed": dict(held.observed), "effective": dict(held.effective)},
            after={
                "revision": revision,
                "phase": str(phase),
                "observed": dict(observation.versions if observation else held.observed),
                "effective": dict(observation.effective if observation else held.effective),
                **({"trouble": trouble} if trouble else {}),
                **({"message": message} if message else {}),
            },
        )
    )
    _append(tx, held, revision, phase, message, sequence, observation, trouble)
    return sequence


def _append(
    tx: Transaction,
    held: Situation,
    revision: int,
    phase: Phase,
    message: str,
    sequence: int,
    observation: Observation | None = None,
    trouble: str = "",
) -> None:
    observed, effective = held.observed, held.effective
    effective_revision, at = held.effective_revision, held.since
    if observation is not None:
        observed, effective = observation.versions, observation.effective
        if effective != held.effective:
            at = tx.now
        effective_revision = observation.revision if effective else None
    tx.execute(
        "INSERT INTO deployment_event BY NAME SELECT ? AS deployment,"
        " (SELECT coalesce(max(step), 0) + 1 FROM deployment_event WHERE deployment = ?) AS step, ? AS revision,"
        " ? AS phase, ? AS observed, ? AS effective, ? AS effective_revision, ? AS since, ? AS trouble,"
        " ? AS message, ? AS sequence, ? AS recorded_at",
        [
            held.deployment,
            held.deployment,
            revision,
            str(phase),
            _text(observed),
            _text(effective),
            effective_revision,
            to_db(at) if at else None,
            trouble,
            message,
            sequence,
            tx.now_db,
        ],
    )
    tx.touch("deployments", held.deployment)
    tx.touch("revisions", held.deployment)


def _repeated(tx: Transaction, params: ActionParams) -> Request | None:
    if not params.request_id:
        return None
    row = first_row(
        tx.execute(
            "SELECT deployment, revision, action, before, sequence FROM deployment_revision WHERE request_id = ?",
            [params.request_id],
        )
    )
    if row is None:
        return None
    if (row[0], row[2]) != (params.subject, params.action):
        raise Refusal(
            ExitCode.USAGE,
            f"Request {params.request_id[:64]!r} was {row[2]} of {row[0]}; it cannot also be"
            f" {params.action} of {params.subject}.",
            "Send a new request id.",
        )
    first = since(tx.connection, row[0], row[1])[0]
    warning = _warning(tx.connection, split(row[0])[0], first.versions)
    return Request(first, _decode_versions(row[3]), int(row[4]), True, warning)


def _revision(row: tuple[Any, ...]) -> Revision:
    recorded_at: datetime = from_db(row[10])
    return Revision(
        row[0],
        int(row[1]),
        row[2],
        _decode_versions(row[3]),
        _decode_digests(row[4]),
        row[5],
        row[6],
        row[7],
        row[8],
        row[9],
        recorded_at,
        Phase(row[11]),
        row[12],
        bool(row[13]),
    )


def _text(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(value)).decode()
