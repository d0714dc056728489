"""Killed workers, lost stores, lanes that move, a zombie: no mail is missing, none comes twice.

What may come twice is what was on the wire at a kill: its reply was not read, so nobody knows it.
"""

import os
import random
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree

import httpx2
import pytest

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child
from runtime.clock import Deadline, SystemClock
from schemas.mail_states import MailState
from tests.conftest import TopicsFactory
from tests.support.api import Api, running_api
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.wait import wait_until

CONNECTIONS = 4
SIGNUPS = 5_000
KILLS = 20


@pytest.fixture
def kafka(broker: BrokerAddress, topics: TopicsFactory) -> Kafka:
    return Kafka(broker.bootstrap, topics("1s,2s,4s", 8))


def settings(kafka: Kafka, catcher: CatcherThread, state: Path, **more: str) -> dict[str, str]:
    own = {"MAILCASCADE_SMTP_CONNECTIONS": str(CONNECTIONS), "MAILCASCADE_MAX_IN_FLIGHT": "64"}
    return worker_environ(kafka, catcher.smtp_url, state, own | more)


def repeats(catcher: CatcherThread) -> int:
    seen = recipients(catcher)
    return sum(seen.values()) - len(seen)


def settled(kafka: Kafka) -> None:
    wait_until(lambda: kafka.lag() == 0, 90, "everything to be committed")


def has_begun(logs: Iterable[Path]) -> None:
    """Return when the workers with these logs can be stopped in order."""
    for log in logs:
        wait_until(lambda it=log: '"worker.started"' in it.read_text(), 30, "a worker to begin")


def post_all(apis: Sequence[Api], numbers: Sequence[int], draw: random.Random) -> None:
    """Post signups 1 to 3 times each, in chunks, a chunk's repeats spread over the APIs."""
    for start in range(0, len(numbers), 250):
        chunk = numbers[start : start + 250]
        for turn in range(3):
            some = [n for n in chunk if turn == 0 or draw.random() < 0.5]
            items = [
                {
                    "template": "signup-confirmation",
                    "to": {"address": f"user{number}@example.com"},
                    "data": {"confirm_url": "https://example.com/confirm/abc"},
                    "idempotency_key": f"signup-{number}",
                }
                for number in some
            ]
            url = apis[turn % len(apis)].url
            answer = httpx2.post(f"{url}/v1/emails/batch", json=items, timeout=30)
            assert answer.status_code == 202, answer.text


def test_signups_that_are_posted_again_and_workers_that_die_make_each_mail_once(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """5,000 signups, posted 1 to 3 times each by two APIs; hosts die, and one loses its store."""
    draw = random.Random(4)
    addresses = [f"user{number}@example.com" for number in range(SIGNUPS)]
    hosts = {
        name: settings(kafka, catcher, tmp_path / name, MAILCASCADE_INSTANCE_ID=name)
        for name in ("first", "second")
    }
    kills = 0
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        apis = [
            stack.enter_context(running_api(hosts["first"], tmp_path / f"api{number}.log"))
            for number in range(2)
        ]
        workers: dict[str, Child] = {}
        logs: dict[str, Path] = {}

        def start(name: str) -> None:
            logs[name] = tmp_path / f"{name}-{kills}.log"
            workers[name] = stack.enter_context(start_worker(hosts[name], logs[name]))

        for name in hosts:
            start(name)
        posting = pool.submit(post_all, apis, range(SIGNUPS), draw)
        for reached in (600, 1_500, 2_400, 3_300):
            wait_until(lambda r=reached: len(recipients(catcher)) >= r, 90, f"{reached} mails")
            victim = draw.choice(sorted(hosts))
            workers[victim].kill()
            kills += 1
            if kills == 2:
                rmtree(tmp_path / victim)
            start(victim)
        posting.result(120)
        wait_for_all(catcher, addresses, 120)
        settled(kafka)
        has_begun(logs.values())
        for name in hosts:
            assert workers[name].stop() == 0
    again = repeats(catcher)
    print(f"{again} mails came twice after {kills} kills")
    # A lane that moves to the other host leaves its journal behind, and one lost its own.
    assert again <= kills * 64
    assert kafka.read(kafka.topology.dlt) == []
    ended = {event_id: entry.state for event_id, entry in kafka.entries()}
    assert len(ended) == SIGNUPS
    assert set(ended.values()) == {MailState.SENT}


def kill_siblings(kafka: Kafka, catcher: CatcherThread, tmp_path: Path, kills: int) -> int:
    """Kill one of two workers of a host so often under full load; return how many came twice."""
    environ = settings(kafka, catcher, tmp_path / "state")
    draw = random.Random(2)
    posted = 0

    def more_mails(number: int) -> None:
        nonlocal posted
        addresses = [f"user{n}@example.com" for n in range(posted, posted + number)]
        kafka.post(signup(address) for address in addresses)
        posted += number

    with ExitStack() as stack:
        logs: list[Path] = []

        def start() -> Child:
            logs.append(tmp_path / f"worker-{len(logs)}.log")
            return stack.enter_context(start_worker(environ, logs[-1]))

        workers = [start(), start()]
        running = logs.copy()
        for kill in range(kills):
            more_mails(300)
            mark = 300 * kill + draw.randrange(50, 250)
            wait_until(lambda m=mark: len(recipients(catcher)) >= m, 60, f"{mark} mails")
            victim = draw.randrange(2)
            workers[victim].kill()
            workers[victim] = start()
            running[victim] = logs[-1]
        wait_for_all(catcher, [f"user{number}@example.com" for number in range(posted)], 120)
        settled(kafka)
        has_begun(running)
        for worker in workers:
            assert worker.stop() == 0
    return repeats(catcher)


@pytest.mark.timeout(420)
def test_a_sibling_that_is_killed_again_and_again_repeats_only_what_was_on_the_wire(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Twenty kills under load: no more repeats than connections at each, thanks to the journal."""
    again = kill_siblings(kafka, catcher, tmp_path, KILLS)
    print(f"{again} mails came twice after {KILLS} kills")
    assert again <= KILLS * CONNECTIONS


@pytest.mark.parametrize("journal", ["true", "false"])
def test_the_journal_is_what_spares_a_second_mail_between_the_reply_and_the_commit(
    journal: str, kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Killed in mid-commit: with the journal that mail is not repeated, without it is."""
    environ = settings(kafka, catcher, tmp_path / "state", MAILCASCADE_JOURNAL=journal)
    crashing = ("-m", "tests.support.crashing_worker", "before_commit", "1")
    with start_worker(environ, tmp_path / "crash.log", crashing) as worker:
        kafka.post([signup("ada@example.com")])
        wait_until(lambda: worker.exit_code() is not None, 60, "the crash")
    assert recipients(catcher) == {"ada@example.com": 1}
    with start_worker(environ, tmp_path / "worker.log"):
        wait_until(lambda: kafka.standings(), 60, "the mail to be settled")
        settled(kafka)
    assert repeats(catcher) == (0 if journal == "true" else 1)


def test_a_zombie_commits_and_forwards_nothing(
    kafka: Kafka, catcher: CatcherThread, tmp_path: Path
) -> None:
    """Stopped past its session and continued, a worker finds its lanes gone and its work void."""
    zombie = settings(kafka, catcher, tmp_path / "zombie", MAILCASCADE_INSTANCE_ID="zombie")
    heir = settings(kafka, catcher, tmp_path / "heir", MAILCASCADE_INSTANCE_ID="heir")
    sent = [f"user{number}@example.com" for number in range(300)]
    failing = [f"full{number}+tempfail@example.com" for number in range(100)]
    log = tmp_path / "zombie.log"
    with start_worker(zombie, log) as stopped:
        kafka.post(
            signup(address) for pair in zip(sent, failing * 3, strict=False) for address in pair
        )
        wait_until(lambda: len(recipients(catcher)) >= 20, 30, "the first mails")
        os.kill(stopped.pid, signal.SIGSTOP)
        on_the_wire = sum(recipients(catcher).values())
        with start_worker(heir, tmp_path / "heir.log"):
            wait_for_all(catcher, sent, 90)
            settled(kafka)
            entries = len(kafka.entries())
            dead = len(kafka.read(kafka.topology.dlt))
            os.kill(stopped.pid, signal.SIGCONT)
            known = ("lanes.lost", "lanes.revoked", "ConsumerFailed", "kafka.consumer_error")
            wait_until(lambda: any(word in log.read_text() for word in known), 60, "it to notice")
            rest = Deadline(SystemClock(), 3)
            while not rest.expired():
                assert len(kafka.entries()) == entries
                assert len(kafka.read(kafka.topology.dlt)) == dead
            settled(kafka)
    assert on_the_wire
    assert repeats(catcher) <= 64
    counts = [entry.state for _, entry in kafka.entries() if entry.state is MailState.SENT]
    assert len(counts) == len(sent)
