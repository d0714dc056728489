"""Forwarding: same key, same value bytes, same partition number, told in the headers."""

from hypothesis import given
from hypothesis import strategies as st

from retry_topics.headers import Death, Journey, Origin, read_journey
from retry_topics.routing import to_dlt, to_tier
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Record

TOPOLOGY = Topology("signups", parse_tiers("1m,10m,1h"), 8)
NOW = 1_800_000_000_000
records = st.builds(
    Record,
    topic=st.sampled_from(TOPOLOGY.consumed),
    partition=st.integers(0, 7),
    offset=st.integers(0, 10**9),
    timestamp_ms=st.just(NOW),
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=64),
    headers=st.just((("ce_id", b"1"), ("x", None))),
)


@given(records, st.integers(0, 10**8))
def test_a_forward_changes_headers_only(record: Record, wait: int) -> None:
    """Key, value and partition number are the record's own, to a tier and to the DLT alike."""
    tier = to_tier(record, Journey(), NOW + wait, NOW, TOPOLOGY)
    dead = to_dlt(record, Journey(), Death(NOW, "refused", "no"), TOPOLOGY)
    for out in (tier, dead):
        assert (out.key, out.value, out.partition) == (record.key, record.value, record.partition)
        assert out.headers[:2] == record.headers
    assert tier.topic in TOPOLOGY.retries
    assert dead.topic == TOPOLOGY.dlt


@given(records, st.integers(0, 10**8))
def test_a_forward_tells_when_it_is_due_and_where_it_came_from(record: Record, wait: int) -> None:
    """The due time is exact; the origin is the first place, also after many hops."""
    journey = read_journey(to_tier(record, Journey(), NOW + wait, NOW, TOPOLOGY).headers)
    assert journey.due_at == NOW + wait
    assert journey.origin == Origin(record.topic, record.partition, record.offset, NOW)
    later = Record("signups.retry.1m", record.partition, 9, NOW + 1, record.key, record.value, ())
    again = to_tier(later, journey, NOW + wait, NOW, TOPOLOGY)
    assert read_journey(again.headers).origin == journey.origin


def test_a_dead_record_waits_for_nothing() -> None:
    """The DLT's headers say why it died and hold no due time."""
    record = Record("signups", 1, 2, NOW, b"k", b"v", ())
    out = to_dlt(record, Journey(due_at=NOW), Death(NOW, "refused", "550 no"), TOPOLOGY)
    journey = read_journey(out.headers)
    assert journey.due_at is None
    assert journey.death == Death(NOW, "refused", "550 no")
