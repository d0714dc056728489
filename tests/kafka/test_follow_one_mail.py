"""One mail from a client's request to its replay: as spans, as log lines, as a story."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from console.stack.catcher.threaded import CatcherThread
from runtime.trace_context import TraceContext
from tests.conftest import TopicsFactory
from tests.support.api import running_api
from tests.support.broker import BrokerAddress
from tests.support.catcher import wait_for_all
from tests.support.collector import running_collector
from tests.support.mailer import Kafka, start_worker, worker_environ
from tests.support.wait import wait_until

Run = Callable[..., str]

CLIENT = TraceContext("c" * 32, "d" * 16, 1)
#: Refused three times: that is once on main and once in each tier.
NAME = "recognisable+tempfail3"
ADDRESS = f"{NAME}@example.com"
ATTEMPT = "mailcascade.attempt"
EMAIL = {
    "template": "signup-confirmation",
    "to": {"address": ADDRESS},
    "data": {"confirm_url": "https://example.com/confirm/abc"},
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that succeeds, and return what it prints."""

    def run(environ: Mapping[str, str], *arguments: str) -> str:
        for name in [name for name in os.environ if name.startswith("MAILCASCADE")]:
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        done: Result = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_one_mail_is_followed_from_the_request_to_its_replay(
    broker: BrokerAddress,
    topics: TopicsFactory,
    catcher: CatcherThread,
    tmp_path: Path,
    run: Run,
) -> None:
    """Spans of four processes link up, each line has the ids, and the story tells all of it."""
    kafka = Kafka(broker.bootstrap, topics("200ms,400ms", 2))
    logs = tmp_path / "worker.log", tmp_path / "api.log"
    with running_collector() as collector:
        overrides = {"MAILCASCADE_OTLP_ENDPOINT": collector.url}
        environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state", overrides)
        with start_worker(environ, logs[0]), running_api(environ, logs[1]) as api:
            headers = {"traceparent": CLIENT.parent}
            answer = httpx2.post(f"{api.url}/v1/emails", json=EMAIL, headers=headers)
            mail = answer.json()["id"]
            wait_until(lambda: kafka.read(kafka.topology.dlt), 40, "the mail to die")
            run(environ, "dlt", "replay", "--all", "--yes", "--reason", "the mailbox is back")
            wait_for_all(catcher, [ADDRESS])
            wait_until(lambda: kafka.lag() == 0, 20, "everything to be committed")
            story = json.loads(run(environ, "trace", mail, "--json"))
            printed = run(environ, "trace", mail, "--since", "1h")
            revealed = run(environ, "trace", mail, "--reveal")
        spans = collector.spans()

    by_name = {span.name: span for span in spans if not span.name.startswith("process")}
    request, sent = by_name["POST /v1/emails"], by_name[f"send {kafka.topology.main}"]
    replay = by_name[f"replay {kafka.topology.main}"]
    attempts = sorted(
        (span for span in spans if span.name.startswith("process")),
        key=lambda s: (int(s.attributes["mailcascade.generation"]), s.attributes[ATTEMPT]),
    )
    assert (request.trace_id, request.parent_id) == (CLIENT.trace_id, CLIENT.span_id)
    assert (sent.trace_id, sent.parent_id) == (CLIENT.trace_id, request.span_id)
    chain = [sent, *attempts[:3], replay, attempts[3]]
    assert [span.links for span in chain[1:]] == [(span.context,) for span in chain[:-1]]
    assert {span.service for span in spans} == {
        "mailcascade-ingest",
        "mailcascade-worker",
        "mailcascade-replay",
    }

    check_story(story, [span.trace_id for span in attempts], replay.trace_id)
    assert story["trace"] == CLIENT.trace_id
    assert "attempt 1 failed: 451 4.2.1 Mailbox temporarily unavailable" in printed
    assert "dead letter" in printed
    assert "r***@example.com" in printed
    assert NAME not in printed + json.dumps(story)
    assert ADDRESS in revealed
    check_logs([json.loads(line) for log in logs for line in lines_of(log)], mail)
    everything = "".join(str(span) for span in spans) + "".join(log.read_text() for log in logs)
    assert NAME not in everything


def lines_of(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith("{")]


def check_story(story: dict[str, Any], attempts: list[str], replay: str) -> None:
    """Every turn of the mail is told once, in order, and leads to its trace."""
    told = [(step["what"], step["trace_id"]) for step in story["steps"]]
    assert told == [
        ("accepted", CLIENT.trace_id),
        ("attempt 1 failed", attempts[0]),
        ("attempt 2 failed", attempts[1]),
        ("dead after attempt 3", attempts[2]),
        ("replayed", replay),
        ("sent by attempt 1", attempts[3]),
    ]
    assert (story["state"], story["recipient"]) == ("sent", "r***@example.com")
    assert [bool(step["to"]) for step in story["steps"]] == [False, *[True] * 3, False, False]


def check_logs(lines: list[dict[str, Any]], mail: str) -> None:
    """Every line about the mail carries its id and a trace's."""
    about = [line for line in lines if line["event"].startswith("mail.")]
    assert [line["event"] for line in about] == ["mail.retry", "mail.retry", "mail.dead"]
    assert {line["mail_id"] for line in about} == {mail}
    assert all(len(line["trace_id"]) == 32 for line in about)
