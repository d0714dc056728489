"""Kafka with TLS, SASL and ACLs: each part works with those that `doctor` prints, and no others."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.doctor.access import Whose, ask_allowed, check_access
from console.doctor.finding import Level, Part
from console.doctor.grants import Grant, Kind, Role
from console.doctor.parts import Doctor
from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child, ChildSpec
from console.stack.kafka import Kind as Rung
from console.stack.kafka import choose_rung, machine_probes, prepare
from console.stack.ports import free_ports
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.client import client_properties
from runtime.settings import load_settings
from tests.support.api import running_api
from tests.support.mailer import Kafka, start_worker, worker_environ
from tests.support.pipeline import Client, running_projector
from tests.support.scrapes import Scraped, start_exporter
from tests.support.secured_broker import SecuredBroker, running_secured_broker
from tests.support.wait import wait_until

TOPOLOGY: Final = Topology("mails", parse_tiers("200ms,400ms"), 2)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """A broker with users and ACLs."""
    rung = choose_rung(os.environ, machine_probes(os.environ))
    if rung.kind is not Rung.JAVA:
        pytest.skip("users and ACLs are set up for a Kafka that Java runs")
    prepare(rung, os.environ, announce=lambda _: None)
    directory = tmp_path_factory.mktemp("secured") / "broker"
    with running_secured_broker(rung.where, os.environ, directory) as broker:
        yield broker


class Users:
    """A user for each role, with the ACLs that `mailcascade doctor` printed for it."""

    def __init__(self, broker: SecuredBroker, smtp_url: str, directory: Path) -> None:
        self.broker = broker
        kafka = Kafka(broker.bootstrap, TOPOLOGY)
        database = f"sqlite:///{directory / 'status.db'}"
        overrides = {"MAILCASCADE_DATABASE_URL": database}
        self._environ = worker_environ(kafka, smtp_url, directory / "state", overrides)
        self.grants: dict[Role, list[Grant]] = {role: [] for role in Role}
        for row in json.loads(self._printed(self._environ, "doctor", "--acls", "--json")):
            operations, prefixed = tuple(row["operations"]), row["pattern"] == "prefixed"
            grant = Grant(Kind(row["resource"]), row["name"], operations, prefixed)
            self.grants[Role(row["role"])].append(grant)
        self._properties = {role: broker.add_user(role) for role in Role}
        for role, grants in self.grants.items():
            broker.allow(role, grants)

    def environ(self, role: Role) -> dict[str, str]:
        """Return the environment of a process that is a role's user."""
        return {**self._environ, **self._properties[role]}

    def run(self, role: Role, *arguments: str) -> str:
        """Return what a command prints that succeeds."""
        return self._printed(self.environ(role), *arguments)

    @contextmanager
    def without(self, role: Role, grant: Grant) -> Iterator[None]:
        """Take an ACL from a role in the block."""
        self.broker.forbid(role, [grant])
        try:
            yield
        finally:
            self.broker.allow(role, [grant])

    @staticmethod
    def _printed(environ: Mapping[str, str], *arguments: str) -> str:
        done = CliRunner().invoke(app, arguments, env=dict(environ))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture(scope="module")
def relay() -> Iterator[CatcherThread]:
    """The relay that the users' mails go to."""
    with CatcherThread() as running:
        yield running


@pytest.fixture(scope="module")
def users(
    secured: SecuredBroker, relay: CatcherThread, tmp_path_factory: pytest.TempPathFactory
) -> Users:
    """Users with their ACLs, and the topics, which one of them has made."""
    users = Users(secured, relay.smtp_url, tmp_path_factory.mktemp("users"))
    users.run(Role.PROVISIONER, "topics", "apply")
    return users


def _said_at_its_end(environ: Mapping[str, str], log: Path) -> str:
    """Return what a worker says that ends by itself, with exit code 1."""
    with start_worker(environ, log) as worker:
        wait_until(lambda: worker.exit_code() is not None, 30, "the worker to end")
        assert worker.exit_code() == 1
    return log.read_text()


def test_mails_go_all_their_ways_with_the_printed_acls(
    users: Users, relay: CatcherThread, tmp_path: Path
) -> None:
    """Sent, refused, dead-lettered and replayed, cancelled; and the view has seen all of it."""
    fickle = "eve+tempfail3@example.com"
    (port,) = free_ports(1)
    with (
        start_worker(users.environ(Role.WORKER), tmp_path / "worker.log"),
        running_projector(users.environ(Role.PROJECTOR), tmp_path / "projector.log"),
        start_exporter(users.environ(Role.EXPORTER), port, tmp_path / "exporter.log"),
        running_api(users.environ(Role.INGEST), tmp_path / "api.log") as api,
        Client(api.url, "any") as client,
    ):
        sent = client.post("ada@example.com")
        refused = client.post("bob+bounce@example.com")
        # Refused at each of its three attempts, and taken at the fourth, after the replay.
        dead = client.post(fickle)
        later = client.post("ida@example.com", not_before="2031-01-01T00:00:00Z")
        client.stop(later)
        client.until(sent, "sent")
        client.until(refused, "dead")
        client.until(dead, "dead")
        client.until(later, "cancelled")
        users.run(Role.OPERATOR, "dlt", "replay", "--recipient", fickle)
        client.until(dead, "sent")
        assert "1 suppressed recipients" in users.run(Role.OPERATOR, "suppressions")
        users.run(Role.OPERATOR, "erase", "ida@example.com")
        wait_until(Scraped(port).is_ready, 30, "the exporter to be ready")
        environ = users.environ(Role.DOCTOR)
    _examined_by_its_own_user(environ)
    assert [len(relay.store.to(to)) for to in ("ada@example.com", fickle)] == [1, 1]


def _examined_by_its_own_user(environ: Mapping[str, str]) -> None:
    """Nothing is hidden from the doctor's user; it has something to say of a test's broker only."""
    settings = load_settings(environ)
    doctor = Doctor(settings, TOPOLOGY, SystemClock())
    found = doctor.examine({Part.KAFKA, Part.ACCESS, Part.CLOCK})
    bad = [one for one in found if one.level is not Level.OK]
    assert {one.level for one in bad} <= {Level.WARN}, bad
    # One broker, and a certificate for a day.
    assert {one.check for one in bad} == {"copies", "certificate"}


def test_a_worker_says_which_acl_it_lacks(users: Users, tmp_path: Path) -> None:
    """And ends, instead of running without lanes; so does an API that may not write."""
    ids = next(g for g in users.grants[Role.WORKER] if g.kind is Kind.TRANSACTIONAL_ID)
    with users.without(Role.WORKER, ids):
        said = _said_at_its_end(users.environ(Role.WORKER), tmp_path / "transactions.log")
    assert "the ACL Write on the transactional id mails." in said
    assert "`mailcascade doctor --acls`" in said
    group = next(g for g in users.grants[Role.WORKER] if g.kind is Kind.GROUP)
    seen = replace(group, operations=("Describe",))
    users.broker.allow(Role.WORKER, [seen])
    with users.without(Role.WORKER, group):
        said = _said_at_its_end(users.environ(Role.WORKER), tmp_path / "group.log")
    users.broker.forbid(Role.WORKER, [seen])
    assert "Group authorization failed" in said
    assert "`mailcascade doctor --role worker`" in said


def test_an_api_that_may_write_nothing_ends_and_says_why(users: Users, tmp_path: Path) -> None:
    """It would take mails that never get to Kafka."""
    environ = users.environ(Role.PROJECTOR) | {"MAILCASCADE_HTTP_PORT": "0"}
    command = [sys.executable, "-m", "console", "ingest"]
    log = tmp_path / "api.log"
    with Child(ChildSpec("api", command, log, environ)) as api:
        wait_until(lambda: api.exit_code() is not None, 30, "the API to end")
        assert api.exit_code() == 1
    assert "the ACL Write on the topics that this process writes is missing" in log.read_text()


def test_each_acl_that_is_missing_is_named(users: Users) -> None:
    """Whatever is taken from a worker, `doctor --role worker` says just that, and what mends it."""
    settings = load_settings(users.environ(Role.WORKER))
    properties = client_properties(settings, role="doctor")
    whose = Whose(TOPOLOGY, Role.WORKER, operators=False)
    for grant in users.grants[Role.WORKER]:
        with users.without(Role.WORKER, grant):
            (found,) = check_access(ask_allowed(properties, whose), whose)
        assert found.level is Level.FAIL
        told = found.what.count(f" on the {grant.kind} {grant.name}")
        assert told >= len(grant.operations)
        assert told == found.what.count(" on the ")
        assert found.mend == "mailcascade doctor --acls --role worker"
    (complete,) = check_access(ask_allowed(properties, whose), whose)
    assert complete.level is Level.OK
