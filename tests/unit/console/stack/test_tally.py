"""The balance of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.stack.load import Posted
from console.stack.report import complaints, seconds
from console.stack.signups import Signup
from console.stack.tally import Caught, DeadMail, Latency, balance, percentile
from schemas.mail_states import MailState


def posted(address: str, at: int = 0, *, refused: bool = False) -> Posted:
    """Return an answered POST; the mail's id is the address."""
    return Posted(Signup(address, "", "en", ""), at, None if refused else address, "")


def test_a_run_where_each_signup_has_one_end_is_clean() -> None:
    """Sent or dead-lettered, once each; the wait counts from the POST."""
    tally = balance(
        [posted("a@x", at=100), posted("b+greylist@x", at=200), posted("c+bounce@x")],
        [Caught(1, "a@x", 150), Caught(2, "b+greylist@x", 2_300)],
        [DeadMail("c+bounce@x", "refused", "550 no")],
        {"2s": 1},
        {"a@x": MailState.SENT, "b+greylist@x": MailState.SENT, "c+bounce@x": MailState.DEAD},
    )

    assert tally.is_clean
    assert (tally.sent, tally.dead, tally.retried) == (2, 1, {"2s": 1})
    assert tally.told == {MailState.SENT: 2, MailState.DEAD: 1}
    assert tally.first_attempts == Latency(50, 50)
    assert tally.all_mails == Latency(50, 2_100)


def test_an_accepted_signup_without_an_end_is_lost() -> None:
    """It is named, and the run is not clean."""
    tally = balance([posted("a@x")], [], [], {}, {"a@x": MailState.QUEUED})

    assert tally.lost == ("a@x",)
    assert not tally.is_clean
    assert "a@x" in complaints(tally)[0]


@pytest.mark.parametrize(
    ("caught", "dead"),
    [
        ([Caught(1, "a@x", 5), Caught(2, "a@x", 9)], []),
        ([Caught(1, "a@x", 5)], [DeadMail("a@x", "exhausted", "")]),
    ],
    ids=["sent twice", "sent and dead-lettered"],
)
def test_two_ends_are_a_duplicate(caught: list[Caught], dead: list[DeadMail]) -> None:
    """Whichever two they are; the first copy is the one whose wait counts."""
    tally = balance([posted("a@x")], caught, dead, {}, {"a@x": MailState.SENT})

    assert tally.duplicates == ("a@x",)
    assert tally.all_mails.p50 == 5
    assert not tally.is_clean


def test_a_refused_signup_is_neither_accepted_nor_lost() -> None:
    """It makes the run unclean all the same."""
    tally = balance([posted("a@x", refused=True)], [], [], {}, {})

    assert (tally.accepted, tally.lost) == (0, ())
    assert complaints(tally) == ["1 signups were not accepted."]


@pytest.mark.parametrize("told", [{}, {"a@x": MailState.RETRY}], ids=["missing", "wrong"])
def test_a_mail_that_the_status_view_tells_wrongly_is_named(told: dict[str, MailState]) -> None:
    """It may be sent as it should: the run is not clean."""
    tally = balance([posted("a@x")], [Caught(1, "a@x", 5)], [], {}, told)

    assert tally.mistold == ("a@x",)
    assert not tally.is_clean
    assert complaints(tally) == ["Told wrongly by the status view: a@x."]


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    values: list[int], share: float
) -> None:
    """Nearest rank: it is one of the values, and at least that share is not above it."""
    found = percentile(values, share)

    assert found is not None
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_no_values_have_no_percentile() -> None:
    """Nothing was sent, so there is nothing to tell."""
    assert percentile([], 0.5) is None


def test_durations_are_shown_in_the_unit_that_people_use() -> None:
    """Milliseconds below a second, then seconds."""
    assert [seconds(999), seconds(1_000), seconds(6_240)] == ["999 ms", "1.0 s", "6.2 s"]
