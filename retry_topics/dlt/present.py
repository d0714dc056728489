"""What letters are by now: what the journal says of them, and the ledger of their mails.

The journal hears of outcomes only while a job runs, and never of what is done about a mail without
this tool. So whoever looks is told what the ledger knows as well; nothing is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from retry_topics.dlt.archive import Archive
from retry_topics.dlt.edit import new_mail_id
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.lookup import Lookup
from retry_topics.dlt.outcomes import Outcome, outcome_of
from retry_topics.dlt.selection import matcher
from retry_topics.dlt.states import RecordState, Standing
from schemas.ledger import Standing as LedgerStanding
from schemas.mail_states import MOVING, MailState
from schemas.replay_jobs import ReplayJob, Selection

#: Letters about which the ledger is asked at once; each takes almost a kilobyte.
_CHUNK: Final = 65_000
#: The states after which something may have happened of which the journal has not heard.
_UNDECIDED: Final = frozenset({RecordState.OPEN, RecordState.HELD, RecordState.REPLAYED})
#: What a letter is whose mail is over although nobody has replayed it.
_OVER: Final = {
    MailState.SENT: RecordState.SENT,
    MailState.DISCARDED: RecordState.DISCARDED,
    MailState.CANCELLED: RecordState.ENDED,
    MailState.EXPIRED: RecordState.ENDED,
    MailState.SUPPRESSED: RecordState.ENDED,
}
_BY_OUTCOME: Final[Mapping[Outcome | None, RecordState]] = {
    Outcome.SENT: RecordState.SENT,
    Outcome.DEAD_AGAIN: RecordState.DEAD_AGAIN,
    Outcome.ENDED: RecordState.ENDED,
}


class Known(NamedTuple):
    """A letter, and what it is."""

    letter: Letter
    standing: Standing


def by_now(state: RecordState, generation: int, word: LedgerStanding | None) -> RecordState:
    """Return what a letter of a generation is, by the journal's state and the ledger's last word.

    `word` is None where the ledger has forgotten the mail, or never knew it.
    """
    if word is None or state not in _UNDECIDED:
        return state
    again = generation + 1
    if word.generation > again:
        # It was on its way as the next generation, and that one died or was held, too.
        return RecordState.DEAD_AGAIN
    if state is not RecordState.REPLAYED and word.generation < again:
        return RecordState.REPLAYED if word.state in MOVING else _OVER.get(word.state, state)
    return _BY_OUTCOME.get(outcome_of(word, again), RecordState.REPLAYED)


class Present:
    """Reads letters with what they are by now. Owned by one thread, for one question."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._lookup = Lookup(archive.log, archive.topology)
        self._jobs: Mapping[str, ReplayJob] | None = None

    def letters(self, selection: Selection) -> Iterator[Known]:
        """Yield what is selected, each lane's in the order of the topic.

        Raises:
            ValueError: the selection's words are wrong.
            KafkaFault: the topics cannot be read.
        """
        matcher(selection)
        states = selection.states
        check = matcher(replace(selection, states=frozenset()))
        for shelf in self._archive.shelves():
            chunk: list[Known] = []
            for letter, standing, _ in self._archive.found(shelf, check):
                chunk.append(Known(letter, standing))
                if len(chunk) >= _CHUNK:
                    yield from self._selected(chunk, states)
                    chunk = []
            yield from self._selected(chunk, states)

    def of(self, known: Sequence[Known]) -> list[Known]:
        """Return letters with what they are by now."""
        asked = list(map(self._mail, known))
        ids = {mail[0] for mail in asked if mail is not None}
        if not ids:
            return list(known)
        lanes = {one.letter.position.partition for one in known}
        word_of = self._lookup.standings(lanes, ids).get
        told = list(known)
        for index, mail in enumerate(asked):
            if mail is None or (word := word_of(mail[0])) is None:
                continue
            letter, (before, job) = known[index]
            state = by_now(before, mail[1], word)
            if state is not before:
                told[index] = Known(letter, Standing(state, job))
        return told

    def _selected(self, chunk: Sequence[Known], states: frozenset[str]) -> Iterator[Known]:
        return (one for one in self.of(chunk) if not states or one.standing.state in states)

    def _mail(self, known: Known) -> tuple[bytes, int] | None:
        """Return the mail that a letter waits for, and the letter's generation of it."""
        letter, (state, job) = known
        if letter.about is None or state not in _UNDECIDED:
            return None
        if state is RecordState.REPLAYED and self._sent_as_new(job):
            # As a mail of its own, whose first generation is the replayed one.
            return new_mail_id(job, letter.position).bytes, -1
        return letter.about.event_id, letter.generation

    def _sent_as_new(self, name: str) -> bool:
        if self._jobs is None:
            self._jobs = self._archive.jobs()
        job = self._jobs.get(name)
        return job is not None and job.edit.as_new
