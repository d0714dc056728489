"""The dashboards name what there is, and are whole."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from runtime.metric_catalogue import CATALOGUES
from tests.support.alerts import DASHBOARDS, dashboard_expressions, panels, recorded
from tests.support.promql import Names, groupings

NAMES = Names(CATALOGUES.values(), recorded())
#: Of Grafana's; https://grafana.com/docs/grafana/latest/reference/ has the list.
UNITS = {"short", "s", "ops", "percentunit", "bytes"}
KINDS = {"stat", "timeseries", "table"}
#: Grafana's grid is this wide.
COLUMNS = 24

every_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)


def board(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_there_is_one_for_each_reader() -> None:
    """The person on call, and who plans."""
    assert [path.stem for path in DASHBOARDS] == ["capacity", "on-call"]
    assert len({board(path)["uid"] for path in DASHBOARDS}) == len(DASHBOARDS)


@every_dashboard
def test_dashboards_name_only_what_is_shown(path: Path) -> None:
    """Every metric and label is in a catalogue; only what counts up is asked for its rate."""
    faults = {text: NAMES.faults(text) for text in dashboard_expressions(path)}

    assert {expression: found for expression, found in faults.items() if found} == {}


@every_dashboard
def test_a_dashboard_works_with_any_prometheus(path: Path) -> None:
    """The reader chooses it; nothing names the one of whoever drew it."""
    variables = board(path)["templating"]["list"]
    source = {"type": "prometheus", "uid": "${datasource}"}

    assert [(each["name"], each["type"], each["query"]) for each in variables] == [
        ("datasource", "datasource", "prometheus")
    ]
    assert all(panel["datasource"] == source for panel in panels(path))
    assert all(note["datasource"] == source for note in board(path)["annotations"]["list"])
    assert "id" not in board(path), "Grafana gives it one"


@every_dashboard
def test_each_panel_says_what_it_shows(path: Path) -> None:
    """A title and a sentence, a unit, at least one query, each under a name of its own."""
    found = panels(path)
    titles = [panel["title"] for panel in found]

    assert len(set(titles)) == len(titles)
    for panel in found:
        references = [target["refId"] for target in panel["targets"]]
        assert panel["type"] in KINDS, panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert len(set(references)) == len(references) >= 1, panel["title"]


@every_dashboard
def test_a_legend_shows_labels_that_are_left(path: Path) -> None:
    """One that was aggregated away would be empty; one that is left out makes lines look alike."""
    for panel in panels(path):
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            if panel["type"] == "timeseries":
                assert shown == groupings(target["expr"]) - {"le"}, panel["title"]


@every_dashboard
def test_panels_stand_beside_each_other(path: Path) -> None:
    """None lies on another or beyond the grid, and each has an id."""
    found = panels(path)

    assert len({panel["id"] for panel in found}) == len(found)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS for panel in found)
    for one, other in combinations((panel["gridPos"] for panel in found), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
