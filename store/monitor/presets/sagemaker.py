"""Amazon SageMaker Model Monitor's data quality checks with the constraints it suggests, from counts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from store.monitor.bins import FeatureBins, Floats, Integers
from store.monitor.presets.judging import Judged, Preset, judged, present, values_of
from store.monitor.statistics import ordered, shares

#: comparison_threshold and categorical_comparison_threshold.
THRESHOLD = 0.1
#: linf_robust = max(0, linf_simple − 1.8 √((n + m) / nm)) (deequ's `Distance.selectMetrics`).
ROBUST = 1.8
#: A text column is held to the values of its baseline when at most this share of those are distinct (deequ's
#: `CategoricalRangeRule` for the suggestion; domain_content_threshold is 1.0).
SMALL_DOMAIN = 0.1


class SageMaker(Preset):
    """The checks of a suggested constraints.json, of which any that fails is a violation:

    - `baseline_drift_check`: `linf_robust`, the largest distance of the distribution functions (numbers) or of a
      category's share (texts), less 1.8 √((n + m) / nm), above 0.1; missing values left out.
    - `completeness_check`: fewer values present than in the baseline.
    - `data_type_check` (datatype_check_threshold 1.0): any value of a numeric column that is no number.
    - `categorical_values_check` (domain_content_threshold 1.0): any value that the baseline lacks, in columns of few
      distinct texts.
    - `non_negative`: any value below zero where the baseline begins at zero.
    - `missing_column_check`: a column of the baseline that the window lacks.

    A window has drifted when there is any violation (an execution `CompletedWithViolations`).
    """

    name: ClassVar[str] = "sagemaker"
    title: ClassVar[str] = "Amazon SageMaker Model Monitor, data quality"
    differences: ClassVar[tuple[str, ...]] = (
        "datatype_check_threshold and domain_content_threshold are 1.0, as in the schema's first documentation and in "
        "generated files; the documentation's table of today says 0.1. The default method is taken to be Robust, with "
        "the formula of deequ, as which of the two is suggested is not published beyond examples.",
        "Distribution functions are compared at the edges of 128 quantile bins, not on KLL sketches: up to 1/128 too "
        "small, without the sketch's own error.",
        "Negative values are known of only where the baseline's least value is zero.",
        "A column that is empty in a window counts as missing; extra_column_check is not made, as counts know of no "
        "columns but the reference's.",
        "Which text columns get a list of allowed values is not published: here those with at most a tenth of their "
        "values distinct and at most 200 of them.",
    )

    def feature(
        self, feature: FeatureBins, reference: Integers, current: Integers, _chunks: Integers | None
    ) -> list[Judged]:
        rows = values_of(feature, reference)
        before, after = present(feature, reference)[None, :], present(feature, current)
        simple = shares.linf(before, after) if feature.kind == "categorical" else ordered.ks(before, after)
        held = after.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.maximum(0.0, simple - ROBUST * np.sqrt((rows + held) / (rows * held)))
        return [
            judged(feature.name, "linf_robust", values, THRESHOLD, values > THRESHOLD),
            *self._checks(feature, reference, current, float(rows), held),
        ]

    def _checks(
        self, feature: FeatureBins, reference: Integers, current: Integers, rows: float, held: Floats
    ) -> list[Judged]:
        def check(name: str, values: Floats, threshold: float) -> Judged:
            return judged(feature.name, name, values, threshold, values < threshold, check=True)

        total = current.sum(axis=1).astype(np.float64)
        # A column with rows but no value is incomplete; one without rows is missing.
        found = [judged(feature.name, "missing_column", (total > 0).astype(np.float64), 1.0, total == 0, check=True)]
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(check("completeness", held / total, rows / float(reference.sum())))
            if feature.kind == "categorical":
                distinct = int((reference[: feature.bins] > 0).sum())
                if not reference[feature.bins] and distinct <= SMALL_DOMAIN * rows:
                    found.append(check("known_values", 1.0 - current[:, feature.bins] / held, 1.0))
            else:
                invalid = current[:, -1]
                found.append(check("data_type", 1.0 - invalid / (held + invalid), 1.0))
                if feature.edges[0] == 0:
                    found.append(check("non_negative", 1.0 - current[:, 0] / held, 1.0))
        return found
