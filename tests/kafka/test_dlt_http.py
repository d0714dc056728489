"""Dead mails over HTTP, by the service as a process: what an operator sees, replays and settles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ingest.keys import add_key
from retry_topics.dlt import jobs
from schemas.codec import EventCodec
from schemas.replay_jobs import JobState
from tests.conftest import TopicsFactory
from tests.support.api import running_api
from tests.support.broker import BrokerAddress
from tests.support.graveyard import Graveyard, graveyard
from tests.support.wait import wait_until


@pytest.fixture
def yard(broker: BrokerAddress, topics: TopicsFactory) -> Graveyard:
    return graveyard(broker.bootstrap, topics(partitions=2))


@contextmanager
def operator(yard: Graveyard, directory: Path) -> Iterator[httpx2.Client]:
    """Run the service, and yield an operator's client; in the end the service stops in order."""
    keys = directory / "operators"
    key = add_key(keys, "ada")
    environ = {
        **yard.environ(),
        "MAILCASCADE_OPERATOR_KEYS_FILE": str(keys),
        "MAILCASCADE_STATE_DIR": str(directory),
    }
    with (
        running_api(environ, directory / "api.log") as api,
        httpx2.Client(
            base_url=f"{api.url}/v1/dlt", headers={"Authorization": f"Bearer {key}"}, timeout=30
        ) as client,
    ):
        yield client
        assert api.process.stop() == 0, api.process.last_lines()


def test_what_died_is_seen_planned_replayed_and_settled_over_http(
    yard: Graveyard, tmp_path: Path
) -> None:
    """A replay runs in the background of the service; it is paused, resumed, and, when the service
    stops, put down, so that the next one goes on; called off while it runs, it leaves the rest to
    another. Each mail is replayed once.
    """
    graves = yard.bury(["policy"] * 400)
    yard.bury(["junk"] * 3)
    grey = yard.bury(["greylisted"] * 3)
    with operator(yard, tmp_path) as client:
        groups = told(client.get("/groups"))["open"]
        by_rule = {group["cause"]["rule"]: group for group in groups}
        assert {rule: group["count"] for rule, group in by_rule.items()} == {
            "policy": 400,
            "undecodable": 3,
            "greylisted": 3,
        }
        corrected(client, by_rule["greylisted"]["group"])
        policy, junk = by_rule["policy"]["group"], by_rule["undecodable"]["group"]
        listed = told(client.get("/letters", params={"group": policy, "limit": 2}))["letters"]
        assert len(listed) == 2
        assert listed[0]["recipient"].endswith("***@example.com")
        place = f"/letters/{listed[0]['position']}"
        (whole,) = told(client.get(place, params={"reveal": "true"}))["letters"]
        addresses = {grave.event.recipient.address for grave in graves}
        assert whole["event"]["recipient"]["address"] in addresses
        selection = {"groups": [policy]}
        plan = told(client.post("/plans", json={"selection": selection}), 201)
        assert (plan["selected"], plan["replayed"]) == (400, 400)
        settled = {"selection": {"groups": [junk]}, "reason": "test data"}
        assert told(client.post("/discards", json=settled)) == {"discarded": 3, "selected": 3}

        order = {"selection": selection, "pace": {"rate": 40}, "reason": "mended"}
        answer = client.post("/jobs", json=order)
        job = told(answer, 202)
        assert answer.headers["location"] == f"/v1/dlt/jobs/{job['id']}"
        path = f"/jobs/{job['id']}"
        wait_until(lambda: replayed(client, path) > 0, 20)
        assert client.post(f"{path}/resume").status_code == 409
        assert told(client.post(f"{path}/pause"), 202)["by"] == "ada"
        wait_until(lambda: told(client.get(path))["state"] == JobState.PAUSED, 20)
        assert client.post(f"{path}/pause").status_code == 409
        before = replayed(client, path)
        told(client.post(f"{path}/resume"), 202)
        wait_until(lambda: replayed(client, path) > before, 20)
    with yard.desk() as desk:
        paused = desk.job(job["id"])
        assert paused.state is JobState.PAUSED
        assert paused.counts[jobs.REPLAYED] < 400
    with operator(yard, tmp_path) as client:
        told(client.post(f"{path}/resume"), 202)
        wait_until(lambda: replayed(client, path) > paused.counts[jobs.REPLAYED], 20)
        cancelled = told(client.post(f"{path}/cancel"))
        assert cancelled["state"] == JobState.CANCELLED
        left = 400 - cancelled["counts"][jobs.REPLAYED]
        rest = f"/jobs/{plan['plan']}"
        told(client.post(f"{rest}/resume"), 202)
        wait_until(lambda: replayed(client, rest) == left, 30)
        told(client.get("/jobs/nothing"), 404)
    locales = [EventCodec(None).decode(record.value or b"").locale for record in yard.replayed()]
    assert locales.count("eo") == 1
    ids = {grave.event.event_id for grave in [*graves, *grey]}
    assert yard.replayed_ids() == dict.fromkeys(ids, 1)


def corrected(client: httpx2.Client, group: str) -> None:
    """Export a group, change one mail of it, and replay it as it is then."""
    with client.stream("GET", "/export", params={"group": group}) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        rows = [json.loads(line) for line in answer.iter_lines()]
    assert len(rows) == 3
    rows[0]["event"]["locale"] = "eo"
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    wrong = client.post("/import", content=lines + lines, headers=headers)
    assert wrong.status_code == 422
    assert "line 4: " in wrong.text
    assert "an earlier row has the same position" in wrong.text
    planned = client.post("/import", params={"plan": True}, content=lines, headers=headers)
    assert told(planned, 201)["replayed"] == 3
    job = told(client.post("/import", content=lines, headers=headers), 202)
    wait_until(lambda: replayed(client, f"/jobs/{job['id']}") == 3, 20)


def told(answer: httpx2.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def replayed(client: httpx2.Client, path: str) -> int:
    found: int = told(client.get(path))["counts"].get(jobs.REPLAYED, 0)
    return found
