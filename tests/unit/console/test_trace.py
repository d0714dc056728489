"""The story of a mail is told from Kafka alone: each fact once, and nobody's address."""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from console.failures import CommandFailed
from console.operator import NamedMail, named_mails
from console.story_shown import duration
from console.trace import Teller
from retry_topics.dlt.journal import Scribe
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from retry_topics.headers import REPLAY_JOB, REPLAY_OF, Death, Journey, read_journey
from retry_topics.routing import to_dlt, to_tier
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import OutRecord, Record
from schemas.codec import EventCodec, encode
from schemas.control import ControlAction, ControlCommand, write_command
from schemas.dlt_journal import NO_EVENT, DltEntry, EntryState, Position
from schemas.identity import lane_key, mail_id
from schemas.instants import write_instant
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash, mask_address
from schemas.suppressions import Suppression, write_suppression
from tests.support.mailer import record_of_event, signup
from tests.support.memory_cluster import MemoryCluster

TOPOLOGY = Topology("mails", parse_tiers("1m,10m"), 4)
ADDRESS = "recognisable@example.com"
EVENT = signup(ADDRESS)
KEY = lane_key(ADDRESS)
(MAIL,) = named_mails([mail_id(EVENT.event_id, KEY)])
START = 1_800_000_000_000
LATER = Failure(
    Scope.RECIPIENT,
    FailureClass.TRANSIENT,
    Phase.RCPT,
    f"4.2.1 <{ADDRESS}> is busy",
    "busy",
    451,
    "4.2.1",
)


class MemoryTopics:
    """A cluster in memory whose records can be found by their keys."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster(TOPOLOGY.partitions)

    def names(self) -> list[str]:
        return [f"mails{end}" for end in ("", ".retry.1m", ".retry.10m", ".retry.5s", ".dlt")]

    def partitions(self, topic: str) -> int:
        return self.cluster.partitions(topic)

    def topic_id(self, topic: str) -> str:
        return f"id of {topic}"

    def find(self, topic: str, lanes: Collection[int], keys: Collection[bytes]) -> Iterator[Record]:
        return (r for r in self.cluster.records(topic, lanes) if r.key in keys)


class Life:
    """What the parts write about one mail, in the lane of its recipient or another."""

    def __init__(self, lane: int | None = None) -> None:
        self.topics = MemoryTopics()
        self.lane = lane
        self.main = self.add(record_of_event(TOPOLOGY, EVENT))
        #: The lane's other mails, one of them to a recipient of the same lane key.
        self.add(record_of_event(TOPOLOGY, signup("other@example.com")))
        self.add(record_of_event(TOPOLOGY, signup(ADDRESS, tenant="other")))
        self.journey = Journey()

    def add(self, record: OutRecord) -> Record:
        lane = record.partition if self.lane is None else self.lane
        return self.topics.cluster.add(structs.replace(record, partition=lane))

    def entry(self, state: MailState, after: int, **fields: Any) -> Record:
        """Write an entry, so many milliseconds after the start."""
        journey = self.journey
        numbers = journey.generation, journey.step, journey.attempts
        entry = LedgerEntry(state, *numbers, owner_of("default"), START + after, worker="w-0")
        value = write_entry(structs.replace(entry, **fields))
        number = self.main.partition
        return self.add(OutRecord(TOPOLOGY.ledger, EVENT.event_id.bytes, value, (), number))

    def fails(self, after: int, *, told: bool = True) -> Record:
        """Let an attempt fail, and the mail go on to its tier."""
        record, now = self.main, START + after
        self.journey = self.journey.failed(LATER, now, "w-0")
        forward = to_tier(record, self.journey, now + 60_000, now, TOPOLOGY)
        self.journey = read_journey(forward.headers)
        if told:
            failure = {
                "text": LATER.text,
                "scope": LATER.scope,
                "kind": LATER.kind,
                "phase": LATER.phase,
                "rule": LATER.rule,
                "code": LATER.code,
                "enhanced": LATER.enhanced,
            }
            self.entry(MailState.RETRY, after, due_at=self.journey.due_at, **failure)
        return self.add(forward)

    def dies(self, after: int, reason: str = "exhausted", *, told: bool = True) -> Record:
        """Let the last attempt fail, and the mail go to the dead-letter topic."""
        now = START + after
        self.journey = self.journey.failed(LATER, now, "w-0")
        forward = to_dlt(self.main, self.journey, Death(now, reason, LATER.text), TOPOLOGY)
        self.journey = read_journey(forward.headers)
        if told:
            state = MailState.HELD if reason == "held" else MailState.DEAD
            self.entry(state, after, reason=reason, text=LATER.text)
        return self.add(forward)

    def again(self, headers: dict[str, str]) -> Record:
        """Write the mail to the main topic once more, one generation later."""
        self.journey = Journey(generation=self.journey.generation + 1)
        told = [("mc-generation", str(self.journey.generation)), *headers.items()]
        extra = tuple((name, text.encode()) for name, text in told)
        record = record_of_event(TOPOLOGY, EVENT)
        return self.add(structs.replace(record, headers=record.headers + extra))

    def teller(self) -> Teller:
        return Teller(self.topics, TOPOLOGY, EventCodec(None))

    def printed(self, mail: NamedMail = MAIL, *, reveal: bool = False) -> str:
        lines: list[str] = []
        self.teller().tell(mail, reveal=reveal, as_json=False, show=lines.append)
        return "\n".join(lines)

    def told(self) -> dict[str, Any]:
        lines: list[str] = []
        self.teller().tell(MAIL, reveal=False, as_json=True, show=lines.append)
        told: dict[str, Any] = json.loads("\n".join(lines))
        return told

    def steps(self) -> list[str]:
        return [step["what"] for step in self.told()["steps"]]


def test_a_mail_that_nobody_has_taken_up_is_queued() -> None:
    """All there is to tell is that it was accepted, and where it stands."""
    told = Life().told()
    assert (told["state"], told["attempts"]) == ("queued", 0)
    (step,) = told["steps"]
    assert step["what"] == "accepted"
    assert told["records"] == [step["place"]] == [f"mails/{place(MAIL)}/0"]


def place(mail: NamedMail) -> int:
    return Life().topics.cluster.add(OutRecord("x", mail.lane_key, None, ())).partition


def test_every_turn_is_told_once_with_its_place_and_its_time() -> None:
    """An attempt, the tier that it led to, and when the next one is due."""
    life = Life()
    waits = life.fails(100)
    life.entry(MailState.SENT, 61_000, text="250 ok")
    accepted, failed, sent = life.told()["steps"]
    assert accepted["what"] == "accepted"
    assert failed["what"] == "attempt 1 failed"
    assert failed["text"] == "451 4.2.1 <r***@example.com> is busy"
    assert failed["about"] == ["rcpt", "recipient", "transient", "busy"]
    assert failed["to"] == f"{waits.topic}/{waits.partition}/{waits.offset}"
    assert failed["due_at"] == write_instant(START + 60_100)
    assert (sent["what"], sent["by"]) == ("sent by attempt 2", "w-0")
    assert "  1m later\n" in life.printed()


@pytest.mark.parametrize(
    ("reason", "what"),
    [("", "scheduled"), ("domain-out", "put off"), ("template-paused", "paused")],
)
def test_why_a_mail_waits_is_told(reason: str, what: str) -> None:
    """For its own time, for what is out, or for an operator."""
    life = Life()
    life.entry(MailState.SCHEDULED, 100, reason=reason, due_at=START + 60_000)
    (_, step) = life.told()["steps"]
    assert (step["what"], step["due_at"]) == (what, write_instant(START + 60_000))


def test_what_the_ledger_has_forgotten_is_told_by_the_headers() -> None:
    """Compaction leaves the last entry; the dead letter carries every attempt."""
    life = Life()
    life.fails(0, told=False)
    life.fails(60_000, told=False)
    life.dies(660_000)
    # Where the mail waited is told by the times of its records, which are made up here.
    assert sorted(life.steps()) == [
        "accepted",
        "attempt 1 failed",
        "attempt 2 failed",
        "dead after attempt 3",
        "waits",
        "waits",
    ]
    forgotten = Life()
    forgotten.dies(0, told=False)
    assert forgotten.told()["state"] == "dead"
    assert forgotten.steps().count("dead") == 1


def test_a_mail_waits_in_its_tier() -> None:
    """The ledger says until when; where it has forgotten, the record does."""
    for told in (True, False):
        life = Life()
        life.fails(0, told=told)
        story = life.told()
        assert (story["state"], story["attempts"]) == ("retry", 1)
        assert story["due_at"] == write_instant(START + 60_000)


def test_a_replay_is_told_by_its_job_and_a_release_without_one() -> None:
    """Who did it and why is in the journal."""
    life = Life()
    letter = life.dies(0)
    position = Position(letter.partition, letter.offset)
    entry = DltEntry(EntryState.REPLAYED, 1, "job1", EVENT.event_id.bytes, START + 5_000, "ada")
    life.add(Scribe(TOPOLOGY, "id of mails.dlt").entry(position, entry))
    life.again({REPLAY_OF: str(position), REPLAY_JOB: "job1"})
    life.dies(9_000, "held")
    life.again({})
    told = life.told()
    assert told["state"] == "queued"
    by_name = {step["what"]: step for step in told["steps"]}
    assert by_name["replayed"]["text"] == f"dead letter {position}, by job job1"
    assert by_name["released"]["text"] == "to be sent after it was held"
    assert len(told["steps"]) == 5


def test_a_replay_into_another_mail_or_lane_is_told_by_the_journal() -> None:
    """Its record on the main topic is not one of this mail's."""
    life = Life()
    letter = life.dies(0)
    position = Position(letter.partition, letter.offset)
    scribe = Scribe(TOPOLOGY, "id of mails.dlt")
    entry = DltEntry(EntryState.REPLAYED, 0, "job1", bytes(15) + b"\1", START + 5_000, "ada")
    life.add(scribe.entry(position, entry))
    assert f"replayed: dead letter {position}, as a new mail, by job job1" in life.printed()


def test_what_people_asked_for_is_part_of_the_story() -> None:
    """Cancellations, discards and suppressions, of this mail and this recipient only."""
    life = Life()
    letter = life.dies(0)
    number = letter.partition

    def demand(action: ControlAction, **fields: Any) -> None:
        command = ControlCommand(action, START + 1_000, by="ada", reason="as asked", **fields)
        life.add(OutRecord(TOPOLOGY.control, KEY, write_command(command), (), number))

    demand(ControlAction.CANCEL, event_id=str(EVENT.event_id))
    demand(ControlAction.CANCEL, event_id=str(signup("x@example.com").event_id))
    demand(ControlAction.SUPPRESS, address=ADDRESS)
    demand(ControlAction.SUPPRESS, address="other@example.com")
    suppression = Suppression(KEY, mask_address(ADDRESS), START, "550 no such user", "w-0")
    value = write_suppression(suppression)
    life.add(OutRecord(TOPOLOGY.suppressions, address_hash(ADDRESS), value, (), number))
    position = Position(letter.partition, letter.offset)
    entry = DltEntry(EntryState.DISCARDED, 0, "", NO_EVENT, START + 2_000, "bob", "garbage")
    life.add(Scribe(TOPOLOGY, "id of mails.dlt").entry(position, entry))

    printed = life.printed()
    assert printed.count("asked for: cancel the mail (as asked)") == 1
    assert printed.count("asked for: suppress the recipient (as asked)") == 1
    assert f"discarded: dead letter {position} (garbage)" in printed
    assert "suppressed  since" in printed


def test_a_repeated_request_is_said_to_be_one() -> None:
    """The ledger drops it, so it is no second mail."""
    life = Life()
    life.add(record_of_event(TOPOLOGY, EVENT))
    assert life.steps() == ["accepted", "repeated"]


def test_a_mail_of_before_there_were_more_partitions_is_found() -> None:
    """In whichever lane it stands."""
    home = place(MAIL)
    life = Life(lane=(home + 1) % TOPOLOGY.partitions)
    assert life.steps() == ["accepted"]


def test_a_mail_that_was_replayed_into_another_lane_is_told_from_its_beginning() -> None:
    """The dead letter stays in the lane that was its recipient's before there were more."""
    home = place(MAIL)
    life = Life(lane=(home + 1) % TOPOLOGY.partitions)
    life.dies(0)
    life.lane = home
    life.again({REPLAY_OF: f"{life.main.partition}:0", REPLAY_JOB: "job1"})
    life.entry(MailState.SENT, 9_000, text="250 ok")
    assert sorted(life.steps()) == [
        "accepted",
        "dead after attempt 1",
        "replayed",
        "sent by attempt 1",
    ]
    assert life.told()["state"] == "sent"


def test_a_mail_is_followed_through_tiers_that_are_none_any_more() -> None:
    """Their topics are left alone when tiers change."""
    life = Life()
    waits = life.fails(0, told=False)
    life.add(OutRecord("mails.retry.5s", KEY, waits.value, waits.headers, waits.partition))
    assert f"mails.retry.5s/{waits.partition}/0" in life.told()["records"]


def test_addresses_are_masked_unless_they_are_asked_for() -> None:
    """In the relay's words, too."""
    life = Life()
    life.fails(0)
    life.dies(1_000)
    assert "recognisable" not in life.printed() + json.dumps(life.told())
    assert life.printed(reveal=True).count(ADDRESS) == 3


def test_a_mail_that_is_not_there_is_said_not_to_be() -> None:
    """With what that may mean."""
    (unknown,) = named_mails([mail_id(signup(ADDRESS).event_id, KEY)])
    with pytest.raises(CommandFailed, match="never accepted here, or is older"):
        Life().printed(unknown)
    with pytest.raises(CommandFailed, match="try without --since"):
        replace(Life().teller(), since=START).tell(unknown, reveal=False, as_json=False, show=print)


def test_what_cannot_be_decoded_is_told_as_far_as_it_can() -> None:
    """By its headers alone, without a recipient."""
    life = Life()
    life.topics = MemoryTopics()
    life.add(structs.replace(record_of_event(TOPOLOGY, EVENT), value=b"junk"))
    told = life.told()
    assert (told["state"], told.get("recipient")) == ("queued", None)


def test_a_record_without_an_id_in_its_headers_is_told_by_its_value() -> None:
    """Whoever wrote it."""
    life = Life()
    life.topics = MemoryTopics()
    life.add(OutRecord(TOPOLOGY.main, KEY, encode(EVENT), ()))
    assert life.steps() == ["accepted"]


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(1_000, "1s"), (598_000, "9m 58s"), (3_600_000, "1h"), (90_061_000, "1d 1h")],
)
def test_a_wait_is_told_in_two_units(milliseconds: int, words: str) -> None:
    """As people say it."""
    assert duration(milliseconds) == words
