"""Held mails: found on the dead-letter topic, released or discarded by a person."""

import json
from dataclasses import replace
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from console.failures import CommandFailed
from console.held import HeldDesk, HeldMail, held_json, held_lines
from console.held_records import find_held
from console.operator import NamedMail, Order
from consumers.status.reader import Cursor
from retry_topics.headers import Death, Journey, Origin, read_journey, write_journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.errors import KafkaUnreachable
from runtime.kafka.partitioner import partition_of
from runtime.kafka.published import RecordTooLarge
from runtime.kafka.records import OutRecord
from runtime.kafka.writer import WriteFailed
from schemas.codec import encode
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key, mail_id
from schemas.ledger import NOBODY, LedgerEntry, write_entry
from schemas.mail_states import MailState
from tests.support.memory_cluster import MemoryCluster
from tests.support.statuses import MAIL, MemoryStatuses, quiet

TOPOLOGY = Topology("mails", parse_tiers("1m"), 4)
#: 2027-01-15T08:00:00Z
AT = 1_800_000_000_000
ORDER = Order("eve", AT, "asked the recipient")
ORIGIN = Origin("mails", 1, 2, 3)
AWAY = "the status view cannot be read"


def named(number: int) -> NamedMail:
    event_id, key = UUID(int=number), lane_key(address_of(number))
    return NamedMail(mail_id(event_id, key), event_id, key)


def address_of(number: int) -> str:
    return f"p{number}@example.com"


def park(
    cluster: MemoryCluster,
    number: int,
    reason: str = "held",
    generation: int = 0,
    lane: int | None = None,
) -> None:
    """Let a worker put a mail on the dead-letter topic."""
    mail = named(number)
    event = SignupEvent(
        mail.event_id, AT, "welcome", Recipient(address_of(number)), "en", {}, "shop"
    )
    journey = Journey(
        attempts=1,
        generation=generation,
        due_at=7,
        origin=ORIGIN,
        death=Death(AT + number, reason, "no reply"),
    )
    headers = write_journey((("ce_id", str(mail.event_id).encode()),), journey)
    place = partition_of(mail.lane_key, cluster.count) if lane is None else lane
    cluster.add(OutRecord(TOPOLOGY.dlt, mail.lane_key, encode(event), headers, place))


def say(
    cluster: MemoryCluster,
    number: int,
    state: MailState,
    generation: int = 0,
    lane: int | None = None,
) -> None:
    """Let a worker write to the ledger about a mail."""
    mail = named(number)
    place = partition_of(mail.lane_key, cluster.count) if lane is None else lane
    value = write_entry(LedgerEntry(state, generation, 1, 1, NOBODY, AT))
    cluster.add(OutRecord(TOPOLOGY.ledger, mail.event_id.bytes, value, (), place))


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def view() -> MemoryStatuses:
    return MemoryStatuses()


@pytest.fixture
def desk(view: MemoryStatuses, cluster: MemoryCluster) -> HeldDesk:
    return HeldDesk(view, cluster, TOPOLOGY, ORDER)


def test_a_released_mail_is_on_the_main_topic_again(cluster, desk) -> None:
    """As a new generation, with nothing used up; its key chooses the lane."""
    park(cluster, 1)
    say(cluster, 1, MailState.HELD)
    said: list[str] = []

    with capture_logs() as lines:
        desk.release([named(1)], False, said.append)

    (record,) = cluster.written
    assert [(line["event"], line["mail_id"]) for line in lines] == [
        ("held.released", named(1).text)
    ]
    assert (record.topic, record.key, record.partition) == ("mails", named(1).lane_key, None)
    assert read_journey(record.headers) == Journey(generation=1, origin=ORIGIN)
    assert dict(record.headers)["ce_id"] == str(named(1).event_id).encode()
    assert said == [f"{named(1).text}: released, to be sent"]


@pytest.mark.parametrize(
    ("on_topic", "in_ledger", "released"), [(0, 0, 1), (2, 2, 3), (0, 4, 5), (3, 1, 4)]
)
def test_a_release_is_of_a_higher_generation_than_any_before(
    cluster, desk, on_topic: int, in_ledger: int, released: int
) -> None:
    """Also where the ledger knows more of it than the dead-letter topic, or less."""
    park(cluster, 1, generation=on_topic)
    say(cluster, 1, MailState.HELD, generation=in_ledger)

    desk.release([named(1)], False, print)

    assert read_journey(cluster.written[0].headers).generation == released


def test_a_mail_that_was_held_twice_is_released_from_its_newest_record(cluster, desk) -> None:
    """Wherever the older one is."""
    park(cluster, 1, generation=1)
    park(cluster, 1, generation=0)
    say(cluster, 1, MailState.HELD, generation=1)

    desk.release([named(1)], False, print)

    assert read_journey(cluster.written[0].headers).generation == 2


@pytest.mark.parametrize("seen", [MailState.HELD, None])
def test_a_mail_that_the_ledger_has_forgotten_is_released_if_it_is_held(
    cluster, desk, view, seen: MailState | None
) -> None:
    """By the view, or because the operator insists."""
    park(cluster, 1)
    if seen is not None:
        view.mails.append(replace(quiet(seen), mail_id=named(1).text))

    desk.release([named(1)], seen is None, print)

    assert len(cluster.written) == 1


@pytest.mark.parametrize(
    ("seen", "down", "problem"),
    [
        (MailState.SENT, "", "is not held any more, it is sent"),
        (None, "", "--force"),
        (None, AWAY, "--force"),
    ],
)
def test_a_mail_that_the_ledger_has_forgotten_is_not_sent_twice(
    cluster, desk, view, seen: MailState | None, down: str, problem: str
) -> None:
    """The dead-letter topic keeps its record long after it was released."""
    park(cluster, 1)
    view.down = down
    if seen is not None:
        view.mails.append(replace(quiet(seen), mail_id=named(1).text))

    with pytest.raises(CommandFailed, match=problem):
        desk.release([named(1)], False, print)
    with pytest.raises(CommandFailed, match="the workers have forgotten it"):
        desk.discard([named(1)], print)

    assert not cluster.written


def test_a_discarded_mail_is_asked_for_in_its_lane(cluster, desk) -> None:
    """The worker that owns the lane decides; nothing goes to the main topic."""
    park(cluster, 1)
    say(cluster, 1, MailState.HELD)

    desk.discard([named(1)], print)

    (record,) = cluster.written
    assert (record.topic, record.key) == ("mails.control", named(1).lane_key)
    assert read_command(record.value) == ControlCommand(
        ControlAction.DISCARD,
        AT,
        event_id=str(named(1).event_id),
        by="eve",
        reason="asked the recipient",
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda desk, mails: desk.release(mails, False, print),
        lambda desk, mails: desk.release(mails, True, print),
        lambda desk, mails: desk.discard(mails, print),
    ],
    ids=["release", "release by force", "discard"],
)
def test_one_mail_that_is_not_held_stops_the_whole_command(cluster, desk, act) -> None:
    """Each is named with what it is; nothing was done to the others."""
    for number in (1, 2):
        park(cluster, number)
        say(cluster, number, MailState.HELD)
    park(cluster, 3, reason="exhausted")
    say(cluster, 2, MailState.SENT, generation=1)
    forged = named(1)._replace(text=mail_id(named(1).event_id, bytes(4)))

    with pytest.raises(CommandFailed) as caught:
        act(desk, [named(1), named(2), named(3), named(4), forged])

    assert str(caught.value).splitlines() == [
        f"{named(2).text}: is not held any more, it is sent",
        f"{named(3).text}: is not held; mails.dlt has no such record",
        f"{named(4).text}: is not held; mails.dlt has no such record",
        f"{forged.text}: is not held; mails.dlt has no such record",
        "nothing was done",
    ]
    assert not cluster.written


def test_a_mail_is_found_in_the_lane_that_it_had_before_partitions_were_added(cluster) -> None:
    """And so is what the ledger said of it, there and in the lane that it has since."""
    mail = named(1)
    lane = partition_of(mail.lane_key, 4)
    park(cluster, 1, lane=(lane + 1) % 4)
    say(cluster, 1, MailState.HELD, generation=2, lane=lane)
    say(cluster, 1, MailState.SENT, generation=1, lane=(lane + 1) % 4)

    found = find_held(cluster, TOPOLOGY, {(mail.event_id, mail.lane_key)})

    assert found[mail.event_id].state is MailState.HELD
    assert found[mail.event_id].next_generation == 3


def test_a_mail_too_large_with_its_history_is_released_without(cluster, desk) -> None:
    """Otherwise nobody could ever send it."""
    park(cluster, 1)
    say(cluster, 1, MailState.HELD)
    cluster.refusals = [WriteFailed(RecordTooLarge("too large"), 0)]

    desk.release([named(1)], False, print)

    assert len(cluster.written) == 1


@pytest.mark.parametrize(
    "causes",
    [
        [KafkaUnreachable("127.0.0.1:1", "away")],
        [RecordTooLarge("too large"), RecordTooLarge("too large")],
    ],
)
def test_a_release_that_kafka_does_not_take_is_an_error(cluster, desk, causes) -> None:
    """Nothing is said to be released."""
    park(cluster, 1)
    say(cluster, 1, MailState.HELD)
    cluster.refusals = [WriteFailed(cause, 0) for cause in causes]
    said: list[str] = []

    with pytest.raises(WriteFailed):
        desk.release([named(1)], False, said.append)

    assert not said


def test_held_mails_are_listed_from_the_status_view(desk, view) -> None:
    """Without reading a topic."""
    view.mails = [replace(quiet(MailState.HELD), text="no reply")]

    mails, remark = desk.list(10)

    assert mails == [
        HeldMail(MAIL.mail_id, MAIL.updated_at, "welcome", "a***@example.com", "no reply")
    ]
    assert remark == ""
    assert view.asked[0].states == {MailState.HELD}


def test_a_list_that_is_cut_says_so(desk, view) -> None:
    """With the option that shows more."""
    view.mails, view.next = [quiet(MailState.HELD)], Cursor(AT, UUID(int=7))

    assert desk.list(1)[1] == "there are more: raise --limit"


def test_without_a_view_held_mails_are_listed_from_kafka(cluster, desk, view) -> None:
    """Those that the ledger still calls held, the latest first; the others are counted."""
    for number in (1, 2, 3, 4, 6):
        park(cluster, number)
        say(cluster, number, MailState.HELD)
    park(cluster, 5, reason="refused")
    park(cluster, 7)
    say(cluster, 2, MailState.DISCARDED)
    view.down = AWAY

    mails, remark = desk.list(2)

    assert [mail.id for mail in mails] == [named(6).text, named(4).text]
    assert mails[0].recipient == "p***@example.com"
    assert mails[0].template == "welcome"
    assert remark == (
        f"read from mails.dlt, because {AWAY}; 1 more are too old to tell from Kafka if they are "
        "still held; 2 more are not shown"
    )


def test_records_that_are_no_held_mails_are_left_alone(cluster) -> None:
    """Whatever else stands on the dead-letter topic, or in the ledger."""
    park(cluster, 1)
    headers = write_journey((), Journey(death=Death(AT, "held", "")))
    for key, broken in ((b"lane", headers), (None, headers), (b"long key", headers), (b"k", ())):
        cluster.add(OutRecord(TOPOLOGY.dlt, key, b"?", broken, 0))
    cluster.add(OutRecord(TOPOLOGY.ledger, named(1).event_id.bytes, b"?", (), 0))

    assert list(find_held(cluster, TOPOLOGY)) == [named(1).event_id]


def test_a_held_mail_whose_event_cannot_be_read_is_listed(cluster, desk, view) -> None:
    """Its framing may need a registry; an address in the relay's words is masked."""
    headers = (("ce_id", str(named(1).event_id).encode()),)
    told = write_journey(headers, Journey(death=Death(AT, "held", "no reply to <ada@example.com>")))
    cluster.add(OutRecord(TOPOLOGY.dlt, named(1).lane_key, b"\x00\x00\x00\x00\x01", told, 0))
    say(cluster, 1, MailState.HELD)
    view.down = AWAY

    mails, _ = desk.list(10)

    assert mails == [HeldMail(named(1).text, AT, "", "", "no reply to <a***@example.com>")]


def test_held_mails_are_shown_to_people_and_programs() -> None:
    """What is not known is a dash, or empty."""
    mails = [
        HeldMail("abc", AT, "welcome", "a***@example.com", "no reply"),
        HeldMail("def", AT, "", "", ""),
    ]

    assert held_lines(mails) == [
        "abc  2027-01-15T08:00:00Z  welcome  a***@example.com  no reply",
        "def  2027-01-15T08:00:00Z  -  -  -",
        "2 held mails",
    ]
    assert json.loads(held_json(mails))[0] == {
        "id": "abc",
        "held_at": "2027-01-15T08:00:00.000Z",
        "template": "welcome",
        "recipient": "a***@example.com",
        "text": "no reply",
    }
