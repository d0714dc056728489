"""Which mails wait for what is out, and what is out in all workers together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.status.outages import SharedOutage, may_wait, pausing, read_told, shared, write_told
from schemas.mail_states import MailState
from schemas.outages import KnownOutage, WorkerOutages
from tests.support.statuses import RELAY_OUT

NOW = 1_800_000_000_000
DOMAIN_OUT = KnownOutage("domain", "a.example", "554 no", "listed", NOW - 9, False)
FIRST = WorkerOutages("w-0", NOW, (0, 1), (RELAY_OUT, DOMAIN_OUT))
SECOND = WorkerOutages("w-1", NOW, (2,), (replace(DOMAIN_OUT, since=NOW - 20),))


@given(st.text(st.characters(codec="utf-8")), st.lists(st.integers(0, 2**31 - 1)))
def test_what_a_row_keeps_is_read_back(reason: str, lanes: list[int]) -> None:
    """And holds no character that a database cannot keep."""
    told = replace(FIRST, lanes=tuple(lanes), outages=(replace(RELAY_OUT, reason=reason),))
    assert read_told(write_told(told)) == told
    assert "\0" not in write_told(told)


@pytest.mark.parametrize(
    ("state", "due_at", "waits"),
    [
        (MailState.QUEUED, None, True),
        (MailState.RETRY, NOW, True),
        (MailState.RETRY, NOW + 1, False),
        (MailState.SCHEDULED, NOW - 1, True),
        (MailState.SCHEDULED, NOW + 1, False),
        (MailState.SCHEDULED, None, False),
        *((state, NOW - 1, False) for state in (MailState.SENT, MailState.DEAD, MailState.HELD)),
    ],
)
def test_only_a_mail_whose_turn_has_come_waits_for_an_outage(
    state: MailState, due_at: int | None, waits: bool
) -> None:
    """The others wait for their time, or are over."""
    assert may_wait(state, due_at, NOW) is waits


@pytest.mark.parametrize(("lane", "waits_for"), [(0, (RELAY_OUT,)), (1, (RELAY_OUT,)), (2, ())])
def test_mails_wait_for_what_pauses_their_own_lane(
    lane: int, waits_for: tuple[KnownOutage, ...]
) -> None:
    """A domain that is out pauses no lane; another worker's relay pauses its lanes only."""
    assert pausing([FIRST, SECOND], lane) == waits_for


def test_a_lane_of_which_two_workers_tell_waits_once() -> None:
    """While it moves from the one to the other; what has been out for longer is named first."""
    older = KnownOutage("sender", "a@b at smtp.example:587", "553", "", NOW - 99_000, True)
    moved = WorkerOutages("w-1", NOW, (1,), (RELAY_OUT, older))
    assert pausing([FIRST, moved], 1) == tuple(sorted((RELAY_OUT, older), key=lambda o: o.since))


def test_what_is_out_in_several_workers_is_told_once() -> None:
    """Since when it is out in the first of them; what pauses lanes comes first."""
    assert shared([FIRST, SECOND]) == [
        SharedOutage(RELAY_OUT, ("w-0",)),
        SharedOutage(replace(DOMAIN_OUT, since=NOW - 20), ("w-0", "w-1")),
    ]
    assert shared([]) == []
