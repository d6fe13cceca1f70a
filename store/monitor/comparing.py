"""Two sets of files compared feature by feature, with no store and no agent."""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import math
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from store.monitor import binning, counting, parts, statistics
from store.monitor.binning import Bins, Engine, Profile
from store.monitor.bins import FeatureBins, Floats, Integers, display_labels, placed
from store.monitor.dropped_values import dropped_values
from store.monitor.files.table_files import Column, TableFiles, null_word_categories, open_files
from store.monitor.files.text_rules import TextRules, Wanted
from store.monitor.names import Names
from store.monitor.profile import Tally, total
from store.monitor.statistics import exact
from store.monitor.statistics.catalogue import scale, statistics_for, thresholds
from store.monitor.statistics.verdicts import Refine
from store.protocol import ComparedFeature, DriftReport, DriftRequest, ExitCode, Refusal, StatisticValue
from store.settings import MonitorSettings

if TYPE_CHECKING:
    from store.monitor.presets import Preset

#: Cells of the small pictures.
SHAPE_CELLS = 12
_SAID_NAMES = 5
#: The column of prediction files that says nothing but which row it is, whatever its type.
_ID = "prediction_id"
_MISSING = "the current files have no such column"
#: A column that is absent in more than this share of the rows above the reference's is a critical alarm.
_MOST_ROWS = 0.5


def compare(
    request: DriftRequest, settings: MonitorSettings, progress: Callable[[int, int], None] | None = None
) -> DriftReport:
    """The report on the current files against the reference's. Raises `Refusal` (usage) for what cannot be read.

    Parts are counted by two threads, or by the cluster that the request names: the report is the same.
    """
    with contextlib.ExitStack() as stack:
        return _compare(request, settings, progress, _engine(request, stack))


def _engine(request: DriftRequest, stack: contextlib.ExitStack) -> Engine:
    if request.engine == "":
        return binning.in_threads
    if request.engine != "dask":
        raise Refusal(ExitCode.USAGE, f"No engine {request.engine!r}.", "It is dask, or none.")
    if not request.scheduler:
        raise Refusal(ExitCode.USAGE, "Engine dask needs --scheduler.", "For instance --scheduler tcp://host:8786")
    # Heavy, and only where a cluster is asked for.
    from store.monitor.cluster import Cluster

    return stack.enter_context(Cluster(request.scheduler)).map


def _compare(
    request: DriftRequest, settings: MonitorSettings, progress: Callable[[int, int], None] | None, engine: Engine
) -> DriftReport:
    thresholds(request.statistic, settings)
    preset = _preset(request.preset)
    reference_paths, paths = parts.find_files(request.reference), parts.find_files(request.current)
    reference_files = open_files(reference_paths)
    wanted = _wanted(request.features, reference_files.columns)
    files = open_current(paths, reference_files)
    return compare_files(reference_files, files, request, settings, wanted, preset, progress, engine)


def open_current(paths: Sequence[str], reference_files: TableFiles) -> TableFiles:
    """The current files, their text read as the reference's columns are. Raises `Refusal` (usage)."""
    kinds: dict[str, Wanted] = {"numeric": "number", "categorical": "text"}
    known = reference_files.columns.items()
    wanted = {
        name: kinds[column.treatment] for name, column in known if column.has_values and column.treatment in kinds
    }
    categories = null_word_categories(reference_files) if any(parts.format_of(path) == "csv" for path in paths) else {}
    return open_files(paths, rules=TextRules(wanted, categories=categories))


def compare_files(
    reference_files: TableFiles,
    files: TableFiles,
    request: DriftRequest,
    settings: MonitorSettings,
    wanted: set[str] | None = None,
    preset: Preset | None = None,
    progress: Callable[[int, int], None] | None = None,
    engine: Engine = binning.in_threads,
) -> DriftReport:
    """The report on files that are open, of the features `wanted` or of all. Raises `Refusal` (usage)."""
    before, after = reference_files.columns, files.columns
    steps = _Steps(len(files.parts) + len(reference_files.parts), progress)
    keep = _ID.__ne__ if wanted is None else wanted.__contains__
    reference = binning.profile(reference_files, keep=keep, counted=steps.one, engine=_where(reference_files, engine))
    _some_rows(reference.rows, request.reference)
    if not reference.features:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(reference.left_out.items())[:3])
        raise Refusal(ExitCode.USAGE, f"{request.reference}: nothing to compare. {reasons}".strip())
    tally = count(files, reference, steps.one, _where(files, engine))
    _some_rows(tally.rows, request.current)
    features = _features(reference, tally, before, after, settings, request.statistic)
    new = [name for name, column in after.items() if name not in before and column.treatment != "names"]
    left_out = dict(reference.left_out)
    if wanted is None and _ID in before:
        left_out[_ID] = "it names the predictions, not compared"
    notes = [f"not in the reference: {_list(new)}"] if new else []
    notes += [f"reference: {note.describe()}" for note in reference_files.notes]
    notes += [f"current: {note.describe()}" for note in files.notes]
    report = DriftReport(
        reference_rows=reference.rows,
        rows=tally.rows,
        reference_files=len(reference_files.paths),
        files=len(files.paths),
        features=features,
        left_out=left_out,
        notes=notes,
        guarantee=statistics.GUARANTEES["window"],
        left_out_reasons={name: _left_out_reason(before[name]) for name in left_out},
        requested=[name for name in request.features if name in before],
    )
    if preset is None:
        return report
    from store.monitor.presets.reporting import reported
    from store.monitor.reference_chunks import PRESET, chunks_of

    # NannyML's thresholds come from how the reference itself changes over its rows.
    chunks = chunks_of(reference_files, reference, reference.rows) if preset.name == PRESET else None
    return reported(report, preset, reference, tally.counts, chunks)


def _preset(name: str) -> Preset | None:
    if not name:
        return None
    # Only where one is asked for: the command starts without.
    from store.monitor import presets

    return presets.named(name)


def _where(files: TableFiles, engine: Engine) -> Engine:
    """Typed copies of text lie on this machine alone: they are counted here, whatever the engine."""
    return binning.in_threads if files.copies else engine


def count(
    files: TableFiles,
    bins: Profile,
    counted: Callable[[], None] | None = None,
    engine: Engine = binning.in_threads,
) -> Tally:
    """The files' rows in the bins; `counted` is called after each part."""
    # Without what the reference counted: nobody needs that to count, and clusters would be sent it.
    alone = Bins(bins.features, np.zeros(bins.width, np.int64), bins.rare)
    work = functools.partial(counting.count_part, bins=alone, forms=files.number_forms)
    return total(binning.told(engine(work, files.parts), counted), bins.width)


class _Steps:
    """How many parts are done, said to `progress` from whichever thread did one."""

    def __init__(self, parts: int, progress: Callable[[int, int], None] | None) -> None:
        self._lock = threading.Lock()
        self._done, self._parts, self._progress = 0, parts, progress

    def one(self) -> None:
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._parts)


def _wanted(patterns: Sequence[str], held: dict[str, Column]) -> set[str] | None:
    if not patterns:
        return None
    chosen: set[str] = set()
    for pattern in patterns:
        matching = [name for name in held if name == pattern] or fnmatch.filter(held, pattern)
        if not matching:
            raise Refusal(ExitCode.USAGE, f"The reference has no column {pattern!r}.", f"It has {_list(list(held))}.")
        chosen.update(matching)
    return chosen


def _left_out_reason(column: Column) -> str:
    """The code of why a column of the reference is not compared."""
    if column.name == _ID:
        return "prediction_id"
    return column.treatment if column.treatment in ("time", "nested") else "row_names"


def _some_rows(rows: int, text: str) -> None:
    if not rows:
        raise Refusal(ExitCode.USAGE, f"{text}: no rows.", "There is nothing to compare.")


def _list(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- one feature -----------------------------------------------------------------------------------------


def _features(
    reference: Profile,
    tally: Tally,
    before: dict[str, Column],
    after: dict[str, Column],
    settings: MonitorSettings,
    statistic: str,
) -> list[ComparedFeature]:
    refine = _refining(reference.tally, tally)
    counted = tally.counts[None, :]
    [verdicts] = statistics.verdicts(reference, counted, settings, statistic, watch=False, refine=refine)
    found = []
    for feature, verdict in zip(reference.features, verdicts, strict=True):
        was, now = reference.of(feature), tally.counts[feature.offset : feature.offset + feature.width]
        column = after.get(feature.name)
        notes = [] if column is None else _type_notes(before[feature.name], column)
        names = tally.names.get(feature.name, Names())
        # Beside a column without a value nothing is new: it has no type that says how the others are called.
        new = [name for name, _ in names.top(_SAID_NAMES)] if before[feature.name].has_values else []
        if new:
            many = "" if names.complete else "about "
            chance = ", no more than chance" if _by_chance(reference, feature, was, now) else ""
            notes.append(f"{many}{names.distinct:,} new categories{chance}: {_list(new, _SAID_NAMES)}")
        old_shape, shape, labels = _shapes(feature, was, now)
        compared = ComparedFeature(
            feature=feature.name,
            kind=feature.kind,
            statistic=verdict.statistic,
            value=verdict.value,
            noise_floor=verdict.noise_floor,
            threshold=verdict.threshold,
            p_value=verdict.p_value,
            q_value=verdict.q_value,
            alarm=verdict.alarm,
            severity=verdict.severity,
            guarantee=verdict.guarantee,
            why=verdict.explanation,
            reference_rows=int(was.sum()),
            rows=int(now.sum()),
            statistics=_statistics(reference, feature, was, now, settings, refine),
            reference_shape=old_shape,
            shape=shape,
            shape_labels=labels,
            reference_mean=_mean(reference.tally, feature),
            mean=_mean(tally, feature),
            new_categories=new,
            notes=notes,
            dropped=dropped_values(feature, now, tally.rows),
            reference_dropped=dropped_values(feature, was, reference.rows),
            state=verdict.state,
            reason=verdict.reason,
        )
        found.append(_with_absence(compared, feature, reference, tally, column is None))
    return sorted((_with_causes(one, reference, tally) for one in found), key=_rank)


def _with_absence(
    compared: ComparedFeature, feature: FeatureBins, reference: Profile, tally: Tally, missing: bool
) -> ComparedFeature:
    """With the rows whose file lacks the column: as many missing values, which are an alarm where the check of quality
    that goes by them fails. A column that all files lack is certain, whatever the rows."""
    absent, never = tally.rows - compared.rows, reference.rows - compared.reference_rows
    if not absent and not never:
        return compared
    # Rare, and the database that quality reads takes its time to be imported.
    from store.monitor import quality

    checks = {share.check: share for share in quality.shares(reference, feature, tally.counts, tally.rows)}
    absence, missing_values = checks.get("absent"), checks.get("missing")
    shown = msgspec.structs.replace(
        compared, absent_share=absent / tally.rows, reference_absent_share=never / reference.rows
    )
    if missing:
        return _absent(shown, _MISSING, "critical")
    notes = [*compared.notes]
    if never:
        share = _percent(never, reference.rows)
        notes.append(f"absent in {share} of the reference's rows: not every file has the column")
    shown = msgspec.structs.replace(shown, notes=notes)
    if not absent:
        return shown
    text = f"absent in {_percent(absent, tally.rows)} of the rows: not every file has the column"
    if absence and missing_values and quality.fails(absence) and quality.fails(missing_values):
        above = (missing_values.value or 0.0) - (missing_values.reference or 0.0)
        return _absent(shown, text, "critical" if above > _MOST_ROWS else "warning")
    return msgspec.structs.replace(shown, notes=[*notes, text])


def _absent(compared: ComparedFeature, why: str, severity: Literal["warning", "critical"]) -> ComparedFeature:
    worse = "critical" if compared.severity == "critical" else severity
    return msgspec.structs.replace(compared, alarm=True, severity=worse, why=why, state="drifted", reason="absent")


def _percent(part: int, whole: int) -> str:
    """`50%`; never 0% of what there is, nor 100% of less than all."""
    share = 100 * part / whole
    return "under 0.1%" if share < 0.1 else f"{min(share, 99.9) if part < whole else share:.3g}%"


def _rank(feature: ComparedFeature) -> tuple[bool, bool, float, str]:
    """Alarms first, then by how far the value lies beyond its noise floor, in thresholds."""
    beyond = -math.inf
    if feature.value is not None:
        beyond = (abs(feature.value) - (feature.noise_floor or 0.0)) / (feature.threshold or 1.0)
    return (not feature.alarm, feature.absent_share < 1.0, -beyond, feature.feature)


def _type_notes(before: Column, after: Column) -> list[str]:
    if not (before.typed and after.typed) or before.type == after.type:
        return []
    return [f"was {before.type} in the reference, now {after.type}"]


def _refining(before: Tally, after: Tally) -> Refine:
    """What the moments of both sides say of a statistic."""

    def refine(_window: int, feature: str, name: str, value: float) -> float:
        known = before.moments.get(feature), after.moments.get(feature)
        return value if known[0] is None or known[1] is None else exact.refined(name, value, known[0], known[1])

    return refine


def _statistics(
    reference: Profile,
    feature: FeatureBins,
    was: Integers,
    now: Integers,
    settings: MonitorSettings,
    refine: Refine,
) -> list[StatisticValue]:
    groups = reference.groups[feature.name]
    found = []
    for name in statistics_for(feature):
        value = statistics.statistic(name, feature, groups, was, now)
        limit = thresholds(name, settings)[0] * float(scale(name, was, now[None, :])[0])
        better = None if value.value is None else refine(0, feature.name, name, value.value)
        found.append(StatisticValue(name, better, value.noise_floor, limit, value.p_value, None, value.why))
    return found


def _by_chance(reference: Profile, feature: FeatureBins, was: Integers, now: Integers) -> bool:
    """Whether windows of the reference's own distribution hold as many categories that it lacks."""
    found = statistics.statistic("new_categories", feature, reference.groups[feature.name], was, now)
    return found.value is not None and found.noise_floor is not None and found.value <= found.noise_floor


def _with_causes(compared: ComparedFeature, reference: Profile, tally: Tally) -> ComparedFeature:
    """An alarm with what changed, which is a note, too."""
    causes = _causes(reference, reference.by_name[compared.feature], tally) if compared.alarm else []
    if not causes:
        return compared
    return msgspec.structs.replace(compared, causes=causes, notes=[*compared.notes, "; ".join(causes)])


def _causes(reference: Profile, feature: FeatureBins, tally: Tally) -> list[str]:
    """What changed in a feature, in words, by all that was counted of it."""
    name = feature.name
    before, after = reference.tally.moments.get(name), tally.moments.get(name)
    new, known = tally.names.get(name, Names()), reference.tally.names.get(name, Names()).counts
    common = tally.common.get(name, Names()).counts
    found = statistics.causes(
        feature,
        reference.of(feature),
        tally.counts[feature.offset : feature.offset + feature.width],
        moments=None if before is None or after is None else (before, after),
        new=new.counts,
        new_total=new.distinct,
        rare={one: (known[one], count) for one, count in common.items() if one in known},
        rows=(reference.rows, tally.rows),
    )
    return [statistics.describe(cause) for cause in found]


def _mean(tally: Tally, feature: FeatureBins) -> float | None:
    moments = tally.moments.get(feature.name)
    return moments.mean + feature.origin if moments is not None and math.isfinite(moments.mean) else None


def _shapes(feature: FeatureBins, was: Integers, now: Integers) -> tuple[list[float], list[float], list[str]]:
    """Shares of both in the same few cells: a number's range in equal steps, or the reference's top categories."""
    if feature.kind == "categorical":
        labels = display_labels(feature)
        most = list(range(min(feature.bins, SHAPE_CELLS - 1)))
        merged = [_merged(counts, len(most), feature.null_slot) for counts in (was, now)]
        return merged[0], merged[1], [labels[place] for place in most] + ["(other)"]
    edges = np.asarray(feature.edges)
    inside = was[1 : feature.bins + 1]
    running = np.cumsum(inside) / max(1, int(inside.sum()))
    # A long tail would squeeze everything else into one cell.
    low = edges[int(np.searchsorted(running, 0.01))] if inside.sum() else edges[0]
    high = edges[min(int(np.searchsorted(running, 0.99)) + 1, feature.bins)]
    if not high > low:
        low, high = edges[0], edges[-1]
    cuts = np.linspace(low, high, SHAPE_CELLS - 1)
    first, last = placed(cuts[0], feature.origin), placed(cuts[-1], feature.origin)
    labels = [f"< {first}", *(f"{a:.4g} … {b:.4g}" for a, b in pairwise(cuts))]
    return _cells(edges, was, cuts), _cells(edges, now, cuts), [*labels, f"> {last}"]


def _merged(counts: Integers, kept: int, null_slot: int) -> list[float]:
    whole = max(1, int(counts.sum()))
    rest = int(counts[kept:null_slot].sum())
    return [float(count) / whole for count in [*counts[:kept].tolist(), rest]]


def _cells(edges: Floats, counts: Integers, cuts: Floats) -> list[float]:
    """Shares below, between and above `cuts`, with each bin's values spread evenly over it."""
    bins = len(edges) - 1
    whole = max(1, int(counts.sum()))
    running = np.concatenate([[0.0], np.cumsum(counts[: bins + 1])]).astype(np.float64)
    steps = np.maximum.accumulate(edges + np.arange(len(edges)) * 0.0)
    at = np.interp(cuts, steps, running[1:]) if edges[-1] > edges[0] else np.full(len(cuts), running[1])
    ends = np.concatenate([[0.0], at, [float(counts[: bins + 2].sum())]])
    shares: Floats = np.diff(ends) / whole
    return [float(share) for share in np.clip(shares, 0.0, 1.0)]
