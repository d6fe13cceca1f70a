"""What a release target is: the place that serves a model and reports what it serves.

A target knows nothing of the store. It is told an `Intent` and tells back an `Observation`. Applying the same
intent twice is the same as applying it once, and an apply that was killed at any point can be applied again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec


class Placement(msgspec.Struct, frozen=True):
    """One version of an intent: the digest its bits are kept under, and its model.json.

    `digest` is "" for a version that came without bits: a target that only needs its name can take it.
    """

    version: str
    weight: float
    digest: str
    manifest: bytes


class Intent(msgspec.Struct, frozen=True):
    """What a deployment is to serve from this revision on; no placements: nothing.

    `warning` is what is to be said once it is effective: that a version came without an artifact.
    """

    deployment: str
    model: str
    environment: str
    revision: int
    placements: tuple[Placement, ...]
    warning: str = ""


class Observation(msgspec.Struct, frozen=True):
    """What the target itself says, read back from it.

    `versions` is what it holds, `effective` what traffic gets, `revision` the number it carries (None when
    it carries none), `digests` those of the bits as they are now (only when they were verified), `message`
    what is odd about it.
    """

    versions: Mapping[str, float]
    effective: Mapping[str, float]
    revision: int | None
    digests: Mapping[str, str]
    message: str = ""


class TargetError(Exception):
    """The target could not do it; the message is for the operator."""


Step = Callable[[str], None]
"""Called with the name of each step as it begins. It may raise to stop the apply there."""


class Target(Protocol):
    """One kind of place that models are released to."""

    #: The last step at which an apply can still be given up without a trace for traffic.
    point_of_no_return: str

    def apply(self, intent: Intent, step: Step) -> None:
        """Bring the target to `intent`. Raises `TargetError` or OSError; traffic then gets what it got before."""
        ...

    def observe(self, deployment: str, verify: bool) -> Observation:
        """Read back what the target serves; `verify` computes the digests of the bits again. Raises OSError."""
        ...
