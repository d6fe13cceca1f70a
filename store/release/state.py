"""The state machine of a deployment: what each action makes of it, and which phase may follow which."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from store.database.times import seconds
from store.protocol import ExitCode, Refusal

Versions = Mapping[str, float]
"""Share of the traffic by version, adding up to 1; empty when nothing is served."""

#: What is said of a version that came without its model and does not declare that its name is enough.
NO_ARTIFACT = "no artifact: the target gets only the version's name"

ACTIONS = ("promote", "rollback", "abort", "retry")


class Phase(enum.StrEnum):
    """Where a revision stands. Open: requested, applying. Ended: effective, failed, aborted."""

    REQUESTED = "requested"
    APPLYING = "applying"
    EFFECTIVE = "effective"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def open(self) -> bool:
        return self in (Phase.REQUESTED, Phase.APPLYING)


#: Applying follows applying after a crash; an ended revision may be observed again but never changes its phase.
_FOLLOWS: dict[Phase, frozenset[Phase]] = {
    Phase.REQUESTED: frozenset({Phase.APPLYING, Phase.ABORTED}),
    Phase.APPLYING: frozenset({Phase.APPLYING, Phase.EFFECTIVE, Phase.FAILED, Phase.ABORTED}),
    Phase.EFFECTIVE: frozenset({Phase.EFFECTIVE}),
    Phase.FAILED: frozenset({Phase.FAILED}),
    Phase.ABORTED: frozenset(),
}


def follows(before: Phase | None, after: Phase) -> bool:
    """Whether a revision may go from `before` (None: it does not exist yet) to `after`."""
    return after is Phase.REQUESTED if before is None else after in _FOLLOWS[before]


class Revision(msgspec.Struct, frozen=True):
    """One numbered request, never rewritten, and the phase it has reached."""

    deployment: str
    revision: int
    action: str
    versions: Versions
    digests: Mapping[str, str]
    """Digest of each version's bits as they were when it was asked for; a version without bits is absent."""
    restores: int | None
    """The revision whose versions this one takes up again (rollback, abort, retry)."""
    actor: str
    via: str
    reason: str
    request_id: str
    recorded_at: datetime
    phase: Phase
    message: str = ""
    became_effective: bool = False


class Situation(msgspec.Struct, frozen=True):
    """A deployment as the store knows it at one moment.

    `trouble` says how the target strays from the latest revision although that one is effective: "" when
    it does not, else `drifted`, `missing` or `damaged`.
    """

    deployment: str
    latest: Revision | None = None
    observed: Versions = {}
    effective: Versions = {}
    effective_revision: int | None = None
    since: datetime | None = None
    trouble: str = ""
    message: str = ""
    served: Sequence[Revision] = ()
    """The revisions that became effective, oldest first."""

    @property
    def revision(self) -> int:
        """Number of the latest revision, 0 before the first."""
        return self.latest.revision if self.latest else 0

    @property
    def health(self) -> str:
        return health(self.latest.phase if self.latest else None, self.trouble)


def health(phase: Phase | None, trouble: str) -> str:
    """`ok`, `changing`, `failed`, `drifted`, `missing`, `damaged`, or "" before the first revision."""
    if phase is None:
        return ""
    if phase.open:
        return "changing"
    return "failed" if phase is Phase.FAILED else trouble or "ok"


class Decision(msgspec.Struct, frozen=True):
    """What the next revision asks for. `digests` is None where the catalogue has to be asked (promote)."""

    versions: Versions
    digests: Mapping[str, str] | None = None
    restores: int | None = None


def compare(situation: Situation, expect: int | None, between: Sequence[Revision]) -> None:
    """The compare of compare-and-swap. Raises `Refusal` (changed) when `expect` is not the latest revision.

    `between` are the revisions after `expect`, oldest first; `expect=None` means whatever is current.
    """
    if expect is None or expect == situation.revision:
        return
    name, latest = situation.deployment, situation.latest
    detail: dict[str, object] = {"deployment": name, "expected": expect, "revision": situation.revision}
    if latest is None or not between:
        raise Refusal(
            ExitCode.CHANGED,
            f"{name} is at revision {situation.revision}; there is no revision {expect} yet.",
            f"Look again, then repeat with --expect {situation.revision}.",
            detail,
        )
    before: Versions = {}
    changes = []
    for revision in between:
        if revision.revision > expect:
            changes.append(
                {
                    "revision": revision.revision,
                    "action": revision.action,
                    "actor": revision.actor,
                    "at": seconds(revision.recorded_at),
                    "before": dict(before),
                    "after": dict(revision.versions),
                    "phase": str(revision.phase),
                    "reason": revision.reason,
                }
            )
        before = revision.versions
    last = changes[-1]
    raise Refusal(
        ExitCode.CHANGED,
        f"{name} is at revision {latest.revision}, not {expect}: {latest.actor} asked for {latest.action}"
        f" {share(last['before'])} → {share(latest.versions)} at {latest.recorded_at:%Y-%m-%d %H:%M:%S} UTC.",
        f"Look again, then repeat with --expect {latest.revision}.",
        {**detail, **last, "changes": changes},
    )


def decide(situation: Situation, action: str, version: str) -> Decision:
    """The next revision that `action` makes of `situation`. Raises `Refusal`: usage or refused.

    - promote: the version alone, unless it is served or on its way already.
    - rollback: the newest versions that were effective here and are not those now requested; with `version`,
      the newest revision that made that one effective. A revision that failed or was aborted never counts.
      So a rollback while a change fails or is under way undoes that change, and a rollback of a rollback
      returns to what the first one left.
    - abort: what an open or failed revision asked for is given up for the versions of the last revision that
      became effective (none: nothing is served).
    - retry: the latest revision again, when it failed or when the target has strayed from it.
    """
    if action == "promote":
        return _promote(situation, version)
    if action not in ACTIONS:
        raise Refusal(ExitCode.USAGE, f"A deployment cannot {action!r}.", f"It can {', '.join(ACTIONS)}.")
    latest = situation.latest
    if latest is None:
        raise _refused(f"{situation.deployment} was never deployed.", "Promote a version to it first.")
    if action == "rollback":
        return _roll_back(situation, latest, version)
    return _abort(situation, latest) if action == "abort" else _retry(situation, latest)


def _promote(situation: Situation, version: str) -> Decision:
    if not version:
        raise Refusal(ExitCode.USAGE, f"No version to promote to {situation.deployment}.", "Name one: MODEL@VERSION.")
    wanted = {version: 1.0}
    if situation.latest is not None:
        _refuse_what_is_there(situation, situation.latest, wanted)
    return Decision(wanted)


def _roll_back(situation: Situation, latest: Revision, version: str) -> Decision:
    for past in reversed(situation.served):
        if not past.versions:
            continue
        if (past.versions == {version: 1.0}) if version else (past.versions != latest.versions):
            _refuse_what_is_there(situation, latest, past.versions)
            return Decision(past.versions, past.digests, past.revision)
    if version:
        raise _refused(
            f"Version {version} was never effective in {situation.deployment}.",
            "Promote it, or roll back to one that was (`quarterdeck ls revisions`).",
        )
    raise _refused(
        f"Nothing but {share(latest.versions)} was ever effective in {situation.deployment}.",
        "Promote another version.",
    )


def _abort(situation: Situation, latest: Revision) -> Decision:
    if not latest.phase.open and latest.phase is not Phase.FAILED:
        raise _refused(
            f"Nothing to abort: revision {latest.revision} of {situation.deployment} is {latest.phase}.",
            "To leave its version, roll back.",
        )
    if latest.phase.open and latest.action == "abort":
        raise _refused(
            f"Revision {latest.revision} of {situation.deployment} is an abort under way.",
            "Wait for its outcome.",
        )
    if not situation.served:
        return Decision({}, {})
    past = situation.served[-1]
    return Decision(past.versions, past.digests, past.revision)


def _retry(situation: Situation, latest: Revision) -> Decision:
    if latest.phase.open:
        raise _refused(
            f"Revision {latest.revision} of {situation.deployment} is still {latest.phase}.",
            "Wait for its outcome, or abort it.",
        )
    if latest.phase is Phase.EFFECTIVE and not situation.trouble:
        raise _refused(
            f"Nothing to retry: revision {latest.revision} of {situation.deployment} is effective.",
            "The target holds what was asked for.",
        )
    return Decision(latest.versions, latest.digests, latest.revision)


def _refuse_what_is_there(situation: Situation, latest: Revision, wanted: Versions) -> None:
    if latest.versions != wanted:
        return
    if latest.phase.open:
        raise _refused(
            f"{share(wanted)} is on its way to {situation.deployment}: revision {latest.revision} is {latest.phase}.",
            "Wait for its outcome, or abort it.",
        )
    if latest.phase is Phase.EFFECTIVE and not situation.trouble:
        raise _refused(
            f"{share(wanted)} is effective in {situation.deployment} already (revision {latest.revision}).",
            "Nothing was changed.",
        )


def _refused(message: str, hint: str) -> Refusal:
    return Refusal(ExitCode.REFUSED, message, hint)


def share(versions: object) -> str:
    """`version 3`, `3 90 % + 4 10 %`, `nothing`."""
    if not isinstance(versions, Mapping) or not versions:
        return "nothing"
    if len(versions) == 1:
        return f"version {next(iter(versions))}"
    return " + ".join(f"{version} {weight:.0%}" for version, weight in versions.items())
