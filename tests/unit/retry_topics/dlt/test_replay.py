"""The replayed record: what it keeps of the dead one, and what it begins anew."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from retry_topics.again import to_main
from retry_topics.dlt.replay import Rewritten, TooLarge, replayed
from retry_topics.headers import (
    HISTORY,
    REPLAY_COUNT,
    REPLAY_JOB,
    REPLAY_OF,
    Journey,
    read_journey,
)
from retry_topics.topic_specs import MAIN_MESSAGE_BYTES
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import Record
from schemas.identity import lane_key
from tests.support.letters import DIED_AT, REFUSED, dead_record, journey_of, letter_of, message_of
from tests.support.mailer import signup

TOPOLOGY = Topology("t", parse_tiers("1m"), 4)
EVENT = signup("ada@example.com")
JOURNEYS = st.builds(
    journey_of,
    st.lists(st.just(REFUSED), max_size=4),
    generation=st.integers(0, 50),
)


@given(JOURNEYS, st.integers(0, 10**9))
def test_it_is_what_a_release_makes_of_it_and_tells_its_story(
    journey: Journey, offset: int
) -> None:
    """Key, value, foreign headers, origin and history stay; attempts are cleared."""
    dead = dead_record("t.dlt", EVENT, journey, 4)
    made = replayed(letter_of(dead, offset), message_of(dead, offset), None, "j1", TOPOLOGY)
    released = to_main(
        Record("t.dlt", dead.partition or 0, offset, DIED_AT, dead.key, dead.value, dead.headers),
        journey,
        journey.generation + 1,
        TOPOLOGY,
        keep_history=True,
    )

    assert read_journey(made.record.headers) == read_journey(released.headers)
    assert (made.record.topic, made.record.key, made.record.value) == (
        released.topic,
        released.key,
        released.value,
    )
    headers = dict(made.record.headers)
    assert headers["x-kept"] == b"yes"
    assert headers[REPLAY_OF] == f"{dead.partition}:{offset}".encode()
    assert (headers[REPLAY_JOB], headers[REPLAY_COUNT]) == (b"j1", b"1")
    assert made.record.partition == partition_of(dead.key or b"", 4)
    assert (made.event_id, made.generation) == (EVENT.event_id.bytes, journey.generation + 1)


def test_a_mail_that_is_replayed_again_counts_on() -> None:
    """So that a loop between the main and the dead-letter topic comes to the cap."""
    dead = dead_record("t.dlt", EVENT, journey_of(), 4)
    once = replayed(letter_of(dead), message_of(dead), None, "j1", TOPOLOGY).record
    twice = replayed(letter_of(once), message_of(once), None, "j2", TOPOLOGY).record

    assert dict(twice.headers)[REPLAY_COUNT] == b"2"
    assert [name for name, _ in twice.headers].count(REPLAY_JOB) == 1


def test_a_new_mail_has_an_id_of_its_own_and_no_generations() -> None:
    """The ledger knows nothing of it."""
    dead = dead_record("t.dlt", EVENT, journey_of(generation=2), 4)
    new_id = UUID(int=7)
    made = replayed(
        letter_of(dead),
        message_of(dead),
        Rewritten(b"new", "bob@example.com", new_id),
        "j",
        TOPOLOGY,
    )

    assert (made.event_id, made.generation) == (new_id.bytes, 0)
    assert dict(made.record.headers)["ce_id"] == str(new_id).encode()
    assert made.record.key == lane_key("bob@example.com")
    assert made.record.value == b"new"


def test_a_record_that_would_be_too_large_goes_without_its_history() -> None:
    """The main topic takes less than the dead-letter topic."""
    dead = dead_record("t.dlt", EVENT, journey_of([REFUSED] * 4), 4)
    room = MAIN_MESSAGE_BYTES - 1_200
    tight = structs.replace(dead, headers=(*dead.headers, ("x-large", b"x" * room)))
    made = replayed(letter_of(tight), message_of(tight), None, "j", TOPOLOGY)

    assert HISTORY not in dict(made.record.headers)
    full = structs.replace(dead, headers=(*dead.headers, ("x-large", b"x" * MAIN_MESSAGE_BYTES)))
    with pytest.raises(TooLarge):
        replayed(letter_of(full), message_of(full), None, "j", TOPOLOGY)
