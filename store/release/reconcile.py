"""Brings requested and observed together after a crash, and notices when a target strays by itself.

- An open intent (requested or applying, with nobody working on it) is applied again.
- An open revision that is no longer the latest is recorded as aborted.
- A target that strayed from an ended revision is recorded (observed, effective, `drifted`, `missing` or
  `damaged`) and left as it is: somebody may have moved it by hand in an emergency, and the agent cannot know
  which of the two is right. `retry` sets it back, any promote or rollback moves on from it.
"""

from __future__ import annotations

import functools
from concurrent.futures import Future

import duckdb
import msgspec

from store.database import Database, Transaction
from store.release import revisions
from store.release.executor import Executor, Settled, give_up
from store.release.state import Phase, Situation, share
from store.release.targets import Observation, Target


class Reconciled(msgspec.Struct, frozen=True):
    """`resumed` are intents taken up again; `strayed` deployments whose target was newly found to differ
    (or to agree again)."""

    resumed: list[Future[Settled]]
    strayed: list[str]


class _Open(msgspec.Struct, frozen=True):
    deployment: str
    revision: int
    latest: int


def resume(database: Database, executor: Executor) -> list[Future[Settled]]:
    """Take up every open intent that nobody is working on."""
    resumed = []
    for found in database.reader.read(_open):
        if executor.holds(found.deployment, found.revision):
            continue
        if found.revision == found.latest:
            resumed.append(executor.put(found.deployment, found.revision))
        else:
            database.writer.change(functools.partial(_give_up, found=found))
    return resumed


def observe(database: Database, executor: Executor, target: Target, deployment: str, verify: bool) -> bool:
    """Compare a deployment at rest with its target; True when a difference (or its end) was recorded.

    `verify` computes the digest of the served bits again.
    """
    held = database.reader.read(lambda connection: revisions.situation(connection, deployment, served=False))
    if held.latest is None or held.latest.phase.open or executor.busy(deployment):
        return False
    try:
        observation = target.observe(deployment, verify=verify or held.trouble == "damaged")
    except OSError as error:
        observation = Observation({}, {}, None, {}, f"the target cannot be read: {error}")
    trouble, message = judge(held, observation)
    if (trouble, dict(observation.versions), dict(observation.effective)) == (
        held.trouble,
        dict(held.observed),
        dict(held.effective),
    ):
        return False
    return database.writer.change(lambda tx: _record(tx, held, observation, trouble, message))


def judge(held: Situation, observation: Observation) -> tuple[str, str]:
    """How `observation` strays from the latest revision that is effective: trouble and message, "" twice if
    it does not. A failed revision is trouble enough, what the target then serves is only noted."""
    latest = held.latest
    if latest is None or latest.phase is not Phase.EFFECTIVE:
        return "", observation.message
    odd = f" ({observation.message})" if observation.message else ""
    if observation.versions != latest.versions:
        if not observation.versions:
            return "missing", f"the target serves nothing{odd}; retry sets it back"
        return (
            "drifted",
            f"somebody moved the target to {share(observation.versions)}{odd}; retry sets it back",
        )
    if latest.versions and observation.revision is None:
        return "drifted", f"the target carries no revision of this deployment{odd}; retry sets it back"
    for version, digest in observation.digests.items():
        if digest != latest.digests.get(version, digest):
            return "damaged", f"the served bits of version {version} have changed{odd}; retry places them anew"
    return "", ""


def _open(connection: duckdb.DuckDBPyConnection) -> list[_Open]:
    rows = connection.execute(
        "SELECT deployment, revision, max(revision) OVER (PARTITION BY deployment)"
        " FROM deployment_revision_at('infinity'::TIMESTAMP)"
        " QUALIFY phase IN ('requested', 'applying') ORDER BY deployment, revision"
    ).fetchall()
    return [_Open(*row) for row in rows]


def _give_up(tx: Transaction, found: _Open) -> None:
    give_up(tx, found.deployment, found.revision)


def _record(tx: Transaction, seen: Situation, observation: Observation, trouble: str, message: str) -> bool:
    now = revisions.situation(tx.connection, seen.deployment, served=False)
    if now.latest is None or now.revision != seen.revision or now.latest.phase.open:
        # A request came between the look and this line: what was seen is no longer what is.
        return False
    revisions.finish(tx, seen.deployment, seen.revision, now.latest.phase, message, observation, trouble)
    return True
