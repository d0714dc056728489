"""A process without an API tells scrapers and supervisors how it is."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics, MetricsNotShown
from runtime.probes import Probes, Readiness
from runtime.pulse import Pulse
from tests.support.clock import ManualClock


class Process:
    """Is ready until it is told otherwise."""

    def __init__(self) -> None:
        self.state = Readiness(True)
        self.clock = ManualClock()
        self.pulse = Pulse(self.clock, 60)
        self.probes = Probes(Metrics(WORKER_METRICS), lambda: self.state, self.pulse)
        self.port = 0

    def get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    with made.probes.served("127.0.0.1", 0) as port:
        made.port = port
        yield made


def test_ready_or_not_is_a_status_with_reasons(process: Process) -> None:
    """What hits some mails is a reason, and the process is ready all the same."""
    process.state = Readiness(True, ["domain example.org is out"])
    status, body = process.get("/readyz")
    assert (status, json.loads(body)["reasons"]) == (200, ["domain example.org is out"])

    process.state = Readiness(False, ["relay r is out"])
    status, body = process.get("/readyz")
    assert status == 503
    assert json.loads(body) == {"status": "not ready", "reasons": ["relay r is out"]}


def test_it_lives_and_is_measured_whatever_is_out(process: Process) -> None:
    """A restart would not help, so nobody is told to do one."""
    process.state = Readiness(False)
    assert process.get("/livez")[0] == 200
    assert b"mailcascade_lanes_owned" in process.get("/metrics")[1]
    assert process.get("/nothing")[0] == 404


def test_a_process_without_a_pulse_is_to_be_restarted(process: Process) -> None:
    """It says for how long nothing has moved; one beat, and it lives."""
    process.clock.advance(60)
    assert process.get("/livez")[0] == 200
    process.clock.advance(1)
    status, body = process.get("/livez")
    assert (status, json.loads(body)["reasons"]) == (503, ["nothing has moved for 61 s"])
    process.pulse.beat()
    assert process.get("/livez")[0] == 200


def test_a_port_that_is_taken_is_an_error_that_names_the_setting(process: Process) -> None:
    """Instead of a process that nobody sees."""
    taken = process.probes.served("127.0.0.1", process.port)
    with pytest.raises(MetricsNotShown, match="MAILCASCADE_METRICS_PORT"), taken:
        pass
