"""What `benchmarks.drift_files` runs in the peers' own environments: `drift_peers.py PEER REFERENCE CURRENT`."""

from __future__ import annotations

import os
import sys
from typing import Any


def by_numpy(reference: str, current: str) -> dict[str, float]:
    """PSI by hand as one writes it: deciles of the reference, shares, the sum."""
    import numpy as np
    import pandas as pd

    before, after = pd.read_parquet(reference), pd.read_parquet(current)
    found: dict[str, float] = {}
    for name in before.columns:
        if pd.api.types.is_numeric_dtype(before[name]):
            x, y = before[name].to_numpy(), after[name].to_numpy()
            edges = np.unique(np.nanquantile(x, np.linspace(0, 1, 11)))
            edges[0], edges[-1] = -np.inf, np.inf
            p = np.histogram(x[~np.isnan(x)], edges)[0].astype(float)
            q = np.histogram(y[~np.isnan(y)], edges)[0].astype(float)
        else:
            counts = before[name].value_counts()
            p = counts.to_numpy(dtype=float)
            q = after[name].value_counts().reindex(counts.index, fill_value=0).to_numpy(dtype=float)
        p, q = np.maximum(p / p.sum(), 1e-4), np.maximum(q / q.sum(), 1e-4)
        found[name] = float(((q - p) * np.log(q / p)).sum())
    return found


def by_evidently(reference: str, current: str) -> Any:
    """Evidently's DataDriftPreset with its defaults."""
    import pandas as pd
    from evidently import Report  # type: ignore[import-not-found, unused-ignore]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found, unused-ignore]

    return Report([DataDriftPreset()]).run(pd.read_parquet(current), pd.read_parquet(reference)).dict()


def by_nannyml(reference: str, current: str) -> Any:
    """NannyML's univariate calculator with its defaults."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    import nannyml  # type: ignore[import-not-found, unused-ignore]
    import pandas as pd

    before, after = pd.read_parquet(reference), pd.read_parquet(current)
    calculator = nannyml.UnivariateDriftCalculator(column_names=list(before.columns))
    return calculator.fit(before).calculate(after).to_df()


if __name__ == "__main__":
    print({"numpy": by_numpy, "evidently": by_evidently, "nannyml": by_nannyml}[sys.argv[1]](*sys.argv[2:4]))
