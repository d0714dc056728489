"""What is paused is written once it is known to be something, and says what comes of it."""

import json
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from console.failures import CommandFailed
from console.operator import Order
from console.switches import Known, SwitchDesk
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord
from schemas.switches import (
    EVERYTHING,
    Switch,
    SwitchKey,
    SwitchKind,
    read_key,
    read_switch,
    write_key,
)
from tests.support.memory_cluster import MemoryCluster

TOPOLOGY = Topology("mails", parse_tiers("1m,10m"), 4)
#: 2027-01-15T08:00:00Z
AT = 1_800_000_000_000
TEMPLATE = SwitchKey(SwitchKind.TEMPLATE, "welcome")
KNOWN: Mapping[SwitchKind, list[str]] = {
    SwitchKind.TEMPLATE: ["plain", "welcome"],
    SwitchKind.TIER: ["1m", "10m"],
    SwitchKind.RELAY: ["a.example:587", "b.example:25", "b.example:587"],
}


class Terminal:
    """A cluster, and what commands on it show."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster(1)
        self.said: list[str] = []

    def pause(self, key: SwitchKey, by: str = "eve", reason: str = "", at: int = AT) -> None:
        self._desk(Order(by, at, reason)).pause(key, self.said.append)

    def resume(self, kind: SwitchKind, what: str | None = None) -> None:
        self._desk(Order("eve", AT)).resume(kind, what, self.said.append)

    def off(self) -> list[Switch]:
        return list(self._desk(Order("eve", AT)).read())

    def shown(self, *, as_json: bool) -> list[str]:
        shown: list[str] = []
        self._desk(Order("eve", AT)).show(as_json, shown.append)
        return shown

    def _desk(self, order: Order) -> SwitchDesk:
        return SwitchDesk(self.cluster, TOPOLOGY, order)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_a_pause_is_a_record_that_says_since_when_by_whom_and_why(terminal: Terminal) -> None:
    """Keyed by what is paused, on the topic that all workers read."""
    terminal.cluster.workers = 2
    terminal.pause(TEMPLATE, reason="a wrong link")
    (record,) = terminal.cluster.written
    assert (record.topic, read_key(record.key)) == ("mails.switches", TEMPLATE)
    assert read_switch(TEMPLATE, record.value) == Switch(TEMPLATE, AT, "eve", "a wrong link")
    assert terminal.said == [
        "template welcome is paused: its mails wait in the retry tiers without an attempt, all "
        "others go on",
        "what a worker has in hand is sent; what expires meanwhile is expired and not sent",
        "2 workers heed it within seconds; to go on: mailcascade resume template welcome",
    ]


def test_pausing_again_keeps_since_when_and_takes_the_new_reason(terminal: Terminal) -> None:
    """And says so."""
    terminal.pause(TEMPLATE, reason="a wrong link")
    terminal.pause(TEMPLATE, by="bob", reason="a wrong name, too", at=AT + 60_000)
    assert terminal.off() == [Switch(TEMPLATE, AT, "bob", "a wrong name, too")]
    assert (
        "template welcome was paused already, since 2027-01-15T08:00:00Z; the reason is new"
        in terminal.said
    )


def test_resuming_takes_the_pause_back(terminal: Terminal) -> None:
    """A record without a value; what else is paused is told, so that nobody wonders."""
    terminal.pause(TEMPLATE)
    terminal.pause(EVERYTHING, reason="moving house")
    terminal.said.clear()
    terminal.resume(SwitchKind.TEMPLATE, "welcome")
    last = terminal.cluster.written[-1]
    assert (last.key, last.value) == (write_key(TEMPLATE), None)
    assert dict(last.headers) == {"by": b"eve", "reason": b""}
    assert terminal.said == [
        "template welcome is resumed; no worker runs, and each that starts heeds it before it "
        "sends anything",
        "still paused: everything is paused by an operator since 2027-01-15T08:00:00Z: moving "
        "house",
    ]


def test_resuming_what_is_not_paused_changes_nothing(terminal: Terminal) -> None:
    """Also twice in a row."""
    terminal.resume(SwitchKind.ALL)
    terminal.resume(SwitchKind.TENANT, "shop")
    assert terminal.cluster.written == []
    assert terminal.said == [
        "everything is not paused: there is nothing to do",
        "tenant shop is not paused: there is nothing to do",
    ]


def test_a_record_that_names_nothing_is_told_and_hides_no_other(terminal: Terminal) -> None:
    """A later release may pause what this one does not know."""
    terminal.cluster.add(OutRecord(TOPOLOGY.switches, b"campaign:spring", b"", (), 0))
    terminal.pause(TEMPLATE)
    with capture_logs() as logs:
        assert [switch.key for switch in terminal.off()] == [TEMPLATE]
    assert [entry["event"] for entry in logs] == ["switches.unreadable"]
    assert "campaign:spring" in logs[0]["reason"]


def test_what_is_paused_is_listed_for_people_and_programs(terminal: Terminal) -> None:
    """The oldest first; a record that says nothing is passed over."""
    terminal.cluster.add(OutRecord(TOPOLOGY.switches, b"mood:bad", b"x", ()))
    assert terminal.shown(as_json=False) == ["nothing is paused"]
    terminal.pause(TEMPLATE, reason="a wrong link", at=AT + 1_000)
    terminal.pause(EVERYTHING, by="")
    assert terminal.shown(as_json=False) == [
        "2027-01-15T08:00:00Z  everything  -",
        "2027-01-15T08:00:01Z  template welcome  a wrong link (eve)",
        "2 switches are off",
    ]
    (shown,) = terminal.shown(as_json=True)
    assert json.loads(shown) == [
        {
            "kind": "all",
            "what": None,
            "since": "2027-01-15T08:00:00.000Z",
            "by": None,
            "reason": None,
        },
        {
            "kind": "template",
            "what": "welcome",
            "since": "2027-01-15T08:00:01.000Z",
            "by": "eve",
            "reason": "a wrong link",
        },
    ]


@pytest.mark.parametrize(
    ("kind", "what", "force", "expected"),
    [
        (SwitchKind.ALL, None, False, EVERYTHING),
        (SwitchKind.TENANT, "shop", False, SwitchKey(SwitchKind.TENANT, "shop")),
        (SwitchKind.TEMPLATE, "welcome", False, TEMPLATE),
        (SwitchKind.TEMPLATE, "new", True, SwitchKey(SwitchKind.TEMPLATE, "new")),
        (SwitchKind.TIER, "10m", False, SwitchKey(SwitchKind.TIER, "10m")),
        (SwitchKind.RELAY, "b.example:25", False, SwitchKey(SwitchKind.RELAY, "b.example:25")),
        (SwitchKind.RELAY, "a.example", False, SwitchKey(SwitchKind.RELAY, "a.example:587")),
        (SwitchKind.RELAY, "else:25", True, SwitchKey(SwitchKind.RELAY, "else:25")),
    ],
)
def test_names_mean_what_there_is(
    kind: SwitchKind, what: str | None, force: bool, expected: SwitchKey
) -> None:
    """A relay's port may be left out where it has only one."""
    assert Known(KNOWN).key(kind, what, force=force) == expected


@pytest.mark.parametrize(
    ("kind", "what", "force", "said"),
    [
        (SwitchKind.ALL, "welcome", False, "`all` has no name"),
        (SwitchKind.TEMPLATE, None, True, "name the template"),
        (SwitchKind.TENANT, "", False, "name the tenant"),
        (
            SwitchKind.TEMPLATE,
            "wellcome",
            False,
            "there is no template wellcome; known here: plain, welcome; if there is one "
            "elsewhere, add --force",
        ),
        (SwitchKind.TIER, "5m", True, "there is no tier 5m; known here: 10m, 1m"),
        (SwitchKind.RELAY, "b.example", False, "there is no relay b.example; known here: a.ex"),
    ],
)
def test_names_that_mean_nothing_are_refused_with_those_that_there_are(
    kind: SwitchKind, what: str | None, force: bool, said: str
) -> None:
    """A misspelt pause would pause nothing, and nobody would know."""
    with pytest.raises(CommandFailed) as caught:
        Known(KNOWN).key(kind, what, force=force)
    assert str(caught.value).startswith(said)
