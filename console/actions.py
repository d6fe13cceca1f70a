"""The one action registry: every binding's id, key, title and danger, where it is valid and why it is not now.

Footer, help, palette and the keys themselves are read from here. Textual is not imported: the command line uses this
module too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.keys import KEY_LABELS, KEY_NAMES, RESERVED_KEYS, keys_path, load_keys
from store.protocol import ActionName, ExitCode, Refusal

#: The views that list rows of the store, in the order of the number keys where they have one.
MAIN_VIEWS: tuple[str, ...] = (
    "fleet",
    "datasets",
    "runs",
    "versions",
    "deployments",
    "monitor",
    "alerts",
    "journal",
    "quarantine",
)
LISTS: frozenset[str] = frozenset(
    {
        "fleet",
        "datasets",
        "runs",
        "models",
        "versions",
        "deployments",
        "revisions",
        "windows",
        "drift",
        "performance",
        "quality",
        "alerts",
        "journal",
        "quarantine",
    }
)
#: Views with rows to filter, sort and mark.
WITH_ROWS: frozenset[str] = LISTS | {"deployment"}
#: Views whose chosen row is, or belongs to, a deployment.
OF_DEPLOYMENT: frozenset[str] = frozenset(
    {"fleet", "deployments", "deployment", "monitor", "feature", "performance", "revisions"}
)
#: Views over windows of event time.
OVER_TIME: frozenset[str] = frozenset({"monitor", "feature", "performance"})
EVERYWHERE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """What the operator is looking at, as far as it decides which actions are possible."""

    view: str
    """Name of the view: one of `MAIN_VIEWS` or a detail such as `run`, `deployment`, `describe`."""
    row: str | None = None
    """Id of the chosen row, null when there is none."""
    subject: str = ""
    """What a wire action would be about: `model@environment`, an alert id, a quarantine id, `KIND/NAME`."""
    connected: bool = True
    silence: str = ""
    """Why an agent that is connected says nothing, and what helps; "" while it answers."""
    stale: bool = False
    """The rows shown are known to be older than the store."""
    at: float | None = None
    """The past moment that is shown, null for the present."""
    may_act: bool = True
    read_only: str = ""
    can_go_back: bool = True
    can_go_forward: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an operator can do. `danger` 0 changes nothing in the store."""

    id: str
    key: str
    title: str
    about: str
    danger: int = 0
    views: frozenset[str] = EVERYWHERE
    """Where it is valid; empty means everywhere."""
    wire: ActionName | None = None
    needs_row: bool = False
    footer: int = 0
    """Rank in the footer, 1 first; 0 keeps it out."""
    footer_on: frozenset[str] = EVERYWHERE
    """Views in whose footer it is; empty means all where it is valid."""
    label: str = ""
    """The footer's word, when the title is too long for it."""
    also: tuple[str, ...] = ()
    """Further keys that do the same."""

    @property
    def key_label(self) -> str:
        return KEY_LABELS.get(self.key, self.key)


def _main_views() -> Iterable[Action]:
    about = {
        "fleet": "What is live, where, since when, and how it is",
        "datasets": "Dataset versions that have arrived",
        "runs": "Training runs, newest first",
        "versions": "Model versions that can be deployed",
        "deployments": "Deployments: requested, observed, effective",
        "monitor": "Drift heat map, distribution, performance over time",
        "alerts": "Alerts, newest first",
        "journal": "Every change, by whom and why",
        "quarantine": "What arrived and could not be read, with the reason",
    }
    for number, view in enumerate(MAIN_VIEWS, 1):
        yield Action(f"view.{view}", str(number), f"{view.capitalize()}", about[view])


ACTIONS: tuple[Action, ...] = (
    Action(
        "open",
        "enter",
        "Open",
        "Drill into the chosen row, cell or pane",
        views=WITH_ROWS | {"monitor", "feature", "replay"},
        needs_row=True,
        footer=1,
    ),
    Action(
        "promote",
        "P",
        "Promote a version",
        "Make a version the one that traffic gets, in one environment",
        danger=3,
        views=OF_DEPLOYMENT | {"versions"},
        wire="promote",
        needs_row=True,
        footer=3,
        label="promote",
    ),
    Action(
        "rollback",
        "R",
        "Roll back",
        "Return a deployment to the version it had before",
        danger=3,
        views=OF_DEPLOYMENT,
        wire="rollback",
        needs_row=True,
        footer=4,
        label="rollback",
    ),
    Action(
        "abort",
        "A",
        "Abort the change under way",
        "Stop a revision that is not effective yet, and keep what is",
        danger=3,
        views=OF_DEPLOYMENT,
        wire="abort",
        needs_row=True,
        label="abort",
    ),
    Action(
        "retry",
        "T",
        "Retry",
        "Apply the requested revision again, or take in again the quarantined files that are marked, or the chosen one",
        danger=2,
        views=OF_DEPLOYMENT | {"quarantine"},
        wire="retry",
        needs_row=True,
        footer=8,
        label="retry",
    ),
    Action(
        "ack",
        "a",
        "Acknowledge the alert",
        "Say that you have seen it; others see that you did",
        danger=1,
        views=frozenset({"alerts"}),
        wire="ack",
        needs_row=True,
        footer=3,
        label="ack",
    ),
    Action(
        "mute",
        "m",
        "Mute the alert",
        "Keep it quiet for a while that you choose",
        danger=1,
        views=frozenset({"alerts"}),
        wire="mute",
        needs_row=True,
        footer=4,
        label="mute",
    ),
    Action(
        "resolve",
        "r",
        "Resolve the alert",
        "Close it by hand, before the agent does; a note (n) says why",
        danger=1,
        views=frozenset({"alerts"}),
        wire="resolve",
        needs_row=True,
        footer=4,
        label="resolve",
    ),
    Action(
        "replay",
        "W",
        "Replay the alert rule",
        "What the rule would have done with other thresholds; on the replay: another rule",
        views=frozenset({"alerts", "replay"}),
        footer=5,
        footer_on=frozenset({"alerts", "replay"}),
        label="what if",
    ),
    Action(
        "note",
        "n",
        "Write a note",
        "Leave a remark on what is chosen; it goes into the journal",
        danger=1,
        wire="note",
        needs_row=True,
        label="note",
    ),
    Action(
        "describe",
        "d",
        "Describe",
        "Everything the store knows about the chosen row",
        needs_row=True,
        footer=5,
        label="describe",
    ),
    Action(
        "filter",
        "slash",
        "Filter rows",
        "COL:regex, !COL:regex, COL=value, COL>1.5; spaces mean and. On the monitor: features by their names",
        views=WITH_ROWS | {"describe", "monitor"},
        footer=6,
        label="filter",
    ),
    Action(
        "sort",
        "s",
        "Sort by a column",
        "Choose the column; the same again turns the order. On the monitor: by worst, by this window, by name",
        views=WITH_ROWS | {"monitor"},
        label="sort",
    ),
    Action(
        "statistic",
        "S",
        "Choose the statistic",
        "What the heat map and the curve show: psi, js, ks, wasserstein …",
        views=frozenset({"monitor", "feature"}),
        footer=5,
        label="statistic",
    ),
    Action(
        "metric",
        "M",
        "Choose the metric",
        "What the performance chart shows: auc, log_loss, f1 …",
        views=frozenset({"monitor", "performance"}),
        footer=2,
        label="metric",
    ),
    Action(
        "slice",
        "L",
        "Choose the slices",
        "Performance by the values of a column",
        views=frozenset({"performance"}),
        footer=2,
        label="slices",
    ),
    Action(
        "next_alarm",
        "full_stop",
        "Next alarm",
        "To the cell where the next run of alarms began: the worst feature first, of each the newest run first",
        views=frozenset({"monitor"}),
        footer=2,
        label="alarm",
    ),
    Action("last_alarm", "comma", "Alarm before", "Back to the run of alarms before", views=frozenset({"monitor"})),
    Action("pane", "tab", "Next pane", "Choose the next pane; enter opens it", views=OVER_TIME, footer=2, label="pane"),
    Action(
        "mark",
        "space",
        "Mark the row",
        "Mark rows to copy, or quarantined files to retry, together",
        views=WITH_ROWS,
        needs_row=True,
    ),
    Action(
        "copy",
        "y",
        "Copy",
        "Copy the marked rows or the chosen one; on the monitor: the command line that says the same",
        label="copy",
    ),
    Action("pause", "p", "Pause", "Hold the rows, or the monitor, still; the age goes on", label="pause"),
    Action(
        "windows",
        "w",
        "Windows",
        "Width and span of the monitoring windows",
        footer=2,
        footer_on=OVER_TIME | {"replay"},
        label="span",
    ),
    Action("time_travel", "t", "Time travel", "Show everything as the store knew it at a past moment"),
    Action("open_alerts", "exclamation_mark", "Open alerts", "The alerts that are open now"),
    Action(
        "command", "colon", "Go to a view", ":deployments /fraud env=production sort=drift:desc", footer=7, label="go"
    ),
    Action("command_log", "at", "Command log", "What was done here, as the command lines that would do it"),
    Action("help", "question_mark", "Help", "Every action of this screen, searchable", footer=9, label="help"),
    Action("palette", "ctrl+p", "Command palette", "Every action and view, by a few letters of its name"),
    Action("last_view", "minus", "Last view", "The view before this one, and back again"),
    Action("back", "escape", "Back", "Out of what was drilled into; also closes dialogs and clears a filter"),
    Action("history_back", "left_square_bracket", "Back in history", "The view shown before"),
    Action("history_forward", "right_square_bracket", "Forward in history", "The view shown after"),
    Action("refresh", "ctrl+r", "Fetch again", "Ask the agent again, and reconnect at once when it was lost"),
    Action("agent.start", "", "Start the agent", "Start an agent for this store when none runs", danger=1),
    Action("quit", "q", "Quit", "Leave the console; the agent goes on working", footer=10, label="quit"),
    *_main_views(),
)


@dataclass(frozen=True)
class Registry:
    """The actions with the keys that this operator gave them."""

    actions: tuple[Action, ...] = ACTIONS
    by_id: Mapping[str, Action] = field(init=False)
    by_key: Mapping[str, Action] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {action.id: action for action in self.actions})
        by_key: dict[str, Action] = {}
        for action in self.actions:
            for key in (action.key, *action.also):
                if not key:
                    continue
                if key in RESERVED_KEYS:
                    raise Refusal(ExitCode.USAGE, f"{action.id} cannot have {key}: terminals keep that key.")
                if key in by_key:
                    raise Refusal(
                        ExitCode.USAGE,
                        f"{action.id} and {by_key[key].id} both have the key {KEY_LABELS.get(key, key)}.",
                    )
                by_key[key] = action
        object.__setattr__(self, "by_key", by_key)

    @classmethod
    def load(cls, path: Path | None = None) -> Registry:
        """The registry with the operator's remapped keys; raises `Refusal` naming what is wrong with them."""
        wanted = load_keys(path or keys_path())
        if not wanted:
            return cls()
        known = {action.id for action in ACTIONS}
        for name in wanted:
            if name not in known:
                raise Refusal(
                    ExitCode.USAGE,
                    f"{path or keys_path()}: there is no action {name!r}.",
                    "See the ids with ? in the console.",
                )
        from dataclasses import replace

        return cls(
            tuple(
                replace(action, key=KEY_NAMES.get(wanted[action.id], wanted[action.id]))
                if action.id in wanted
                else action
                for action in ACTIONS
            )
        )

    def valid(self, view: str) -> list[Action]:
        """The actions that this view has at all, possible now or not."""
        return [action for action in self.actions if not action.views or view in action.views]

    def footer(self, view: str) -> list[Action]:
        shown = [action for action in self.valid(view) if not action.footer_on or view in action.footer_on]
        return sorted((action for action in shown if action.footer), key=lambda action: action.footer)


def unavailable(action: Action, situation: Situation) -> str:
    """Why the action is not possible now, in a few words for the operator; "" when it is."""
    if action.views and situation.view not in action.views:
        places = ", ".join(sorted(action.views & set(MAIN_VIEWS))) or ", ".join(sorted(action.views))
        return f"not on this view; it is on {places}"
    if action.id == "agent.start":
        return "the agent runs" if situation.connected else situation.silence
    if action.needs_row and situation.row is None:
        return "no row is chosen"
    if action.id == "history_back" and not situation.can_go_back:
        return "there is no earlier view"
    if action.id == "history_forward" and not situation.can_go_forward:
        return "there is no later view"
    if action.wire is None:
        return ""
    if situation.silence:
        return situation.silence
    if not situation.connected:
        return "the agent is lost: what is shown may be out of date"
    if situation.at is not None:
        return "the past is shown: press t and leave the time empty to return to the present"
    if situation.read_only:
        return f"the store takes no changes: {situation.read_only}"
    if not situation.may_act:
        return "you may look but not act on this store"
    if situation.stale and action.danger >= 2:
        return "what is shown is out of date: wait for it to be fetched again, or ctrl+r"
    if not situation.subject:
        return "the chosen row names nothing to act on"
    return ""
