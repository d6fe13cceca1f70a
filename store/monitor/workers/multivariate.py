"""A worker: can a classifier tell the current rows from the reference's, and do they still hang together as those did?

The domain classifier's AUC (Lopez-Paz & Oquab 2017; out-of-fold, gradient boosting) sees changes of several features
together that no single one shows; PCA reconstruction error (as NannyML's) sees broken correlations. Run as
`python -m store.monitor.workers.multivariate`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from store.monitor.bins import Floats
from store.monitor.workers import rows, serving
from store.monitor.workers.messages import Compared, Comparison, Weight
from store.monitor.workers.rows import Rows

if TYPE_CHECKING:
    from store.monitor.workers.serving import Progress

#: Rows that each side must have.
MIN_ROWS = 50
FOLDS = 4
#: Features whose weight is worked out; of more, those that differ most by themselves.
MAX_WEIGHED = 60
SHOWN = 20
#: Share of the reference's variance that the principal components keep (NannyML's default).
EXPLAINED = 0.65
#: One-sided 99 %, two-sided 99 %.
_ABOVE, _AROUND = 2.326, 2.576


def compare(asked: Compared, progress: Progress) -> Comparison:
    """Both measures over samples of `asked.limit` rows a side."""
    connection = rows.connect()
    progress("reading the reference", 0, FOLDS + 3)
    reference, notes = rows.sample(
        connection, [asked.reference], asked.manifest, asked.features, asked.limit, asked.seed
    )
    progress("reading predictions", 1, FOLDS + 3)
    current, more = rows.sample(
        connection, asked.files, asked.manifest, asked.features, asked.limit, asked.seed,
        version=asked.version, only_version=asked.only_version, since=asked.since, until=asked.until,
    )  # fmt: skip
    connection.close()
    notes += more
    kinds = {name: kind for name, kind in asked.features.items() if _varies(reference, current, name)}
    why = ""
    if not kinds:
        why = "no feature varies"
    for side, part in (("the reference", reference), ("predictions", current)):
        if part.size < MIN_ROWS:
            why = f"{side}: {part.size} rows, at least {MIN_ROWS} are needed"
    if why:
        return Comparison(reference.size, current.size, None, None, [], None, None, None, None, 0, [], notes, why, why)
    auc, noise, telling = _domain(kinds, reference, current, asked.seed, progress)
    progress("reconstruction", FOLDS + 2, FOLDS + 3)
    pca = _reconstruction(kinds, reference, current, asked.seed)
    return Comparison(reference.size, current.size, auc, noise, telling, *pca[:5], pca[5], notes, "", pca[6])


def _varies(reference: Rows, current: Rows, name: str) -> bool:
    both = np.concatenate([reference.columns[name], current.columns[name]])
    if both.dtype == object:
        return len(set(both.tolist())) > 1
    known = both[~np.isnan(both)]
    return len(known) > 0 and (len(known) < len(both) or bool(known.min() < known.max()))


def _domain(
    kinds: dict[str, str], reference: Rows, current: Rows, seed: int, progress: Progress
) -> tuple[float, float, list[Weight]]:
    """(AUC, what it stays below in 99 of 100 comparisons of equal distributions, what each feature adds to it)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    (before, now), categorical = rows.coded(kinds, reference, current)
    features, side = np.concatenate([before, now]), np.repeat([0, 1], [len(before), len(now)])
    weighed = _most_different(before, now)
    found = np.zeros(len(side))
    shuffled = np.zeros((len(weighed), len(side)))
    generator = np.random.default_rng(seed)
    for fold, (train, test) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, side)):
        progress("domain classifier", 2 + fold, FOLDS + 3)
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0,
            categorical_features=categorical, random_state=seed,
        )  # fmt: skip
        model.fit(features[train], side[train])
        found[test] = model.predict_proba(features[test])[:, 1]
        for place, at in enumerate(weighed):
            part = features[test].copy()
            part[:, at] = generator.permutation(part[:, at])
            shuffled[place, test] = model.predict_proba(part)[:, 1]
    auc = float(roc_auc_score(side, found))
    # Mann-Whitney's U of equal distributions.
    noise = 0.5 + _ABOVE * math.sqrt((len(side) + 1) / (12 * len(before) * len(now)))
    names = list(kinds)
    weights = [
        (auc - float(roc_auc_score(side, column)), names[at]) for at, column in zip(weighed, shuffled, strict=True)
    ]
    telling = sorted((pair for pair in weights if pair[0] > 0), key=lambda pair: (-pair[0], pair[1]))
    return (
        auc,
        noise,
        [Weight(name, weight, change(kinds[name], reference, current, name)) for weight, name in telling[:SHOWN]],
    )


def _most_different(before: Floats, now: Floats) -> list[int]:
    """The columns to weigh: all, or the MAX_WEIGHED whose distribution functions lie farthest apart."""
    width = before.shape[1]
    if width <= MAX_WEIGHED:
        return list(range(width))
    apart = []
    for at in range(width):
        sides = [np.sort(np.nan_to_num(part[:, at], nan=1e300)) for part in (before, now)]
        points = np.concatenate(sides)
        shares = [np.searchsorted(values, points, side="right") / len(values) for values in sides]
        apart.append(float(np.abs(shares[0] - shares[1]).max()))
    return sorted(np.argsort(apart)[::-1][:MAX_WEIGHED].tolist())


def change(kind: str, reference: Rows, current: Rows, name: str) -> str:
    """How a feature moved, in words: the median, the share of the category that changed most, or what is missing."""
    before, now = reference.columns[name], current.columns[name]
    if kind == "numeric":
        lost = [float(np.isnan(part).mean()) for part in (before, now)]
        if abs(lost[1] - lost[0]) > 0.05 or 1.0 in lost:
            return f"missing {lost[0]:.1%} → {lost[1]:.1%}"
        return f"median {np.nanmedian(before):.4g} → {np.nanmedian(now):.4g}"
    counts: list[dict[Any, float]] = []
    for part in (before, now):
        values, found = np.unique(np.array(["(null)" if v is None else str(v) for v in part]), return_counts=True)
        counts.append(dict(zip(values.tolist(), (found / len(part)).tolist(), strict=True)))
    most = max(counts[0].keys() | counts[1].keys(), key=lambda v: (abs(counts[1].get(v, 0) - counts[0].get(v, 0)), v))
    return f"{most} {counts[0].get(most, 0.0):.1%} → {counts[1].get(most, 0.0):.1%}"


def _reconstruction(
    kinds: dict[str, str], reference: Rows, current: Rows, seed: int
) -> tuple[float | None, float | None, float | None, float | None, int, list[Weight], str]:
    """(error now, error on the reference, lower and upper end of its 99 % band, components, by feature, why)."""
    from sklearn.decomposition import PCA

    if len(kinds) < 2:
        return None, None, None, None, 0, [], "one feature has nothing to hang together with"
    before, now = _scaled(kinds, reference, current)
    order = np.random.default_rng(seed).permutation(len(before))
    learn, held = before[order[: len(before) // 2]], before[order[len(before) // 2 :]]
    model = PCA(n_components=EXPLAINED, svd_solver="full").fit(learn)

    def squares(part: Floats) -> Floats:
        squared: Floats = (part - model.inverse_transform(model.transform(part))) ** 2
        return squared

    usual, found = squares(held), squares(now)
    errors, here = np.sqrt(usual.sum(axis=1)), np.sqrt(found.sum(axis=1))
    mean = float(errors.mean())
    off = _AROUND * float(errors.std()) * math.sqrt(1 / len(errors) + 1 / len(here))
    rise = found.mean(axis=0) - usual.mean(axis=0)
    names = list(kinds)
    most = sorted(((float(rise[at]), name) for at, name in enumerate(names)), key=lambda pair: (-abs(pair[0]), pair[1]))
    weights = [Weight(name, value, change(kinds[name], reference, current, name)) for value, name in most[:SHOWN]]
    return float(here.mean()), mean, mean - off, mean + off, int(model.n_components_), weights, ""


def _scaled(kinds: dict[str, str], reference: Rows, current: Rows) -> tuple[Floats, Floats]:
    """Numbers with the reference's median for what is missing, categories by their share in the reference; both with
    mean 0 and standard deviation 1 on the reference."""
    columns: list[list[Floats]] = [[], []]
    for name, kind in kinds.items():
        sides = [reference.columns[name], current.columns[name]]
        if kind == "numeric":
            known = sides[0][~np.isnan(sides[0])]
            middle = float(np.median(known)) if len(known) else 0.0
            parts = [np.where(np.isnan(side), middle, side) for side in sides]
        else:
            texts = [np.array(["" if value is None else str(value) for value in side]) for side in sides]
            values, counts = np.unique(texts[0], return_counts=True)
            share = dict(zip(values.tolist(), (counts / len(texts[0])).tolist(), strict=True))
            parts = [np.array([share.get(value, 0.0) for value in side]) for side in texts]
        mean, spread = float(parts[0].mean()), float(parts[0].std()) or 1.0
        for side, part in zip(columns, parts, strict=True):
            side.append((part - mean) / spread)
    return np.stack(columns[0], axis=1), np.stack(columns[1], axis=1)


if __name__ == "__main__":
    serving.serve(Compared, compare)
