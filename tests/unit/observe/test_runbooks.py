"""Whoever is woken finds the page, and the page says what to do."""

import re
from pathlib import Path

import pytest

from runtime.metric_catalogue import CATALOGUES
from tests.support.alerts import ROOT, RUNBOOKS, alerts, recorded, runbook_expressions
from tests.support.promql import Names, selectors

ALERTS = alerts()
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(set(RUNBOOKS.glob("*.md")) - {INDEX})
PACKAGES = ("runtime", "retry_topics", "consumers", "ingest", "console")
HEADINGS = ["What it means", "What to look at", "What to do", "When it is over"]
NAMES = Names(CATALOGUES.values(), recorded())

#: Kafka's own words that look like events.
NO_EVENTS = {"retention.bytes"}


every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def logged() -> re.Pattern[str]:
    """What code logs as an event; where a part of it is computed, any word."""
    sources = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    calls = re.compile(r"_log\.\w+\(\s*f?\"([^\"]+)\"")
    events = {event for path in sources for event in calls.findall(text(path))}
    return re.compile("|".join(re.sub(r"\\{.*?\\}", r"\\w+", re.escape(e)) for e in sorted(events)))


LOGGED = logged()


def announced(path: Path) -> list[str]:
    """The alerts that a page is for, as it says below its title."""
    (line,) = re.findall(r"^Alerts: (.+)$", text(path), re.MULTILINE)
    return re.findall(r"`(\w+)`", line)


def test_each_alert_leads_to_a_page_that_names_it() -> None:
    """And each page's alerts lead back to it."""
    led = {(alert.name, ROOT / alert.annotations["runbook_url"]) for alert in ALERTS}
    named = {(name, path) for path in PAGES for name in announced(path)}

    assert led == named


@every_page
def test_a_page_has_its_four_parts(path: Path) -> None:
    """In the order in which they are needed."""
    assert re.findall(r"^## (.+)$", text(path), re.MULTILINE) == HEADINGS


@every_page
def test_a_page_names_only_alerts_that_there_are(path: Path) -> None:
    """Others than its own, too."""
    named = set(re.findall(r"\bMailcascade\w+", text(path)))

    assert named <= {alert.name for alert in ALERTS}


@every_page
def test_a_page_asks_only_for_what_is_shown(path: Path) -> None:
    """Each line of its PromQL names metrics and labels of a catalogue."""
    lines = runbook_expressions(path)

    assert [fault for line in lines for fault in NAMES.faults(line)] == []
    assert [line for line in lines if not list(selectors(line))] == []


@every_page
def test_a_page_names_only_what_is_logged(path: Path) -> None:
    """The events that a reader is told to look for in a log."""
    events = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text(path))) - NO_EVENTS

    assert {event for event in events if not LOGGED.fullmatch(event)} == set()
    assert not LOGGED.fullmatch("lane.lost_its_way"), "the check is able to fail"


def test_the_index_has_every_alert() -> None:
    """With its severity and its page, in the order of the rules."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \[(.+)\]\(\3\.md\) \|$", text(INDEX), re.MULTILINE)

    assert rows == [
        (alert.name, alert.labels["severity"], Path(alert.annotations["runbook_url"]).stem)
        for alert in ALERTS
    ]
