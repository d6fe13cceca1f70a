"""Actions: who may, what would happen, and to which room a request goes."""

from __future__ import annotations

import shlex
from concurrent.futures import Future

import duckdb

from store import monitor
from store.agent.endpoint import Peer
from store.agent.rooms import Rooms
from store.database import Actor, Entry, Transaction
from store.database.rows import first_row
from store.database.times import from_seconds, now, to_db
from store.intake import quarantine
from store.monitor.alerts import mute_end
from store.protocol import ActionParams, ExitCode, Field, Outcome, Plan, Refusal
from store.settings import Settings

_RELEASE = frozenset({"promote", "rollback", "abort", "retry"})
_ALERT = frozenset({"ack", "mute", "resolve"})
_MAX_REASON = 2000
_VIA = frozenset({"console", "cli"})


def may_act(settings: Settings, peer: Peer) -> bool:
    """Whether the settings let this user change things; an empty list lets everyone whom the socket lets in."""
    return not settings.access.operators or peer.user in settings.access.operators


def check_may_act(settings: Settings, peer: Peer) -> None:
    if not may_act(settings, peer):
        raise Refusal(
            ExitCode.NOT_PERMITTED,
            f"{peer.user} may look but not act on this store.",
            f"[access] operators in quarterdeck.toml: {', '.join(settings.access.operators)}.",
        )


def plan(rooms: Rooms, params: ActionParams) -> Plan:
    """What `params` would do. Blocks; raises `Refusal`."""
    _check(params)
    if params.action in _RELEASE and not _is_quarantine(params):
        return rooms.releases.plan(params)
    facts = [Field("subject", params.subject)]
    if params.action == "mute":
        facts.append(Field("muted until", f"{mute_end(params, now()):%Y-%m-%d %H:%M} UTC"))
    return Plan(
        action=params.action,
        subject=params.subject,
        allowed=True,
        why="",
        danger=1,
        revision=0,
        before={},
        after={},
        facts=facts,
        command=_command(params),
        confirm_word="",
    )


def act(rooms: Rooms, params: ActionParams, peer: Peer) -> Future[Outcome]:
    """Do it, as the peer that the kernel names. The future may carry a `Refusal`."""
    check_may_act(rooms.settings, peer)
    _check(params)
    if params.dry_run:
        raise Refusal(ExitCode.USAGE, f"{params.action} cannot be done as a dry run.", "Ask for its plan.")
    actor = Actor(peer.user, params.via if params.via in _VIA else "socket")
    if params.action == "note":
        return rooms.database.writer.submit(lambda tx: _note(tx, rooms, params, actor))
    if params.action == "resolve" and params.subject.startswith("q"):
        return rooms.database.writer.submit(lambda tx: _resolve_case(tx, params, actor))
    if params.action in _ALERT:
        return rooms.database.writer.submit(lambda tx: monitor.act(tx, params, actor))
    if _is_quarantine(params):
        return _passed_on(rooms.intake.retry(params.subject, actor, params.reason), params, rooms)
    return rooms.releases.submit(params, actor)


def _is_quarantine(params: ActionParams) -> bool:
    return params.action == "retry" and "@" not in params.subject


def _resolve_case(tx: Transaction, params: ActionParams, actor: Actor) -> Outcome:
    sequence = quarantine.resolve(tx, params.subject, actor, params.reason)
    return Outcome("resolve", params.subject, 0, "resolved", {}, {}, "Resolved; its bytes stay.", sequence)


def _passed_on(done: Future[str], params: ActionParams, rooms: Rooms) -> Future[Outcome]:
    """Words of another room as an outcome."""
    outcome: Future[Outcome] = Future()

    def pass_on(end: Future[str]) -> None:
        failure = end.exception()
        if failure is not None:
            outcome.set_exception(failure)
        else:
            outcome.set_result(
                Outcome(params.action, params.subject, 0, "done", {}, {}, end.result(), rooms.journal.sequence)
            )

    done.add_done_callback(pass_on)
    return outcome


def _check(params: ActionParams) -> None:
    if len(params.reason) > _MAX_REASON:
        raise Refusal(ExitCode.USAGE, f"The reason has {len(params.reason)} characters.", f"At most {_MAX_REASON}.")
    if params.action in ("promote", "rollback", "abort", "note") and not params.dry_run and not params.reason.strip():
        raise Refusal(ExitCode.USAGE, f"{params.action} needs a reason.", "Say why: --reason TEXT.")


def _command(params: ActionParams) -> str:
    until = ""
    if params.action == "mute" and params.until is not None:
        until = f" --until {from_seconds(params.until):%Y-%m-%dT%H:%M:%SZ}"
    reason = f" --reason {shlex.quote(params.reason)}" if params.reason else ""
    return f"quarterdeck {params.action} {shlex.quote(params.subject)}{until}{reason}"


def _note(tx: Transaction, rooms: Rooms, params: ActionParams, actor: Actor) -> Outcome:
    kind, slash, subject = params.subject.partition("/")
    if not slash or not subject:
        raise Refusal(ExitCode.USAGE, f"{params.subject!r}: what is the note about?", "KIND/NAME, e.g. runs/train-3.")
    if kind not in rooms.listings.kinds:
        raise Refusal(ExitCode.USAGE, f"There is no kind {kind[:64]!r}.", f"One of {', '.join(rooms.listings.kinds)}.")
    repeated = _earlier(tx.connection, params.request_id)
    if repeated is not None:
        return Outcome("note", params.subject, 0, "noted", {}, {}, "Noted.", repeated, True)
    sequence = tx.record(
        Entry(actor, "note", kind, subject, after={"text": params.reason}, request_id=params.request_id)
    )
    tx.touch("notes", params.subject)
    tx.execute(
        "INSERT INTO note VALUES (?, ?, ?, ?, ?, ?)",
        [sequence, kind, subject, params.reason, actor.name, to_db(tx.now)],
    )
    return Outcome("note", params.subject, 0, "noted", {}, {}, "Noted.", sequence)


def _earlier(connection: duckdb.DuckDBPyConnection, request_id: str) -> int | None:
    """The journal sequence of the same request when it was carried out before."""
    if not request_id:
        return None
    row = first_row(connection.execute("SELECT sequence FROM journal WHERE request_id = ? LIMIT 1", [request_id]))
    return int(row[0]) if row else None
