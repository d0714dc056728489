"""What became of mails, asked of the whole pipeline as it runs: over HTTP and by commands."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from schemas.instants import parse_instant, write_instant
from tests.support.api import running_api
from tests.support.broker import BrokerAddress, create_topology
from tests.support.mailer import Kafka
from tests.support.pipeline import Client, Pipeline, Told, running_pipeline, running_projector
from tests.support.postgres import kinds
from tests.support.wait import wait_until

FIRST_TIER_MS = 4_000
on_one_database = pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", params=kinds())
def pipeline(
    request: pytest.FixtureRequest,
    broker: BrokerAddress,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """One pipeline for the tests of this file on each kind of database; tenants keep them apart."""
    directory = tmp_path_factory.mktemp("pipeline")
    topology = Topology(f"e2e-status-{uuid4().hex[:8]}", parse_tiers("4s,8s"), 2)
    create_topology(broker.bootstrap, topology)
    database = f"sqlite:///{directory / 'status.db'}"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").new_database()
    kafka = Kafka(broker.bootstrap, topology)
    with running_pipeline(kafka, database, directory) as running:
        yield running


@pytest.fixture
def client(pipeline: Pipeline) -> Iterator[Client]:
    """A program of a tenant of this test's own."""
    with pipeline.client() as client:
        yield client


@pytest.fixture
def other(pipeline: Pipeline) -> Iterator[Client]:
    """A program of another tenant."""
    with pipeline.client() as other:
        yield other


def from_now(milliseconds: int) -> str:
    """Return an instant as a client writes it."""
    return write_instant(SystemClock().now_ms() + milliseconds)


def states(told: Told) -> list[str]:
    """Return the states that a mail went through."""
    return [entry["state"] for entry in told["history"]]


def some_address(tag: str = "") -> str:
    """Return an address that nobody else uses; the catcher obeys the tag."""
    return f"u{uuid4().hex[:12]}{tag}@example.com"


def test_a_mail_s_life_is_told_step_by_step(pipeline: Pipeline, client: Client) -> None:
    """Queued at once, then the relay's words and when it is tried again, then the whole history."""
    with pipeline.view_stands_still():
        mail = client.post(some_address("+greylist"))
        answer = client.http.get(f"/v1/emails/{mail}")
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        assert answer.headers["cache-control"] == "no-store"

    retry = client.until(mail, "retry")
    (failed,) = retry["history"]
    assert retry["attempts"] == {"used": 1, "max": 3}
    assert (retry["last"]["code"], retry["last"]["enhanced"]) == (451, "4.7.1")
    assert retry["last"]["text"] == "Greylisted, please try again later"
    waits = parse_instant(retry["due_at"]) - parse_instant(retry["accepted_at"])
    assert waits >= FIRST_TIER_MS
    assert failed["due_at"] == retry["due_at"]
    assert retry["summary"].startswith("retry 1 of 2, due at ")
    assert retry["summary"].endswith(": 451 4.7.1 Greylisted, please try again later")

    sent = client.until(mail, "sent")
    assert sent["history"][0] == failed
    assert states(sent) == ["retry", "sent"]
    assert "250 2.0.0 OK: caught as" in sent["summary"]
    assert sent["updated_at"] >= retry["due_at"]
    assert sent["due_at"] is None
    assert client.http.get(f"/v1/emails/{mail}").status_code == 200


def test_every_end_of_a_mail_is_told(client: Client) -> None:
    """Scheduled and sent, dead, suppressed, expired: each with the reason."""
    address = some_address("+bounce")
    scheduled = client.post(some_address(), not_before=from_now(4_500))
    expiring = client.post(some_address("+tempfail"), expires_at=from_now(3_000))
    bounced = client.post(address)

    assert client.until(scheduled, "scheduled")["summary"].startswith("scheduled for ")
    dead = client.until(bounced, "dead")
    assert (dead["reason"], dead["last"]["text"]) == ("refused", "No such user here")
    suppressed = client.until(client.post(address), "suppressed")
    assert suppressed["summary"].startswith("not sent: its recipient gets no more mail")
    expired = client.until(expiring, "expired")
    assert expired["summary"].startswith("not sent: its time was over at ")
    sent = client.until(scheduled, "sent")
    assert (states(sent)[0], states(sent)[-1]) == ("scheduled", "sent")
    assert sent["updated_at"] >= sent["not_before"]


def test_a_mail_is_stopped_in_time_or_it_is_told_that_it_was_too_late(client: Client) -> None:
    """The demand is answered at once, and the status says what came of it."""
    waiting = client.post(some_address(), not_before=from_now(3_600_000))
    client.until(waiting, "scheduled")
    gone = client.post(some_address())
    client.until(gone, "sent")

    asked = client.stop(waiting)
    assert (asked["state"], asked["cancel"]["in_time"]) == ("scheduled", None)
    late = client.stop(gone)
    assert (late["state"], late["cancel"]["in_time"]) == ("sent", False)

    cancelled = client.until(waiting, "cancelled")
    assert cancelled["cancel"]["in_time"] is True
    assert states(cancelled)[-1] == "cancelled"
    assert client.stop(waiting)["cancel"]["in_time"] is True
    assert client.ask(gone)["state"] == "sent"


def test_mails_are_listed_and_a_cursor_stays_where_it_is(client: Client) -> None:
    """By recipient, state and template; what is added meanwhile neither moves nor repeats one."""
    later = from_now(86_400_000)
    named = some_address()
    first = [client.post(some_address(), not_before=later) for _ in range(11)]
    first.append(client.post(named, "signup-confirmation", not_before=later))
    wait_until(lambda: len(client.page(state="scheduled")["emails"]) == 12)

    seen: list[str] = []
    page = client.page(limit=5)
    while True:
        seen += [mail["id"] for mail in page["emails"]]
        if page["next_cursor"] is None:
            break
        added = client.post(some_address(), not_before=later)
        client.until(added, "scheduled")
        page = client.page(limit=5, cursor=page["next_cursor"])
    assert seen == first[::-1]

    def ids(**parameters: object) -> list[str]:
        return [mail["id"] for mail in client.page(**parameters)["emails"]]

    assert ids(recipient=named.upper()) == ids(template="signup-confirmation") == [first[-1]]
    assert ids(state="scheduled,retry", template="signup-confirmation") == [first[-1]]
    assert ids(state="sent,dead") == ids(recipient=some_address()) == []
    assert len(ids(state="scheduled")) == 14


def test_a_tenant_is_told_of_its_own_mails_only(client: Client, other: Client) -> None:
    """Another one's mail, a lane that is not the mail's, and garbage: 404, as if they were not."""
    mail = client.post(some_address(), not_before=from_now(86_400_000))
    client.until(mail, "scheduled")

    for path in (f"/v1/emails/{mail}", "/v1/emails/garbage", f"/v1/emails/{'z' * 31}1"):
        for method in ("GET", "DELETE"):
            answer = other.http.request(method, path)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    assert other.page()["emails"] == []
    assert client.ask(mail)["state"] == "scheduled"
    assert client.http.get(f"/v1/emails/{mail}", headers={"Authorization": ""}).status_code == 401


@on_one_database
def test_commands_tell_what_the_api_tells(pipeline: Pipeline, client: Client) -> None:
    """The same fields for one mail and for a list, of every tenant; and sentences for people."""
    address = some_address()
    mail = client.post(address)
    client.until(mail, "sent")

    one = pipeline.told("status", mail)
    assert all(entry.pop("worker") for entry in one["history"])
    assert one.pop("tenant").startswith("tenant-")
    assert one.pop("paused") is None
    assert one == client.ask(mail)
    (listed,) = pipeline.told("status", "--recipient", address, "--state", "sent")["emails"]
    del listed["tenant"], listed["paused"]
    assert [listed] == client.page(recipient=address)["emails"]
    assert pipeline.printed("status", mail).startswith("sent: accepted by the relay at ")


@on_one_database
def test_commands_stop_mails_and_suppress_recipients(pipeline: Pipeline, client: Client) -> None:
    """What they write to Kafka a worker obeys, and the view tells."""
    waiting = client.post(some_address(), not_before=from_now(3_600_000))
    gone = client.post(some_address())
    client.until(waiting, "scheduled")
    client.until(gone, "sent")
    address = some_address()

    assert pipeline.printed("cancel", waiting, gone, "--reason", "test").count("asked for") == 2
    assert client.until(waiting, "cancelled")["cancel"]["in_time"] is True
    late = client.until(gone, "sent", lambda told: told["cancel"])
    assert late["cancel"]["in_time"] is False
    assert late["summary"].endswith("came too late")

    pipeline.printed("suppress", address, "--reason", "asked us to")
    client.until(client.post(address), "suppressed")
    assert "asked us to" in pipeline.printed("suppressions")
    pipeline.printed("unsuppress", address)
    client.until(client.post(address), "sent")


@on_one_database
def test_held_mails_are_decided_by_commands(pipeline: Pipeline, client: Client) -> None:
    """Listed, released and held again, discarded; each step is in the mail's history."""
    mail = client.post(some_address("+drop"), "signup-confirmation")
    held = client.until(mail, "held")
    assert held["summary"].startswith("held until a person releases or discards it")

    assert mail in [one["id"] for one in pipeline.told("held", "list")]
    assert "to be sent" in pipeline.printed("held", "release", mail, "--reason", "not there")
    again = client.until(mail, "held", lambda told: told["history"][-1]["generation"] == 1)
    assert states(again) == ["sending", "held", "sending", "held"]
    assert "will not be sent" in pipeline.printed("held", "discard", mail)
    assert states(client.until(mail, "discarded"))[-1] == "discarded"
    refused = pipeline.command("held", "release", mail)
    assert (refused.returncode, "is not held any more" in refused.stderr) == (1, True)


@on_one_database
def test_without_the_view_mails_are_accepted_and_stopped_all_the_same(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Questions are 503 until a projector has made the view anew, with what Kafka has."""
    file = tmp_path / "gone.db"
    environ = {**pipeline.environ, "MAILCASCADE_DATABASE_URL": f"sqlite:///{file}"}
    with (
        running_api(environ, tmp_path / "api.log") as api,
        Client(api.url, next(pipeline.keys)) as client,
    ):
        with running_projector(environ, tmp_path / "first.log"):
            before = client.post(some_address(), not_before=from_now(3_600_000))
            wait_until(lambda: file.exists())
            wait_until(lambda: client.http.get(f"/v1/emails/{before}").status_code == 200)
        for left in tmp_path.glob("gone.db*"):
            left.unlink()

        asked = client.http.get(f"/v1/emails/{before}")
        assert asked.status_code == client.http.get("/v1/emails").status_code == 503
        assert asked.headers["retry-after"]
        assert "gone.db" not in asked.text
        assert "is `mailcascade projector` running?" in (tmp_path / "api.log").read_text()
        meanwhile = client.post(some_address())
        assert client.stop(before)["state"] is None

        with running_projector(environ, tmp_path / "second.log"):
            wait_until(lambda: client.http.get("/v1/emails").status_code == 200)
            client.until(meanwhile, "sent")
            assert client.until(before, "cancelled")["cancel"]["in_time"] is True
