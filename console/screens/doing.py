"""What each action of the registry does on the deck; imported at the first key, not before the first frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from console.actions import LISTS, Action, unavailable
from console.places import Place, complete_command, parse_command
from console.quoting import quoted_name
from console.screens.listing import ListingView
from store.protocol import Refusal

if TYPE_CHECKING:
    import subprocess

    from console.screens.deck import Deck

Doer = Callable[["Deck"], None]

#: Seconds between two looks at an agent that is starting, and those in which another one may be found instead.
START_LOOK = 0.2
START_GRACE = 2.0

WINDOWS: tuple[tuple[str, str], ...] = (
    ("1h", "an hour"),
    ("6h", "six hours"),
    ("1d", "a day"),
    ("1w", "a week"),
    ("1mo", "a month"),
)


def do(deck: Deck, action: Action) -> None:
    """Do an action that is possible now."""
    if action.wire is not None:
        from console.screens.acting import act

        act(deck, action)
        return
    own = getattr(deck.view, f"do_{action.id.replace('.', '_')}", None)
    if own is not None:
        own()
    else:
        _DOERS[action.id](deck)


# --- going -------------------------------------------------------------------------------------------------


def _open(deck: Deck) -> None:
    view = deck.view
    place = view.target() if isinstance(view, ListingView) else None
    if place is not None:
        deck.go(place, drill=True)


def _back(deck: Deck) -> None:
    view = deck.view
    if isinstance(view, ListingView) and view.place.filter:
        view.set_filter("")
        deck.refresh_lines()
        return
    leave(deck)


def leave(deck: Deck) -> None:
    """Out of what was drilled into; from any other view to the fleet."""
    if not deck.rise() and deck.view.place.view != "fleet":
        # Not a dead end: escape always comes to the fleet in the end.
        deck.go(Place("fleet"))


def _last_view(deck: Deck) -> None:
    previous = deck.trail.previous
    if previous is None:
        deck.say("there is no view before this one", "warning")
        return
    deck.go(previous)


def _describe(deck: Deck) -> None:
    kind, name = deck.view.chosen()
    if name:
        deck.go(Place("describe", kind=kind, name=name), drill=True)


def _open_alerts(deck: Deck) -> None:
    deck.go(Place("alerts", filter="state=open"))


def _command_log(deck: Deck) -> None:
    deck.go(Place("log"), drill=True)


def _refresh(deck: Deck) -> None:
    deck.deck_app.link.reconnect_now()
    deck.view.fetch_soon()


def _quit(deck: Deck) -> None:
    deck.app.exit(0)


def _agent_start(deck: Deck) -> None:
    from console.link import start_agent

    process = start_agent(deck.deck_app.link.store)
    deck.say("an agent is being started; the console connects when it answers")
    deck.deck_app.link.reconnect_now()
    deck.run_worker(_tell_of_start(deck, process), group="acting")


async def _tell_of_start(deck: Deck, process: subprocess.Popen[bytes]) -> None:
    """An agent that cannot start says why: a store that is damaged is not opened."""
    import asyncio

    from console.link import START_SECONDS, last_words

    link = deck.deck_app.link
    for _ in range(round(START_SECONDS / START_LOOK)):
        if process.poll() is not None or link.state.connected:
            break
        await asyncio.sleep(START_LOOK)
    if process.poll() is not None:
        # Another console may have started the one that won.
        await asyncio.sleep(START_GRACE)
    if link.state.connected:
        return
    said, hint = last_words(process)
    deck.say(f"The agent did not start{f': {said}' if said else '.'} {hint}".strip(), "critical")


# --- rows --------------------------------------------------------------------------------------------------


def _filter(deck: Deck) -> None:
    view = deck.view
    if not isinstance(view, ListingView):
        return
    from console.commandline import CommandLine

    names = [column.name for column in view.sortable()]

    def complete(line: str) -> list[str]:
        head, space, last = line.rpartition(" ")
        if not last:
            return []
        begun = last.lstrip('!"')
        sign = "!" if last.startswith("!") else ""
        options = [f"{sign}{quoted_name(name)}:" for name in names if name.startswith(begun)]
        return [f"{head}{space}{option}" for option in options if option != last]

    line = CommandLine(
        "filter",
        "/",
        deck.deck_app.history("filter"),
        value=view.place.filter,
        complete=complete,
        explain='COL:regex  !COL:regex  COL=value  COL>1.5  "odd col@5">1  spaces mean and; a bare word: the name',
    )
    deck.type_into(line, view.set_filter)


def _sort(deck: Deck) -> None:
    view = deck.view
    if not isinstance(view, ListingView):
        return
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    present, descends = view.sorted_by()
    choices = [
        Choice(
            column.name,
            (column.name, ("descending" if descends else "ascending") if column.name == present else ""),
        )
        for column in view.sortable()
    ]

    def chosen(name: str | None) -> None:
        if name is None:
            return
        kinds = {column.name: column.kind for column in view.sortable()}
        # Of numbers and times the greatest are what one looks for; the same column again turns the order.
        greatest_first = kinds.get(name) not in ("text", "health")
        descending = not descends if name == present else greatest_first
        view.set_sort(name, descending)
        deck.refresh_lines()

    deck.ask(
        Picker(
            "Sort by",
            [Column("column", priority=0), Column("now", title=" ", priority=0)],
            choices,
            search=True,
            current=present,
            note="the same column again turns the order",
        ),
        chosen,
    )


def _mark(deck: Deck) -> None:
    if isinstance(deck.view, ListingView):
        deck.view.table.action_mark()


def _pause(deck: Deck) -> None:
    if isinstance(deck.view, ListingView):
        deck.view.table.toggle_pause()
    else:
        deck.say("there are no rows to hold still here", "warning")


def _copy(deck: Deck) -> None:
    from console.clipboard import copy

    text = deck.view.copied()
    if not text:
        deck.say("there is nothing to copy", "warning")
        return
    copy(deck.app, text)
    lines = text.count("\n") + 1
    from console.text import clean

    deck.say(f"copied {lines} rows" if lines > 1 else f"copied {clean(text, 60)}", "ok")


def _windows(deck: Deck) -> None:
    view = deck.view
    if view.place.view in ("drift", "performance", "quality", "windows"):
        pick_window(deck, view.place.window, lambda window: deck.go(_with_window(view.place, window)))
        return
    name = view.deployment() or deck.deck_app.last_deployment
    if name:
        deck.go(Place("windows", scope=(("deployment", name),)), drill=True)
    else:
        deck.say("windows belong to a deployment: choose one first", "warning")


def _with_window(place: Place, window: str) -> Place:
    return replace(place, window=window)


def pick_window(deck: Deck, present: str, chosen: Callable[[str], None]) -> None:
    """Let the operator choose the width of the monitoring windows."""
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    deck.ask(
        Picker(
            "Width of the windows",
            [Column("window", priority=0), Column("is", title=" ", priority=0)],
            [Choice(window, (window, words)) for window, words in WINDOWS],
            current=present,
        ),
        lambda window: chosen(window) if window else None,
    )


# --- typing ------------------------------------------------------------------------------------------------


def _command(deck: Deck) -> None:
    from console.commandline import CommandLine

    view = deck.view
    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    if isinstance(view, ListingView):
        columns = tuple(column.name for column in view.sortable())
        names = tuple(str(row[0]) for row in view.table.rows_on_screen())
    line = CommandLine(
        "command",
        ":",
        deck.deck_app.history("command"),
        complete=lambda text: complete_command(text, columns, names),
        explain="VIEW [NAME] [/FILTER] [COL=VALUE] [sort=COL:desc] [window=1d]",
    )
    deck.type_into(line, lambda text: run_command(deck, text))


def run_command(deck: Deck, text: str) -> None:
    """Do what was typed after `:`."""
    if not text.strip():
        return
    try:
        asked = parse_command(text)
    except Refusal as refusal:
        deck.say_refusal(refusal)
        return
    if isinstance(asked, Place):
        known = deck.view.deployment() or deck.deck_app.last_deployment
        if asked.view == "monitor" and not asked.name:
            asked = replace(asked, name=known)
        elif asked.view == "performance" and not (asked.scope or asked.filter or asked.sort) and known:
            asked = replace(asked, scope=(("deployment", known),))
        deck.go(asked)
        return
    verb, argument = asked
    match verb:
        case "quit":
            deck.app.exit(0)
        case "help":
            _help(deck)
        case "now":
            deck.deck_app.travel(None)
        case "at":
            travel(deck, argument)


def _time_travel(deck: Deck) -> None:
    from console.commandline import CommandLine
    from console.text import when

    at = deck.deck_app.at
    line = CommandLine(
        "prompt",
        "show the store as it was at ",
        deck.deck_app.history("prompt"),
        value=when(at) if at is not None else "",
        explain="2013-07-03T14:05Z, 2013-07-03, or -2h; empty: the present",
    )
    deck.type_into(line, lambda text: travel(deck, text))


def travel(deck: Deck, text: str) -> None:
    """To the moment that was typed; empty is the present."""
    if not text.strip():
        deck.deck_app.travel(None)
        return
    from console.commands.times import read_time

    try:
        moment = read_time(text.strip().replace("Z", "+00:00") if text.strip().endswith("Z") else text)
    except ValueError as error:
        deck.say(str(error), "critical")
        return
    deck.deck_app.travel(moment)


# --- help --------------------------------------------------------------------------------------------------


def _help(deck: Deck) -> None:
    view = deck.view.place.view
    _list_actions(deck, f"Help: {view}", deck.deck_app.registry.valid(view), search_first=False)


def _palette(deck: Deck) -> None:
    _list_actions(deck, "Every action", list(deck.deck_app.registry.actions), search_first=True)


def _list_actions(deck: Deck, title: str, actions: list[Action], search_first: bool) -> None:
    from console.screens.picker import Choice, Picker
    from console.widgets.rows import Column

    situation = deck.view.situation()
    choices = []
    for action in actions:
        why = unavailable(action, situation)
        about = f"not now: {why}" if why else action.about
        more = f"{action.about} (id {action.id})"
        choices.append(Choice(action.id, (action.key_label, action.title, about), why, more))
    own = _TABLE_KEYS if situation.view in LISTS else _PANE_KEYS.get(situation.view, ())
    if not search_first:
        for keys, name, about in own:
            choices.append(Choice(f"pane {keys}", (keys, name, about), "press the key in the view itself"))

    def chosen(action_id: str | None) -> None:
        if action_id is not None:
            deck.do(action_id)

    deck.ask(
        Picker(
            title,
            [
                Column("key", priority=0),
                Column("action", priority=0),
                Column("what", title="what it does, or why it cannot now", priority=0),
            ],
            choices,
            search=True,
            note="type to search, enter does it",
        ),
        chosen,
    )


_TABLE_KEYS = (
    ("j k down up", "Move", "Row down, row up"),
    ("g G", "First, last", "First row, last row"),
    ("pgdn pgup", "Page", "A screen down, a screen up"),
    ("h l left right", "Columns", "Columns that did not fit"),
)

#: Of views that are no tables.
_PANE_KEYS = {
    "monitor": (
        ("h l left right", "Windows", "A window earlier, later; past the ends half a span"),
        ("j k down up", "Features", "A feature down, up"),
        ("pgup pgdn", "Page", "The windows in sight earlier, later"),
        ("home end", "First, newest", "The first window, the newest"),
        ("g G", "Worst, last", "The feature on top, the last one"),
    ),
    "feature": (
        ("h l left right", "Windows", "A window earlier, later"),
        ("j k down up", "Features", "The feature after, before"),
        ("home end", "First, newest", "The first window, the newest"),
        ("pgdn pgup", "Page", "A pane of the tables down, up"),
    ),
    "performance": (
        ("h l left right", "Time", "Half a span earlier, later"),
        ("pgdn pgup", "Page", "A pane of the table down, up"),
    ),
}

_DOERS: dict[str, Doer] = {
    "open": _open,
    "describe": _describe,
    "filter": _filter,
    "sort": _sort,
    "mark": _mark,
    "copy": _copy,
    "pause": _pause,
    "windows": _windows,
    "time_travel": _time_travel,
    "open_alerts": _open_alerts,
    "command": _command,
    "command_log": _command_log,
    "help": _help,
    "palette": _palette,
    "last_view": _last_view,
    "back": _back,
    "history_back": lambda deck: deck.step(-1),
    "history_forward": lambda deck: deck.step(1),
    "refresh": _refresh,
    "agent.start": _agent_start,
    "quit": _quit,
}
