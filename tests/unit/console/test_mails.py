"""What `mailcascade status` shows, and what `cancel` asks for."""

import json
from dataclasses import dataclass, field, replace

import pytest

from console.demands import Demands
from console.failures import CommandFailed
from console.mails import Desk, cancel, instant_of, states_of
from console.operator import Order, named_mails, operator_of
from consumers.status.reader import Cursor, Freshness, StatusQuery
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.switches import Switch, Switches, SwitchKey, SwitchKind
from tests.support.memory_cluster import MemoryCluster
from tests.support.statuses import (
    ACCEPTED_AT,
    EVENT_ID,
    ITEM,
    LANE_KEY,
    MAIL,
    MAIL_ID,
    RELAY_OUT,
    MemoryStatuses,
)

NOW = ACCEPTED_AT + 100_000
HOUR_MS = 3_600_000
RETRY = "retry 2 of 3, due at 2027-01-15T08:11:02Z: 451 4.7.1 try later"


@dataclass
class View(MemoryStatuses):
    """A view that says how new it is."""

    fresh: Freshness = field(default_factory=lambda: Freshness(NOW, 0))

    def freshness(self) -> Freshness:
        return self.fresh


@pytest.fixture
def view() -> View:
    return View(mails=[MAIL])


@pytest.fixture
def desk(view: View) -> Desk:
    return Desk(view, 3, NOW)


def test_a_mail_is_shown_with_its_whole_story(desk: Desk, view: View) -> None:
    """Without the lines that say nothing about it."""
    said: list[str] = []
    view.mails[0] = replace(MAIL, cancel_requested_at=NOW, history_omitted=2)

    desk.show_mail(named_mails([MAIL_ID])[0], False, said.append)

    assert said == [
        f"retry: {RETRY}; its cancellation was asked for at 2027-01-15T08:01:40Z",
        "  recipient   a***@example.com",
        "  template    welcome",
        "  tenant      shop",
        "  accepted    2027-01-15T08:00:00Z",
        "  changed     2027-01-15T08:01:02Z",
        "  due         2027-01-15T08:11:02Z",
        "  attempts    2 of 4 used up",
        "  cancel      asked for at 2027-01-15T08:01:40Z: not decided yet",
        "  2027-01-15T08:01:02Z  retry after 2 failed attempts, due at 2027-01-15T08:11:02Z: "
        "451 4.7.1 try later (greylisted, rcpt, w1)",
        "  2 changes in between are left out",
    ]


def test_a_program_gets_what_the_api_tells_and_more(desk: Desk) -> None:
    """The tenant and the workers are the operator's business."""
    said: list[str] = []

    desk.show_mail(named_mails([MAIL_ID])[0], True, said.append)

    told = json.loads("\n".join(said))
    assert (told["id"], told["summary"], told["tenant"]) == (MAIL_ID, RETRY, "shop")
    assert told["history"][0]["worker"] == ITEM.worker


@pytest.mark.parametrize("known", [[], [replace(MAIL, mail_id=MAIL_ID[:-1] + "a")]])
def test_a_mail_that_the_view_does_not_know_is_a_failure(known: list) -> None:
    """Also one whose id has another lane in it; the message says why it may be."""
    view = View(mails=known, fresh=Freshness(NOW, 12))

    with pytest.raises(CommandFailed, match="accepted a moment ago") as caught:
        Desk(view, 3, NOW).show_mail(named_mails([MAIL_ID])[0], False, print)

    assert "12 records behind" in str(caught.value)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("fresh", "remark"),
    [
        (Freshness(NOW, 0), None),
        (Freshness(NOW - 2_000, 7), "the status view is 7 records behind"),
        (
            Freshness(NOW - HOUR_MS, 0),
            "the status view is of 2027-01-15T07:01:40Z: is `mailcascade projector` running?",
        ),
        (Freshness(None, None), "the status view is empty: start `mailcascade projector`"),
    ],
)
def test_an_old_view_is_told(desk: Desk, view: View, fresh: Freshness, remark: str | None) -> None:
    """Nobody takes yesterday's state for today's."""
    view.fresh = fresh
    one: list[str] = []
    many: list[str] = []

    desk.show_mail(named_mails([MAIL_ID])[0], False, one.append)
    desk.show_mails(StatusQuery(), False, many.append)

    assert (one[-1] == remark) is (remark is not None)
    assert many[-1] == "1 mails" + (f"; {remark}" if remark else "")


def test_a_list_has_a_line_for_each_mail(desk: Desk, view: View) -> None:
    """And says that there are more."""
    said: list[str] = []
    view.next = Cursor(ACCEPTED_AT, EVENT_ID)

    desk.show_mails(StatusQuery(limit=1), False, said.append)

    assert said == [
        f"{MAIL_ID}  2027-01-15T08:00:00Z  retry       welcome  a***@example.com  {RETRY}",
        "1 mails; there are more: raise --limit",
    ]


def test_a_list_begins_with_what_is_out(desk: Desk, view: View) -> None:
    """With the workers in which it is; the same for a program."""
    said: list[str] = []
    view.told = tuple(WorkerOutages(f"w-{n}", NOW, (n,), (RELAY_OUT,)) for n in range(2))
    line = "relay smtp.example:587 is out since 2027-01-15T08:00:01Z: 535 5.7.8 Bad credentials"

    desk.show_mails(StatusQuery(), False, said.append)
    assert said[0] == f"{line} (on w-0, w-1)"
    assert len(said) == 3

    desk.show_mails(StatusQuery(), True, said.append)
    assert json.loads(said[-1])["outages"] == [
        {
            "kind": "relay",
            "what": "smtp.example:587",
            "reason": "535 5.7.8 Bad credentials",
            "rule": "auth",
            "since": "2027-01-15T08:00:01.000Z",
            "pauses": True,
            "workers": ["w-0", "w-1"],
        }
    ]


def test_what_a_mail_waits_for_is_shown(desk: Desk, view: View) -> None:
    """In the sentence, and as a line of its own."""
    said: list[str] = []
    view.mails[0] = replace(MAIL, waits_for=(RELAY_OUT,))

    desk.show_mail(named_mails([MAIL_ID])[0], False, said.append)

    out = "relay smtp.example:587 is out since 2027-01-15T08:00:01Z: 535 5.7.8 Bad credentials"
    assert said[0] == f"retry: {RETRY}; waits: the {out}"
    assert f"  waits for   {out}" in said


def test_a_list_for_a_program_is_the_api_s(desk: Desk) -> None:
    """With the tenants beside."""
    said: list[str] = []

    desk.show_mails(StatusQuery(), True, said.append)

    page = json.loads(said[0])
    assert page["next_cursor"] is None
    assert [(mail["id"], mail["tenant"]) for mail in page["emails"]] == [(MAIL_ID, "shop")]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", NOW - 2 * HOUR_MS),
        ("7d", NOW - 168 * HOUR_MS),
        ("2027-01-15T08:00:00Z", ACCEPTED_AT),
        ("2027-01-15T09:00:00+01:00", ACCEPTED_AT),
    ],
)
def test_an_instant_is_a_time_or_how_long_ago(text: str, instant: int) -> None:
    """What is at hand when somebody asks."""
    assert instant_of(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "yesterday", "2027-01-15", "2 h"])
def test_what_is_no_instant_is_a_wrong_argument(text: str) -> None:
    """With examples of both forms."""
    with pytest.raises(CommandFailed, match=r"2031-01-31T09:00:00Z, or .* 2h") as caught:
        instant_of(text, NOW)

    assert caught.value.code == 2


def test_states_are_given_one_by_one_or_as_a_list() -> None:
    """None stands for all."""
    expected = frozenset({MailState.RETRY, MailState.DEAD})
    assert states_of(["retry, dead"]) == states_of(["retry", "dead"]) == expected
    assert states_of([]) == frozenset()
    with pytest.raises(CommandFailed, match="must be one or more of queued, retry"):
        states_of(["lost"])


def test_mails_are_cancelled_each_in_its_lane() -> None:
    """By the operator, who is no tenant; an id that is given twice counts once."""
    cluster = MemoryCluster()
    said: list[str] = []
    demands = Demands(cluster, "mails.control", Order("eve", NOW, "wrong list"))

    cancel(demands, named_mails([MAIL_ID, MAIL_ID.upper()]), said.append)

    (record,) = cluster.written
    assert (record.topic, record.key, record.partition) == ("mails.control", LANE_KEY, None)
    assert read_command(record.value) == ControlCommand(
        ControlAction.CANCEL, NOW, event_id=str(EVENT_ID), by="eve", reason="wrong list"
    )
    assert f"mailcascade status {MAIL_ID}" in said[0]


def test_every_id_that_is_none_is_named() -> None:
    """As a wrong argument, before anything is done."""
    with pytest.raises(CommandFailed) as caught:
        named_mails(["x", MAIL_ID, "1" * 32])

    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["x", "1" * 32]
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("environ", "name"),
    [({"SUDO_USER": "eve", "USER": "root"}, "eve"), ({"USER": "bob"}, "bob"), ({}, "operator")],
)
def test_the_operator_is_who_sits_at_the_terminal(environ: dict[str, str], name: str) -> None:
    """Also behind sudo."""
    assert operator_of(environ) == name


def test_a_list_begins_with_what_is_paused_and_a_mail_says_by_whom(view: View) -> None:
    """The reason and the operator's name are for operators, here and for programs."""
    switch = Switch(SwitchKey(SwitchKind.TEMPLATE, "welcome"), ACCEPTED_AT, "eve", "a wrong link")
    view.off = Switches({switch.key: switch})
    view.mails = [replace(view.mails[0], paused=switch)]
    desk, said = Desk(view, 3, NOW), list[str]()

    desk.show_mails(StatusQuery(), False, said.append)
    assert said[0] == (
        "template welcome is paused by an operator since 2027-01-15T08:00:00Z: a wrong link"
    )
    waits = "waits: paused by an operator since 2027-01-15T08:00:00Z: a wrong link"
    assert waits in said[1]

    desk.show_mail(named_mails([MAIL_ID])[0], False, said.append)
    assert f"  paused      {said[0]} (eve)" in said

    desk.show_mails(StatusQuery(), True, said.append)
    told = json.loads(said[-1])
    assert told["switches"] == [told["emails"][0]["paused"]]
    assert told["switches"][0]["by"] == "eve"
