"""Killed and restarted workers: nothing is lost, repeats are few and byte-identical."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from console.stack.catcher.threaded import CatcherThread
from tests.conftest import TopicsFactory
from tests.support.api import running_api
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, start_worker, worker_environ
from tests.support.wait import wait_until

MAX_IN_FLIGHT = 32


def test_three_kills_and_a_rolling_restart_lose_nothing(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> None:
    """2,000 signups: each address has its mail; only what was in flight at a kill comes twice.

    The workers that take over from one that is stopped are hosts of their own, as on Kubernetes:
    no journal tells them what was sent.
    """
    kafka = Kafka(broker.bootstrap, topics("1s,2s,4s", 8))
    addresses = [f"user{number}@example.com" for number in range(2_000)]
    limits = {"MAILCASCADE_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT), "MAILCASCADE_SMTP_CONNECTIONS": "4"}
    environ = worker_environ(kafka, catcher.smtp_url, tmp_path / "state", limits)
    chunks = [addresses[start : start + 400] for start in range(0, 2_000, 400)]

    def repeats() -> int:
        return sum(recipients(catcher).values()) - len(recipients(catcher))

    with ExitStack() as stack:
        api = stack.enter_context(running_api(environ, tmp_path / "api.log"))
        survivor = stack.enter_context(start_worker(environ, tmp_path / "survivor.log"))
        for round_, chunk in enumerate(chunks[:3]):
            victim = stack.enter_context(start_worker(environ, tmp_path / f"victim{round_}.log"))
            reached = 400 * round_ + 150
            api.post(chunk)
            wait_until(lambda r=reached: len(recipients(catcher)) >= r, 60, "the middle")
            victim.kill()
        wait_for_all(catcher, addresses[:1_200])
        wait_until(lambda: kafka.lag() == 0, 60, "the kills to be overcome")
        at_kills = repeats()
        assert at_kills <= 3 * MAX_IN_FLIGHT
        for round_, chunk in enumerate(chunks[3:]):
            name = f"fresh{round_}"
            own = limits | {"MAILCASCADE_INSTANCE_ID": name}
            host = worker_environ(kafka, catcher.smtp_url, tmp_path / name, own)
            fresh = stack.enter_context(start_worker(host, tmp_path / f"{name}.log"))
            api.post(chunk)
            wait_until(lambda r=round_: len(recipients(catcher)) >= 1_300 + 400 * r, 60)
            if round_ == 0:
                assert survivor.stop() == 0
        wait_for_all(catcher, addresses)
        wait_until(lambda: kafka.lag() == 0, 60, "everything to be committed")
        assert repeats() == at_kills, "a graceful restart sent something twice"
        assert fresh.stop() == 0
    copies: dict[str, set[bytes]] = defaultdict(set)
    for mail in catcher.store.mails():
        copies[mail.recipients[0]].add(mail.content)
    assert all(len(variants) == 1 for variants in copies.values())
    assert kafka.read(kafka.topology.dlt) == []
