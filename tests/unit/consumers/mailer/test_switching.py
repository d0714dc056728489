"""What operators have paused reaches every part of a worker, and nothing is sent before."""

from collections.abc import Sequence

from consumers.delivery.blame import Blame
from consumers.delivery.figures import RelayFigures
from consumers.delivery.message import Message
from consumers.delivery.protocol import Begins
from consumers.delivery.relays import RelayGroup
from consumers.delivery.standing import Relay
from consumers.mailer.gate import RegistryGate
from consumers.mailer.guards import Guards
from consumers.mailer.outages import OutageBook
from consumers.mailer.switching import Switching
from consumers.mailer.telemetry import Telemetry
from consumers.mailer.throttles import Throttles, Tolerance
from retry_topics.failure import Accepted, Outcome
from retry_topics.topology import Topology, parse_tiers
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from schemas.switches import EVERYTHING, Switch, Switches, SwitchKey, SwitchKind
from tests.support.clock import ManualClock
from tests.support.guards import Told, guard_with

AT = 1_800_000_000_000


class Relaying:
    """Takes every mail."""

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        return Accepted("250")

    def figures(self) -> Sequence[RelayFigures]:
        return ()

    async def close(self) -> None:
        pass


class Bench:
    """A worker's parts that heed switches, and what is told of them."""

    def __init__(self) -> None:
        guard, self.told = guard_with(ManualClock(AT))
        relays = RelayGroup([Relay(name, Relaying()) for name in ("a:25", "b:25")], guard)
        self.guards = Guards(relays, RegistryGate(guard), Throttles(guard, Tolerance()))
        self.outages = OutageBook()
        self.outages.paused_by(self.guards.outage)
        self.metrics = Metrics(WORKER_METRICS)
        telemetry = Telemetry(self.metrics, Topology("t", parse_tiers("1m"), 1))
        self.switching = Switching(
            self.guards, self.outages, telemetry, guard.told, ManualClock(AT)
        )

    def turn(self, *keys: SwitchKey) -> None:
        self.switching.turn(Switches({key: Switch(key, AT) for key in keys}), "")

    def shown(self, kind: SwitchKind) -> str:
        """Return the gauge of a kind."""
        start = f'mailcascade_switches_off{{kind="{kind}"}} '
        lines = self.metrics.exposition().decode().splitlines()
        return next(line.removeprefix(start) for line in lines if line.startswith(start))


def relay(name: str) -> SwitchKey:
    return SwitchKey(SwitchKind.RELAY, name)


def test_nothing_is_sent_before_the_switches_are_known() -> None:
    """A process says so; nobody is called for the moment in which it starts."""
    bench = Bench()
    bench.switching.begin()
    assert bench.guards.outage() is not None
    assert Blame.SWITCHES in bench.guards.pausing()
    readiness = bench.outages.readiness()
    assert not readiness.ready
    assert readiness.reasons == ["what operators have paused cannot be read: not read yet"]
    assert bench.told == []
    bench.turn()
    assert bench.guards.outage() is None
    assert bench.guards.pausing() == frozenset()
    assert bench.outages.readiness().ready


def test_switches_that_cannot_be_read_any_more_hold_everything_and_are_told() -> None:
    """Until they can be read again."""
    bench = Bench()
    bench.turn(SwitchKey(SwitchKind.TIER, "1m"))
    bench.switching.turn(None, "nobody answers")
    outage = bench.guards.outage()
    assert outage is not None
    assert outage.failure.text.endswith("cannot be read: nobody answers")
    bench.turn()
    kinds: Told = [(kind, name, out) for kind, name, out in bench.told]
    assert kinds == [
        (Blame.SWITCHES, "list of switches", outage),
        (Blame.SWITCHES, "list of switches", None),
    ]
    assert not bench.guards.switches


def test_each_kind_is_heeded_and_shown() -> None:
    """One relay of two keeps no mail back; both do, and everything does."""
    bench = Bench()
    tier = SwitchKey(SwitchKind.TIER, "1m")
    template = SwitchKey(SwitchKind.TEMPLATE, "welcome")
    bench.turn(tier, template, relay("a:25"), relay("elsewhere:25"))
    assert bench.guards.switches.names(SwitchKind.TIER) == {"1m"}
    assert bench.guards.outage() is None
    assert [each.name for each in bench.guards.paused_relays()] == ["a:25"]
    assert bench.shown(SwitchKind.RELAY) == "2.0"
    assert bench.shown(SwitchKind.ALL) == "0.0"
    bench.turn(relay("a:25"), relay("b:25"))
    assert bench.guards.outage() is not None
    assert bench.guards.pausing() == {Blame.RELAY, Blame.SENDER}
    bench.turn(EVERYTHING)
    assert bench.guards.outage() is not None
    assert bench.guards.paused_relays() == []
    assert (bench.shown(SwitchKind.RELAY), bench.shown(SwitchKind.ALL)) == ("0.0", "1.0")
    assert bench.told == []
