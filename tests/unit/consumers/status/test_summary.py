"""The sentence that says what became of a mail."""

from dataclasses import replace

import pytest

from consumers.status.reader import MailStatus
from consumers.status.summary import in_time, item_summary, reply_of, summary_of
from schemas.mail_states import MOVING, PARKED, SETTLED, MailState
from tests.support.statuses import ACCEPTED_AT, ITEM, MAIL, RELAY_OUT, quiet

HOUR_MS = 3_600_000
ASKED_AT = ACCEPTED_AT + 5_000


@pytest.mark.parametrize(
    ("mail", "sentence"),
    [
        (MAIL, "retry 2 of 3, due at 2027-01-15T08:11:02Z: 451 4.7.1 try later"),
        (quiet(MailState.QUEUED), "accepted; no worker has taken it up yet"),
        (
            replace(quiet(MailState.QUEUED), generation=1),
            "to be sent again; no worker has taken it up yet",
        ),
        (
            replace(quiet(MailState.SCHEDULED), not_before=ACCEPTED_AT + HOUR_MS),
            "scheduled for 2027-01-15T09:00:00Z",
        ),
        (
            replace(quiet(MailState.SCHEDULED), due_at=ACCEPTED_AT + HOUR_MS),
            "scheduled for 2027-01-15T09:00:00Z",
        ),
        (
            replace(
                quiet(MailState.SCHEDULED),
                due_at=ACCEPTED_AT + HOUR_MS,
                reason="domain-out",
                code=554,
                text="blocked by a list (since 2027-01-15T08:00:00Z)",
            ),
            "waits for its recipient's domain, which refuses us, until 2027-01-15T09:00:00Z, "
            "without an attempt: 554 blocked by a list (since 2027-01-15T08:00:00Z)",
        ),
        (
            replace(quiet(MailState.SENT), code=250, enhanced="2.0.0", text="Ok: queued"),
            "accepted by the relay at 2027-01-15T08:01:02Z: 250 2.0.0 Ok: queued",
        ),
        (
            replace(
                quiet(MailState.SENT),
                reason="relay-suppressed",
                code=254,
                enhanced="4.7.1",
                text="Suppression for user",
            ),
            "taken by the relay at 2027-01-15T08:01:02Z, which suppresses its recipient: "
            "254 4.7.1 Suppression for user",
        ),
        (
            replace(MAIL, state=MailState.DEAD, attempts=1, code=550, enhanced=None, text="no"),
            "given up after 1 failed attempt: 550 no",
        ),
        (
            replace(quiet(MailState.EXPIRED), expires_at=ACCEPTED_AT + HOUR_MS),
            "not sent: its time was over at 2027-01-15T09:00:00Z",
        ),
        (
            replace(quiet(MailState.HELD), text="no reply to the final dot"),
            "held until a person releases or discards it: no reply to the final dot",
        ),
    ],
)
def test_a_state_is_said_in_words(mail: MailStatus, sentence: str) -> None:
    """With what a person asks next: when, how often, and what the relay said."""
    assert summary_of(mail, retries=3) == sentence


@pytest.mark.parametrize(
    ("mail", "sentence"),
    [
        (replace(quiet(MailState.QUEUED), waits_for=(RELAY_OUT,)), "accepted; "),
        (
            replace(quiet(MailState.QUEUED), generation=1, waits_for=(RELAY_OUT,)),
            "to be sent again; ",
        ),
        (
            replace(MAIL, waits_for=(RELAY_OUT,)),
            "retry 2 of 3, due at 2027-01-15T08:11:02Z: 451 4.7.1 try later; ",
        ),
    ],
)
def test_what_a_mail_waits_for_is_said_in_words(mail: MailStatus, sentence: str) -> None:
    """What is out, since when and why, behind what became of the mail itself."""
    waits = "waits: the relay smtp.example:587 is out since 2027-01-15T08:00:01Z: 535 5.7.8 Bad"
    assert summary_of(mail, retries=3) == f"{sentence}{waits} credentials"
    asked = replace(mail, cancel_requested_at=ASKED_AT)
    assert summary_of(asked, retries=3).endswith("asked for at 2027-01-15T08:00:05Z")


def test_of_several_things_that_are_out_the_first_is_named() -> None:
    """The fields have all of them."""
    registry = replace(RELAY_OUT, kind="registry", what="schema registry", reason="no answer")
    mail = replace(quiet(MailState.QUEUED), waits_for=(registry, RELAY_OUT))
    out = "waits: the schema registry is out since 2027-01-15T08:00:01Z: no answer (and 1 more)"
    assert summary_of(mail, retries=3) == f"accepted; {out}"


@pytest.mark.parametrize("state", MailState)
def test_every_state_has_a_sentence(state: MailState) -> None:
    """Without anything else that is known, too."""
    sentence = summary_of(quiet(state), retries=3)

    assert sentence
    assert ": " not in sentence or state in {MailState.EXPIRED, MailState.SUPPRESSED}
    assert "None" not in sentence


@pytest.mark.parametrize(
    ("states", "expected", "words"),
    [
        (MOVING | PARKED, None, "; its cancellation was asked for at 2027-01-15T08:00:05Z"),
        (SETTLED - {MailState.CANCELLED}, False, "at 2027-01-15T08:00:05Z came too late"),
        ({MailState.CANCELLED}, True, "cancelled at 2027-01-15T08:01:02Z, before it was sent"),
    ],
)
def test_a_cancellation_is_in_time_or_not(
    states: frozenset[MailState], expected: bool | None, words: str
) -> None:
    """Or it is not decided yet, because the mail may still be sent."""
    for state in states:
        mail = replace(quiet(state), cancel_requested_at=ASKED_AT)
        assert in_time(mail) is expected
        assert summary_of(mail, retries=3).endswith(words)


def test_nobody_asked_to_cancel() -> None:
    """Then it is neither in time nor too late."""
    assert in_time(quiet(MailState.SENT)) is None


def test_a_change_of_state_is_said_in_words() -> None:
    """Short, for it stands in a list."""
    retry = "retry after 2 failed attempts, due at 2027-01-15T08:11:02Z: 451 4.7.1 try later"
    assert item_summary(ITEM) == retry
    sent = replace(ITEM, state=MailState.SENT, attempts=0, due_at=None, code=None, text="")
    assert item_summary(replace(sent, enhanced=None)) == "sent"


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "line"),
    [
        (451, "4.7.1", "try later", "451 4.7.1 try later"),
        (250, None, "", "250"),
        (None, None, "the connection broke", "the connection broke"),
        (None, None, "", ""),
    ],
)
def test_a_reply_is_one_line(code: int | None, enhanced: str | None, text: str, line: str) -> None:
    """What is absent leaves no gap."""
    assert reply_of(code, enhanced, text) == line
