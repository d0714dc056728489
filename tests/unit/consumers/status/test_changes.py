"""Records of the view's topics are read into what they say."""

from uuid import UUID

import pytest

from consumers.status.changes import (
    Accepted,
    CancelAsked,
    ChangeReader,
    Died,
    JobTold,
    Noted,
    OutagesTold,
    Settled,
    SwitchTurned,
)
from retry_topics.dlt.journal import Scribe
from retry_topics.policy import DeadReason
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord, Record
from schemas.codec import EventCodec
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.dlt_journal import (
    NO_EVENT,
    DltEntry,
    EntryState,
    Position,
    entry_key,
    job_key,
)
from schemas.errors import Undecodable
from schemas.identity import lane_key, mail_id
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.privacy import keyed_hash
from schemas.replay_jobs import Edit, JobState, Pace, ReplayJob, Selection
from schemas.switches import Switch, SwitchKey, SwitchKind
from tests.support.letters import dead_record, journey_of
from tests.support.mailer import signup
from tests.support.status import accepted_record, cancel_record, entry, noted_record, outages_record
from tests.support.switches import switch_record

TOPOLOGY = Topology("signups", parse_tiers("1m"), 4)
KEY = b"secret"
READER = ChangeReader(TOPOLOGY, EventCodec(None), KEY, "dlt-id")
JOB = ReplayJob(
    id="91c0",
    state=JobState.RUNNING,
    by="ada",
    reason="",
    created_at=1,
    owner="",
    beat_at=2,
    note="",
    selection=Selection(),
    ends={},
    edit=Edit(),
    pace=Pace(),
    counts={},
)
EVENT = signup("Ada@Example.com", tenant="shop", occurred_at=5, not_before=7, expires_at=9)


def _record(out: OutRecord, timestamp_ms: int = 6) -> Record:
    return Record(out.topic, 2, 0, timestamp_ms, out.key, out.value, out.headers)


def _made(topic: str, key: bytes | None, value: bytes | None) -> Record:
    return Record(topic, 2, 0, 6, key, value, ())


def test_a_main_record_tells_what_the_mail_is() -> None:
    """The address is masked and hashed; its plain form goes no further."""
    read = READER.read(_record(accepted_record(TOPOLOGY, EVENT)))

    assert read == Accepted(
        event_id=EVENT.event_id.bytes,
        lane=2,
        mail_id=mail_id(EVENT.event_id, lane_key("Ada@Example.com")),
        tenant="shop",
        template="signup-confirmation",
        accepted_at=5,
        not_before=7,
        expires_at=9,
        recipient="A***@Example.com",
        recipient_hash=keyed_hash(KEY, "ada@example.com"),
        generation=0,
        at=6,
    )


def test_a_replay_has_its_generation() -> None:
    """It is in a header."""
    read = READER.read(_record(accepted_record(TOPOLOGY, EVENT, generation=2)))

    assert isinstance(read, Accepted)
    assert read.generation == 2


@pytest.mark.parametrize("key", [None, b"", b"another-length"])
def test_a_record_with_a_foreign_key_has_its_recipient_s_mail_id(key: bytes | None) -> None:
    """Another program may have written it; the lane key follows from the address."""
    made = _made(TOPOLOGY.main, key, accepted_record(TOPOLOGY, EVENT).value)
    read = READER.read(made)

    assert isinstance(read, Accepted)
    assert read.mail_id == mail_id(EVENT.event_id, lane_key("Ada@Example.com"))


def test_a_record_without_a_timestamp_is_of_its_event_s_time() -> None:
    """Zero would make the mail as old as can be."""
    read = READER.read(_record(accepted_record(TOPOLOGY, EVENT), timestamp_ms=0))

    assert isinstance(read, Accepted)
    assert read.at == 5


def test_a_ledger_record_is_its_entry() -> None:
    """Its key is the event id."""
    sent = entry(MailState.SENT, 8, text="ok")
    read = READER.read(_record(noted_record(TOPOLOGY, EVENT, sent)))

    assert read == Noted(EVENT.event_id.bytes, 2, sent)


def test_a_cancellation_is_read() -> None:
    """With who asks for it."""
    read = READER.read(_record(cancel_record(TOPOLOGY, EVENT, 8, "shop")))

    assert read == CancelAsked(EVENT.event_id.bytes, 2, 8, "shop", "")


@pytest.mark.parametrize(
    "command",
    [
        ControlCommand(ControlAction.SUPPRESS, 1, address="a@example.com"),
        ControlCommand(ControlAction.UNSUPPRESS, 1, address="a@example.com"),
        ControlCommand(ControlAction.DISCARD, 1, event_id=str(UUID(int=1))),
    ],
)
def test_other_commands_say_nothing_about_a_mail(command: ControlCommand) -> None:
    """What comes of them is in the ledger."""
    assert READER.read(_made(TOPOLOGY.control, b"lane", write_command(command))) is None


def test_a_worker_s_notice_tells_what_is_out() -> None:
    """Also that nothing is."""
    told = WorkerOutages("w-0", 8)
    assert READER.read(_record(outages_record(TOPOLOGY, told))) == OutagesTold(told)


@pytest.mark.parametrize("since", [7, None])
def test_an_operator_s_switch_tells_what_is_paused(since: int | None) -> None:
    """And what is resumed."""
    key = SwitchKey(SwitchKind.TEMPLATE, "welcome")
    switch = None if since is None else Switch(key, since, "eve", "a test")
    assert READER.read(_record(switch_record(TOPOLOGY, key, since))) == SwitchTurned(key, switch)


@pytest.mark.parametrize("topic", [TOPOLOGY.ledger, TOPOLOGY.outages])
def test_a_removed_key_says_nothing(topic: str) -> None:
    """Compaction may leave a record without a value."""
    assert READER.read(_made(topic, bytes(16), None)) is None


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        (TOPOLOGY.main, b"lane", None),
        (TOPOLOGY.main, b"lane", b""),
        (TOPOLOGY.main, b"lane", b"{}"),
        (TOPOLOGY.ledger, None, noted_record(TOPOLOGY, EVENT, entry(MailState.SENT)).value),
        (TOPOLOGY.ledger, b"short", noted_record(TOPOLOGY, EVENT, entry(MailState.SENT)).value),
        (TOPOLOGY.ledger, bytes(16), b"\xc3\x01garbage!"),
        (TOPOLOGY.control, b"lane", b"garbage"),
        (TOPOLOGY.outages, b"w-0", b"garbage"),
        (TOPOLOGY.switches, b"mood:bad", None),
        (TOPOLOGY.control, b"lane", None),
        (
            TOPOLOGY.control,
            b"lane",
            write_command(ControlCommand(ControlAction.CANCEL, 1, event_id="not-a-uuid")),
        ),
    ],
)
def test_what_cannot_be_read_is_undecodable(
    topic: str, key: bytes | None, value: bytes | None
) -> None:
    """It is counted by whoever reads; it is never another error."""
    with pytest.raises(Undecodable):
        READER.read(_made(topic, key, value))


def test_a_dead_letter_tells_of_which_mail_it_is() -> None:
    """And whether it is held; one that is no event is told without a mail."""
    for reason, value, expected in (
        (DeadReason.REFUSED, None, Died(Position(2, 0), EVENT.event_id.bytes, False, 6)),
        (DeadReason.HELD, None, Died(Position(2, 0), EVENT.event_id.bytes, True, 6)),
        (DeadReason.UNDECODABLE, b"junk", Died(Position(2, 0), None, False, 6)),
    ):
        record = dead_record(TOPOLOGY.dlt, EVENT, journey_of(reason=reason), 4, value)
        assert READER.read(_record(record)) == expected


def test_the_journal_tells_what_became_of_letters_and_jobs() -> None:
    """Not of those of a topic that was deleted, and not what a job has claimed."""
    entry_of = DltEntry(EntryState.DISCARDED, 0, "", NO_EVENT, 9, "ada", "test data")
    at = Position(3, 1204)
    scribe, before = Scribe(TOPOLOGY, "dlt-id"), Scribe(TOPOLOGY, "old-id")
    (claim,) = scribe.claims("91c0", 2, [1, 2])

    assert READER.read(_record(scribe.entry(at, entry_of))) == Settled(at, entry_of)
    assert READER.read(_record(scribe.job(JOB))) == JobTold(JOB.id, JOB)
    assert READER.read(_record(before.entry(at, entry_of))) is None
    assert READER.read(_record(claim)) is None
    journal = TOPOLOGY.dlt_journal
    assert READER.read(_made(journal, entry_key("dlt-id", at), None)) == Settled(at, None)
    assert READER.read(_made(journal, job_key("91c0"), None)) == JobTold("91c0", None)
    assert READER.read(_made(journal, b"rows/1", b"?")) is None
    with pytest.raises(Undecodable):
        READER.read(_made(journal, entry_key("dlt-id", at), b"?"))
