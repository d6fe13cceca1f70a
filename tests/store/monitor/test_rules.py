"""Alert rules: what holds with no configuration, what a configuration may say, and what it is told when wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from store.monitor.course import Course, Move, decode
from store.monitor.rules import Rule, compiled
from store.protocol import ExitCode, Refusal
from store.settings import FILE_NAME, TEMPLATE, AlertSettings, MonitorSettings, RuleSettings, load, rule_from_text


def written(folder: Path, text: str) -> AlertSettings:
    (folder / FILE_NAME).write_text(text)
    return load(folder).alerts


def one(text: str) -> Rule:
    return compiled(MonitorSettings(), AlertSettings(defaults=False, rule=[rule_from_text(text)]))[0]


def test_four_rules_need_no_configuration() -> None:
    rules = compiled(MonitorSettings(), AlertSettings())
    assert [rule.name for rule in rules] == ["drift", "performance", "missing", "volume"]


def test_a_rule_of_the_same_name_takes_the_place_of_a_default_one() -> None:
    alerts = AlertSettings(rule=[RuleSettings(name="drift", statistic="js", threshold=0.3)])
    rules = compiled(MonitorSettings(), alerts)
    assert [(rule.name, rule.statistic) for rule in rules][:1] == [("drift", "js")]
    assert len(rules) == 4


def test_the_defaults_can_be_left_out() -> None:
    assert compiled(MonitorSettings(), AlertSettings(defaults=False)) == []


def test_a_rule_in_full(tmp_path: Path) -> None:
    text = """
    [[alerts.rule]]
    name = "weather"
    statistic = "js"
    feature = "temp*"
    deployment = "*@production"
    window = "1d"
    span = 2
    threshold = 0.2
    for = 2
    of = 3
    close_after = 4
    min_rows = 50
    guarantee = "sequential"
    severity = "critical"
    route = "oncall"
    [alerts.route.oncall]
    urls = ["json://127.0.0.1"]
    """
    rule = compiled(MonitorSettings(), written(tmp_path, text))[-1]
    assert (rule.for_windows, rule.of_windows, rule.close_after, rule.span) == (2, 3, 4, 2)
    assert (rule.routes, rule.severity, rule.guarantee) == (("oncall",), "critical", "sequential")
    assert rule.watches("m@production")
    assert not rule.watches("m@staging")
    assert rule.looks_at("temperature_f")
    assert not rule.looks_at("humidity_pct")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "a"\nstatistic = "psi"\nthresold = 1', "unknown field `thresold` - at `$.alerts.rule[0]`"),
        ('name = "a"', "needs either a statistic or a metric"),
        ('name = "a"\nstatistic = "psi"\nmetric = "auc"', "needs either a statistic or a metric"),
        ('name = "a"\nstatistic = "psi"\nthreshold = "high"', "threshold is 'high'"),
        ('name = "a"\nstatistic = "psi"\nfor = 4\nof = 3', "for is 4, more than of, which is 3"),
        ('name = "a"\nstatistic = "psi"\nspan = 0', "span is 0; expected 1 or more"),
        ('name = "a"\nstatistic = "psi"\nroute = "x"', "there is no [alerts.route.x]"),
        ('name = "a"\nmetric = "staleness"', 'needs a threshold such as "2h"'),
        ('name = "a"\nmetric = "staleness"\nthreshold = "soon"', "'soon' is no duration"),
        ('name = "a"\nstatistic = "psi"\nlearn = {last = "7d"}', 'its threshold is not "learnt"'),
        ('name = "a"\nstatistic = "psi"\nthreshold = "learnt"\nlearn = {quantile = 2}', "quantile is 2"),
        ('name = "a b"\nstatistic = "psi"', "name is 'a b'"),
        ('name = "a"\nmetric = "auc"\nthreshold = 0.7\nchange = 0.1', "both a threshold and a change"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        written(tmp_path, f"[[alerts.rule]]\n{text}")
    assert said in refused.value.message
    assert refused.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"statistic": "psy"}, "Alert rule a: statistic is 'psy'."),
        ({"metric": "acu"}, "Alert rule a: metric is 'acu'."),
        ({"statistic": "psi", "window": "7s"}, "Alert rule a: window: No window '7s'."),
        ({"statistic": "psi", "change": 0.1}, "Alert rule a: change is for metrics."),
        ({"metric": "main", "threshold": 0.7}, "Alert rule a: main stands for several metrics"),
        ({"metric": "auc", "guarantee": "sequential"}, "Alert rule a: guarantee is for statistics."),
        ({"metric": "null_share", "guarantee": "sequential"}, "Alert rule a: guarantee is for statistics."),
        ({"statistic": "psi", "window": "1h", "threshold": "learnt", "learn": {"last": "365d"}}, "8,760 windows of 1h"),
    ],
)
def test_what_cannot_be_is_told_with_the_rule(rule: dict[str, object], said: str) -> None:
    settings = msgspec.convert({"name": "a", **rule}, RuleSettings)
    with pytest.raises(Refusal) as refused:
        compiled(MonitorSettings(), AlertSettings(rule=[settings]))
    assert said in refused.value.message


def test_a_check_of_quality_is_a_share_above_the_references() -> None:
    rule = one('{metric = "null_share", feature = "t*", for = 1, span = 1}')
    assert (rule.kind, rule.said()) == (
        "quality",
        "null_share of t* worse than on the reference in 1 of 1 windows (1d)",
    )
    assert one('{metric = "duplicates", threshold = 0.1, for = 1, span = 1}').said() == (
        "duplicates above 0.1 in 1 of 1 windows (1d)"
    )


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    rule = '[[alerts.rule]]\nname = "a"\nstatistic = "psi"\n'
    with pytest.raises(Refusal, match="two rules are called 'a'"):
        written(tmp_path, rule + rule)


def test_dates_need_no_quotation_and_are_utc(tmp_path: Path) -> None:
    text = '[[alerts.rule]]\nname = "a"\nstatistic = "psi"\nthreshold = "learnt"\n'
    rule = written(tmp_path, text + "learn = {since = 2013-03-01, until = 2013-04-01}").rule[0]
    assert rule.learn is not None
    assert str(rule.learn.since) == "2013-03-01 00:00:00+00:00"


def test_everything_the_template_says_can_be_uncommented(tmp_path: Path) -> None:
    def uncommented(line: str) -> str:
        return line[2:] if line.startswith("# ") and ("=" in line or line.startswith("# [")) else line

    text = "\n".join(uncommented(line) for line in TEMPLATE.splitlines())
    assert [rule.name for rule in written(tmp_path, text).rule] == ["weather", "usual", "gaps", "silence"]


def test_a_rule_says_itself_in_words() -> None:
    assert one('{statistic = "js", feature = "t*", threshold = 0.2, for = 2, of = 3, span = 1}').said() == (
        "js of t* above 0.2 in 2 of 3 windows (1d)"
    )


# --- N of M -----------------------------------------------------------------------------------------------


def moves(text: str, marks: str) -> str:
    """The moves that a row of marks (x over, . under, - between) leads to: o opens, c closes."""
    rule, course, on, found = one(text), Course(), False, ""
    for mark in marks:
        move: Move = course.step(rule, "f", {"x": True, ".": False, "-": None}[mark], on)
        on = (on or move == "open") and move != "close"
        found += {"open": "o", "close": "c", "stay": "."}[move]
        course = decode(course.encoded())  # as from one transaction to the next
    return found


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("x.x", "..o"),
        ("x..x", "...."),
        ("xx", ".o"),
        ("x-x", "..o"),
        ("xx..", ".o.c"),
        ("xx.-.", ".o..."),
        ("xx.x..", ".o...c"),
        ("xx..xx", ".o.c.o"),
    ],
)
def test_two_of_three_open_and_two_quiet_ones_in_a_row_close(marks: str, expected: str) -> None:
    assert moves('{statistic = "psi", for = 2, of = 3, close_after = 2}', marks) == expected


def test_what_wavers_around_the_threshold_does_not_flap() -> None:
    assert moves('{statistic = "psi", for = 2, of = 3, close_after = 2}', "xx-x-x-x-.-x") == ".o.........."


def test_a_course_of_long_quiet_features_is_empty() -> None:
    rule, course = one('{statistic = "psi", for = 2, of = 2, close_after = 2}'), Course()
    for over in (True, False, False):
        course.step(rule, "f", over, False)
    assert course.marks == {}


def test_a_course_that_cannot_be_read_begins_anew() -> None:
    assert decode('{"marks": 3}') == Course()
