"""What an action on a deployment would do: everything the dialog and `--dry-run` show, computed and not done."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import duckdb

from store.catalog import models
from store.catalog.objects import Objects
from store.database.rows import first_row
from store.database.times import seconds
from store.protocol import ActionParams, ExitCode, Field, Plan, Refusal
from store.release import revisions
from store.release.state import NO_ARTIFACT, Decision, Situation, Versions, compare, decide, share
from store.settings import EnvironmentSettings

MANIFEST = "model.json"
#: Bits up to this size are hashed while the operator looks at the dialog; larger ones when they are placed.
VERIFY_BYTES = 256 << 20

Insight = Callable[[duckdb.DuckDBPyConnection, str, Versions, Versions], list[Field]]
"""Facts that another room adds (performance of both versions, open alerts, traffic), asked with the connection,
the deployment, what is effective and what would be."""


def plan(
    connection: duckdb.DuckDBPyConnection,
    params: ActionParams,
    environment: EnvironmentSettings,
    objects: Objects,
    insight: Insight | None = None,
) -> Plan:
    """Raises `Refusal` when the deployment changed since `params.expect`, or for a bad name; what a policy or
    the state refuses comes back as a plan that is not `allowed` and says why."""
    model, _ = revisions.split(params.subject)
    held = revisions.situation(connection, params.subject)
    if params.expect is not None and params.expect != held.revision:
        compare(held, params.expect, revisions.since(connection, params.subject, params.expect))
    why, wrong = "", ""
    decision = Decision(held.effective, {})
    try:
        decision = decide(held, params.action, params.version)
        digests = decision.digests
        if digests is None:
            digests = revisions.registered(connection, model, list(decision.versions))
    except Refusal as refusal:
        if refusal.code is not ExitCode.REFUSED:
            raise
        why, digests = f"{refusal.message} {refusal.hint}".strip(), {}
    facts = [_state(held), Field("Environment", f"danger level {environment.danger}, target {environment.target}")]
    if not why:
        facts += _origin(held, decision)
        for version in decision.versions:
            bits, wrong = _bits(connection, objects, model, version, digests.get(version, ""))
            facts.append(Field(f"Bits of version {version}", bits))
            facts += _registered(connection, model, version)
            why = why or wrong
    if insight is not None:
        facts += insight(connection, params.subject, held.effective, decision.versions)
    return Plan(
        params.action,
        params.subject,
        not why,
        why,
        environment.danger,
        held.revision,
        dict(held.effective),
        dict(decision.versions),
        facts,
        command_line(params, held.revision),
        model if environment.danger >= 3 else "",
    )


def command_line(params: ActionParams, revision: int) -> str:
    """The command that does the same from a shell."""
    model, environment = revisions.split(params.subject)
    words = ["quarterdeck", params.action]
    if params.action == "promote":
        words += [f"{model}@{params.version}", "--to", environment]
    else:
        words.append(params.subject)
        if params.version:
            words += ["--to", params.version]
    words += ["--reason", params.reason or "TEXT", "--expect", str(revision)]
    return shlex.join(words)


def _state(held: Situation) -> Field:
    if held.latest is None:
        return Field("Now", "never deployed")
    # Not the word "ok": that would be the target's health alone, beside a fleet that says alarm.
    trouble = f", {held.trouble}" if held.trouble else ""
    text = f"{share(held.effective)}{trouble} (revision {held.revision}, {held.latest.phase})"
    if held.latest.versions != held.effective:
        text += f"; requested is {share(held.latest.versions)}"
    if held.latest.message or held.message:
        text += f": {held.message or held.latest.message}"
    return Field("Now", text)


def _origin(held: Situation, decision: Decision) -> list[Field]:
    """Where the versions were before, and whether they were left by a rollback."""
    facts = []
    if held.since is not None:
        facts.append(Field("Effective since", seconds(held.since), "time"))
    past = [revision for revision in held.served if revision.versions == decision.versions]
    if past:
        last = past[-1]
        facts.append(
            Field(
                "Was effective",
                f"revision {last.revision}, {last.action} by {last.actor}"
                f" at {last.recorded_at:%Y-%m-%d %H:%M} UTC" + (f": {last.reason}" if last.reason else ""),
            )
        )
        following = [revision for revision in held.served if revision.revision > last.revision]
        if following and following[0].action == "rollback":
            left = following[0]
            facts.append(
                Field(
                    "Warning",
                    f"{share(decision.versions)} was rolled back by {left.actor} in revision {left.revision}"
                    + (f": {left.reason}" if left.reason else ""),
                )
            )
    elif decision.versions:
        facts.append(Field("Was effective", "never in this environment"))
    return facts


def _bits(
    connection: duckdb.DuckDBPyConnection, objects: Objects, model: str, version: str, digest: str
) -> tuple[str, str]:
    """What there is to say of the bits, and why they cannot be released ("" when they can)."""
    found = models.find(connection, model, version)
    if not digest or (found is not None and not found.has_artifact and found.digest == digest):
        declared = found is not None and not found.lacks_artifact
        text = "served by name, as model.json declares" if declared else f"warning: {NO_ARTIFACT}"
        wrong = objects.verify(digest) if digest else ""
        return text if not wrong else f"{text}; {wrong}", wrong[:1].upper() + wrong[1:] + "." if wrong else ""
    short = digest[:19] + "…"
    if not objects.holds(digest):
        return f"{short} missing from the store", f"The bits {short} are not in the store."
    row = first_row(connection.execute("SELECT bytes FROM object WHERE digest = ?", [digest]))
    if row is not None and row[0] > VERIFY_BYTES:
        return f"{short} present, {row[0] / 2**20:,.0f} MiB, verified when they are placed", ""
    try:
        wrong = objects.verify(digest)
    except OSError as error:
        wrong = f"the bits of {short} cannot be read: {error.strerror}"
    if wrong:
        return f"{short} present but spoilt", wrong[:1].upper() + wrong[1:] + "."
    beside = [file.path for file in models.contents(connection, model, version) if file.path != MANIFEST]
    if found is not None and found.manifest.artifact:
        more = f", with {len(beside) - 1:,} more" if len(beside) > 1 else ""
        return f"{short} present and verified: {found.manifest.artifact[:100]}{more}", ""
    # Nobody said which of these is the model: they are named, and no more is claimed than that they are unchanged.
    names = f"{', '.join(name[:100] for name in beside[:3])}{f' and {len(beside) - 3:,} more' if beside[3:] else ''}"
    return f"{short} unchanged: {names or 'all files'}; model.json names no artifact", ""


def _registered(connection: duckdb.DuckDBPyConnection, model: str, version: str) -> list[Field]:
    found = models.find(connection, model, version)
    if found is None:
        return []
    facts = []
    if found.manifest.metrics:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in sorted(found.manifest.metrics.items())[:6])
        facts.append(Field(f"Training metrics of {version}", numbers))
    if found.flagged:
        facts.append(Field(f"Flag on {version}", found.flagged))
    return facts
