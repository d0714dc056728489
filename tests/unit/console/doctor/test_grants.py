"""Which ACLs each part needs, derived from the topology, and how they are printed and judged."""

import json

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.doctor.access import Allowed, Whose, check_access, missing
from console.doctor.acl_commands import Need, acl_json, acl_lines
from console.doctor.finding import Level, Unasked
from console.doctor.grants import READ, WRITE, Grant, Kind, Role, grants_of
from console.failures import CommandFailed
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology, parse_tiers

TOPOLOGY = Topology("mails", parse_tiers("1m,1h"), 8)
NAMES = [spec.name for spec in desired(TOPOLOGY, 1)]
EVERYTHING = frozenset({"Read", "Write", "Create", "Alter", "AlterConfigs", "DescribeConfigs"}) | {
    "Describe"
}
ALL = Allowed(dict.fromkeys(NAMES, EVERYTHING), EVERYTHING, EVERYTHING, {})
NONE = Allowed(dict.fromkeys(NAMES, frozenset()), frozenset(), frozenset(), {})


def _who(operation: str, topic: str) -> set[Role]:
    return {
        role
        for role in Role
        for grant in grants_of(role, TOPOLOGY)
        if grant.covers(Kind.TOPIC, topic) and operation in grant.operations
    }


@pytest.mark.parametrize("topic", NAMES)
def test_every_topic_has_a_writer_and_a_reader(topic: str) -> None:
    """A topic that is added to the topology belongs to somebody, or its part would be refused."""
    assert _who(WRITE, topic)
    assert _who(READ, topic)


@pytest.mark.parametrize("role", Role)
def test_nothing_is_granted_twice(role: Role) -> None:
    """One grant a resource, without what its other operations include."""
    grants = grants_of(role, TOPOLOGY)

    assert len({(grant.kind, grant.name) for grant in grants}) == len(grants)
    for grant in grants:
        if {"Read", "Write", "Alter"} & set(grant.operations):
            assert "Describe" not in grant.operations


def test_only_the_worker_may_take_lanes_and_fill_tiers() -> None:
    """Nobody else may take a lane, or put a mail into a tier."""
    assert _who(WRITE, TOPOLOGY.retries[0]) == {Role.WORKER}
    readers = {
        role
        for role in Role
        for grant in grants_of(role, TOPOLOGY)
        if grant.kind is Kind.GROUP and READ in grant.operations
    }
    assert readers == {Role.WORKER}


def test_an_api_with_operators_may_do_what_they_may() -> None:
    """And one without may only accept mails and take them back."""
    alone = grants_of(Role.INGEST, TOPOLOGY)
    both = grants_of(Role.INGEST, TOPOLOGY, operators=True)

    assert {(grant.name, grant.operations) for grant in alone} == {
        ("mails", ("Write",)),
        ("mails.control", ("Write",)),
    }
    assert {grant.name for grant in grants_of(Role.OPERATOR, TOPOLOGY)} <= {g.name for g in both}


def test_acls_are_printed_as_kafka_s_own_command() -> None:
    """With the pattern of those that are by prefix, and names that a shell takes as they are."""
    grants = [
        Grant(Kind.TOPIC, "mails", ("Read", "DescribeConfigs")),
        Grant(Kind.TRANSACTIONAL_ID, "mails.", ("Write",), prefixed=True),
        Grant(Kind.GROUP, "mails.mailer", ("Read",)),
        Grant(Kind.CLUSTER, "kafka-cluster", ("Describe",)),
    ]
    need = Need(Role.WORKER, "User:CN=a b", grants)
    start = "kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal 'User:CN=a b' "

    assert acl_lines([need], "kafka:9092") == [
        "# worker",
        f"{start}--operation Read --operation DescribeConfigs --topic mails",
        f"{start}--operation Write --resource-pattern-type prefixed --transactional-id mails.",
        f"{start}--operation Read --group mails.mailer",
        f"{start}--operation Describe --cluster",
    ]
    assert json.loads(acl_json([need]))[1] == {
        "role": "worker",
        "principal": "User:CN=a b",
        "resource": "transactional-id",
        "name": "mails.",
        "pattern": "prefixed",
        "operations": ["Write"],
    }


def test_credentials_that_may_do_everything_suffice_for_every_role() -> None:
    """As on a cluster without an authoriser."""
    (found,) = check_access(ALL, Whose(TOPOLOGY, None, operators=True))

    assert found.level is Level.OK
    assert all(role in found.what for role in Role)


def test_credentials_without_acls_are_told_for_the_role_or_the_nearest() -> None:
    """Each missing one is named."""
    (named,) = check_access(NONE, Whose(TOPOLOGY, Role.INGEST, operators=False))
    (nearest,) = check_access(NONE, Whose(TOPOLOGY, None, operators=False))

    assert named.what == "ingest lacks Write on the topic mails; Write on the topic mails.control"
    assert named.mend == "mailcascade doctor --acls --role ingest"
    assert nearest.level is Level.FAIL
    assert "suffice for no role; ingest lacks" in nearest.what


def test_what_could_not_be_asked_is_not_missing() -> None:
    """A topic that does not exist yet, and a transactional id that somebody may work with."""
    nothing_there = Allowed({}, EVERYTHING, EVERYTHING, {})

    assert missing(grants_of(Role.OPERATOR, TOPOLOGY), nothing_there) == []
    refused = Allowed({}, EVERYTHING, EVERYTHING, {"mails.": False})
    assert missing(grants_of(Role.WORKER, TOPOLOGY), refused) == [
        "Write on the transactional-id mails.*"
    ]


def test_a_kafka_that_is_away_leaves_access_unknown() -> None:
    """It is no answer."""
    (found,) = check_access(Unasked("nobody answers"), Whose(TOPOLOGY, None, operators=False))

    assert found.level is Level.UNKNOWN


def test_the_command_prints_acls_without_a_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the prefix and the brokers of the settings, all roles or one."""
    monkeypatch.setenv("MAILCASCADE_TOPIC_PREFIX", "mails")
    monkeypatch.setenv("MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    run = CliRunner()

    everyone = run.invoke(app, ["doctor", "--acls"]).stdout
    one = run.invoke(app, ["doctor", "--acls", "--role", "ingest", "--principal", "User:api"])

    assert [line[2:] for line in everyone.splitlines() if line.startswith("# ")] == list(Role)
    assert "User:mailcascade-worker" in everyone
    assert one.stdout.splitlines()[1].endswith(
        "--add --allow-principal User:api --operation Write --topic mails"
    )


def test_a_part_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    """As any wrong argument."""
    done = CliRunner().invoke(app, ["doctor", "--only", "kafka,relais"])

    assert isinstance(done.exception, CommandFailed)
    assert "kafka, access, relay" in str(done.exception)
