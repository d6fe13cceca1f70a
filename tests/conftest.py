"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# Speed is measured by benchmarks: a loaded machine must not fail a property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
