"""Connections are kept and reused, and one that the relay gave up costs no mail an attempt."""

import asyncio

import pytest

from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.message import Message
from consumers.delivery.pacing import Pace
from consumers.delivery.pool import (
    LONGEST_AGE_SECONDS,
    LONGEST_IDLE_SECONDS,
    MOST_TRANSACTIONS,
)
from consumers.delivery.smtp import Manners, SmtpDelivery
from retry_topics.failure import Accepted, Failure, Phase
from tests.smtp.conftest import Connect
from tests.support.clock import ManualClock
from tests.support.smtp_server import Drop, Hold, Say, ScriptedServer
from tests.support.wait import eventually


async def test_a_connection_serves_many_mails(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Mail after mail goes over one session, greeted once and without RSET between."""
    for _ in range(3):
        assert isinstance(await delivery.send(message), Accepted)

    (session,) = server.sessions
    assert session.verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3]


async def test_a_connection_is_replaced_after_so_many_mails(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Providers count mails per connection; we take leave before they do."""
    for _ in range(MOST_TRANSACTIONS + 1):
        await delivery.send(message)

    assert len(server.sessions) == 2
    assert server.sessions[0].verbs.count("MAIL") == MOST_TRANSACTIONS
    assert server.sessions[0].verbs[-1] == "QUIT"


@pytest.mark.parametrize(
    ("step", "steps", "sessions"),
    [
        (LONGEST_IDLE_SECONDS - 1, 1, 1),
        (LONGEST_IDLE_SECONDS + 1, 1, 2),
        # In use all the time, but for longer than a connection may live.
        (LONGEST_IDLE_SECONDS - 1, int(LONGEST_AGE_SECONDS // 4) + 2, 2),
    ],
)
async def test_connections_end_by_idleness_and_by_age(
    server: ScriptedServer,
    delivery: SmtpDelivery,
    message: Message,
    clock: ManualClock,
    step: float,
    steps: int,
    sessions: int,
) -> None:
    """A kept connection is given up before the relay does it, and after five minutes anyway."""
    await delivery.send(message)
    for _ in range(steps):
        clock.advance(step)
        await delivery.send(message)

    assert len(server.sessions) == sessions


@pytest.mark.parametrize(
    "first_answer",
    [
        Drop(),
        Say("421 4.4.2 mx Error: timeout exceeded"),
        Say("421 4.3.2 Service shutting down"),
        Say("451 4.4.2 Timeout waiting for data from client."),
    ],
)
async def test_a_stale_connection_is_reopened_without_an_outcome(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, first_answer: Drop | Say
) -> None:
    """The relay had given the kept connection up: the mail goes out on a new one at once."""
    await delivery.send(message)
    server.on(Phase.MAIL, first_answer, times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2
    assert len(server.mails) == 2


async def test_a_connection_that_ended_while_idle_is_not_used(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """A relay that restarts between two mails is not noticed by either."""
    await delivery.send(message)
    server.drop_sessions()

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 2


async def test_the_same_answer_on_a_new_connection_is_an_outcome(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Stale can only be what was kept: a new session that is turned away is an outage."""
    server.on(Phase.MAIL, Say("421 4.3.2 Service shutting down"))

    outcome = await delivery.send(message)

    assert isinstance(outcome, Failure)
    assert outcome.is_outage
    assert len(server.sessions) == 1


async def test_a_relay_that_stays_away_after_a_stale_connection_is_an_outage(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Reopening is tried once; what comes of it counts."""
    await delivery.send(message)
    server.on(Phase.MAIL, Drop(), times=1)
    server.on(Phase.BANNER, Say("421 4.3.2 Service not active"))

    outcome = await delivery.send(message)

    assert isinstance(outcome, Failure)
    assert outcome.phase is Phase.BANNER


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA])
async def test_a_refused_transaction_is_reset_before_the_next(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message, phase: Phase
) -> None:
    """The connection stays, and the next mail starts with a clean envelope."""
    server.on(phase, Say("450 4.2.0 not now"), times=1)

    assert isinstance(await delivery.send(message), Failure)
    assert isinstance(await delivery.send(message), Accepted)
    (session,) = server.sessions
    assert session.verbs.count("RSET") == 1
    assert session.verbs.index("RSET") < len(session.verbs) - 3


async def test_a_refusal_of_the_content_keeps_the_connection(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """After the dot the transaction is over, refused or not, so no reset is needed."""
    server.on(Phase.DOT, Say("554 5.6.0 no"), times=1)

    await delivery.send(message)
    assert isinstance(await delivery.send(message), Accepted)
    (session,) = server.sessions
    assert "RSET" not in session.verbs


async def test_no_more_connections_than_allowed(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """Sends beyond the limit wait for a connection instead of opening one."""
    gate = asyncio.Event()
    server.on(Phase.DOT, Hold(gate))
    delivery = connect(server.url(), connections=2)
    sends = [asyncio.ensure_future(delivery.send(message)) for _ in range(5)]
    await eventually(lambda: [s.verbs[-1:] for s in server.sessions] == [["DATA"]] * 2)

    gate.set()
    outcomes = await asyncio.gather(*sends)

    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len(server.sessions) == 2


async def test_a_failing_relay_does_not_use_up_the_slots(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """After many failures to open, the one connection is still there to be opened."""
    server.on(Phase.BANNER, Say("421 no"), times=5)
    for _ in range(5):
        assert isinstance(await delivery.send(message), Failure)

    assert isinstance(await delivery.send(message), Accepted)


async def test_closing_takes_leave_and_ends_what_runs(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """Idle connections say QUIT; a mail under way ends with an outcome, not with an exception."""
    delivery = connect(server.url(), connections=2)
    server.on(Phase.DATA, Hold(asyncio.Event()), recipient="slow@example.org")
    slow = Message("<2@x>", "app@example.com", "slow@example.org", message.content)
    sending = asyncio.ensure_future(delivery.send(slow))
    await eventually(lambda: server.sessions and server.sessions[0].verbs[-1:] == ["DATA"])
    await delivery.send(message)

    await delivery.close()

    outcome = await sending
    assert isinstance(outcome, Failure)
    assert outcome.is_outage
    await eventually(lambda: server.sessions[1].verbs[-1] == "QUIT")


async def test_a_throttled_relay_gets_fewer_connections(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """Four connections that are told to slow down become two, and the mails still go out."""
    delivery = connect(server.url(), connections=4)
    warm, gate = asyncio.Event(), asyncio.Event()
    server.on(Phase.DOT, Hold(gate))
    server.on(Phase.DOT, Hold(warm), times=4)
    sends = [asyncio.ensure_future(delivery.send(message)) for _ in range(4)]
    await eventually(lambda: [s.verbs[-1:] for s in server.sessions] == [["DATA"]] * 4)
    warm.set()
    await asyncio.gather(*sends)
    server.on(Phase.MAIL, Say("450 4.2.1 Peak SMTP relay limit exceeded"), times=4)
    throttled = await asyncio.gather(*(delivery.send(message) for _ in range(4)))

    sends = [asyncio.ensure_future(delivery.send(message)) for _ in range(4)]
    await eventually(lambda: sorted(s.verbs.count("DATA") for s in server.sessions) == [1, 1, 2, 2])
    gate.set()
    outcomes = await asyncio.gather(*sends)

    assert all(isinstance(outcome, Failure) for outcome in throttled)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    await eventually(lambda: [s.verbs[-1] for s in server.sessions].count("QUIT") == 2)
    assert len(server.sessions) == 4


async def test_a_relay_that_allows_few_connections_gets_no_outage(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """Turned away beside a connection that works, a mail takes that one."""
    delivery = connect(server.url(), connections=8)
    gate = asyncio.Event()
    server.on(Phase.DOT, Hold(gate), times=1)
    first = asyncio.ensure_future(delivery.send(message))
    await eventually(lambda: server.sessions and server.sessions[0].verbs[-1] == "DATA")
    server.on(Phase.BANNER, Say("421 4.7.0 Too many connections from your host"))

    second = asyncio.ensure_future(delivery.send(message))
    await eventually(lambda: len(server.sessions) == 2)
    gate.set()

    assert isinstance(await first, Accepted)
    assert isinstance(await second, Accepted)
    assert len(server.mails) == 2


async def test_all_kept_connections_go_with_a_stale_one(
    server: ScriptedServer, connect: Connect, message: Message
) -> None:
    """The one used last is the freshest: if that was given up, the others were, too."""
    delivery = connect(server.url(), connections=3)
    await asyncio.gather(*(delivery.send(message) for _ in range(3)))
    server.on(Phase.MAIL, Say("421 4.4.2 idle for too long"), times=1)

    assert isinstance(await delivery.send(message), Accepted)
    assert len(server.sessions) == 4
    assert [session.verbs.count("MAIL") for session in server.sessions].count(2) == 1


async def test_a_mail_begins_when_a_connection_is_at_hand(
    server: ScriptedServer, delivery: SmtpDelivery, message: Message
) -> None:
    """Until then nobody has heard of it; what `begins` raises leaves the connection as it was."""
    heard: list[list[str]] = []

    async def refuse() -> None:
        heard.append([verb for session in server.sessions for verb in session.verbs])
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            await delivery.send(message, refuse)
    assert isinstance(await delivery.send(message), Accepted)

    assert heard == [["EHLO"], ["EHLO"]]
    assert len(server.sessions) == 1


async def test_a_mail_that_waits_for_its_relay_s_rate_has_not_begun(
    server: ScriptedServer, clock: ManualClock, message: Message
) -> None:
    """One mail an hour: the second waits, and can be given up without a trace."""
    begun: list[int] = []

    async def begins() -> None:
        begun.append(1)

    manners = Manners(pace=Pace(1 / 3600, lambda: 1.0))
    delivery = SmtpDelivery(RelayEndpoint.parse(server.url()), 1, clock, manners)
    assert isinstance(await delivery.send(message, begins), Accepted)
    second = asyncio.ensure_future(delivery.send(message, begins))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await delivery.close()

    assert len(begun) == 1
    assert len(server.mails) == 1
