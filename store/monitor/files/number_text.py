"""Numbers as people and programs write them: decimal commas, thousands, percent signs, currencies."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from store.monitor.files.quoting import literal

_CURRENCY = "$€£¥₹₽₩"
#: Blanks that people group digits with: plain, no-break, thin and narrow no-break; and two apostrophes.
_GAPS = " \u00a0\u2009\u202f'’"
_BLANKS = " \u00a0\u202f"
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|CAD|AUD|NZD|BRL|MXN|ZAR|SGD|HKD|KRW|TRY|RUB|kr|zł|Kč"
_PREFIX = f"(?:[{_CURRENCY}]|{_CODES})[{_BLANKS}]?"
_SUFFIX = f"[{_BLANKS}]?(?:[{_CURRENCY}]|{_CODES})"

Decimal = Literal[".", ","]


class NumberForm(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the text of a column writes numbers. Digits may be grouped in threes by blanks, apostrophes or whichever of
    `.` and `,` is not the decimal mark; `percent`: 12 % is 0.12; `currency`: a sign or code of money stands beside."""

    decimal: Decimal = "."
    grouped: bool = False
    percent: bool = False
    currency: bool = False

    @property
    def plain(self) -> bool:
        """Whether a cast reads it."""
        return self == NumberForm()

    def describe(self) -> str:
        """What was recognised, for people; "" for plain numbers."""
        parts = ["decimal commas"] if self.decimal == "," else []
        parts += ["thousands separators"] if self.grouped else []
        parts += ["percent signs (12% is 0.12)"] if self.percent else []
        parts += ["currency signs"] if self.currency else []
        return "numbers with " + " and ".join(parts) if parts else ""


PLAIN = NumberForm()

_PLAIN_RE = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_WHOLE_RE = re.compile(r"[+-]?\d+")
_GROUPS = {
    ".": re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:[,{_GAPS}]\d{{3}})+(?:\.\d*)?"),
    ",": re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:[.{_GAPS}]\d{{3}})+(?:,\d*)?"),
}
_COMMA_RE = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?")
#: One comma before three digits: thousands here, a decimal mark there.
_ONE_COMMA_RE = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_ONE_DOT_RE = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_LEADING_ZERO_RE = re.compile(r"[+-]?0\d+")
_AFFIX_RE = re.compile(rf"([+-]?)(?:{_PREFIX})?([+-]?)(.*?)(?:{_SUFFIX})?")


@dataclasses.dataclass
class NumberEvidence:
    """How often the text of a column (tokens with their rows, without null words) looks like which kind of number."""

    rows: int = 0
    whole: int = 0
    """Digits alone: the same in every form."""
    dots: int = 0
    """With a decimal point that is no thousands separator."""
    one_dot: int = 0
    commas: int = 0
    """With a comma that can only be a decimal mark."""
    one_comma: int = 0
    dot_groups: int = 0
    """Grouped by dots or blanks beside a decimal comma, or by several dots."""
    comma_groups: int = 0
    gap_groups: int = 0
    percent: int = 0
    currency: int = 0
    leading_zeros: int = 0
    widths: set[int] = dataclasses.field(default_factory=set)
    """Lengths of the digits-only tokens."""
    neither: int = 0
    words: int = 0
    """Distinct tokens that are no numbers."""

    @classmethod
    def of(cls, tokens: Iterable[tuple[str, int]]) -> NumberEvidence:
        evidence = cls()
        for token, rows in tokens:
            evidence.add(token.strip(), rows)
        return evidence

    def add(self, token: str, rows: int) -> None:
        if not token:
            return
        self.rows += rows
        body, percent, currency = _without_affixes(token)
        if not self._add_body(body, rows):
            self.neither += rows
            self.words += 1
            return
        self.percent += rows * percent
        self.currency += rows * currency

    def _add_body(self, body: str, rows: int) -> bool:
        if _WHOLE_RE.fullmatch(body):
            self.whole += rows
            self.widths.add(len(body))
            self.leading_zeros += rows * bool(_LEADING_ZERO_RE.fullmatch(body))
        elif _ONE_DOT_RE.fullmatch(body):
            self.one_dot += rows
        elif _PLAIN_RE.fullmatch(body):
            self.dots += rows
        elif _ONE_COMMA_RE.fullmatch(body):
            self.one_comma += rows
        elif _GROUPS["."].fullmatch(body) and "," in body:
            self.comma_groups += rows
        elif _GROUPS[","].fullmatch(body) and ("." in body or "," in body):
            self.dot_groups += rows
        elif _GROUPS["."].fullmatch(body):
            self.gap_groups += rows
        elif _COMMA_RE.fullmatch(body):
            self.commas += rows
        else:
            return False
        return True

    def form(self, comma_likely: bool = False) -> tuple[NumberForm, float]:
        """(the form that reads most of the rows, the share of the rows that it reads).

        `comma_likely`: a single comma before three digits is a decimal mark where nothing speaks against it, as in
        files whose fields are separated by semicolons.
        """
        if not self.rows:
            return PLAIN, 0.0
        only_comma, only_dot = self.commas + self.dot_groups, self.dots + self.comma_groups
        comma = only_comma > only_dot or (not only_comma and not only_dot and comma_likely and self.one_comma > 0)
        if comma:
            decimal: Decimal = ","
            grouped = self.one_dot + self.dot_groups + self.gap_groups
            readable = self.whole + self.commas + self.one_comma + grouped
        else:
            decimal = "."
            grouped = self.one_comma + self.comma_groups + self.gap_groups
            readable = self.whole + self.dots + self.one_dot + grouped
        form = NumberForm(decimal, grouped > 0, 2 * self.percent > readable, self.currency > 0)
        return form, readable / self.rows

    @property
    def coded(self) -> bool:
        """Whether its digits are codes, such as postal codes: leading zeros are part of the value."""
        if not self.leading_zeros or self.whole < (self.rows - self.neither) * 0.95:
            return False
        return len(self.widths) == 1 or self.leading_zeros >= 0.01 * self.rows


def _without_affixes(token: str) -> tuple[str, bool, bool]:
    """(the number without percent and currency signs and the brackets of accountants, percent?, currency?)."""
    if token[0].isdigit() and token[-1].isdigit():
        return token, False, False
    negative = token.startswith("(") and token.endswith(")")
    body = token[1:-1].strip() if negative else token
    percent = body.endswith("%")
    if percent:
        body = body[:-1].rstrip(_BLANKS)
    match = _AFFIX_RE.fullmatch(body)
    plain = f"{match[1]}{match[2]}{match[3]}" if match else body
    currency = len(plain) < len(body)
    return ("-" + plain if negative else plain), percent, currency


def number_text_sql(text: str, form: NumberForm) -> str:
    """SQL: the trimmed text as DOUBLE, NULL where it is no number of this form."""
    if form.plain:
        return f"TRY_CAST({text} AS DOUBLE)"
    body = text
    if form.percent:
        body = f"rtrim({body}, {literal('%' + _BLANKS)})"
    if form.currency:
        body = f"regexp_replace({body}, '^\\((.*)\\)$', '-\\1')"
        body = f"regexp_replace({body}, {literal('^([+-]?)' + _PREFIX)}, '\\1')"
        body = f"regexp_replace({body}, {literal(_SUFFIX + '$')}, '')"
    mark, other = (",", ".") if form.decimal == "," else (".", ",")
    cases = ""
    if form.grouped:
        grouped = f"[+-]?[1-9][0-9]{{0,2}}([{other}{_GAPS}][0-9]{{3}})+([{mark}][0-9]*)?"
        digits = f"regexp_replace({body}, {literal(f'[{other}{_GAPS}]')}, '', 'g')"
        cases += f" WHEN regexp_full_match({body}, {literal(grouped)}) THEN replace({digits}, ',', '.')"
    if mark == ",":
        # A point that separates no thousands has no meaning beside decimal commas.
        cases += f" WHEN contains({body}, '.') THEN NULL"
    plain = f"replace({body}, ',', '.')" if mark == "," else body
    value = f"TRY_CAST({f'CASE{cases} ELSE {plain} END' if cases else plain} AS DOUBLE)"
    if form.percent:
        return f"(CASE WHEN ends_with({text}, '%') THEN {value} / 100 ELSE {value} END)"
    return value
