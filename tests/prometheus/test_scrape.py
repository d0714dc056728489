"""A real Prometheus scrapes every part of a running pipeline and evaluates the rules on it.

The last test breaks things.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child
from console.stack.ports import HOST, free_ports
from retry_topics.topology import Topology, parse_tiers
from runtime.metric_catalogue import CATALOGUES
from tests.support.alerts import expressions, recorded
from tests.support.api import Api, running_api
from tests.support.broker import BrokerAddress, create_topology
from tests.support.mailer import Kafka, start_worker, worker_environ
from tests.support.pipeline import running_projector
from tests.support.prometheus import Prometheus
from tests.support.promql import Names, selectors
from tests.support.scrapes import start_exporter
from tests.support.wait import wait_until

#: What is shown only while something is wrong, or once something has happened that does not here.
UNTIL_IT_HAPPENS = {
    "ALERTS",
    "mailcascade_breaker_open_since_seconds",
    "mailcascade_events_refused_total",
    "mailcascade_expired_total",
    "mailcascade_publish_failures_total",
    "mailcascade_restoring_since_seconds",
}
PAUSE = {"MailcascadePauseLeft"}
OUTAGE = {"MailcascadeBreakerOpen", "MailcascadeRelayOutage"}
EXPORTER_KILLED = {"MailcascadeExporterBlind", "MailcascadeTargetDown"}
MAILS = ["ada@example.com", "bob+bounce@example.com", "eve+greylist@example.com"]


@dataclass(frozen=True)
class Watched:
    """A pipeline and the Prometheus that watches it."""

    environ: Mapping[str, str]
    prometheus: Prometheus
    api: Api
    exporter: Child
    catcher: CatcherThread

    def command(self, *arguments: str) -> None:
        """Run `mailcascade` with these arguments; it succeeds."""
        command = [sys.executable, "-m", "console", *arguments]
        subprocess.run(command, env=dict(self.environ), check=True, timeout=60)

    def wait_for(self, alerts: set[str]) -> None:
        """Return when the conditions of these alerts hold, and of no others."""
        wait_until(lambda: self.pending() == alerts, what=f"{sorted(alerts)} to be pending")

    def pending(self) -> set[str]:
        """Return the alerts whose condition holds."""
        rules = self.prometheus.rules()
        return {rule["name"] for rule in rules if rule.get("state", "inactive") != "inactive"}


@pytest.fixture(scope="module")
def watched(broker: BrokerAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One that watches a pipeline which has sent mails, had one refused, and one put off."""
    directory = tmp_path_factory.mktemp("watched")
    topology = Topology(f"scrape-{uuid4().hex[:8]}", parse_tiers("1s,2s"), 2)
    create_topology(broker.bootstrap, topology)
    worker_port, projector_port, exporter_port = free_ports(3)
    with CatcherThread() as catcher:
        database = {"MAILCASCADE_DATABASE_URL": f"sqlite:///{directory / 'status.db'}"}
        kafka = Kafka(broker.bootstrap, topology)
        environ = worker_environ(kafka, catcher.smtp_url, directory / "state", database)
        with (
            start_worker(shown(environ, worker_port), directory / "worker.log"),
            running_projector(shown(environ, projector_port), directory / "projector.log"),
            start_exporter(environ, exporter_port, directory / "exporter.log") as exporter,
            running_api(environ, directory / "api.log") as api,
            Prometheus(
                directory,
                {
                    "mailcascade-ingest": [api.url.removeprefix("http://")],
                    "mailcascade-worker": [f"{HOST}:{worker_port}"],
                    "mailcascade-projector": [f"{HOST}:{projector_port}"],
                    "mailcascade-exporter": [f"{HOST}:{exporter_port}"],
                },
            ) as running,
        ):
            wait_until(lambda: len(running.query("up == 1")) == len(CATALOGUES))
            answer = httpx2.get(f"{api.url}/v1/emails", timeout=10)
            assert answer.status_code == 200, answer.text
            api.post(MAILS)
            wait_until(lambda: running.query("sum(mailcascade_states_total) >= 4"))
            wait_until(lambda: running.query("sum(mailcascade_dlt_open_records) == 1"))
            yield Watched(environ, running, api, exporter, catcher)


@pytest.fixture
def prometheus(watched: Watched) -> Prometheus:
    """The one that watches."""
    return watched.prometheus


def shown(environ: dict[str, str], port: int) -> dict[str, str]:
    """Return the environment of a process that shows its metrics at a port."""
    return {**environ, "MAILCASCADE_METRICS_PORT": str(port)}


def test_every_rule_is_evaluated_and_none_is_at_fault(prometheus: Prometheus) -> None:
    """On what the parts really show; in a pipeline that is well no alert fires."""
    rules = prometheus.rules()
    names = {rule["name"] for rule in rules}
    wait_until(lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()))

    faults = {rule["name"]: rule.get("lastError") for rule in prometheus.rules()}
    assert {name: fault for name, fault in faults.items() if fault} == {}
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}
    assert len(names) == len(rules) > len(recorded())
    assert [rule["name"] for rule in prometheus.rules() if rule.get("state") == "firing"] == []


def test_what_rules_dashboards_and_runbooks_ask_for_is_there(prometheus: Prometheus) -> None:
    """Each selector finds a series, but for what has not happened."""
    asked = {str(selector) for text in expressions() for selector in selectors(text)}
    missing = {text for text in asked if not prometheus.query(text)}

    assert {text for text in missing if text.partition("{")[0] not in UNTIL_IT_HAPPENS} == set()


def test_what_is_shown_is_in_a_catalogue(prometheus: Prometheus) -> None:
    """With the labels that it has there."""
    names = Names(CATALOGUES.values(), recorded())
    series = prometheus.ask("/series", **{"match[]": '{__name__=~"mailcascade_.+"}'})

    assert {each["job"] for each in series} == {
        f"mailcascade-{deployable}" for deployable in CATALOGUES
    }
    assert [each for each in series if not _is_known(names, each)] == []


def test_what_goes_wrong_is_noticed_within_seconds(watched: Watched) -> None:
    """The causes are pending, and nothing that only follows from them; a pause is no outage."""
    watched.command("pause", "all", "--reason", "to see what is said of it")
    wait_until(lambda: watched.prometheus.query("mailcascade_outage_open == 1"))
    watched.wait_for(PAUSE)

    watched.command("resume", "all")
    wait_until(lambda: watched.prometheus.query("mailcascade_outage_open == 0"))
    watched.catcher.down()
    watched.api.post(["late@example.com"])
    # A pause is remembered for minutes, so that a restart of a worker does not hide one.
    watched.wait_for(PAUSE | OUTAGE)

    watched.exporter.kill()
    watched.wait_for(PAUSE | OUTAGE | EXPORTER_KILLED)


def _is_known(names: Names, series: dict[str, str]) -> bool:
    # The client library also tells when a series began.
    name = series["__name__"].removesuffix("_created")
    allowed = (names.labels(whole) for whole in (name, f"{name}_total", f"{name}_count"))
    return any(labels is not None and series.keys() - {"__name__"} <= labels for labels in allowed)
