"""What would lose mails, hold them or send them wrongly is told from what merely differs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.hazards import HEADER_BYTES, LEAST_BACKLOG_MS, Hazard, hazards
from retry_topics.provisioning import unfit
from retry_topics.topic_specs import DAY_MS, desired
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.topics import TopicState

TOPOLOGY = Topology("mails", parse_tiers("1m,10m,3d"), 8)
APPLY = "mailcascade topics apply"


def _states(replication: int = 3) -> dict[str, TopicState]:
    return {
        spec.name: TopicState(spec.name, spec.partitions, replication, spec.configs, replication)
        for spec in desired(TOPOLOGY, replication)
    }


def _with(topic: str, name: str, value: str) -> list[Hazard]:
    states = _states()
    state = states[topic]
    states[topic] = replace(state, configs=dict(state.configs) | {name: value})
    return hazards(TOPOLOGY, states)


@pytest.mark.parametrize("replication", [1, 2, 3])
def test_topics_as_they_are_made_are_no_hazard(replication: int) -> None:
    """With as many copies as a cluster can have."""
    assert hazards(TOPOLOGY, _states(replication)) == []


@pytest.mark.parametrize("tiers", ["1s", "100ms,2s", "1m,10m,1h", "30d", "1h,400d"])
def test_no_choice_of_tiers_is_a_hazard_by_itself(tiers: str) -> None:
    """What `topics apply` makes for the longest tier is kept long enough everywhere."""
    topology = Topology("mails", parse_tiers(tiers), 2)
    states = {
        spec.name: TopicState(spec.name, 2, 1, spec.configs, 1) for spec in desired(topology, 1)
    }

    assert hazards(topology, states) == []


@pytest.mark.parametrize(
    ("topic", "name", "value", "says", "mend"),
    [
        ("mails", "cleanup.policy", "compact", "one record of each recipient", APPLY),
        ("mails.retry.10m", "cleanup.policy", "compact,delete", "loses the others", APPLY),
        ("mails.control", "cleanup.policy", "compact", "one record of each recipient", APPLY),
        ("mails.dlt", "cleanup.policy", "delete, compact", "one record of each recipient", APPLY),
        ("mails.suppressions", "cleanup.policy", "delete", "would get mail again", APPLY),
        ("mails.switches", "cleanup.policy", "compact,delete", "would be sent", APPLY),
        ("mails", "retention.ms", "3600000", "deleted before they are sent", APPLY),
        # Three days of delay and a day's backlog; three days alone are not enough.
        ("mails.retry.3d", "retention.ms", str(3 * DAY_MS), f"needs {4 * DAY_MS} at least", APPLY),
        ("mails.ledger", "retention.ms", str(3 * DAY_MS), "sent again", APPLY),
        ("mails.dlt", "retention.ms", "60000", "before anybody has looked", APPLY),
        ("mails.dlt-journal", "retention.ms", "60000", "could be replayed again", APPLY),
        ("mails.retry.1m", "message.timestamp.type", "LogAppendTime", "are due", APPLY),
        ("mails.retry.1m", "max.message.bytes", "1048588", "holds its lane", "=1064960"),
        ("mails.dlt", "max.message.bytes", "1310720", "holds its lane", "=1327104"),
        ("mails", "min.insync.replicas", "4", "nothing can be written", "min.insync.replicas=1"),
    ],
)
def test_what_loses_or_holds_mails_is_a_hazard(
    topic: str, name: str, value: str, says: str, mend: str
) -> None:
    """It names the topic, what it has, what comes of it, and the command that mends it."""
    (hazard,) = _with(topic, name, value)

    assert hazard.topic == topic
    assert says in hazard.what
    assert name in hazard.what
    assert mend in hazard.mend


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("mails", "retention.ms", "-1"),
        ("mails", "retention.ms", str(2 * DAY_MS)),
        ("mails.ledger", "cleanup.policy", "compact"),
        ("mails", "message.timestamp.type", "LogAppendTime"),
        ("mails.outages", "retention.ms", "60000"),
        ("mails", "min.insync.replicas", "1"),
    ],
)
def test_what_only_differs_is_none(topic: str, name: str, value: str) -> None:
    """An operator may have reasons; `topics plan` shows it all the same."""
    assert _with(topic, name, value) == []


def test_a_larger_main_topic_asks_for_larger_topics_behind_it() -> None:
    """Each record must fit into every topic that it may have to go to."""
    found = _with("mails", "max.message.bytes", str(4 << 20))

    assert {hazard.topic for hazard in found} == {*TOPOLOGY.retries, TOPOLOGY.dlt}


@given(kept=st.integers(0, 10 * DAY_MS))
def test_a_tier_s_records_outlive_their_delay_and_a_backlog(kept: int) -> None:
    """Exactly those that do not are a hazard."""
    safe = kept >= 3 * DAY_MS + LEAST_BACKLOG_MS

    assert (_with("mails.retry.3d", "retention.ms", str(kept)) == []) is safe


def test_the_room_for_headers_is_part_of_what_is_made() -> None:
    """The steps between the topics' sizes are no smaller than what is asked for."""
    size = {spec.name: int(spec.configs["max.message.bytes"]) for spec in desired(TOPOLOGY, 3)}

    assert size["mails.retry.1m"] - size["mails"] >= HEADER_BYTES
    assert size["mails.dlt"] - size["mails.retry.1m"] >= HEADER_BYTES


def test_a_topic_that_is_missing_hides_no_hazard() -> None:
    """A worker that does not start tells all of it."""
    states = _states()
    del states["mails.control"]
    dlt = states["mails.dlt"]
    states["mails.dlt"] = replace(dlt, configs=dict(dlt.configs) | {"cleanup.policy": "compact"})

    missing, hazard = unfit(TOPOLOGY, [spec.name for spec in desired(TOPOLOGY, 3)], states)

    assert missing == f"there is no topic mails.control; create it: {APPLY}"
    assert hazard.startswith("mails.dlt has cleanup.policy=compact")
    assert hazard.endswith(f"; mend it: {APPLY}")
