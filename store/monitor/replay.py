"""What a rule would have done: the judge's own decisions, over stored counts, with no alert opened."""

from __future__ import annotations

import dataclasses

import duckdb
import msgspec

from store.monitor.course import Course
from store.monitor.deciding import Deciding, Spans, Step, learning_ends
from store.monitor.deployments import split
from store.monitor.judge import missing_spans
from store.monitor.readings import Reading, reach, read
from store.monitor.rules import Rule, compile_rule, compiled
from store.monitor.watching import Watched, watch
from store.monitor.windows import DAY, MAX_WINDOWS
from store.protocol import Episode, ExitCode, Refusal, Replay, ReplayLine, ReplayParams
from store.settings import AlertSettings, MonitorSettings, rule_from_text

MAX_THRESHOLDS = 40
#: Episodes that one answer names, by line.
MAX_EPISODES = 1_000


def replay(
    connection: duckdb.DuckDBPyConnection, params: ReplayParams, settings: MonitorSettings, alerts: AlertSettings
) -> Replay:
    """How often the rule, with its own threshold and with each of `thresholds`, would have fired, and when.

    It runs what the judge runs, window by window, with a memory that begins a few windows before the span; the
    watch of the sequential test begins there as well. Raises `Refusal` for an unknown rule and for a span of too
    many windows.
    """
    rule, holding = _rule(params.rule, settings, alerts)
    _check(params, rule)
    rules = [known.name for known in holding if known.kind != "staleness"]
    variants: list[tuple[float | None, bool, Rule]] = [(rule.threshold, True, rule)]
    for threshold in sorted(set(params.thresholds)):
        if threshold != rule.threshold:
            variants.append((threshold, False, dataclasses.replace(rule, threshold=threshold, learn=None, change=None)))
    variants.sort(key=lambda variant: (variant[0] is not None, variant[0] or 0.0))
    tallies = [_Tally(variant) for _, _, variant in variants]
    deployments, every = [], set()
    decisions = 0
    for deployment in _deployments(connection, params.deployment, rule):
        ends, warm, span = _ends(connection, deployment, rule, params)
        if not ends or span is None:
            continue
        deployments.append(deployment)
        readings = read(connection, deployment, rule, learning_ends(rule, [*warm, *ends], *span))
        watched: dict[tuple[int, str], Watched] = {}
        explained: Spans = {}
        if rule.kind == "drift":
            watched = watch(connection, deployment, rule, [*warm, *ends], readings, Course())
            explained = missing_spans(connection, deployment, [one for one in holding if one.watches(deployment)])
        decisions += sum(len(readings.get(end, ())) for end in ends)
        every.update(ends)
        for tally in tallies:
            tally.run(deployment, settings, readings, watched, explained, warm, ends)
    axis = sorted(every)
    return Replay(
        rule=rule.name,
        said=rule.said(),
        deployments=deployments,
        window_seconds=rule.window.seconds,
        ends=[float(end) for end in axis],
        decisions=decisions,
        rules=rules,
        lines=[tally.line(threshold, own, axis) for (threshold, own, _), tally in zip(variants, tallies, strict=True)],
        why="" if deployments else _nothing(params, rule),
    )


def _rule(named: str, settings: MonitorSettings, alerts: AlertSettings) -> tuple[Rule, list[Rule]]:
    holding = compiled(settings, alerts)
    if named.lstrip().startswith("{"):
        return compile_rule(rule_from_text(named), settings, alerts), holding
    for rule in holding:
        if rule.name == named:
            return rule, holding
    raise Refusal(
        ExitCode.USAGE,
        f"There is no alert rule {named[:60]!r}.",
        "Rules: " + ", ".join(rule.name for rule in holding) + '; or one to try: {statistic = "js", threshold = 0.2}',
    )


def _check(params: ReplayParams, rule: Rule) -> None:
    if rule.kind == "staleness":
        raise Refusal(
            ExitCode.USAGE, f"Rule {rule.name} goes by the clock: nothing stored replays it.", "Replay another rule."
        )
    if not params.days > 0:
        raise Refusal(ExitCode.USAGE, f"days is {params.days:g}.", "Take more than 0.")
    if len(params.thresholds) > MAX_THRESHOLDS:
        raise Refusal(
            ExitCode.USAGE, f"{len(params.thresholds)} thresholds are too many.", f"At most {MAX_THRESHOLDS}."
        )
    if params.days * DAY / rule.window.seconds > MAX_WINDOWS:
        raise Refusal(
            ExitCode.USAGE,
            f"{params.days:g} days hold more than {MAX_WINDOWS:,} windows of {rule.window.name}.",
            "Take fewer days, or a rule with wider windows.",
        )


def _deployments(connection: duckdb.DuckDBPyConnection, wanted: str, rule: Rule) -> list[str]:
    if wanted:
        split(wanted)
        return [wanted]
    rows = connection.execute("SELECT DISTINCT deployment FROM monitor_window ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows if rule.watches(str(row[0]))]


def _ends(
    connection: duckdb.DuckDBPyConnection, deployment: str, rule: Rule, params: ReplayParams
) -> tuple[list[int], list[int], tuple[float, float] | None]:
    """(ends of the windows of the span, those of the few before it that the memory needs, what there is at all)."""
    span = reach(connection, deployment, rule)
    if span is None:
        return [], [], None
    earliest, latest = span
    # The last window may still be filling, as the judge has it.
    until = rule.window.start(min(latest, params.until) if params.until is not None else latest)
    since = max(rule.window.start(earliest), rule.window.start(until - params.days * DAY))
    ends = [rule.window.next(start) for start in rule.window.starts(since, until)] if until > since else []
    before = rule.window.back(since - 1, rule.memory)
    warm = [rule.window.next(start) for start in rule.window.starts(max(before, rule.window.start(earliest)), since)]
    return ends, [end for end in warm if end <= since], span


class _Tally:
    """What one variant of the rule did, over all deployments."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._episodes: list[Episode] = []
        self._on: dict[int, int] = {}
        self._decided: set[int] = set()
        self._fired = self._carried = self._over = 0

    def run(
        self,
        deployment: str,
        settings: MonitorSettings,
        readings: dict[int, list[Reading]],
        watched: dict[tuple[int, str], Watched],
        explained: Spans,
        warm: list[int],
        ends: list[int],
    ) -> None:
        deciding = Deciding(self._rule, settings, readings, Course(), set(), watched=watched, explained=explained)
        under_way: dict[str, Episode] = {}
        for step in deciding.decide(warm):
            self._note(deployment, step, under_way)
        self._carried += len(under_way)
        for end in ends:
            for step in deciding.decide([end]):
                self._decided.add(end)
                self._fired += step.move == "open"
                self._over += step.finding.over is True
                self._note(deployment, step, under_way)
            self._on[end] = self._on.get(end, 0) + len(under_way)
        self._episodes += under_way.values()

    def _note(self, deployment: str, step: Step, under_way: dict[str, Episode]) -> None:
        finding = step.finding
        held = under_way.get(finding.feature)
        if step.move == "open":
            under_way[finding.feature] = Episode(
                deployment, finding.feature, finding.version, float(step.end), None, finding.value, finding.message
            )
        elif step.move == "close" and held is not None:
            self._episodes.append(_changed(held, closed=float(step.end)))
            del under_way[finding.feature]
        elif held is not None and finding.over and _beyond(finding.threshold, finding.value, held.worst):
            under_way[finding.feature] = _changed(held, worst=finding.value, message=finding.message)

    def line(self, threshold: float | None, own: bool, axis: list[int]) -> ReplayLine:
        on = [self._on.get(end, 0) for end in axis]
        decided = [count for end, count in zip(axis, on, strict=True) if end in self._decided]
        episodes = sorted(self._episodes, key=lambda episode: (episode.opened, episode.deployment, episode.feature))
        return ReplayLine(
            threshold=threshold,
            own=own,
            fired=self._fired,
            carried=self._carried,
            over=self._over,
            quiet_share=sum(1 for count in decided if not count) / len(decided) if decided else None,
            on=on,
            episodes=episodes[:MAX_EPISODES],
            undecided=len(axis) - len(decided),
        )


def _changed(episode: Episode, **changes: object) -> Episode:
    found: Episode = msgspec.structs.replace(episode, **changes)
    return found


def _beyond(threshold: float, value: float, worst: float) -> bool:
    """Whether `value` lies farther from the threshold than `worst` did."""
    return abs(value - threshold) > abs(worst - threshold)


def _nothing(params: ReplayParams, rule: Rule) -> str:
    if params.deployment:
        what = "labels" if rule.labelled else "predictions"
        return f"No window with {what} of {params.deployment} has ended yet."
    return "No deployment that the rule watches has sent predictions yet."
