"""Other monitors' defaults by name, on counts, so that a team that moves over sees the verdicts it knows."""

from __future__ import annotations

from store.monitor.presets.evidently import Evidently
from store.monitor.presets.judging import Judged, Judgement, Preset, PresetRow
from store.monitor.presets.nannyml import NannyML
from store.monitor.presets.sagemaker import SageMaker
from store.monitor.presets.verdicts import SEVERE, PresetVerdict, size, strength, verdicts
from store.monitor.presets.vertex import Vertex
from store.monitor.presets.whylogs import WhyLogs
from store.protocol import ExitCode, Refusal

__all__ = [
    "NAMES",
    "SEVERE",
    "Judged",
    "Judgement",
    "Preset",
    "PresetRow",
    "PresetVerdict",
    "named",
    "size",
    "strength",
    "verdicts",
]

_PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (Evidently(), NannyML(), SageMaker(), Vertex(), WhyLogs())
}
_ALSO = {"tfdv": "vertex"}
NAMES: tuple[str, ...] = tuple(_PRESETS)


def named(name: str) -> Preset:
    """The preset of that name. Raises `Refusal` (usage) that lists the names."""
    found = _PRESETS.get(_ALSO.get(name, name))
    if found is None:
        raise Refusal(ExitCode.USAGE, f"No preset {name[:40]!r}.", "One of: " + ", ".join(NAMES))
    return found
