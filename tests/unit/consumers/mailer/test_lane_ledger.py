"""A lane's ledger: what was made counts at once, and is forgotten once the store has it."""

from collections.abc import Sequence

from consumers.mailer.completion import Change, Completion, SuppressionChange
from consumers.mailer.ledger.lane import LaneLedger, RecordKey
from runtime.kafka.records import Partition
from schemas.control import ControlAction, ControlCommand
from schemas.ledger import NOBODY, Standing
from schemas.mail_states import MailState
from tests.support.ledgers import MemoryStore

SOURCE = Partition("t", 0)
MAIL, ADDRESS = b"m" * 16, b"a" * 16
KEY: RecordKey = (MAIL, 0, 0)


class Journal:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.appended: list[tuple[int, RecordKey, str]] = []
        self.forgotten: list[RecordKey] = []

    def append(self, lane: int, event_id: bytes, generation: int, step: int, reply: str) -> None:
        self.appended.append((lane, (event_id, generation, step), reply))

    def settled(self, lane: int, keys: Sequence[RecordKey]) -> None:
        self.forgotten += keys


def change(state: MailState, step: int = 0) -> Change:
    return Change(MAIL, Standing(state, 0, step, 0, NOBODY))


def test_what_was_made_counts_before_it_is_committed() -> None:
    """The next record of the mail must not wait for the transaction."""
    ledger = LaneLedger(0, MemoryStore(), None, {})
    retry = change(MailState.RETRY, 1)
    ledger.made(Completion(SOURCE, 0, change=retry))
    assert ledger.standing(MAIL) == retry.standing


def test_the_store_tells_of_what_was_committed() -> None:
    """The ledger keeps no more in memory than what is under way."""
    store = MemoryStore()
    ledger = LaneLedger(0, store, None, {})
    retry = change(MailState.RETRY, 1)
    ledger.made(Completion(SOURCE, 0, change=retry))
    ledger.committed([retry], [])
    assert ledger.standing(MAIL) is None
    store.entries[MAIL] = retry.standing
    assert ledger.standing(MAIL) == retry.standing


def test_an_older_commit_does_not_hide_a_newer_change() -> None:
    """What is made while a transaction runs still counts after it."""
    ledger = LaneLedger(0, MemoryStore(), None, {})
    retry, sent = change(MailState.RETRY, 1), change(MailState.SENT, 1)
    for made in (retry, sent):
        ledger.made(Completion(SOURCE, 0, change=made))
    ledger.committed([retry], [])
    assert ledger.standing(MAIL) == sent.standing


def test_a_suppression_that_is_lifted_overrules_the_store() -> None:
    """Until its record is committed, too."""
    store = MemoryStore()
    store.suppressions[ADDRESS] = True
    ledger = LaneLedger(0, store, None, {})
    assert ledger.is_suppressed(ADDRESS)
    lifted = SuppressionChange(ADDRESS, False)
    ledger.made(Completion(SOURCE, 0, suppression=lifted))
    assert not ledger.is_suppressed(ADDRESS)
    ledger.committed([], [lifted])
    assert ledger.is_suppressed(ADDRESS)


def test_an_acceptance_is_in_the_journal_until_its_entry_is_committed() -> None:
    """Only SENT settles it."""
    journal = Journal()
    ledger = LaneLedger(7, MemoryStore(), journal, {})
    ledger.note_acceptance(KEY, "250 Ok")
    assert journal.appended == [(7, KEY, "250 Ok")]
    ledger.committed([change(MailState.SENDING)], [])
    assert journal.forgotten == []
    ledger.committed([change(MailState.SENT)], [])
    assert journal.forgotten == [KEY]


def test_journals_tell_of_one_record_of_a_mail() -> None:
    """A later record of the same mail was not accepted by that."""
    ledger = LaneLedger(0, MemoryStore(), None, {KEY: "250 Ok"})
    assert ledger.accepted_before(KEY) == "250 Ok"
    assert ledger.accepted_before((MAIL, 0, 1)) is None


def test_a_demand_is_wanted_until_it_had_its_turn() -> None:
    """It stops a mail in hand; afterwards the ledger's entry does."""
    ledger = LaneLedger(0, MemoryStore(), None, {})
    command = ControlCommand(ControlAction.CANCEL, 0, event_id="")
    ledger.want(MAIL, command)
    assert ledger.wanted(MAIL) is command
    ledger.forget_want(MAIL)
    assert ledger.wanted(MAIL) is None
