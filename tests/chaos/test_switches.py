"""What an operator pauses waits, whatever happens to the workers; nothing is lost by it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import run
from sys import executable

import pytest

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child
from runtime.clock import SystemClock
from schemas.events import SignupEvent
from schemas.mail_states import MailState
from schemas.outages import KnownOutage, read_outages
from schemas.switches import SwitchKey, SwitchKind
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients, wait_for_all
from tests.support.mailer import Kafka, signup, start_worker, worker_environ
from tests.support.switches import switch_record
from tests.support.wait import wait_until

#: Mails of one template and of another that are posted at a time.
BATCH = 40


class Bench:
    """A pipeline whose workers a test starts and stops, and the mails that it was given."""

    def __init__(self, kafka: Kafka, catcher: CatcherThread, directory: Path) -> None:
        self.kafka = kafka
        self.catcher = catcher
        self.directory = directory
        self.environ = worker_environ(kafka, catcher.smtp_url, directory / "state")
        self.posted: list[SignupEvent] = []
        self._started = 0

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run so many more workers, which have their lanes when the block begins."""
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(self._worker())
            logs = [self._log(self._started - number) for number in range(count)]
            for log in logs:
                wait_until(lambda log=log: '"lanes.assigned"' in log.read_text(), 30, "lanes")
            yield

    def post(self, name: str, template: str = "signup-confirmation") -> list[str]:
        """Post a batch of mails of one template and return their recipients."""
        data = {"subject": "Hi", "body": "text"} if template == "plain" else {}
        fields: dict[str, object] = {"template": template, "data": data} if data else {}
        events = [signup(f"{name}{n}@example.com", **fields) for n in range(BATCH)]
        self.kafka.post(events)
        self.posted += events
        return [event.recipient.address for event in events]

    def command(self, *arguments: str) -> str:
        """Run `mailcascade` and return what it prints."""
        done = run(
            [executable, "-m", "console", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until_heeded(self, count: int, said: str) -> None:
        """Wait until the workers that were started last have heard of a switch."""
        for number in range(self._started - count + 1, self._started + 1):
            log = self._log(number)
            wait_until(lambda log=log: said in log.read_text(), 20, f"{log.name} to hear of it")

    def _worker(self) -> Child:
        self._started += 1
        return start_worker(self.environ, self._log(self._started))

    def _log(self, number: int) -> Path:
        return self.directory / f"worker-{number}.log"


@pytest.fixture
def bench(
    broker: BrokerAddress, topics: TopicsFactory, catcher: CatcherThread, tmp_path: Path
) -> Bench:
    return Bench(Kafka(broker.bootstrap, topics("1s,2s,4s", 4)), catcher, tmp_path)


def test_a_paused_template_s_mails_wait_through_a_rebalance_and_a_restart(bench: Bench) -> None:
    """All others flow, nothing is lost or sent twice, and no attempt is used up."""
    paused, others = [], []
    with bench.workers(2):
        before = bench.post("before")
        wait_until(lambda: recipients(bench.catcher), 30, "the first mails")
        bench.command("pause", "template", "signup-confirmation", "--reason", "a wrong link")
        bench.until_heeded(2, '"switch.paused"')
        paused += bench.post("meanwhile")
        others += bench.post("meanwhile-plain", "plain")
        wait_for_all(bench.catcher, others)
        with bench.workers(1):
            paused += bench.post("moved")
            others += bench.post("moved-plain", "plain")
            wait_for_all(bench.catcher, others)
    paused += bench.post("down")
    with bench.workers(1):
        others += bench.post("restarted-plain", "plain")
        wait_for_all(bench.catcher, others)
        assert not set(paused) & set(recipients(bench.catcher))
        bench.command("resume", "template", "signup-confirmation")
        wait_for_all(bench.catcher, before + paused)
        wait_until(lambda: bench.kafka.lag() == 0, 30, "everything to be committed")
    assert set(recipients(bench.catcher).values()) == {1}
    assert bench.kafka.read(bench.kafka.topology.dlt) == []
    entries = bench.kafka.entries()
    assert {entry.attempts for _, entry in entries} == {0}
    last = dict(entries)
    assert {last[event.event_id].state for event in bench.posted} == {MailState.SENT}


def test_relays_tiers_and_everything_are_paused_and_resumed(bench: Bench) -> None:
    """With its only relay paused a worker says what its mails wait for; tiers wait on their own."""
    kafka, topology = bench.kafka, bench.kafka.topology
    relay = SwitchKey(SwitchKind.RELAY, bench.catcher.smtp_url.partition("://")[2])
    everything = SwitchKey(SwitchKind.ALL, "")
    tier = SwitchKey(SwitchKind.TIER, topology.tiers[1].label)
    kafka.write([switch_record(topology, everything, 1)])
    with bench.workers(1):
        waiting = bench.post("waiting")
        kafka.write([switch_record(topology, relay, 1), switch_record(topology, everything, None)])

        def told() -> tuple[KnownOutage, ...]:
            notices = [read_outages(record.value) for record in kafka.read(topology.outages)]
            return notices[-1].outages if notices else ()

        wait_until(told, 20, "the worker to tell what its mails wait for")
        (out,) = told()
        assert (out.kind, out.what, out.pauses) == ("relay", relay.what, True)
        assert out.reason == "paused by an operator"
        assert kafka.committed() == {}
        assert recipients(bench.catcher) == {}
        kafka.write([switch_record(topology, tier, 1), switch_record(topology, relay, None)])
        wait_for_all(bench.catcher, waiting)
        held = [scheduled(f"held{n}@example.com", 3_900) for n in range(8)]
        kafka.post(held)
        wait_until(lambda: len(kafka.read(topology.retries[1])) == 8, 30, "the tier's records")
        for name in ("first@example.com", "second@example.com"):
            # Too short for the tier that is paused; two of them last longer than its delay.
            kafka.post([scheduled(name, 1_900)])
            wait_for_all(bench.catcher, [name])
        assert not {e.recipient.address for e in held} & set(recipients(bench.catcher))
        kafka.write([switch_record(topology, tier, None)])
        wait_for_all(bench.catcher, [event.recipient.address for event in held])
        wait_until(lambda: kafka.lag() == 0, 30, "everything to be committed")
    assert set(recipients(bench.catcher).values()) == {1}


def scheduled(address: str, milliseconds: int) -> SignupEvent:
    """Return a mail that is to be sent so much later."""
    return signup(address, not_before=SystemClock().now_ms() + milliseconds)
