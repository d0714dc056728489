"""What clients are told about their mails, one by one and as lists; what they can stop."""

import asyncio
import threading
from dataclasses import replace
from uuid import UUID

import httpx2
import pytest

from consumers.status.letters import LetterState, LetterStatus
from consumers.status.reader import Cursor, StatusQuery
from ingest.problems import Refused
from ingest.status_view import StatusView
from runtime.kafka.published import PublishUnavailable
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.dlt_journal import Position
from schemas.identity import mail_id
from schemas.mail_states import SETTLED, MailState
from tests.support.clock import ManualClock
from tests.support.statuses import (
    ACCEPTED_AT,
    ADDRESS,
    EVENT_ID,
    ITEM,
    LANE_KEY,
    MAIL,
    MAIL_ID,
    MemoryStatuses,
    quiet,
)

PATH = f"/v1/emails/{MAIL_ID}"
PLAIN = {
    "template": "plain",
    "to": {"address": ADDRESS},
    "data": {"subject": "Hi", "body": "text"},
}
AWAY = "the status view cannot be read"


def assert_problem(answer: httpx2.Response, status: int, kind: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:mailcascade:problem:{kind}"


def commands(publisher) -> list[ControlCommand]:
    return [read_command(record.value) for record in publisher.records]


async def test_a_mail_is_told_with_its_whole_history(client, statuses):
    """In fields for programs and in a sentence for people; nobody's address is shown."""
    statuses.mails.append(replace(MAIL, expires_at=ACCEPTED_AT + 7_200_000))

    answer = await client.get(PATH)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    summary = "retry 2 of 3, due at 2027-01-15T08:11:02Z: 451 4.7.1 try later"
    assert answer.json() == {
        "id": MAIL_ID,
        "status_url": PATH,
        "state": "retry",
        "summary": summary,
        "template": "welcome",
        "recipient": "a***@example.com",
        "accepted_at": "2027-01-15T08:00:00.000Z",
        "updated_at": "2027-01-15T08:01:02.000Z",
        "due_at": "2027-01-15T08:11:02.000Z",
        "not_before": None,
        "expires_at": "2027-01-15T10:00:00.000Z",
        "attempts": {"used": 2, "max": 4},
        "last": {
            "text": "try later",
            "code": 451,
            "enhanced": "4.7.1",
            "rule": "greylisted",
            "phase": "rcpt",
        },
        "reason": None,
        "cancel": None,
        "waits_for": [],
        "dead_letters": [],
        "history": [
            {
                "at": "2027-01-15T08:01:02.000Z",
                "state": "retry",
                "summary": "retry after 2 failed attempts, due at 2027-01-15T08:11:02Z: "
                "451 4.7.1 try later",
                "generation": 0,
                "attempts": 2,
                "due_at": "2027-01-15T08:11:02.000Z",
                "reason": None,
                "text": "try later",
                "code": 451,
                "enhanced": "4.7.1",
                "phase": "rcpt",
                "rule": "greylisted",
            }
        ],
        "history_omitted": 0,
    }


@pytest.mark.parametrize("path", [PATH, "/v1/emails"])
async def test_a_tenant_is_not_told_which_operator_did_something_and_why(client, statuses, path):
    """That it was done is told: replayed, discarded, cancelled, or ended, and how."""
    place, at = Position(3, 1204), MAIL.updated_at
    said = replace(ITEM, state=MailState.DISCARDED, reason="ada", text="sued us")
    statuses.mails.append(
        replace(
            replace(MAIL, state=MailState.DISCARDED, reason="ada", text="sued us", code=None),
            history=(replace(said, code=None),),
            letters=(
                LetterStatus(place, LetterState.REPLAYED, at, "91c0", "ada", "relay mended"),
                LetterStatus(place, LetterState.DISCARDED, at, "", "ada", "sued us"),
                LetterStatus(place, LetterState.ENDED, at, "91c0", "ada", "cancelled"),
            ),
        )
    )

    answer = await client.get(path)

    assert answer.status_code == 200
    assert "discarded by a person" in answer.text
    assert [word for word in ("ada", "sued", "mended") if word in answer.text] == []
    told = answer.json()
    (mail,) = told.get("emails", [told])
    assert [letter["state"] for letter in mail["dead_letters"]] == [
        "replayed",
        "discarded",
        "ended",
    ]
    assert [letter["reason"] for letter in mail["dead_letters"]] == [None, None, "cancelled"]


async def test_a_tenant_is_told_that_a_mail_was_cancelled_over_http(client, statuses):
    """He asked for that himself."""
    cancelled = replace(MAIL, state=MailState.CANCELLED, reason="api", text="", code=None)
    statuses.mails.append(cancelled)

    assert (await client.get(PATH)).json()["reason"] == "api"


@pytest.mark.parametrize("tenant", [None, ""])
async def test_a_mail_that_the_view_does_not_know_is_queued(client, statuses, tenant):
    """Also one of which it does not know yet whose it is: 202, the view is a moment behind."""
    if tenant is not None:
        statuses.mails.append(replace(MAIL, tenant=tenant))

    answer = await client.get(f"/v1/emails/{MAIL_ID.upper()}")

    assert answer.status_code == 202
    body = answer.json()
    assert (body["id"], body["state"], body["template"]) == (MAIL_ID, "queued", None)
    assert body["attempts"] == {"used": 0, "max": 4}
    assert "accepted a moment ago" in body["summary"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("text", ["x", "1" * 32, MAIL_ID[:-1], f"{MAIL_ID}a", "%C3%A9" * 32])
async def test_an_id_that_cannot_be_one_is_404(client, publisher, method, text):
    """The answer says what an id looks like; nothing is asked for."""
    assert_problem(await client.request(method, f"/v1/emails/{text}"), 404, "not-found")
    assert not publisher.records


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_mail_of_another_tenant_is_404(client, statuses, publisher, method):
    """Nobody learns more than from an id that never was, or stops what is not theirs."""
    statuses.mails.append(replace(MAIL, tenant="rival"))

    assert_problem(await client.request(method, PATH), 404, "not-found")
    assert not publisher.records


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_id_with_another_lane_in_it_is_404(client, statuses, publisher, method):
    """The view knows the mail by another id, so this one was never given out."""
    statuses.mails.append(MAIL)
    forged = mail_id(EVENT_ID, bytes(4))

    assert_problem(await client.request(method, f"/v1/emails/{forged}"), 404, "not-found")
    assert not publisher.records


async def test_a_mail_of_which_only_the_ledger_spoke_is_told(client, statuses):
    """Its id is the one that was asked for."""
    known = replace(quiet(MailState.SENDING), mail_id="", accepted_at=None)
    statuses.mail = lambda event_id, now=None: known

    body = (await client.get(PATH)).json()

    assert (body["id"], body["state"], body["accepted_at"]) == (MAIL_ID, "sending", None)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/emails"), ("GET", PATH), ("DELETE", PATH)]
)
async def test_questions_need_a_key(client, statuses, publisher, method, path):
    """As mails do."""
    answer = await client.request(method, path, headers={"Authorization": "Bearer wrong"})

    assert_problem(answer, 401, "unauthorized")
    assert not publisher.records
    assert not statuses.asked


async def test_a_list_asks_for_what_the_parameters_say(client, statuses):
    """And for mails of the key's tenant only."""
    cursor = Cursor(5, UUID(int=9))
    parameters = [
        ("state", "retry,dead"),
        ("state", "held"),
        ("template", "welcome"),
        ("recipient", "Ada@EXAMPLE.com"),
        ("since", "2027-01-15T09:00:00+01:00"),
        ("until", "2027-01-16T08:00:00Z"),
        ("limit", "7"),
        ("cursor", cursor.encode()),
    ]

    answer = await client.get("/v1/emails", params=parameters)

    assert answer.json() == {"emails": [], "next_cursor": None}
    assert statuses.asked == [
        StatusQuery(
            tenant="shop",
            states=frozenset({MailState.RETRY, MailState.DEAD, MailState.HELD}),
            template="welcome",
            recipient="Ada@example.com",
            since=ACCEPTED_AT,
            until=ACCEPTED_AT + 86_400_000,
            limit=7,
            after=cursor,
        )
    ]


async def test_a_page_has_mails_and_the_way_to_the_next(client, statuses):
    """The cursor of an answer is taken as it is; mails have no history here."""
    statuses.mails.append(MAIL)
    statuses.next = Cursor(ACCEPTED_AT, EVENT_ID)

    page = (await client.get("/v1/emails")).json()
    await client.get("/v1/emails", params={"cursor": page["next_cursor"]})

    assert [mail["id"] for mail in page["emails"]] == [MAIL_ID]
    assert "history" not in page["emails"][0]
    assert [query.after for query in statuses.asked] == [None, statuses.next]
    assert statuses.asked[0].limit == 50


async def test_every_wrong_parameter_is_named(client, statuses):
    """One answer is enough to learn all that is to mend."""
    parameters = [
        ("state", "sent,lost"),
        ("template", ""),
        ("recipient", "nobody"),
        ("since", "yesterday"),
        ("until", "2027-01-16"),
        ("limit", "201"),
        ("limit", "5"),
        ("cursor", "é"),
        ("colour", "red"),
    ]

    answer = await client.get("/v1/emails", params=parameters)

    assert_problem(answer, 422, "invalid-request")
    problems = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert set(problems) == {name for name, _ in parameters}
    assert "must be one or more of queued, retry" in problems["state"]
    assert "such as 2031-01-31T09:00:00Z" in problems["since"]
    assert "there are state, template" in problems["colour"]
    assert not statuses.asked


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e2", "", "٣", "9" * 5000])
async def test_a_limit_is_a_number_in_bounds(client, limit):
    """Whatever else is sent is named."""
    answer = await client.get("/v1/emails", params={"limit": limit})

    assert [error["field"] for error in answer.json()["errors"]] == ["limit"]


async def test_an_empty_span_is_refused(client):
    """A client that mixed the two up learns it."""
    same = "2027-01-16T08:00:00Z"
    answer = await client.get("/v1/emails", params={"since": same, "until": same})

    assert [error["field"] for error in answer.json()["errors"]] == ["until"]


@pytest.mark.parametrize("path", ["/v1/emails", PATH])
async def test_a_view_that_is_away_is_503(client, statuses, path):
    """With when to come back; why is in the log, for it names hosts and files."""
    statuses.down = "no connection to db.internal"

    answer = await client.get(path)

    assert_problem(answer, 503, "status-unavailable")
    assert answer.json()["detail"] == "The status view cannot be read"
    assert int(answer.headers["retry-after"]) > 0


async def test_mails_are_accepted_while_the_view_is_away(client, statuses, publisher):
    """Readiness does not depend on it either."""
    statuses.down = AWAY

    assert (await client.post("/v1/emails", json=PLAIN)).status_code == 202
    assert (await client.get("/readyz")).status_code == 200
    assert len(publisher.records) == 1


async def test_a_question_is_no_event_that_was_refused(client, statuses):
    """It counts as an answered request only."""
    statuses.down = AWAY
    await client.get(PATH)

    text = (await client.get("/metrics")).text

    assert 'http_requests_total{route="/v1/emails/{id}",status="503"} 1.0' in text
    assert "mailcascade_events_refused_total{" not in text


async def test_a_mail_is_stopped_by_a_command_in_its_lane(client, statuses, publisher, clock):
    """The key's tenant asks for it; 202 tells what the view last saw."""
    statuses.mails.append(MAIL)

    answer = await client.delete(PATH)

    assert answer.status_code == 202
    body = answer.json()
    assert (body["id"], body["status_url"], body["state"]) == (MAIL_ID, PATH, "retry")
    assert body["cancel"] == {"requested_at": "2027-01-15T08:00:00.000Z", "in_time": None}
    (record,) = publisher.records
    assert (record.topic, record.key, record.partition) == ("mails.control", LANE_KEY, None)
    assert commands(publisher) == [
        ControlCommand(
            ControlAction.CANCEL,
            clock.now_ms(),
            event_id=str(EVENT_ID),
            tenant="shop",
            by="api",
        )
    ]


async def test_asking_again_tells_when_it_was_asked_first(client, statuses, publisher):
    """The demand is written again, for the first may have been lost on its way to the view."""
    statuses.mails.append(replace(MAIL, cancel_requested_at=ACCEPTED_AT + 5_000))

    body = (await client.delete(PATH)).json()

    assert body["cancel"] == {"requested_at": "2027-01-15T08:00:05.000Z", "in_time": None}
    assert len(publisher.records) == 1


@pytest.mark.parametrize(("down", "state"), [("", "queued"), (AWAY, None)])
async def test_a_mail_that_the_view_cannot_tell_is_stopped_too(
    client, statuses, publisher, down, state
):
    """Not known yet, or the view away: the worker decides."""
    statuses.down = down

    answer = await client.delete(PATH)

    assert (answer.status_code, answer.json()["state"]) == (202, state)
    assert [command.action for command in commands(publisher)] == [ControlAction.CANCEL]


@pytest.mark.parametrize("state", sorted(SETTLED))
async def test_stopping_a_mail_that_is_over_changes_nothing(client, statuses, publisher, state):
    """Asked again or too late, the answer is 202 with what became of the mail."""
    asked = ACCEPTED_AT + 5_000
    statuses.mails.append(replace(quiet(state), cancel_requested_at=asked))

    answer = await client.delete(PATH)

    assert answer.status_code == 202
    body = answer.json()
    in_time = state is MailState.CANCELLED
    assert body["state"] == state
    assert body["cancel"] == {"requested_at": "2027-01-15T08:00:05.000Z", "in_time": in_time}
    assert (await client.get(PATH)).json()["cancel"] == body["cancel"]
    assert not publisher.records


async def test_a_demand_that_kafka_does_not_take_is_503(client, statuses, publisher):
    """Nothing was promised."""
    publisher.failures.append(PublishUnavailable("Kafka is away", 5))

    answer = await client.delete(PATH)

    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("PUT", "/v1/emails")])
async def test_other_methods_are_405(client, method, path):
    """As everywhere."""
    assert_problem(await client.request(method, path), 405, "method-not-allowed")


async def test_the_template_of_a_path_is_no_path(client):
    """The braces are text like any other, and no id."""
    assert_problem(await client.get("/v1/emails/{id}"), 404, "not-found")


async def test_questions_do_not_pile_up(clock):
    """While a slow view answers a few, others wait, and more than that are sent away."""
    go_on = threading.Event()
    statuses = MemoryStatuses(before=lambda: go_on.wait(30))
    view = StatusView(statuses, clock)
    asked = [asyncio.ensure_future(view.mail(EVENT_ID)) for _ in range(64)]
    await asyncio.sleep(0)

    with pytest.raises(Refused) as caught:
        await view.mail(EVENT_ID)

    assert caught.value.problem.status == 503
    assert caught.value.headers == {"Retry-After": "1"}
    go_on.set()
    assert await asyncio.gather(*asked) == [None] * 64
    assert await view.mail(EVENT_ID) is None
    view.close()
    assert statuses.closed


async def test_a_view_that_does_not_answer_is_503_in_time():
    """The thread is left to itself."""
    go_on = threading.Event()
    view = StatusView(MemoryStatuses(before=lambda: go_on.wait(30)), ManualClock(), seconds=0.05)

    with pytest.raises(Refused, match="does not answer in time"):
        await view.mail(EVENT_ID)

    go_on.set()
    view.close()
