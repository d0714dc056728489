"""Selections: each word restricts, all of them must agree, and wrong ones are named."""

import pytest

from retry_topics.dlt.selection import matcher, problems_of, recipient_of
from retry_topics.dlt.states import RecordState
from schemas.identity import lane_key, mail_id
from schemas.replay_jobs import Selection
from tests.support.letters import DIED_AT, dead_record, journey_of, letter_of
from tests.support.mailer import signup

EVENT = signup("Ada@example.com", tenant="shop", template="welcome")
LETTER = letter_of(dead_record("t.dlt", EVENT, journey_of(), 4), offset=12)
ID = mail_id(EVENT.event_id, lane_key(EVENT.recipient.address))
UNDECODABLE = letter_of(dead_record("t.dlt", EVENT, journey_of(), 4, value=b"junk"), offset=13)
OPEN = RecordState.OPEN


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(since=DIED_AT, until=DIED_AT + 1),
        Selection(templates=frozenset({"welcome", "x"}), tenants=frozenset({"shop"})),
        Selection(recipients=frozenset({recipient_of("ada@EXAMPLE.com")})),
        Selection(codes=frozenset({550})),
        Selection(groups=frozenset({LETTER.group.fingerprint[:6]})),
        Selection(positions=frozenset({str(LETTER.position)})),
        Selection(mails=frozenset({ID})),
        Selection(mails=frozenset({ID}), positions=frozenset({"0:0"})),
        Selection(states=frozenset({"open", "sent"})),
    ],
)
def test_a_letter_is_selected_by_what_it_is(selection: Selection) -> None:
    """Words of one kind are alternatives; an id and a position are both names of a record."""
    assert matcher(selection)(LETTER, OPEN)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(since=DIED_AT + 1),
        Selection(until=DIED_AT),
        Selection(templates=frozenset({"plain"})),
        Selection(tenants=frozenset({"other"})),
        Selection(recipients=frozenset({recipient_of("bob@example.com")})),
        Selection(codes=frozenset({551})),
        Selection(groups=frozenset({"0" * 10})),
        Selection(positions=frozenset({"3:99999"})),
        Selection(states=frozenset({"sent"})),
        Selection(templates=frozenset({"welcome"}), codes=frozenset({551})),
    ],
)
def test_a_letter_that_is_something_else_is_not(selection: Selection) -> None:
    """One word that does not fit is enough."""
    assert not matcher(selection)(LETTER, OPEN)


def test_what_is_no_event_has_neither_tenant_nor_recipient() -> None:
    """It is found by everything else."""
    assert not matcher(Selection(tenants=frozenset({"shop"})))(UNDECODABLE, OPEN)
    recipients = frozenset({recipient_of("ada@example.com")})
    assert not matcher(Selection(recipients=recipients))(UNDECODABLE, OPEN)
    assert matcher(Selection(positions=frozenset({str(UNDECODABLE.position)})))(UNDECODABLE, OPEN)


def test_every_wrong_word_is_named() -> None:
    """So that one try shows all of them."""
    wrong = Selection(
        positions=frozenset({"12"}),
        mails=frozenset({"abc"}),
        states=frozenset({"broken"}),
        groups=frozenset({"xyz"}),
    )

    assert len(problems_of(wrong)) == 4
    with pytest.raises(ValueError, match="broken"):
        matcher(wrong)
