"""What a pipeline shows of itself while its parts are killed, and what it never shows."""

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from uuid import uuid4

import httpx2

from console.doctor.finding import Level, Part
from console.doctor.parts import Doctor
from console.stack.children import Child, ChildSpec
from console.stack.kafka import KafkaBroker
from console.stack.ports import free_ports
from retry_topics.failure import Phase
from retry_topics.topology import Topology, parse_tiers, topology_of
from runtime.clock import SystemClock
from runtime.kafka.records import OutRecord
from runtime.settings import load_settings
from tests.support.broker import create_topology
from tests.support.mailer import Kafka, worker_environ
from tests.support.postgres import PostgresServer, kinds
from tests.support.scrapes import Scraped, start_exporter
from tests.support.smtp_server import Drop, Say, ScriptedServer
from tests.support.wait import wait_until

#: In every name, address, subject and text of the run, and nowhere else.
MARK = "quokka"
#: For how long anything may be unnoticed, in seconds.
SOON = 20.0


def address(tag: str) -> str:
    """Return a recipient that would be recognised wherever it was shown."""
    return f"zara.{MARK}+{tag}@example.com"


@dataclass(frozen=True)
class Relay:
    """The scripted relay, from another thread than its own."""

    server: ScriptedServer
    loop: asyncio.AbstractEventLoop

    def on(self, phase: Phase, reply: str, tag: str, times: int | None = None) -> None:
        """Answer so for one recipient; the reply quotes it as relays do."""
        to = address(tag)
        self.server.on(phase, Say(reply.format(to)), recipient=to, times=times)

    def kill(self) -> None:
        """Have nobody listen, and break what stands."""
        self._wait(self.server.__aexit__(None, None, None))

    def start(self) -> None:
        """Listen again at the same port."""
        self._wait(self.server.__aenter__())

    def has(self, tag: str) -> bool:
        """Tell whether it took a mail to this recipient."""
        return any(mail.recipient == address(tag) for mail in self.server.mails)

    def _wait(self, work: Coroutine[object, object, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


class Stack:
    """The four processes, what they show, and all that they ever showed."""

    def __init__(self, environ: Mapping[str, str], directory: Path, stack: ExitStack) -> None:
        self._environ = {**environ, "MAILCASCADE_LOG_LEVEL": "debug"}
        self._directory = directory
        self._stack = stack
        ports = free_ports(4)
        self.names = ("ingest", "worker", "projector", "exporter")
        self._ports = dict(zip(self.names, ports, strict=True))
        self.shown = {name: Scraped(port) for name, port in self._ports.items()}
        self.children = {name: self._start(name) for name in self.names}
        self.metrics: list[str] = []
        self.ids: list[str] = []

    def _start(self, name: str) -> Child:
        port, log = self._ports[name], self._directory / f"{name}.log"
        if name == "exporter":
            return self._stack.enter_context(start_exporter(self._environ, port, log))
        setting = "MAILCASCADE_HTTP_PORT" if name == "ingest" else "MAILCASCADE_METRICS_PORT"
        environ = {**self._environ, setting: str(port)}
        command = [sys.executable, "-m", "console", name]
        return self._stack.enter_context(Child(ChildSpec(name, command, log, environ)))

    def start(self, name: str) -> None:
        """Start a process again that was killed."""
        self.children[name] = self._start(name)

    def readiness(self) -> dict[str, int]:
        """Return the status of each process' readiness."""
        return {name: shown.readiness()[0] for name, shown in self.shown.items()}

    def until_ready(self, **others: int) -> None:
        """Return when all are ready, but for `others`, which have these statuses."""
        wanted = {name: others.get(name, 200) for name in self.names}
        try:
            wait_until(lambda: self.readiness() == wanted, 3 * SOON)
        except AssertionError:
            told = {name: shown.readiness() for name, shown in self.shown.items()}
            raise AssertionError(f"not as expected: {told}") from None

    def until_down(self, name: str, reason: str) -> None:
        """Return when a process says, soon, that it is not ready, with words like these."""

        def says_so() -> bool:
            status, reasons = self.shown[name].readiness()
            return status == 503 and reason in reasons

        wait_until(says_so, SOON, f"{name} to say {reason}")

    def until(self, name: str, metric: str, value: float, **labels: str) -> None:
        """Return when a metric has a value, soon."""
        shown = self.shown[name]
        wait_until(lambda: shown.value(metric, **labels) == value, SOON, f"{metric} = {value}")

    def until_examined(self, part: Part, words: str) -> None:
        """Return when `mailcascade doctor` tells, soon, what is wrong in a part, and what helps."""
        settings = load_settings(self._environ)
        doctor = Doctor(settings, topology_of(settings), SystemClock())

        def told() -> bool:
            bad = [found for found in doctor.examine({part}) if found.level is not Level.OK]
            return any(words in found.what and found.mend for found in bad)

        wait_until(told, SOON, f"the doctor to say {words}")

    def post(self, tag: str, status: int = 202, **fields: object) -> str:
        """Post a mail in which everything would be recognised; return its id."""
        body = {
            "template": "plain",
            "to": {"address": address(tag), "name": f"Zara {MARK.title()}"},
            "data": {"subject": f"For {MARK}", "body": f"The secret of {MARK}"},
            **fields,
        }
        answer = httpx2.post(f"{self.shown['ingest'].url}/v1/emails", json=body, timeout=15)
        assert answer.status_code == status, answer.text
        if status != 202:
            return ""
        self.ids.append(str(answer.json()["id"]))
        return self.ids[-1]

    def state(self, mail: str) -> str:
        """Return what the API tells of a mail."""
        answer = httpx2.get(f"{self.shown['ingest'].url}/v1/emails/{mail}", timeout=15)
        return str(answer.json().get("state", answer.status_code))

    def note(self) -> None:
        """Keep what all processes show at this moment."""
        self.metrics += [shown.text() + shown.readiness()[1] for shown in self.shown.values()]

    def logs(self) -> str:
        """Return everything that was logged."""
        return "\n".join(path.read_text() for path in self._directory.glob("*.log"))


async def test_whatever_is_killed_is_told_within_seconds_and_no_address_ever_is(
    own_broker: KafkaBroker, prefix: str, tmp_path: Path
) -> None:
    """By readiness and metrics of the one that it concerns, and by the doctor; the rest goes on."""
    topology = Topology(prefix, parse_tiers("1s,2s"), 2)
    create_topology(own_broker.bootstrap, topology)
    kafka = Kafka(own_broker.bootstrap, topology)
    async with ScriptedServer() as server:
        relay = Relay(server, asyncio.get_running_loop())
        environ = worker_environ(kafka, server.url(), tmp_path / "state")
        await asyncio.to_thread(_run, kafka, own_broker, relay, environ, tmp_path)


def _run(
    kafka: Kafka, broker: KafkaBroker, relay: Relay, environ: Mapping[str, str], directory: Path
) -> None:
    logs = directory / "logs"
    logs.mkdir()
    with ExitStack() as stack:
        url, database_away = stack.enter_context(_database(directory))
        own = {**environ, "MAILCASCADE_DATABASE_URL": url}
        pipeline = Stack(own, logs, stack)
        pipeline.until_ready()
        _life(pipeline, kafka, relay)
        _kill_relay(pipeline, relay)
        # The group misses its member after some seconds, in which there is time for the next one.
        pipeline.children["worker"].kill()
        with database_away():
            pipeline.until_down("projector", "database is away")
            pipeline.until("projector", "mailcascade_projector_outage_open", 1, need="database")
            # A file that is locked can be read: only that nobody writes is noticed then.
            pipeline.until_examined(Part.DATABASE, "")
            assert pipeline.shown["ingest"].is_ready()
            pipeline.note()
        _miss_worker(pipeline, relay)
        _kill_broker(pipeline, broker, relay)
        pipeline.note()
    _assert_nobody_is_shown(pipeline)


def _life(pipeline: Stack, kafka: Kafka, relay: Relay) -> None:
    """Have happen what happens to mails, with a relay that quotes the recipient each time."""
    relay.on(Phase.DOT, "250 2.0.0 Ok: queued for <{}>", "ok")
    relay.on(Phase.RCPT, "550 5.1.1 <{}>: Recipient address rejected: user unknown", "unknown")
    relay.on(Phase.RCPT, "451 4.7.1 {}... greylisted", "greylisted", times=1)
    relay.on(Phase.DOT, '554 5.7.1 The mail to "{}" looks like spam', "spam")
    relay.on(Phase.DOT, "421 4.3.0 Try {} later", "later", times=1)
    relay.server.on(Phase.DOT, Drop(), recipient=address("dropped"), times=1)
    sent = [pipeline.post(tag) for tag in ("ok", "greylisted", "later", "dropped")]
    dead = [pipeline.post(tag) for tag in ("unknown", "spam")]
    pipeline.post("@", status=422)
    pipeline.post("ok", status=422, data={MARK: address("data")})
    stopped = pipeline.post("stopped", not_before="2099-01-01T00:00:00Z", expires_at=None)
    kafka.write([OutRecord(kafka.topology.main, uuid4().bytes[:4], address("junk").encode(), ())])
    answer = httpx2.delete(f"{pipeline.shown['ingest'].url}/v1/emails/{stopped}", timeout=15)
    assert answer.status_code == 202
    wanted = {**dict.fromkeys(sent, "sent"), **dict.fromkeys(dead, "dead"), stopped: "cancelled"}
    wait_until(
        lambda: {mail: pipeline.state(mail) for mail in wanted} == wanted, 40, "all to be over"
    )
    suppressed = pipeline.post("unknown")
    wait_until(lambda: pipeline.state(suppressed) == "suppressed", 20, "the suppression")
    listed = httpx2.get(
        f"{pipeline.shown['ingest'].url}/v1/emails", params={"recipient": address("ok")}
    )
    assert listed.status_code == 200
    exporter, worker = pipeline.shown["exporter"], pipeline.shown["worker"]
    wait_until(
        lambda: sum(exporter.values("mailcascade_dlt_open_records")) == 3, SOON, "three letters"
    )
    pipeline.until("exporter", "mailcascade_suppressions", 1)
    wait_until(lambda: sum(exporter.values("mailcascade_lag_records")) == 0, SOON, "no lag")
    outcomes = worker.samples("mailcascade_outcomes_total", outcome="failure")
    assert {labels["phase"] for labels, _ in outcomes} >= {"rcpt", "dot"}
    assert all(labels["rule"] for labels, _ in outcomes)
    behind = pipeline.shown["projector"].value("mailcascade_projector_behind_seconds")
    assert behind is not None
    assert behind < SOON
    pipeline.note()


def _kill_relay(pipeline: Stack, relay: Relay) -> None:
    relay.kill()
    mail = pipeline.post("relay")
    pipeline.until_down("worker", "is out since")
    pipeline.until("worker", "mailcascade_outage_open", 1)
    pipeline.until_examined(Part.RELAY, "cannot be reached")
    pipeline.until_ready(worker=503)
    exporter = pipeline.shown["exporter"]
    wait_until(lambda: sum(exporter.values("mailcascade_lag_records")) == 1, SOON, "the lag")
    pipeline.note()
    relay.start()
    wait_until(lambda: relay.has("relay") and pipeline.state(mail) == "sent", SOON, "the mail")
    pipeline.until_ready()


def _miss_worker(pipeline: Stack, relay: Relay) -> None:
    pipeline.post("worker")
    pipeline.until("exporter", "mailcascade_group_members", 0)
    lag = pipeline.shown["exporter"]
    wait_until(lambda: max(lag.values("mailcascade_lag_seconds")) > 0, SOON, "an age")
    pipeline.until_ready(worker=0)
    pipeline.until_examined(Part.KAFKA, "1 records wait and the group")
    pipeline.start("worker")
    wait_until(lambda: relay.has("worker"), 3 * SOON, "the mail")
    pipeline.until_ready()


def _kill_broker(pipeline: Stack, broker: KafkaBroker, relay: Relay) -> None:
    broker.stop()
    for name in pipeline.names:
        pipeline.until_down(name, "Kafka")
    for name in ("ingest", "worker"):
        pipeline.until(name, "mailcascade_kafka_outage_open", 1)
    pipeline.until("projector", "mailcascade_projector_outage_open", 1, need="kafka")
    pipeline.until("exporter", "mailcascade_exporter_outage_open", 1)
    pipeline.until_examined(Part.KAFKA, "no Kafka answers")
    pipeline.note()
    broker.start()
    pipeline.until_ready()
    pipeline.post("broker")
    wait_until(lambda: relay.has("broker"), 3 * SOON, "the mail")


def _assert_nobody_is_shown(pipeline: Stack) -> None:
    logs, metrics = pipeline.logs(), "\n".join(pipeline.metrics)
    lines = [line for line in (logs + metrics).splitlines() if MARK in line.lower()]
    assert lines == []
    assert [mail for mail in pipeline.ids if mail in metrics] == []
    assert "example.com" not in metrics
    # Some lines are about a recipient all the same: they show as much of it as may be shown.
    assert "z***@example.com" in logs
    assert re.search(r'"level": ?"debug"', logs)


@contextmanager
def _database(directory: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield a database's URL, and a context in which it is away."""
    if "postgresql" in kinds():
        with PostgresServer() as server:

            @contextmanager
            def stopped() -> Iterator[None]:
                server.stop()
                yield
                server.start()

            yield server.new_database(), stopped
        return
    path = directory / "status.db"

    @contextmanager
    def locked() -> Iterator[None]:
        with connect(path) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
        holder.close()

    yield f"sqlite:///{path}", locked
