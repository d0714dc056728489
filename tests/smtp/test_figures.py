"""What a worker shows of its relays is what happens between it and them."""

import asyncio
import re

from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.figures import Step
from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from consumers.mailer.telemetry import Telemetry
from retry_topics.failure import Accepted, Phase
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from tests.support.clock import ManualClock
from tests.support.smtp_server import Hold, ScriptedServer
from tests.support.wait import eventually

TOPOLOGY = Topology("t", parse_tiers("1m"), 1)


def shown(metrics: Metrics, relay: str) -> dict[str, float]:
    """Return what is shown of a relay, by the metric's name and its second label."""
    label = re.compile(rf',?relay="{re.escape(relay)}",?')
    lines = metrics.exposition().decode().splitlines()
    values = [label.sub("", line).rsplit(" ", 1) for line in lines if label.search(line)]
    return {name: float(value) for name, value in values}


async def test_connections_and_those_who_wait_are_shown(
    server: ScriptedServer, clock: ManualClock, message: Message
) -> None:
    """One connection is busy, one mail waits for it, and afterwards it is idle."""
    delivery = SmtpDelivery(RelayEndpoint.parse(server.url()), 1, clock)
    metrics = Metrics(WORKER_METRICS)
    Telemetry(metrics, TOPOLOGY).watch(delivery.figures)
    relay = f"127.0.0.1:{server.port}"
    gate = asyncio.Event()
    server.on(Phase.DOT, Hold(gate))

    sending = [asyncio.ensure_future(delivery.send(message)) for _ in range(2)]
    await eventually(lambda: [s for s in server.sessions if "DATA" in s.verbs])
    during = shown(metrics, relay)
    gate.set()
    outcomes = await asyncio.gather(*sending)
    after = shown(metrics, relay)
    await delivery.close()

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    connections = 'mailcascade_relay_connections{state="%s"}'
    assert (during[connections % "busy"], during[connections % "idle"]) == (1, 0)
    assert during['mailcascade_relay_waiting_mails{wait="connection"}'] == 1
    assert (after[connections % "busy"], after[connections % "idle"]) == (0, 1)
    assert after['mailcascade_relay_waiting_mails{wait="connection"}'] == 0
    assert after['mailcascade_relay_connection_limit{kind="adaptive"}'] == 1
    answers = 'mailcascade_relay_reply_seconds_count{step="%s"}'
    assert [after[answers % step] for step in Step] == [1, 2, 2]


async def test_the_time_that_a_relay_takes_is_shown_by_step(
    server: ScriptedServer, message: Message
) -> None:
    """A relay that thinks behind the dot is not taken for one that greets slowly."""
    delivery = SmtpDelivery(RelayEndpoint.parse(server.url()), 1, SystemClock())
    gate = asyncio.Event()
    server.on(Phase.DOT, Hold(gate))

    sending = asyncio.ensure_future(delivery.send(message))
    await eventually(lambda: [s for s in server.sessions if "DATA" in s.verbs])
    asyncio.get_running_loop().call_later(0.3, gate.set)
    await sending
    (figures,) = delivery.figures()
    await delivery.close()

    assert figures.spent[Step.DOT].total > 0.25
    assert figures.spent[Step.ENVELOPE].total + figures.spent[Step.SESSION].total < 0.25
