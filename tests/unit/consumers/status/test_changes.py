"""Records of the view's topics are read into what they say."""

from uuid import UUID

import pytest

from consumers.status.changes import Accepted, CancelAsked, ChangeReader, Noted, OutagesTold
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord, Record
from schemas.codec import EventCodec
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.errors import Undecodable
from schemas.identity import lane_key, mail_id
from schemas.mail_states import MailState
from schemas.outages import WorkerOutages
from schemas.privacy import keyed_hash
from tests.support.mailer import signup
from tests.support.status import accepted_record, cancel_record, entry, noted_record, outages_record

TOPOLOGY = Topology("signups", parse_tiers("1m"), 4)
KEY = b"secret"
READER = ChangeReader(TOPOLOGY, EventCodec(None), KEY)
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
