"""Actions that change the store: plan, look, confirm, compare-and-swap, and tell what came of it."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from console.actions import Action, unavailable
from console.command_lines import command_line
from console.live import LinkLost
from console.screens.chrome import Tone
from console.screens.listing import ListingView
from console.screens.values import decoded, metrics, weights
from console.text import clean
from store.protocol import ActionName, ActionParams, ExitCode, Field, ListParams, Outcome, Page, Plan, Refusal

if TYPE_CHECKING:
    from console.screens.deck import Deck

#: Seconds that a request whose answer was lost waits for the agent, to be sent again as the same request.
ANSWER_AGAIN_SECONDS = 60.0
#: Seconds that an answer may take before the operator is told that it is waited for.
PATIENCE = 1.0
VERSIONS_OFFERED = 50
#: How long an alert may be muted, as the dialog offers it (seconds); the command line takes any time.
MUTES = (
    (3600, "an hour"),
    (4 * 3600, "4 hours"),
    (24 * 3600, "a day"),
    (3 * 24 * 3600, "3 days"),
    (7 * 24 * 3600, "a week"),
)


def act(deck: Deck, action: Action) -> None:
    """Begin `action` on what is chosen."""
    deck.run_worker(_act(deck, action), group="acting", exclusive=True)


async def _act(deck: Deck, action: Action) -> None:
    try:
        marked = _marked(deck, action)
        if marked:
            from console.screens.acting_on_many import retry_marked

            await retry_marked(deck, action, marked)
            return
        params = await _asked_for(deck, action)
        if params is not None:
            await _perform(deck, action, params)
    except Refusal as refusal:
        tell_refusal(deck, action.title, refusal)


def _marked(deck: Deck, action: Action) -> list[str]:
    """The marked rows that the action is about, in their order; none where it is about the chosen one alone."""
    view = deck.view
    if action.wire != "retry" or not isinstance(view, ListingView) or view.listing_kind != "quarantine":
        return []
    return sorted(view.table.marked, key=lambda row_id: (len(row_id), row_id))


async def _answer(deck: Deck, title: str, method: str, params: msgspec.Struct) -> Any:
    """The agent's answer; an operator who waits for it is told so."""
    answering = asyncio.ensure_future(deck.deck_app.link.call(method, params))
    told = ""
    try:
        done, _ = await asyncio.wait({answering}, timeout=PATIENCE)
        if not done:
            hello = deck.deck_app.link.hello
            told = f"{title}: waiting for the agent{f', process {hello.pid},' if hello else ''} to answer"
            deck.say(told, "warning")
        return await answering
    finally:
        answering.cancel()
        deck.unsay(told)


async def _asked_for(deck: Deck, action: Action) -> ActionParams | None:
    """Subject and version, asking the operator for what is not clear from where the cursor is."""
    assert action.wire is not None
    subject = deck.view.subject()
    if action.wire == "note":
        kind, name = deck.view.chosen()
        return params_for("note", f"{kind}/{name}")
    if action.wire == "mute":
        seconds = await _pick_mute(deck, subject)
        until = time.time() + seconds if seconds is not None else None
        return msgspec.structs.replace(params_for("mute", subject), until=until) if until is not None else None
    if action.wire != "promote":
        return params_for(action.wire, subject)
    if deck.view.place.view == "versions" or deck.view.place.kind == "versions":
        model, _, version = subject.rpartition("@")
        environment = await _pick_environment(deck, model, version)
        return params_for("promote", f"{model}@{environment}", version) if environment else None
    version_chosen = await _pick_version(deck, subject)
    return params_for("promote", subject, version_chosen) if version_chosen else None


def params_for(action: ActionName, subject: str, version: str = "") -> ActionParams:
    """A request of this console, with a number of its own."""
    return ActionParams(action, subject, version, request_id=str(uuid.uuid4()), via="console")


async def _pick_mute(deck: Deck, alert: str) -> float | None:
    """For how long, seconds; null when the operator thought better of it."""
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    choices = [Choice(str(seconds), (words,)) for seconds, words in MUTES]
    columns = [Column("for", priority=0)]
    chosen = await deck.app.push_screen_wait(Picker(f"Mute {clean(alert, 20)} for", columns, choices))
    return float(chosen) if chosen is not None else None


async def _pick_environment(deck: Deck, model: str, version: str) -> str | None:
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    hello = deck.deck_app.link.hello
    environments = hello.environments if hello is not None else []
    if len(environments) == 1:
        return environments[0].name
    page: Page = await _answer(deck, "Promote", "list", ListParams("deployments", limit=1000))
    names = [column.name for column in page.columns]
    effective = names.index("effective") if "effective" in names else None
    now = {str(row[0]): row[effective] for row in page.rows} if effective is not None else {}
    choices = [
        Choice(
            environment.name,
            (environment.name, weights(now.get(f"{model}@{environment.name}")), f"danger {environment.danger}"),
        )
        for environment in environments
    ]
    columns = [Column("environment", priority=0), Column("effective", "text", "now", 0), Column("danger", priority=0)]
    return await deck.app.push_screen_wait(
        Picker(f"Promote {clean(model, 40)} version {clean(version, 20)} to", columns, choices)
    )


async def _pick_version(deck: Deck, deployment: str) -> str | None:
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    model, _, _ = deployment.rpartition("@")
    offered = ListParams("versions", sort="rank", limit=VERSIONS_OFFERED, scope={"model": model})
    page: Page = await _answer(deck, "Promote", "list", offered)
    names = [column.name for column in page.columns]
    if not page.rows:
        raise Refusal(ExitCode.REFUSED, f"There is no version of {model} to promote.", "4 shows what has arrived.")
    present = await _effective(deck, deployment)

    def value(row: list[object], name: str) -> object:
        return row[names.index(name)] if name in names else None

    choices = []
    for row in page.rows:
        cells = list[object](row)
        version = str(value(cells, "version") or str(row[0]).rpartition("@")[2])
        registered = value(cells, "registered")
        states = ["effective now"] if version in present else []
        states += ["no artifact"] if value(cells, "artifact") == "none" else []
        choices.append(
            Choice(
                version,
                (
                    version,
                    ", ".join(states),
                    registered if isinstance(registered, float) else None,
                    metrics(value(cells, "metrics")),
                ),
            )
        )
    columns = [
        Column("version", priority=0),
        Column("state", title=" ", priority=0),
        Column("registered", "time", priority=1),
        Column("metrics", priority=0),
    ]
    return await deck.app.push_screen_wait(
        Picker(f"Promote which version of {clean(model, 40)} on {clean(deployment, 60)}?", columns, choices)
    )


async def _effective(deck: Deck, deployment: str) -> set[str]:
    """The versions that serve now."""
    page: Page = await _answer(deck, "Promote", "list", ListParams("deployments", limit=1000))
    names = [column.name for column in page.columns]
    if "effective" not in names:
        return set()
    index = names.index("effective")
    return next((set(decoded(row[index])) for row in page.rows if row[0] == deployment), set())


async def _perform(deck: Deck, action: Action, params: ActionParams) -> None:
    from console.screens.confirming import ask_words, confirm

    if params.action == "note":
        words = await ask_words(deck, f"note on {clean(params.subject, 60)}: ", "goes into the journal; empty: nothing")
        if words:
            await _do(deck, action, msgspec.structs.replace(params, reason=words, data_age=data_age(deck)))
        return
    # A plan changes nothing, so it needs no reason yet.
    plan: Plan = await _answer(deck, action.title, "plan", msgspec.structs.replace(params, dry_run=True))
    if not plan.allowed:
        raise Refusal(ExitCode.REFUSED, f"{params.action} {params.subject} is refused: {plan.why}")
    agreed = await confirm(deck, action, _told(deck, plan, params))
    if agreed is None:
        deck.say(f"{action.title}: nothing was done")
        return
    why = unavailable(action, deck.view.situation())
    if why:
        raise Refusal(ExitCode.REFUSED, f"Nothing was done: {why}")
    # Deployments have revisions, and revision 0 is one too: "never deployed" is what the dialog showed.
    expect = plan.revision if "@" in params.subject else None
    params = msgspec.structs.replace(params, reason=agreed.reason, expect=expect, data_age=data_age(deck))
    await _do(deck, action, params)


def _told(deck: Deck, plan: Plan, params: ActionParams) -> Plan:
    """The plan with what the view knows of its subject, where the agent says nothing but its name."""
    known = deck.view.facts()
    if not known or [fact.label for fact in plan.facts] != ["subject"]:
        return plan
    if params.until is not None:
        # First: where not all facts fit it is what was just chosen.
        known.insert(0, Field("quiet until", params.until, "time"))
    return msgspec.structs.replace(plan, facts=known)


async def _do(deck: Deck, action: Action, params: ActionParams) -> None:
    deck.say(f"{action.title}: {clean(params.subject, 60)} is being asked for")
    outcome = await _send(deck, params)
    deck.deck_app.log_command(command_line(params), _result(outcome))
    deck.say(_result(outcome), _tone(outcome))
    deck.view.store_changed()


async def _send(deck: Deck, params: ActionParams) -> Outcome:
    """Ask once; when the connection breaks before the answer, ask again with the same request id.

    The agent knows the id, so that the action is done once whichever of the two it heard.
    """
    link = deck.deck_app.link
    try:
        outcome: Outcome = await link.call("act", params, 300.0)
        return outcome
    except LinkLost:
        deck.say("the connection broke before the answer: asking again as soon as the agent is back", "warning")
    ends = time.monotonic() + ANSWER_AGAIN_SECONDS
    while time.monotonic() < ends:
        await asyncio.sleep(0.2)
        if link.state.connected:
            repeated: Outcome = await link.call("act", params, 300.0)
            return repeated
    raise LinkLost(f"It is not known whether {params.action} {params.subject} was done.")


def data_age(deck: Deck) -> float:
    """How old what the operator looks at is: the feed would have told of anything newer."""
    view = deck.view
    if view.stale or view.data_at is None:
        return view.data_age() or 0.0
    return max(0.0, time.time() - deck.deck_app.confirmed())


def _tone(outcome: Outcome) -> Tone:
    if outcome.phase == "failed":
        return "critical"
    return "warning" if outcome.warning else "ok"


def _result(outcome: Outcome) -> str:
    parts = [f"{outcome.action} {clean(outcome.subject, 60)}"]
    if outcome.before or outcome.after:
        from console.glyphs import glyphs

        parts.append(f"{weights(outcome.before)} {glyphs().arrow} {weights(outcome.after)}")
    if outcome.revision:
        parts.append(f"revision {outcome.revision} is {outcome.phase}")
    # Of what went well the phase says everything.
    if outcome.message and outcome.phase != "effective":
        parts.append(clean(outcome.message, 160))
    if outcome.warning:
        parts.append(f"warning: {clean(outcome.warning, 160)}")
    if outcome.repeated:
        parts.append("(it had been done before)")
    return ": ".join(parts[:1]) + (": " + "; ".join(parts[1:]) if parts[1:] else ": done")


def tell_refusal(deck: Deck, title: str, refusal: Refusal) -> None:
    """Say what was refused; when the subject changed meanwhile, what changed."""
    words = [f"{title}:", refusal.message, refusal.hint]
    if refusal.code is ExitCode.CHANGED:
        words += [f"{clean(key, 30)} {clean(_changed(value), 60)};" for key, value in refusal.detail.items()]
        deck.view.store_changed()
    deck.deck_app.log_command(f"# {title}", refusal.message)
    deck.say(" ".join(word for word in words if word), "critical")


def _changed(value: object) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, (dict, list)) else str(value)
