"""What is planned for topics depends only on how they are and how they should be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_topics.provisioning import (
    Action,
    ConfigChange,
    Configure,
    Conflict,
    Create,
    Grow,
    plan,
    unfit,
)
from retry_topics.topic_specs import (
    DAY_MS,
    desired,
    orphans_of,
    replication_for,
    tier_retention,
)
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.topics import TopicSpec, TopicState

_TOPOLOGY = Topology("mails", parse_tiers("1m,10m,1h"), 8)
_NAMES = [
    "mails",
    "mails.retry.1m",
    "mails.retry.10m",
    "mails.retry.1h",
    "mails.dlt",
    "mails.dlt-journal",
    "mails.ledger",
    "mails.control",
    "mails.suppressions",
    "mails.outages",
    "mails.switches",
]


def _state(spec: TopicSpec) -> TopicState:
    return TopicState(
        spec.name, spec.partitions, spec.replication, spec.configs, in_sync=spec.replication
    )


def _main_with(**changes: object) -> tuple[Action, ...]:
    """Return the plan where only the main topic differs from what it should be."""
    specs = desired(_TOPOLOGY, 3)
    states = {spec.name: _state(spec) for spec in specs}
    states["mails"] = replace(states["mails"], **changes)  # type: ignore[arg-type]  # by name
    return plan(specs, states).actions


def _configs(**changes: str) -> dict[str, str]:
    return dict(desired(_TOPOLOGY, 3)[0].configs) | {
        name.replace("_", "."): value for name, value in changes.items()
    }


def test_every_topic_of_the_topology_is_desired_with_equal_partitions() -> None:
    """A lane is a partition number, so every topic has as many; switches are for all lanes."""
    specs = desired(_TOPOLOGY, 3)

    assert [spec.name for spec in specs] == _NAMES
    assert {spec.name: spec.partitions for spec in specs} == {
        name: 1 if name == "mails.switches" else 8 for name in _NAMES
    }
    assert {spec.replication for spec in specs} == {3}


@pytest.mark.parametrize(
    ("name", "cleanup", "days"),
    [
        ("mails", "delete", 7),
        ("mails.retry.1h", "delete", 7),
        ("mails.dlt", "delete", 30),
        ("mails.dlt-journal", "compact,delete", 60),
        ("mails.ledger", "compact,delete", 7),
        ("mails.control", "delete", 7),
        ("mails.suppressions", "compact", -1),
        ("mails.outages", "compact,delete", 1),
        ("mails.switches", "compact", -1),
    ],
)
def test_a_topic_keeps_what_it_must(name: str, cleanup: str, days: int) -> None:
    """Retention and cleanup follow the table of the architecture."""
    configs = next(spec.configs for spec in desired(_TOPOLOGY, 3) if spec.name == name)

    assert configs["cleanup.policy"] == cleanup
    assert int(configs["retention.ms"]) == (days * DAY_MS if days > 0 else -1)
    assert configs["message.timestamp.type"] == "CreateTime"


def test_a_record_fits_into_every_topic_that_it_may_go_to() -> None:
    """Headers grow on the way from main through the tiers to the dead-letter topic."""
    size = {spec.name: int(spec.configs["max.message.bytes"]) for spec in desired(_TOPOLOGY, 3)}

    assert size["mails"] < size["mails.retry.1m"] < size["mails.dlt"]


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_an_acknowledgement_survives_a_broker_where_there_are_enough(
    replication: int, in_sync: str
) -> None:
    """Three copies acknowledge with two; fewer could not lose one and go on."""
    assert {spec.configs["min.insync.replicas"] for spec in desired(_TOPOLOGY, replication)} == {
        in_sync
    }


@given(days=st.integers(1, 365))
def test_a_tier_keeps_a_record_longer_than_its_delay(days: int) -> None:
    """There are always seven days left for a backlog, less a delay of at most one day."""
    (tier,) = parse_tiers(f"{days}d")

    assert tier_retention(tier) >= tier.delay_ms + 6 * DAY_MS


@pytest.mark.parametrize(
    ("asked", "brokers", "copies"), [(None, 1, 1), (None, 2, 2), (None, 5, 3), (2, 3, 2)]
)
def test_copies_follow_the_cluster_unless_they_are_asked_for(
    asked: int | None, brokers: int, copies: int
) -> None:
    """Three if there are as many brokers."""
    assert replication_for(asked, brokers) == copies


def test_more_copies_than_brokers_are_refused_with_the_setting_to_change() -> None:
    """The message says what to set."""
    with pytest.raises(ValueError, match="MAILCASCADE_REPLICATION_FACTOR"):
        replication_for(3, 1)


def test_a_missing_topic_is_created() -> None:
    """On an empty cluster everything is created."""
    specs = desired(_TOPOLOGY, 3)

    assert plan(specs, {}).actions == tuple(Create(spec) for spec in specs)


def test_nothing_is_planned_where_nothing_differs() -> None:
    """A plan of what is there is empty."""
    assert _main_with() == ()


def test_fewer_partitions_grow() -> None:
    """Growing is a kind of its own: it moves recipients to other lanes."""
    assert _main_with(partitions=6) == (Grow("mails", 6, 8),)


def test_more_partitions_are_a_conflict_that_names_the_setting() -> None:
    """Kafka cannot take partitions away."""
    (conflict,) = _main_with(partitions=12)

    assert isinstance(conflict, Conflict)
    assert "MAILCASCADE_PARTITIONS=12" in conflict.reason


def test_fewer_copies_are_a_conflict() -> None:
    """Copies are added with Kafka's own tools."""
    (conflict,) = _main_with(replication=1)

    assert isinstance(conflict, Conflict)
    assert "kafka-reassign-partitions" in conflict.reason


def test_more_copies_are_fine() -> None:
    """Nobody has to have fewer copies than there are."""
    assert _main_with(replication=5) == ()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("retention.ms", "3600000", str(7 * DAY_MS)),
        ("cleanup.policy", "compact", "delete"),
        ("message.timestamp.type", "LogAppendTime", "CreateTime"),
        ("min.insync.replicas", "1", "2"),
    ],
)
def test_a_configuration_that_differs_is_changed(name: str, old: str, new: str) -> None:
    """The plan shows the old value and the new one."""
    actions = _main_with(configs=_configs(**{name.replace(".", "_"): old}))

    assert actions == (Configure("mails", (ConfigChange(name, old, new),)),)
    assert str(actions[0]) == f"{name} {old} -> {new}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention.ms", "-1"),
        ("retention.ms", str(90 * DAY_MS)),
        ("max.message.bytes", "8388608"),
        ("min.insync.replicas", "3"),
        ("compression.type", "zstd"),
    ],
)
def test_what_an_operator_raised_stays(name: str, value: str) -> None:
    """More retention, room or safety than asked for is no difference, nor is anything else."""
    assert _main_with(configs=_configs(**{name.replace(".", "_"): value})) == ()


def test_the_order_of_cleanup_policies_means_nothing() -> None:
    """`delete,compact` is `compact,delete`."""
    specs = desired(_TOPOLOGY, 3)
    states = {spec.name: _state(spec) for spec in specs}
    ledger = states["mails.ledger"]
    states["mails.ledger"] = replace(
        ledger, configs=dict(ledger.configs) | {"cleanup.policy": "delete,compact"}
    )

    assert plan(specs, states).actions == ()


def test_topics_of_former_tiers_are_orphans() -> None:
    """Only this topology's retry topics count, not those of a longer prefix."""
    names = ["mails", "mails.retry.1m", "mails.retry.5m", "mails2.retry.7m", "mails.dlt"]

    assert orphans_of(_TOPOLOGY, names) == ["mails.retry.5m"]


def test_a_fit_topology_has_no_problems() -> None:
    """All topics are there and have the partitions of the settings; the switches need only one."""
    states = {spec.name: _state(spec) for spec in desired(_TOPOLOGY, 1)}

    assert unfit(_TOPOLOGY, _NAMES, states) == []


def test_missing_topics_are_named_with_the_command_that_creates_them() -> None:
    """Every missing topic is one problem."""
    problems = unfit(_TOPOLOGY, _NAMES, {})

    assert len(problems) == len(_NAMES)
    assert all("mailcascade topics apply" in problem for problem in problems)


def test_a_wrong_setting_is_told_from_a_wrong_topic() -> None:
    """Where all topics agree the setting is wrong; where they do not, the topics are."""
    states = {spec.name: _state(spec) for spec in desired(_TOPOLOGY, 1)}
    others = {
        name: replace(state, partitions=12) if state.partitions == 8 else state
        for name, state in states.items()
    }

    (all_differ,) = unfit(_TOPOLOGY, _NAMES, others)
    (one_differs,) = unfit(_TOPOLOGY, _NAMES, states | {"mails.dlt": others["mails.dlt"]})

    assert "set MAILCASCADE_PARTITIONS=12" in all_differ
    assert "mails.dlt has 12" in one_differs
    assert "mailcascade topics plan" in one_differs
