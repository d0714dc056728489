"""The alert rules name what there is, and each is tried both ways."""

import re
from collections import defaultdict

import pytest
import yaml

from consumers.delivery.blame import Blame
from retry_topics.failure import Scope
from runtime.metric_catalogue import CATALOGUES
from schemas.mail_states import MailState
from schemas.switches import SwitchKind
from tests.support.alerts import (
    CONFIG,
    HEALTHY,
    Alert,
    alerts,
    cases,
    recorded,
    rules,
)
from tests.support.alerts import tests as promtool_tests
from tests.support.promql import Names, Selector, groupings, selectors

ALERTS = alerts()
NAMES = Names(CATALOGUES.values(), recorded())
#: Labels whose values are one of ours, by the name of the metric.
VALUES: dict[tuple[str, str], set[str]] = {
    ("mailcascade_breakers_open", "kind"): {*Blame},
    ("mailcascade_switches_off", "kind"): {*SwitchKind},
    ("mailcascade_states_total", "state"): {*MailState},
    ("mailcascade_outcomes_total", "outcome"): {"accepted", "failure", "ambiguous"},
    ("mailcascade_outcomes_total", "scope"): {*Scope},
    ("mailcascade_process_start_seconds", "deployable"): {*CATALOGUES},
    ("mailcascade_lag_records", "topic_kind"): {"main", "retry", "control"},
}

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def test_alerts_have_names_of_their_own() -> None:
    """By which a person finds them, beside those of others."""
    names = [alert.name for alert in ALERTS]

    assert len(set(names)) == len(names) >= 10
    assert [name for name in names if not re.fullmatch(r"Mailcascade[A-Z]\w+", name)] == []


@every_alert
def test_an_alert_says_whom_it_wakes_and_what_is_the_matter(alert: Alert) -> None:
    """Severity, a summary, a description with what it saw, and a runbook."""
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in ("page", "ticket")
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    assert all(alert.annotations.values())


@every_alert
def test_an_alert_shows_labels_that_it_has(alert: Alert) -> None:
    """A label that was aggregated away would be empty in what is read at night."""
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    kept = groupings(alert.expression)
    if not kept:
        labels = [NAMES.labels(selector.name) for selector in selectors(alert.expression)]
        kept = set(labels[0] or ()) if len(labels) == 1 and "(" not in alert.expression else set()

    assert shown <= kept


def test_rules_name_only_what_is_shown() -> None:
    """Every metric and label is in a catalogue; only what counts up is asked for its rate."""
    faults = {rule["expr"]: NAMES.faults(rule["expr"]) for rule in rules()}

    assert {expression: found for expression, found in faults.items() if found} == {}


def test_rules_select_values_that_there_are() -> None:
    """Where a label's values are a closed list."""
    wrong = [
        (str(selector), value)
        for rule in rules()
        for selector in selectors(rule["expr"])
        for label, operator, values in selector.matchers
        for value in (values.split("|") if "~" in operator else [values])
        if value not in VALUES.get((selector.name, label), {value})
    ]

    assert wrong == []


def test_the_objective_s_bound_is_counted() -> None:
    """It is one of the histogram's buckets, or nothing would ever be late."""
    (histogram,) = (
        metric for metric in CATALOGUES["worker"] if metric.name == "mailcascade_end_to_end_seconds"
    )
    bounds = {
        value.replace(r"(\\.0)?", "")
        for rule in rules()
        for selector in selectors(rule["expr"])
        for label, _, value in selector.matchers
        if label == "le"
    }

    assert bounds
    assert {float(bound) for bound in bounds} <= set(histogram.buckets)


def test_each_alert_is_tried_both_ways() -> None:
    """It fires in one case at least, is silent in another, and silent in the healthy series."""
    fires, silent = defaultdict(set), defaultdict(set)
    for case in cases():
        (fires if case.fires else silent)[case.alert].add(case.test)
    names = {alert.name for alert in ALERTS}

    assert fires.keys() == names == silent.keys()
    assert {name for name in names if HEALTHY not in silent[name]} == set()
    assert {name for name in names if HEALTHY in fires[name]} == set()


def test_the_healthy_series_are_complete() -> None:
    """Each metric that a rule asks for is there, or the silence would mean nothing."""
    (healthy,) = (test for test in promtool_tests() if test["name"] == HEALTHY)
    there = {name for series in healthy["input_series"] for name in _names(series["series"])}
    asked = {name for rule in rules() for name in _names(rule["expr"])}

    assert asked - there - recorded().keys() == set()


def test_tried_series_are_those_of_the_catalogues() -> None:
    """With labels that the metrics have."""
    faults = [
        fault
        for test in promtool_tests()
        for series in test["input_series"]
        for fault in NAMES.faults(series["series"])
    ]

    assert faults == []


def test_tried_values_are_what_is_written() -> None:
    """`0x60` without quotes is a number to YAML, and 61 zeros to promtool."""
    values = [series["values"] for test in promtool_tests() for series in test["input_series"]]

    assert [value for value in values if not isinstance(value, str)] == []


def test_every_deployable_is_scraped() -> None:
    """Under a job's name by which the alerts know it."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))

    assert [job["job_name"] for job in config["scrape_configs"]] == [
        f"mailcascade-{deployable}" for deployable in CATALOGUES
    ]


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(mailcascade_lanes)", "no such metric: mailcascade_lanes"),
        ("mailcascade_commit_seconds", "no such metric: mailcascade_commit_seconds"),
        ('mailcascade_lanes_owned{lane="1"}', "mailcascade_lanes_owned has no label lane"),
        ("max by (tier) (mailcascade_lanes_owned)", "nothing has a label tier"),
        ("rate(mailcascade_lanes_owned[5m])", "rate of mailcascade_lanes_owned, which is a gauge"),
        (
            "changes(mailcascade_commits_total[5m])",
            "changes of mailcascade_commits_total, which is a counter",
        ),
    ],
)
def test_a_wrong_expression_would_be_seen(expression: str, fault: str) -> None:
    """The checks above are able to fail."""
    assert NAMES.faults(expression) == [fault]
    assert list(selectors('up{job=~"a|b"} == 0')) == [Selector("up", (("job", "=~", "a|b"),))]


def _names(expression: str) -> set[str]:
    return {selector.name for selector in selectors(expression)}
