"""The one place that decides which glyphs this terminal can show: Unicode ones, or plain ASCII.

Colour is never the only signal: whatever has a colour also has a glyph or a word from here, so the console
stays readable under NO_COLOR, in 16 colours and in an ASCII locale.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Health = Literal["ok", "warning", "critical", "unknown", "busy", "unjudged"]

#: What each health level is called on screen; the word is shown next to its glyph.
HEALTH_WORDS: Mapping[str, Health] = {
    "ok": "ok",
    "good": "ok",
    "healthy": "ok",
    "steady": "ok",
    "done": "ok",
    "effective": "ok",
    "finished": "ok",
    "closed": "ok",
    "resolved": "ok",
    "warn": "warning",
    "warning": "warning",
    "degraded": "warning",
    "drift": "warning",
    "drifted": "warning",
    "muted": "warning",
    "silent": "warning",
    "acknowledged": "warning",
    "alarm": "critical",
    "critical": "critical",
    "failed": "critical",
    "error": "critical",
    "open": "critical",
    "aborted": "critical",
    "running": "busy",
    "requested": "busy",
    "applying": "busy",
    "pending": "busy",
    "waiting": "busy",
    # "not judged: no reference"
    "not": "unjudged",
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of glyphs, each exactly one cell wide."""

    ascii: bool
    ok: str
    warning: str
    critical: str
    unknown: str
    busy: str
    #: a feature, a cell of the heat map or a deployment of which nothing can be said
    unjudged: str
    cursor: str
    mark: str
    up: str
    down: str
    left: str
    right: str
    arrow: str
    ellipsis: str
    null: str
    paused: str
    separator: str
    horizontal: str
    vertical: str
    full: str
    half: str
    reference: str
    replacement: str
    #: a point of a line that is drawn point by point; the dash of a line that is drawn dashed
    dot: str
    dash: str
    times: str
    #: eight levels, low to high
    spark: str
    #: below the noise floor, ok, warning, alarm, many times the alarm
    shades: tuple[str, str, str, str, str]
    #: a heat-map cell without data
    no_data: str
    #: the heat-map cell under the cursor
    here: str
    #: the border type for Textual's `border` style
    border: Literal["round", "ascii"]

    def health(self, level: Health) -> str:
        """The glyph of a health level."""
        return {
            "ok": self.ok,
            "warning": self.warning,
            "critical": self.critical,
            "unknown": self.unknown,
            "busy": self.busy,
            "unjudged": self.unjudged,
        }[level]


UNICODE = Glyphs(
    ascii=False,
    ok="●",
    warning="▲",
    critical="■",
    unknown="○",
    busy="◌",
    unjudged="?",
    cursor="▸",
    mark="✓",
    up="↑",
    down="↓",
    left="‹",
    right="›",
    arrow="→",
    ellipsis="…",
    null="–",
    paused="‖",
    separator="·",
    horizontal="─",
    vertical="│",
    full="█",
    half="▌",
    reference="░",
    replacement="\ufffd",
    dot="◦",
    dash="╌",
    times="×",
    spark="▁▂▃▄▅▆▇█",
    shades=("·", "░", "▒", "▓", "█"),
    no_data="-",
    here="◆",
    border="round",
)

ASCII = Glyphs(
    ascii=True,
    ok="+",
    warning="!",
    critical="X",
    unknown="-",
    busy="o",
    unjudged="?",
    cursor=">",
    mark="*",
    up="^",
    down="v",
    left="<",
    right=">",
    arrow=">",
    ellipsis="~",
    null="-",
    paused="=",
    separator=".",
    horizontal="-",
    vertical="|",
    full="#",
    half="=",
    reference=":",
    replacement="?",
    dot="o",
    dash="-",
    times="x",
    spark="_.,-~+*#",
    shades=(".", ":", "o", "%", "#"),
    no_data="-",
    here="@",
    border="ascii",
)

#: Terminals whose font has neither block elements nor geometric shapes.
_PLAIN_TERMINALS = frozenset({"linux", "dumb", "vt100", "vt102", "vt220", "ansi", "cons25"})

_current: Glyphs | None = None


def choose(environment: Mapping[str, str] | None = None) -> Glyphs:
    """The glyphs that fit an environment.

    QUARTERDECK_ASCII (1 or 0) decides when set. Otherwise the locale does, as the C library reads it: the
    first of LC_ALL, LC_CTYPE and LANG that is set; UTF-8 means Unicode, any other (also `C`) means ASCII.
    With none of the three set the terminal is taken to be a modern one, unless TERM says otherwise.
    """
    env = os.environ if environment is None else environment
    forced = env.get("QUARTERDECK_ASCII", "").strip().lower()
    if forced:
        return UNICODE if forced in {"0", "no", "false", "off"} else ASCII
    if env.get("TERM", "").lower() in _PLAIN_TERMINALS:
        return ASCII
    locale = next((env[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if env.get(name)), None)
    if locale is None:
        return UNICODE
    return UNICODE if "utf8" in locale.lower().replace("-", "") else ASCII


def glyphs() -> Glyphs:
    """The glyphs of this process, decided once."""
    global _current
    if _current is None:
        _current = choose()
    return _current


def use(chosen: Glyphs | None) -> None:
    """Fix the glyphs of this process (a setting, a test), or with None decide again at the next call."""
    global _current
    _current = chosen


def health_level(value: object) -> Health:
    """The level of a health word such as `ok`, `degraded` or `critical: psi`; unknown words are `unknown`."""
    word = str(value or "").split(":", 1)[0].split(" ", 1)[0].lower()
    return HEALTH_WORDS.get(word, "unknown")
