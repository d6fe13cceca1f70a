"""Where the operator is: a view with its filter, sort and cursor, the trail of views, and the `:` language."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace

from console.actions import LISTS, MAIN_VIEWS
from console.quoting import in_quotes, quoted_name, unquoted
from console.quoting import words as split_words
from store.protocol import ExitCode, Refusal

#: Views that `:` reaches, beside the lists. Those that need a name take it as their first word.
NAMED_VIEWS = ("run", "deployment", "monitor", "feature", "replay", "describe")
#: Lists whose rows are windows of a deployment: `:drift model@environment` is that one's.
WINDOWED = frozenset({"windows", "drift", "performance", "quality"})
VIEW_NAMES: tuple[str, ...] = (
    *MAIN_VIEWS,
    *sorted(LISTS - set(MAIN_VIEWS)),
    "run",
    "deployment",
    "feature",
    "replay",
    "describe",
    "log",
)
#: Words of `:` that are not views.
VERBS: tuple[str, ...] = ("help", "quit", "at", "now")
#: What people type who know other consoles.
ALIASES = {
    "dp": "deployments",
    "deploy": "deployments",
    "ds": "datasets",
    "mv": "versions",
    "version": "versions",
    "model": "models",
    "alert": "alerts",
    "home": "fleet",
    "drifts": "drift",
    "q": "quit",
    "exit": "quit",
    "history": "journal",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One view as it was left: enough to come back to it."""

    view: str
    name: str = ""
    """What a detail view shows: a run id, `model@environment`, the name to describe."""
    kind: str = ""
    """The kind of what `describe` shows."""
    filter: str = ""
    sort: str = ""
    scope: tuple[tuple[str, str], ...] = ()
    window: str = ""
    """Width of the monitoring windows."""
    span: str = ""
    """How far back they reach: `30d`."""
    since: float | None = None
    until: float | None = None
    feature: str = ""
    statistic: str = ""
    cursor: str | None = None
    """Id of the row that the cursor stood on."""

    def same_view(self, other: Place) -> bool:
        """Whether both are the same view of the same thing, however filtered and sorted."""
        mine, others = (
            (place.view, place.name, place.kind, place.scope, place.feature if place.view == "feature" else "")
            for place in (self, other)
        )
        return mine == others


@dataclass
class Trail:
    """The views in the order they were visited, with one of them the present one."""

    places: list[Place]
    index: int = 0
    previous: Place | None = None
    """The view before this one, whichever way it was reached: what `-` goes to."""
    above: dict[int, int] = field(default_factory=dict)
    """For a place that was drilled into, the index it was drilled from: what escape goes to."""

    LONGEST = 100

    @property
    def here(self) -> Place:
        return self.places[self.index]

    def note(self, place: Place) -> None:
        """Remember how the present view is left."""
        self.places[self.index] = place

    def go(self, place: Place, drill: bool = False) -> None:
        """A new place after the present one; what was ahead is forgotten."""
        self.previous = self.here
        del self.places[self.index + 1 :]
        self.above = {below: above for below, above in self.above.items() if below <= self.index}
        if drill:
            self.above[self.index + 1] = self.index
        self.places.append(place)
        self.index += 1
        if len(self.places) > self.LONGEST:
            del self.places[0]
            self.index -= 1
            self.above = {below - 1: above - 1 for below, above in self.above.items() if above > 0}

    def step(self, by: int) -> bool:
        """One back (-1) or forward (+1) in history; false when there is none."""
        if not 0 <= self.index + by < len(self.places):
            return False
        self.previous = self.here
        self.index += by
        return True

    def rise(self) -> bool:
        """Back to where this place was drilled into from; false when it was not."""
        above = self.above.get(self.index)
        if above is None:
            return False
        self.previous = self.here
        self.index = above
        return True


def parse_command(text: str) -> Place | tuple[str, str]:
    """What `:text` asks for: a place, or a verb with its argument.

    `VIEW [NAME] [/FILTER] [COL=VALUE …] [sort=COL[:desc]] [window=1d] [span=30d]`. Words with an operator that are
    none of these are filter terms; what stands in quotation marks stays together, as in `/` and `--filter`:
    `runs /"metric.avg score">0.3 sort="metric.avg score":desc`. Raises `Refusal(USAGE)` naming what was wrong.
    """
    words = split_words(text)
    if not words:
        raise Refusal(ExitCode.USAGE, "No view was named.", "For instance :runs")
    verb = ALIASES.get(words[0].lower(), words[0].lower())
    if verb in VERBS:
        return verb, " ".join(map(unquoted, words[1:]))
    view = verb if verb in VIEW_NAMES else _by_beginning(verb)
    if view is None:
        near = difflib.get_close_matches(verb, (*VIEW_NAMES, *VERBS), 1)
        raise Refusal(
            ExitCode.USAGE,
            f"There is no view {words[0]!r}.",
            f"Did you mean :{near[0]}?" if near else "Views: " + " ".join(VIEW_NAMES),
        )
    place = Place(view)
    filters: list[str] = []
    names: list[str] = []
    for word in words[1:]:
        name, separator, value = word.partition("=")
        if view == "replay" and unquoted(word).startswith("{"):
            names.append(unquoted(word))  # a rule to try, as a TOML table
        elif separator and name == "sort":
            place = replace(place, sort=value)
        elif separator and name == "window":
            place = replace(place, window=unquoted(value))
        elif separator and name == "span":
            place = replace(place, span=unquoted(value))
        elif separator and name == "statistic" and view in ("monitor", "feature"):
            place = replace(place, statistic=unquoted(value))
        elif word.startswith("/"):
            filters.append(word[1:])
        elif view in WINDOWED and not place.scope and "@" in word and not set(word) & set("=<>!:\"'"):
            place = replace(place, scope=(("deployment", word),))
        elif view in LISTS or (view == "monitor" and word[0] not in "'\"" and set(word) & set("=<>!")):
            # In the order in which they were typed: a column's name may hold blanks.
            filters.append(f'"{word[1:-1]}"' if word.startswith("'") else word)
        else:
            names.append(unquoted(word))
    if view in LISTS:
        names = []
    elif view == "describe":
        if len(names) != 2:
            raise Refusal(ExitCode.USAGE, "describe takes a kind and a name.", "For instance :describe run train-1")
        place = replace(place, kind=names[0], name=names[1])
    elif view == "replay":
        place = replace(
            place,
            name=" ".join(name for name in names if "@" not in name or name.startswith("{")),
            scope=tuple(("deployment", name) for name in names if "@" in name and not name.startswith("{"))[:1],
        )
    elif view == "feature":
        if len(names) != 2:
            raise Refusal(
                ExitCode.USAGE,
                "feature takes a deployment and a feature.",
                "For instance :feature flight-delay@production carrier",
            )
        place = replace(place, name=names[0], feature=names[1])
    elif view in NAMED_VIEWS:
        if len(names) > 1 or (not names and view != "monitor"):
            raise Refusal(ExitCode.USAGE, f"{view} takes one name.", f"For instance :{view} NAME")
        place = replace(place, name=names[0] if names else "")
    return replace(place, filter=" ".join(term for term in filters if term))


def _by_beginning(word: str) -> str | None:
    found = [name for name in VIEW_NAMES if name.startswith(word)]
    return found[0] if len(found) == 1 or (found and found[0] in MAIN_VIEWS) else None


def _one_word(name: str) -> str:
    return in_quotes(name) if any(mark.isspace() or mark in "\"'" for mark in name) else name


def complete_command(text: str, columns: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> list[str]:
    """The whole lines that `text` can become: views first, then columns of the view and names on the screen."""
    head, space, last = text.rpartition(" ")
    if not space:
        return [name for name in (*VIEW_NAMES, *VERBS) if name.startswith(last.lower()) and name != last]
    if last.startswith("sort="):
        wanted = last[5:].lstrip('"')
        options = [f"sort={quoted_name(name)}" for name in columns if name.startswith(wanted)]
        if unquoted(last[5:]) in columns:
            options = [f"{last}:desc"]
    elif last.startswith("/"):
        options = [f"/{_one_word(name)}" for name in names if name.startswith(last[1:].lstrip('"'))]
    else:
        begun = last.lstrip('"')
        options = [f"{quoted_name(name)}=" for name in columns if name.startswith(begun)] if begun else []
        options += [word for word in ("sort=", "window=", "span=") if last and word.startswith(last)]
        options += [_one_word(name) for name in names if begun and name.startswith(begun)]
    return [f"{head} {option}" for option in options if option != last]
