"""What became of dead-lettered mails is said in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.status.letters import (
    LetterState,
    LetterStatus,
    letter_words,
    selection_words,
    settled_words,
)
from consumers.status.summary import summary_of
from retry_topics.dlt.states import RecordState
from schemas.dlt_journal import Position
from schemas.mail_states import MailState
from schemas.replay_jobs import Selection
from tests.support.statuses import ACCEPTED_AT, MAIL, quiet

REPLAYED = LetterStatus(Position(3, 1204), LetterState.REPLAYED, ACCEPTED_AT, "91c0", "ada")
DISCARDED = LetterStatus(
    Position(3, 1204), LetterState.DISCARDED, ACCEPTED_AT, "", "ada", "test data"
)
OPEN = LetterStatus(Position(3, 1300), LetterState.OPEN, ACCEPTED_AT)
AT = "2027-01-15T08:00:00Z"


def test_a_letter_s_states_are_those_of_the_journal_but_taken() -> None:
    """The view does not know what a job has claimed; all else has the same word."""
    assert {state.value for state in LetterState} == set(RecordState) - {RecordState.TAKEN}


@pytest.mark.parametrize(
    ("letter", "words"),
    [
        (REPLAYED, f"replayed by job 91c0 of ada at {AT}"),
        (replace(REPLAYED, by=""), f"replayed by job 91c0 at {AT}"),
        (replace(REPLAYED, as_new=True), f"replayed as a new mail by job 91c0 of ada at {AT}"),
        (
            replace(REPLAYED, state=LetterState.SENT),
            f"replayed by job 91c0 of ada, sent at {AT}",
        ),
        (
            replace(REPLAYED, state=LetterState.DEAD_AGAIN),
            f"replayed by job 91c0 of ada, dead again at {AT}",
        ),
        (
            replace(REPLAYED, state=LetterState.ENDED, reason="cancelled"),
            f"replayed by job 91c0 of ada, cancelled at {AT}",
        ),
        (DISCARDED, f"discarded by ada at {AT} because: test data"),
        (replace(DISCARDED, reason=""), f"discarded by ada at {AT}"),
        (OPEN, ""),
        (replace(OPEN, state=LetterState.HELD), ""),
    ],
)
def test_what_was_done_about_a_letter_is_said_in_words(letter: LetterStatus, words: str) -> None:
    """By which job, by whom, when, what came of it, and why."""
    assert letter_words(letter) == words


def test_a_mail_s_sentence_tells_what_was_done_about_its_last_letter() -> None:
    """Of one that died again, too, whose new letter is open."""
    dead = replace(quiet(MailState.DEAD), attempts=1)
    again = replace(REPLAYED, state=LetterState.DEAD_AGAIN)
    assert settled_words((again, OPEN)) == letter_words(again)
    assert settled_words((again, DISCARDED)) == letter_words(DISCARDED)
    for letters, said in (
        ((DISCARDED,), f"; discarded by ada at {AT} because: test data"),
        ((again, OPEN), f"; replayed by job 91c0 of ada, dead again at {AT}"),
        ((OPEN,), ""),
        ((), ""),
    ):
        sentence = summary_of(replace(dead, letters=letters), retries=3)
        assert sentence == f"given up after 1 failed attempt{said}"


def test_a_mail_that_was_held_and_discarded_tells_by_whom_and_why() -> None:
    """The ledger's entry has both."""
    mail = replace(quiet(MailState.DISCARDED), reason="ada", text="delivered, says the log")
    assert summary_of(mail, 3) == "discarded by ada: delivered, says the log"
    assert summary_of(quiet(MailState.DISCARDED, MAIL), 3) == "discarded by a person"


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(), "everything"),
        (
            Selection(templates=frozenset({"welcome"}), codes=frozenset({550, 451})),
            "templates welcome; codes 451, 550",
        ),
        (
            Selection(recipients=frozenset({bytes(20)}), since=ACCEPTED_AT),
            f"1 recipients; since {AT}",
        ),
        (
            Selection(positions=frozenset(f"0:{n}" for n in range(8)), until=ACCEPTED_AT),
            f"positions 0:0, 0:1, 0:2, 0:3, 0:4 and 3 more; until {AT}",
        ),
    ],
)
def test_a_selection_is_said_in_words(selection: Selection, words: str) -> None:
    """Whom it is about is not said."""
    assert selection_words(selection) == words


@given(st.sets(st.from_regex(r"\d{1,3}:\d{1,9}", fullmatch=True), min_size=1, max_size=200))
def test_the_words_stay_short_whatever_is_selected(positions: set[str]) -> None:
    """A row of the view is no place for a thousand positions."""
    assert len(selection_words(Selection(positions=frozenset(positions)))) < 120
