"""The endpoints for operators: who is let in, what is taken, and what replays do to the process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import httpx2
import pytest

from ingest.app import Parts, build_app
from ingest.dlt_office import Office
from ingest.dlt_payloads import parse_discard, parse_import, parse_replay, parse_selection
from ingest.dlt_routes import Operators
from ingest.door import Door
from ingest.keys import KeyFile, hash_key
from ingest.problems import Refused
from retry_topics.dlt.archive import Found
from retry_topics.dlt.desk import Desk
from retry_topics.dlt.jobs import NotNow
from retry_topics.dlt.selection import EVERYTHING, recipient_of
from runtime.kafka.errors import KafkaFault
from schemas.replay_jobs import Edit, Pace, ReplayJob, Selection
from tests.support.clock import ManualClock

KEY = "mck_operator"
REPLAY = {"selection": {"all": True}}


@dataclass
class MemoryDesk:
    """Runs every job until it is told to stop, and raises what a test put into it."""

    raises: list[Exception] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    names: list[str] = field(default_factory=list)
    given_up: threading.Event = field(default_factory=threading.Event)

    def open(self, by: str) -> Desk:
        self.names.append(by)
        return cast(Desk, self)

    def jobs(self) -> list[ReplayJob]:
        if self.raises:
            raise self.raises.pop()
        return []

    def each(self, selection: Selection) -> Iterator[Found]:
        """Yield none, and tell when that is given up."""
        try:
            while True:
                if self.raises:
                    raise self.raises.pop()
                yield cast(Found, None)
        finally:
            self.given_up.set()

    def job(self, name: str) -> ReplayJob:
        return cast(ReplayJob, _Job(name))

    def run(
        self, job: ReplayJob, stop: threading.Event, told: Callable[[ReplayJob], None], wait: int
    ) -> ReplayJob:
        self.began.set()
        if self.raises:
            raise self.raises.pop()
        assert stop.wait(20)
        return job


@dataclass
class _Job:
    id: str
    state: str = "paused"


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def office(desk: MemoryDesk, clock: ManualClock) -> Office:
    return Office(desk.open, clock)


@pytest.fixture
async def operator(
    parts: Parts, office: Office, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with an operator's key."""
    path = tmp_path / "operators"
    path.write_text(f"ada:{hash_key(KEY)}\n")
    operators = Operators(Door(KeyFile(path, clock), 5.0), office)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(build_app(replace(parts, operators=operators))),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client


def assert_problem(answer: httpx2.Response, status: int, kind: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:mailcascade:problem:{kind}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/groups"),
        ("GET", "/letters"),
        ("GET", "/letters/0:1"),
        ("GET", "/export?all=true"),
        ("POST", "/import"),
        ("POST", "/plans"),
        ("POST", "/jobs"),
        ("GET", "/jobs"),
        ("GET", "/jobs/a"),
        ("POST", "/jobs/a/pause"),
        ("POST", "/jobs/a/resume"),
        ("POST", "/jobs/a/cancel"),
        ("POST", "/discards"),
    ],
)
async def test_without_operators_everything_is_off(
    client: httpx2.AsyncClient, operator: httpx2.AsyncClient, method: str, path: str
) -> None:
    """And the answer names the setting; with them, no tenant's key opens the door."""
    answer = await client.request(method, f"/v1/dlt{path}")
    assert_problem(answer, 403, "operators-off")
    assert "MAILCASCADE_OPERATOR_KEYS_FILE" in answer.json()["detail"]
    for headers in ({"Authorization": "Bearer mck_test"}, {"Authorization": ""}):
        answer = await operator.request(method, f"/v1/dlt{path}", headers=headers)
        assert_problem(answer, 401, "unauthorized")


async def test_an_operator_s_key_sends_no_mail(operator: httpx2.AsyncClient) -> None:
    """Each kind of key is good for its own endpoints only."""
    assert_problem(await operator.get("/v1/emails"), 401, "unauthorized")
    assert (await operator.get("/v1/dlt/jobs")).json() == {"jobs": []}


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (KafkaFault("away"), 503, "dead-letters-unavailable"),
        (NotNow("somebody runs it"), 409, "not-now"),
        (RuntimeError("a fault of ours"), 500, "internal-error"),
    ],
)
async def test_what_goes_wrong_at_the_desk_is_a_problem(
    operator: httpx2.AsyncClient, desk: MemoryDesk, error: Exception, status: int, kind: str
) -> None:
    """With a time to come back where that helps."""
    desk.raises.append(error)
    answer = await operator.get("/v1/dlt/jobs")
    assert_problem(answer, status, kind)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_record_s_name_that_is_none_is_404(operator: httpx2.AsyncClient) -> None:
    """Without asking Kafka."""
    for name in ("x:1", "nobody"):
        assert_problem(await operator.get(f"/v1/dlt/letters/{name}"), 404, "not-found")


def pieces(desk: Desk) -> Generator[bytes, None, None]:
    for _ in desk.each(EVERYTHING):
        yield b"piece"


async def test_a_reader_who_goes_away_ends_the_export(office: Office, desk: MemoryDesk) -> None:
    """It holds a connection to Kafka, and a place that another export wants."""
    for _ in range(5):
        stream = await office.stream("ada", pieces)
        assert [await anext(stream), await anext(stream)] == [b"piece", b"piece"]
        await stream.aclose()
        assert await asyncio.to_thread(desk.given_up.wait, 20)
        desk.given_up.clear()


async def test_what_goes_wrong_within_an_export_breaks_it_off(
    office: Office, desk: MemoryDesk
) -> None:
    """Never a short answer that looks whole; before the first line it is a problem."""
    stream = await office.stream("ada", pieces)
    desk.raises.append(KafkaFault("away"))
    with pytest.raises(Refused, match="does not answer"):
        [piece async for piece in stream]
    desk.raises.append(KafkaFault("away"))
    with pytest.raises(Refused, match="does not answer"):
        await office.stream("ada", pieces)


async def test_there_is_an_end_to_the_exports_at_once(office: Office) -> None:
    """A slow reader holds a connection."""
    streams = [await office.stream("ada", pieces) for _ in range(4)]
    with pytest.raises(Refused, match="Too many exports"):
        await office.stream("ada", pieces)
    for stream in streams:
        await anext(stream)
        await stream.aclose()


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/export", "all=true selects everything"),
        ("GET", "/export?all=true&template=plain", "all=true selects everything"),
        ("POST", "/import?rate=soon", "rate"),
        ("POST", "/import?canary_wait=soon", "canary_wait"),
        ("POST", "/import?colour=red", "colour"),
    ],
)
async def test_wrong_parameters_of_files_are_told(
    operator: httpx2.AsyncClient, method: str, path: str, told: str
) -> None:
    """Before anything is read."""
    answer = await operator.request(method, f"/v1/dlt{path}")
    assert_problem(answer, 422, "invalid-request")
    assert told in answer.text


def test_an_import_s_parameters_mean_a_job() -> None:
    """The same as in a replay's body."""
    replay, plan = parse_import(
        [
            ("plan", "true"),
            ("rate", "2.5"),
            ("canary", "7"),
            ("renew_expiry", "1h"),
            ("as_new", "1"),
        ]
    )
    assert plan
    assert replay.pace == Pace(2.5, 7, 0.1, 300_000, False)
    assert replay.edit == Edit(renew_expiry_ms=3_600_000, as_new=True)


async def test_a_replay_runs_here_once_and_pauses_with_the_process(
    office: Office, desk: MemoryDesk
) -> None:
    """A second start is refused; stopping the process sets the job's signal and waits for it."""
    office.start("ada", "a")
    with pytest.raises(Refused, match="runs here already"):
        office.start("eve", "a")
    assert desk.began.wait(20)
    assert office.runs("a")
    assert await office.close(20) == []
    assert not office.runs("a")
    assert not office.pause("a")
    assert desk.names == ["ada"]


async def test_there_is_an_end_to_the_replays_of_one_process(office: Office) -> None:
    """They share its memory and its processor with the mails that are accepted."""
    for number in range(4):
        office.start("ada", str(number))
    with pytest.raises(Refused, match="4 replays run here"):
        office.start("ada", "more")
    assert await office.close(20) == []
    office.start("ada", "more")
    assert await office.close(20) == []


@pytest.mark.parametrize("error", [KafkaFault("away"), RuntimeError("x")])
async def test_why_a_replay_broke_off_is_remembered(
    office: Office, desk: MemoryDesk, error: Exception
) -> None:
    """It is told with the job; what is a fault of ours stays in the log."""
    desk.raises.append(error)
    office.start("ada", "a")
    await office.paused("a")
    assert office.problem("a") == (
        "away"
        if isinstance(error, KafkaFault)
        else "something went wrong here; the error was logged"
    )


def test_a_replay_s_body_means_a_job() -> None:
    """With everything that can be said, and with nothing but what is meant."""
    whole = b"""{"selection": {"since": "2031-01-31T09:00:00Z", "templates": ["plain"],
      "recipients": ["Ada@example.com"], "codes": [550], "positions": ["3:4"]},
      "edit": {"data": {"a": "b"}, "renew_expiry": "1h"}, "reason": "mended",
      "pace": {"rate": 200, "canary": 20, "canary_wait": "1m", "force": true}}"""
    replay = parse_replay(whole)

    assert replay.selection == Selection(
        since=1_927_616_400_000,
        templates=frozenset({"plain"}),
        recipients=frozenset({recipient_of("Ada@example.com")}),
        codes=frozenset({550}),
        positions=frozenset({"3:4"}),
    )
    assert replay.edit == Edit(data={"a": "b"}, renew_expiry_ms=3_600_000)
    assert replay.pace == Pace(200, 20, 0.1, 60_000, True)
    assert replay.reason == "mended"
    assert parse_replay(b'{"selection": {"all": true}}').pace == Pace()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", ""),
        (b'{"selection": {}}', "selection"),
        (b'{"selection": {"all": true, "codes": [550]}}', "selection"),
        (b'{"selection": {"groups": ["nothing"]}}', "selection"),
        (b'{"selection": {"states": ["lost"]}}', "selection"),
        (b'{"selection": {"recipients": ["nobody"]}}', "selection.recipients"),
        (b'{"selection": {"all": true}, "pace": {"rate": 0}}', "pace.rate"),
        (b'{"selection": {"all": true}, "pace": {"canary_wait": "soon"}}', "pace.canary_wait"),
        (b'{"selection": {"all": true}, "edit": {"renew_expiry": "1"}}', "edit.renew_expiry"),
        (b'{"selection": {"all": true}, "edit": {"transform": "x"}}', "edit"),
        (b'{"selection": {"al": true}}', "selection"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field(body: bytes, field: str) -> None:
    """No code is taken over HTTP, and nothing is selected by an oversight."""
    with pytest.raises(Refused) as refusal:
        parse_replay(body)
    assert refusal.value.problem.status == 422
    assert [error.field for error in refusal.value.problem.errors] == [field]


def test_a_discard_needs_a_reason() -> None:
    """Somebody will ask for it later."""
    selection, reason = parse_discard(b'{"selection": {"groups": ["ab"]}, "reason": "tests"}')
    assert (selection, reason) == (Selection(groups=frozenset({"ab"})), "tests")
    with pytest.raises(Refused):
        parse_discard(b'{"selection": {"groups": ["ab"]}, "reason": ""}')


def test_parameters_select_and_all_that_are_wrong_are_told() -> None:
    """Repeated or joined by commas."""
    given = [("state", "open,sent"), ("state", "held"), ("code", "550"), ("limit", "3")]
    selection, more = parse_selection(given, ("limit",))
    assert selection == Selection(
        states=frozenset({"open", "sent", "held"}), codes=frozenset({550})
    )
    assert more == {"limit": "3"}
    wrong = [("code", "x"), ("since", "soon"), ("colour", "red"), ("until", "a"), ("until", "b")]
    with pytest.raises(Refused) as refusal:
        parse_selection(wrong)
    fields = {error.field for error in refusal.value.problem.errors}
    assert fields == {"code", "since", "colour", "until"}
