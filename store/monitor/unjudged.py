"""What is not judged of a window: features that there is no reference for, and how many for which reason."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import duckdb

from store.monitor.bins import FeatureBins
from store.monitor.profile import Binned
from store.monitor.reference import Reference, manifest_of
from store.monitor.statistics import FeatureVerdict
from store.monitor.statistics.verdicts import Reason
from store.protocol import not_judged_text, reason_words


@dataclasses.dataclass(frozen=True)
class Judging:
    """How many features there are, and how many of them were not judged, by the code of the reason.

    Of a version of which no feature is known (no reference, none declared) nothing is judged: `features` is 0.
    """

    features: int = 0
    reasons: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, verdicts: Iterable[FeatureVerdict]) -> Judging:
        # What a statistic is not for is judged by another one.
        every = [one for one in verdicts if one.reason != "not_for_kind"]
        return cls(len(every), dict(Counter(one.reason for one in every if one.state == "not judged")))

    @property
    def unjudged(self) -> int:
        return sum(self.reasons.values())

    @property
    def judged(self) -> int:
        return self.features - self.unjudged

    @property
    def why_nothing(self) -> str:
        """In words, the most frequent reason where nothing at all was judged; "" where anything was."""
        if self.judged:
            return ""
        ranked = sorted(self.reasons, key=lambda reason: (-self.reasons[reason], reason))
        return reason_words(ranked[0] if ranked else "no_reference")

    def describe(self) -> str:
        """`7 of 25 features not judged: 5 too few rows, 2 no reference`; "" where all were."""
        if not self.features:
            return f"not judged: {self.why_nothing}"
        return not_judged_text(self.reasons, self.features)


def not_judged(feature: str, statistic: str, threshold: float, rows: int, reason: Reason) -> FeatureVerdict:
    """The verdict on a feature that nothing was computed of."""
    return FeatureVerdict(
        feature=feature,
        statistic=statistic,
        value=None,
        noise_floor=None,
        threshold=threshold,
        p_value=None,
        q_value=None,
        alarm=False,
        guarantee="",
        rows=rows,
        reason=reason,
    )


def absent_or(verdict: FeatureVerdict) -> FeatureVerdict:
    """The verdict; of a feature without a single row in a window that has some, that its column was absent."""
    if verdict.reason != "no_values" or verdict.rows:
        return verdict
    return dataclasses.replace(verdict, reason="absent", why="no file of the window has this column")


def without_reference(
    connection: duckdb.DuckDBPyConnection, model: str, version: str, reference: Reference | None
) -> Sequence[str]:
    """The declared features of a version that there is nothing to hold against: its reference lacks them."""
    declared = manifest_of(connection, model, version).features
    binned = reference.by_name if reference is not None else {}
    return [name for name in declared if name not in binned]


def is_unused(feature: FeatureBins, reference: Binned, rows: int) -> bool:
    """Whether it is the place of scores that neither the reference nor the `rows` of a window have: no feature."""
    return feature.kind == "score" and not rows and not reference.of(feature).any()
